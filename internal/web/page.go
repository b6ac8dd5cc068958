package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/ratelimit"
	"lethe/internal/wire"
)

//go:embed pages
var files embed.FS

// style and script are in the pages themselves, which load nothing; the policy
// of a page allows them by their hashes.
var (
	style  = asset("pages/style.css")
	script = asset("pages/done.js")

	templates = template.Must(template.New("").Funcs(template.FuncMap{
		"style":  func() template.CSS { return template.CSS(style) }, //nolint:gosec // it is ours
		"script": func() template.JS { return template.JS(script) },  //nolint:gosec // it is ours
	}).ParseFS(files, "pages/*.html"))
)

func asset(name string) string {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(content))
}

func hashSource(content string) string {
	hash := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
}

// base is what every page shows.
type base struct {
	Server matrix.ServerName
	Title  string
	Errors []problem
	Notice string
	// SignedIn shows the button that signs out.
	SignedIn bool
}

func (a *API) base(title string) base { return base{Server: a.ServerName, Title: title} }

// problem is a line of the summary of what was wrong; Field is the input it is
// about, "" for none.
type problem struct{ Field, Text string }

// link leads elsewhere.
type link struct{ URL, Text string }

// field is an input of a form; one without a Type is hidden.
type field struct {
	Name, Label, Hint, Type, Value string
	// Complete is the autocomplete attribute; Link is a document the label is about.
	Complete, Link string
	Required       bool
	Error          string
}

// Notes are the elements that explain the input.
func (f field) Notes() string {
	var ids []string
	if f.Hint != "" {
		ids = append(ids, f.Name+"-hint")
	}
	if f.Error != "" {
		ids = append(ids, f.Name+"-error")
	}
	return strings.Join(ids, " ")
}

// button sends a form; with a Name it says which of several it was.
type button struct {
	Text, Name, Value, Class string
	// NoCheck sends the form although required inputs are empty.
	NoCheck bool
}

// formPage is a page of text and at most one form.
type formPage struct {
	base
	Text        []string
	ShowSupport bool
	Support     Support
	Links       []link
	// Action is where the form goes, "" for the page's own address.
	Action  string
	Fields  []field
	Buttons []button
	NoCheck bool
	// AuthDone runs the script that tells a client that a stage is complete.
	AuthDone bool

	policy policy
}

// policy is how the headers of a page differ from those of others.
type policy struct {
	// formAction is where forms may go beside this server: where the answer to one
	// leads to another, browsers look at that, too.
	formAction string
	// account is for the pages of who is signed in. Their forms are checked by
	// [API.sameOrigin], so this server, and no other, is told where they come from:
	// with no-referrer their Origin would be null (Fetch, Origin header).
	account bool
	// script lets the page tell a client that a stage is complete.
	script bool
}

func (p policy) header() http.Header {
	csp := "default-src 'none'; style-src " + hashSource(style) + "; form-action " +
		strings.TrimSpace("'self' "+p.formAction) + "; frame-ancestors 'none'; base-uri 'none'"
	if p.script {
		csp += "; script-src " + hashSource(script)
	}
	h := http.Header{
		"Content-Security-Policy": {csp}, "Referrer-Policy": {"no-referrer"}, "Cache-Control": {"no-store"},
		"X-Content-Type-Options": {"nosniff"},
	}
	if p.account {
		h.Set("Referrer-Policy", "same-origin")
	}
	return h
}

// found shows what was wrong with the form that was sent: at its top, and at the
// fields.
func (p *formPage) found(list []problem) {
	p.Errors = list
	mark(p.Fields, list)
}

// mark tells the fields what is wrong with them.
func mark(fields []field, list []problem) {
	for _, wrong := range list {
		for i := range fields {
			if fields[i].Name == wrong.Field {
				fields[i].Error = wrong.Text
			}
		}
	}
}

// form answers with a form.
func (a *API) form(status int, p formPage) (*wire.Response, error) {
	return render("form.html", status, p.policy, p)
}

// render answers with a page; a status of 0 is 200.
func render(name string, status int, p policy, data any) (*wire.Response, error) {
	var buf bytes.Buffer
	if err := templates.ExecuteTemplate(&buf, name, data); err != nil {
		return nil, err
	}
	return &wire.Response{
		Status: status, ContentType: "text/html; charset=utf-8", Body: buf.Bytes(), Header: p.header(),
	}, nil
}

// page makes a handler of one whose errors are for people to read.
func (a *API) page(h wire.Handler) wire.Handler {
	return func(r *wire.Request) (any, error) {
		if err := allow(a.Limits.Address, r.Network()); err != nil {
			return a.sorry(r, err)
		}
		result, err := h(r)
		if err != nil {
			return a.sorry(r, err)
		}
		return result, nil
	}
}

// sorry is the page of a request that failed.
func (a *API) sorry(r *wire.Request, err error) (any, error) {
	e := told(r, err)
	title := "That did not work"
	switch e.Code {
	case matrix.CodeNotFound:
		title = "There is nothing here"
	case matrix.CodeLimitExceeded:
		title = "Please wait a moment"
	}
	p := formPage{base: a.base(title), Text: []string{e.Message}}
	if strings.HasPrefix(r.URL.Path, accountPath) {
		p.Links = []link{{accountPath, "Go to the account page"}}
	}
	return a.refused(e, p)
}

// refused is a page with the status of an error.
func (a *API) refused(e *matrix.Error, p formPage) (any, error) {
	resp, err := a.form(wire.StatusOf(e), p)
	if err == nil && e.Code == matrix.CodeLimitExceeded {
		resp.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	return resp, err
}

// told is what a person is told of an error. What is the server's own failure is
// in the log.
func told(r *wire.Request, err error) *matrix.Error {
	if e, ok := errors.AsType[*matrix.Error](err); ok {
		if wire.StatusOf(e) >= http.StatusInternalServerError {
			r.Log.Error("request refused", "error", err)
		}
		return e
	}
	r.Log.Error("request failed", "error", err)
	return matrix.Errorf(matrix.CodeUnknown,
		"This server could not do it. Try again later. If you ask its operator for help, name the request %s.", r.ID).
		WithStatus(http.StatusInternalServerError)
}

func allow(l *ratelimit.Limiter, key string) error {
	wait, ok := l.Allow(key)
	if ok {
		return nil
	}
	e := matrix.Errorf(matrix.CodeLimitExceeded, "There were too many requests. Try again in %s.", words(max(wait, time.Second)))
	e.RetryAfter = wait
	return e
}

// values reads a form that was sent.
func values(r *wire.Request) (url.Values, error) {
	body, err := r.Body()
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "The form could not be read.").Because(err)
	}
	return form, nil
}

// see leads a browser to a page of this server, after a form.
func see(path string, header http.Header) *wire.Response {
	if header == nil {
		header = http.Header{}
	}
	header.Set("Location", path)
	header.Set("Cache-Control", "no-store")
	return &wire.Response{Status: http.StatusSeeOther, Header: header}
}
