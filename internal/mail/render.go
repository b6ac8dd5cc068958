package mail

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
)

// Kind is a kind of message.
type Kind string

// The kinds of messages; each has a text and an HTML template.
const (
	KindRegister Kind = "register" // confirm an address at registration
	KindAdd      Kind = "add"      // confirm an address for an account
	KindPassword Kind = "password" // set a new password
	KindEnded    Kind = "ended"    // the account ends; with a link to undo it
)

// Data is what the templates show.
type Data struct {
	Server string // set by Send
	User   string
	Link   string
	Until  string // when the link ends
}

var subjects = map[Kind]string{
	KindRegister: "Confirm your e-mail address",
	KindAdd:      "Confirm your e-mail address",
	KindPassword: "Set a new password",
	KindEnded:    "Your account is being ended",
}

//go:embed templates/*.txt templates/*.html
var files embed.FS

var (
	plainTemplates = texttemplate.Must(texttemplate.ParseFS(files, "templates/*.txt"))
	htmlTemplates  = htmltemplate.Must(htmltemplate.ParseFS(files, "templates/*.html"))
)

// rendered is a message ready to be sent.
type rendered struct{ subject, plain, html string }

func render(kind Kind, data Data) (rendered, error) {
	subject, ok := subjects[kind]
	if !ok {
		return rendered{}, fmt.Errorf("there is no mail of the kind %q", kind)
	}
	var plain, html strings.Builder
	if err := plainTemplates.ExecuteTemplate(&plain, string(kind)+".txt", data); err != nil {
		return rendered{}, err
	}
	if err := htmlTemplates.ExecuteTemplate(&html, string(kind)+".html", data); err != nil {
		return rendered{}, err
	}
	return rendered{subject, plain.String(), html.String()}, nil
}
