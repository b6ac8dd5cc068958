package web

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// stagePage is a fallback page on its way: the stage of a session that it
// completes (CS API, User-interactive authentication, Fallback).
type stagePage struct {
	account.Fallback
	stage, session string
	form           url.Values // what was sent; nil to begin with
}

var errStageGone = matrix.Errorf(matrix.CodeForbidden,
	"The time for this is over, or it was done already. Go back to your Matrix client and begin again.")

// stagePageOf finds out which stage of which session a page is for.
func (a *API) stagePageOf(r *wire.Request) (stagePage, error) {
	s := stagePage{stage: r.PathValue("stage"), session: r.Query("session")}
	if s.session == "" {
		return s, matrix.Errorf(matrix.CodeMissingParam, "The address of this page has no session.")
	}
	var err error
	s.Fallback, err = a.Accounts.Fallback(r.Context(), s.session, s.stage)
	if matrix.CodeOf(err) == matrix.CodeForbidden {
		err = errStageGone
	}
	return s, err
}

// fallback shows the page of a stage.
func (a *API) fallback(r *wire.Request) (any, error) {
	s, err := a.stagePageOf(r)
	if err != nil {
		return nil, err
	}
	if s.Done {
		return a.authDone()
	}
	return a.form(0, a.stageForm(s))
}

// stageForm is the form of a stage. Of an address it is the first of two.
func (a *API) stageForm(s stagePage) formPage {
	p := formPage{Buttons: []button{{Text: "Continue"}}, NoCheck: true, policy: policy{script: true}}
	switch s.stage {
	case account.StagePassword:
		p.base = a.base("Enter your password")
		if s.Ends {
			// Who began the session may be another than who is shown its page.
			p.base = a.base("Enter your password to end your account")
			p.Text = []string{
				"When you go on, the account will be ended. That cannot be taken back by signing in again.",
				"If you have not just asked for it yourself, in your Matrix client, close this page.",
			}
			p.Buttons = []button{{Text: "End my account", Class: "danger"}}
		}
		if s.User != "" {
			p.Text = append(p.Text, "It is the password of "+string(s.User)+".")
		} else {
			p.Fields = append(p.Fields, field{
				Name: "user", Label: "Username", Type: "text", Complete: "username", Required: true, Value: s.form.Get("user"),
			})
		}
		p.Fields = append(p.Fields, field{
			Name: "password", Label: "Password", Type: "password", Complete: "current-password", Required: true,
		})
	case account.StageRegistrationToken:
		p.base = a.base("Enter your registration token")
		p.Text = []string{"Whoever invited you to this server has given you one."}
		p.Fields = []field{{
			Name: "token", Label: "Registration token", Type: "text", Complete: "off", Required: true, Value: s.form.Get("token"),
		}}
	case account.StageTerms:
		p.base = a.base("Terms of this server")
		p.Text = []string{"Please read and accept:"}
		for i, policy := range s.Terms {
			name := fmt.Sprintf("terms-%d", i)
			p.Fields = append(p.Fields, field{
				Name: name, Label: "I accept: " + policy.Name, Link: policy.URL, Type: "checkbox", Required: true, Value: s.form.Get(name),
			})
		}
	case account.StageEmail, account.StageMSISDN:
		return a.addressForm(s)
	default:
		p.base = a.base("Continue")
		p.Text = []string{"Nothing else is needed. Press the button to go on."}
	}
	return p
}

// fallbackSubmit takes what was filled in.
func (a *API) fallbackSubmit(r *wire.Request) (any, error) {
	s, err := a.stagePageOf(r)
	if err != nil {
		return nil, err
	}
	if s.form, err = values(r); err != nil {
		return nil, err
	}
	if s.stage == account.StageEmail || s.stage == account.StageMSISDN {
		return a.addressSubmit(r, s)
	}
	p := a.stageForm(s)
	if missing := p.missing(s.form); missing != nil {
		p.found(missing)
		return a.form(http.StatusBadRequest, p)
	}
	if err := allow(a.Limits.Login, r.Network()); err != nil {
		return nil, err
	}
	return a.complete(r, s, map[string]any{
		"user": s.form.Get("user"), "password": s.form.Get("password"), "token": s.form.Get("token"),
	}, p)
}

// missing lists the required fields that were left empty.
func (p *formPage) missing(form url.Values) (list []problem) {
	for _, f := range p.Fields {
		if !f.Required || form.Get(f.Name) != "" {
			continue
		}
		text := "Fill in: " + f.Label + "."
		if f.Type == "checkbox" {
			text = "This has to be accepted to go on."
		}
		list = append(list, problem{f.Name, text})
	}
	return list
}

// complete completes the stage with an `auth` object, or shows the form again
// with what was wrong: at its last field, which is the one that proves something.
func (a *API) complete(r *wire.Request, s stagePage, auth map[string]any, again formPage) (any, error) {
	auth["type"], auth["session"] = s.stage, s.session
	raw, err := json.Marshal(auth)
	if err != nil {
		return nil, err
	}
	err = a.Accounts.CompleteStage(r.Context(), raw)
	if err == nil {
		return a.authDone()
	}
	e := told(r, err)
	wrong := problem{Text: e.Message}
	if n := len(again.Fields); n > 0 && again.Fields[n-1].Type != "" {
		wrong.Field = again.Fields[n-1].Name
	}
	again.found([]problem{wrong})
	return a.refused(e, again)
}

// authDone is the page with the script that tells the client.
func (a *API) authDone() (any, error) {
	return a.form(0, formPage{
		base: a.base("Done"), Text: []string{"You can close this page and go back to your Matrix client."}, AuthDone: true,
		policy: policy{script: true},
	})
}
