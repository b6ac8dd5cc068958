// Package web is what people see in a browser: the pages that links in mail
// lead to, and the fallback pages of user-interactive authentication.
//
// Holds: the pages and their handlers.
//
// May import: matrix, wire and the domain packages.
//
// Never: SQL, a rule of the domain, another API package, anything from another
// host.
package web

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"

	"lethe/internal/account"
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// API serves the pages. Fill in all fields before [API.Routes].
type API struct {
	Accounts      *account.Service
	Deactivations *deactivation.Service
	ServerName    matrix.ServerName
	// Policies are the terms that the fallback page of m.login.terms links to, by
	// name.
	Policies map[string]string
}

//go:embed pages/*.html
var files embed.FS

var pages = template.Must(template.ParseFS(files, "pages/*.html"))

// Routes lists every page.
func (a *API) Routes() []wire.Route {
	routes := []wire.Route{
		{Method: http.MethodGet, Path: "/{$}", Handle: a.home},
		{Method: http.MethodGet, Path: "/_lethe/validate", Handle: a.askValidate},
		{Method: http.MethodPost, Path: "/_lethe/validate", Handle: a.validate},
		{Method: http.MethodGet, Path: "/_lethe/undo", Handle: a.askUndo},
		{Method: http.MethodPost, Path: "/_lethe/undo", Handle: a.undo},
	}
	for _, v := range []string{"v3", "r0"} {
		path := "/_matrix/client/" + v + "/auth/{stage}/fallback/web"
		routes = append(routes,
			wire.Route{Method: http.MethodGet, Path: path, Handle: a.fallback},
			wire.Route{Method: http.MethodPost, Path: path, Handle: a.fallbackSubmit})
	}
	return routes
}

// page is what the template shows.
type page struct {
	Server matrix.ServerName
	Title  string
	Text   string
	// Action, if not "", is the button of a form with Fields.
	Action   string
	Fields   []field
	Links    map[string]string
	AuthDone bool
}

// field is an input of a form; one with a Value is hidden.
type field struct{ Name, Label, Type, Value string }

// csp allows the page its own style and script, by their hashes, and nothing
// else.
const csp = "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" + scriptHash +
	"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func (a *API) render(status int, p page) (any, error) {
	p.Server = a.ServerName
	var buf bytes.Buffer
	if err := pages.ExecuteTemplate(&buf, "page.html", p); err != nil {
		return nil, err
	}
	return &wire.Response{
		Status: status, ContentType: "text/html; charset=utf-8", Body: buf.Bytes(),
		Header: http.Header{
			"Content-Security-Policy": {csp}, "Referrer-Policy": {"no-referrer"}, "Cache-Control": {"no-store"},
			"X-Content-Type-Options": {"nosniff"},
		},
	}, nil
}

// failed shows what was wrong, or passes on what is the server's own failure.
func (a *API) failed(err error, title string) (any, error) {
	if e, ok := asError(err); ok {
		return a.render(http.StatusBadRequest, page{Title: title, Text: e.Message})
	}
	return nil, err
}

func (a *API) home(*wire.Request) (any, error) {
	return a.render(0, page{
		Title: "This is a Matrix server", Text: "Sign in with a Matrix client of your choice. An account here can really end.",
	})
}

// askValidate shows a button: programs that look at links in mail before people
// do must not confirm an address.
func (a *API) askValidate(r *wire.Request) (any, error) {
	return a.render(0, page{
		Title: "Confirm your address", Text: "Press the button if you asked for this.", Action: "Confirm",
		Fields: []field{{Name: "sid", Value: r.Query("sid")}, {Name: "token", Value: r.Query("token")}},
	})
}

func (a *API) validate(r *wire.Request) (any, error) {
	next, err := a.Accounts.SubmitToken(r.Context(), r.FormValue("sid"), r.FormValue("token"))
	if err != nil {
		return a.failed(err, "Confirm your address")
	}
	if next != "" {
		return &wire.Response{Status: http.StatusSeeOther, Header: http.Header{"Location": {next}}}, nil
	}
	return a.render(0, page{Title: "Your address is confirmed", Text: "You can go back to your Matrix client now."})
}

func (a *API) askUndo(r *wire.Request) (any, error) {
	return a.render(0, page{
		Title: "Keep your account", Text: "Your account is being ended. Press the button to keep it.", Action: "Keep my account",
		Fields: []field{{Name: "secret", Value: r.Query("secret")}},
	})
}

func (a *API) undo(r *wire.Request) (any, error) {
	if err := a.Deactivations.Undo(r.Context(), r.FormValue("secret")); err != nil {
		return a.failed(err, "Keep your account")
	}
	return a.render(0, page{Title: "You keep your account", Text: "Sign in again with your password."})
}
