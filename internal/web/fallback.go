package web

import (
	"errors"

	"github.com/go-json-experiment/json"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func asError(err error) (*matrix.Error, bool) {
	var e *matrix.Error
	ok := errors.As(err, &e)
	return e, ok
}

// stages are the pages of the stages that can be completed in a browser (CS API,
// User-interactive authentication, Fallback).
var stages = map[string]page{
	account.StageDummy: {Title: "Continue", Text: "Nothing else is needed.", Action: "Continue"},
	account.StagePassword: {
		Title: "Enter your password", Action: "Continue",
		Fields: []field{
			{Name: "user", Label: "Username", Type: "text"},
			{Name: "password", Label: "Password", Type: "password"},
		},
	},
	account.StageRegistrationToken: {
		Title: "Enter your registration token", Action: "Continue",
		Fields: []field{{Name: "token", Label: "Token", Type: "text"}},
	},
	account.StageTerms: {Title: "Terms of this server", Text: "Please read and accept:", Action: "Accept"},
	account.StageEmail: {
		Title: "Confirm your e-mail address", Action: "Continue",
		Text: "Open the link in the message that was sent to you, then continue with the numbers your client shows.",
		Fields: []field{
			{Name: "sid", Label: "Session id", Type: "text"},
			{Name: "client_secret", Label: "Secret", Type: "text"},
		},
	},
	account.StageMSISDN: {
		Title: "Confirm your phone number", Action: "Continue",
		Text: "Enter the code you were sent in your client, then continue with the numbers it shows.",
		Fields: []field{
			{Name: "sid", Label: "Session id", Type: "text"},
			{Name: "client_secret", Label: "Secret", Type: "text"},
		},
	},
}

func (a *API) stagePage(r *wire.Request) (page, error) {
	p, ok := stages[r.PathValue("stage")]
	if !ok {
		return p, matrix.Errorf(matrix.CodeNotFound, "There is no page for this stage.")
	}
	if r.FormValue("session") == "" {
		return p, matrix.Errorf(matrix.CodeMissingParam, "The request has no session.")
	}
	if r.PathValue("stage") == account.StageTerms {
		p.Links = a.Policies
	}
	return p, nil
}

// fallback shows the page of a stage.
func (a *API) fallback(r *wire.Request) (any, error) {
	p, err := a.stagePage(r)
	if err != nil {
		return a.failed(err, "This page cannot be shown")
	}
	return a.render(0, p)
}

// fallbackSubmit completes a stage of the session that the address names.
func (a *API) fallbackSubmit(r *wire.Request) (any, error) {
	p, err := a.stagePage(r)
	if err != nil {
		return a.failed(err, "This page cannot be shown")
	}
	auth := map[string]any{
		"type": r.PathValue("stage"), "session": r.FormValue("session"),
		"user": r.PostFormValue("user"), "password": r.PostFormValue("password"), "token": r.PostFormValue("token"),
		"threepid_creds": map[string]string{
			"sid": r.PostFormValue("sid"), "client_secret": r.PostFormValue("client_secret"),
		},
	}
	raw, err := json.Marshal(auth)
	if err != nil {
		return nil, err
	}
	if err := a.Accounts.CompleteStage(r.Context(), raw); err != nil {
		e, ok := asError(err)
		if !ok {
			return nil, err
		}
		p.Text = e.Message
		return a.render(0, p)
	}
	return a.render(0, page{Title: "Done", Text: "You can close this page and go back to your client.", AuthDone: true})
}
