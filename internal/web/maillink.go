package web

import (
	"net/url"

	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// anywhere lets the answer to a form lead to a client, whose address is not known
// when the form is shown.
const anywhere = "https: http:"

var errHalfLink = matrix.Errorf(matrix.CodeMissingParam,
	"A part of the link is missing. Open it again from the message, or copy all of it.")

// askValidate shows a button: programs that look at links in mail before people
// do must not confirm an address.
func (a *API) askValidate(r *wire.Request) (any, error) {
	if r.Query("sid") == "" || r.Query("token") == "" {
		return nil, errHalfLink
	}
	return a.form(0, formPage{
		base:    a.base("Confirm your address"),
		Text:    []string{"Press the button if it was you who asked for this. If it was not, close the page: nothing happens then."},
		Action:  "/_lethe/validate",
		Fields:  []field{{Name: "sid", Value: r.Query("sid")}, {Name: "token", Value: r.Query("token")}},
		Buttons: []button{{Text: "Confirm"}},
		policy:  policy{formAction: anywhere},
	})
}

// validate confirms an address, and leads to where the client wanted (CS API,
// requestToken, next_link).
func (a *API) validate(r *wire.Request) (any, error) {
	form, err := values(r)
	if err != nil {
		return nil, err
	}
	next, err := a.Accounts.SubmitToken(r.Context(), form.Get("sid"), form.Get("token"))
	if err != nil {
		return nil, err
	}
	if next != "" {
		return see(next, nil), nil
	}
	return a.form(0, formPage{
		base: a.base("Your address is confirmed"),
		Text: []string{"You can close this page, and go on where you were asked for the address."},
	})
}

// askUndo shows a button, as [API.askValidate] does.
func (a *API) askUndo(r *wire.Request) (any, error) {
	if r.Query("secret") == "" {
		return nil, errHalfLink
	}
	return a.form(0, formPage{
		base:    a.base("Keep your account"),
		Text:    []string{"Your account is being ended. Press the button to keep it, and sign in with the password you had."},
		Action:  "/_lethe/undo",
		Fields:  []field{{Name: "secret", Value: r.Query("secret")}},
		Buttons: []button{{Text: "Keep my account"}},
	})
}

func (a *API) undo(r *wire.Request) (any, error) {
	form, err := values(r)
	if err != nil {
		return nil, err
	}
	if err := a.Deactivations.Undo(r.Context(), form.Get("secret")); err != nil {
		return nil, err
	}
	return a.form(0, formPage{
		base: a.base("You keep your account"), Text: []string{"Sign in again with your password, in your Matrix client or here."},
		Links: []link{{accountPath, "Go to the account page"}},
	})
}

// sessionQuery is the query of the fallback pages of a session.
func sessionQuery(session string) string { return "?" + url.Values{"session": {session}}.Encode() }
