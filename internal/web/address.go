package web

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// What the buttons of the pages that validate an address do.
const (
	doSend  = "send"
	doCheck = "check"
)

// addressForm asks for the address that a stage is to validate. The page is the
// client here: it makes up the secret, and its forms remember it.
func (a *API) addressForm(s stagePage) formPage {
	p := formPage{
		base: a.base("Confirm your e-mail address"),
		Text: []string{"A message with a link will be sent to you."},
		Fields: []field{{
			Name: "address", Label: "E-mail address", Type: "email", Complete: "email", Required: true, Value: s.form.Get("address"),
		}},
		Buttons: []button{{Text: "Send the message", Name: "do", Value: doSend}},
		NoCheck: true, policy: policy{script: true},
	}
	if s.stage == account.StageMSISDN {
		p.base = a.base("Confirm your phone number")
		p.Text = []string{"A text message with a code will be sent to you."}
		p.Fields[0].Label, p.Fields[0].Type, p.Fields[0].Complete = "Phone number", "tel", "tel"
		p.Fields[0].Hint = "With the code of the country in front, as in +44 7700 900000."
	}
	return p
}

// sentForm waits until the person has opened the link, or has the code.
func (a *API) sentForm(s stagePage, sid, secret string, attempt int64) formPage {
	p := a.addressForm(s)
	p.Fields = []field{
		{Name: "address", Value: s.form.Get("address")},
		{Name: "sid", Value: sid},
		{Name: "client_secret", Value: secret},
		{Name: "attempt", Value: strconv.FormatInt(attempt, 10)},
	}
	p.Buttons = []button{
		{Text: "Continue", Name: "do", Value: doCheck},
		{Text: "Send it again", Name: "do", Value: doSend, Class: "plain"},
	}
	p.Links = []link{{sessionQuery(s.session), "Use another address"}}
	if s.stage == account.StageMSISDN {
		p.Text = []string{"A text message was sent to " + s.form.Get("address") + "."}
		p.Fields = append(p.Fields, field{
			Name: "code", Label: "Code from the message", Type: "text", Complete: "one-time-code", Required: true,
		})
		return p
	}
	p.Text = []string{
		"A message was sent to " + s.form.Get("address") + ". Open the link in it, then come back to this page and press the button.",
	}
	return p
}

// addressSubmit sends the message, or goes on once the address is confirmed.
func (a *API) addressSubmit(r *wire.Request, s stagePage) (any, error) {
	if s.form.Get("do") != doCheck {
		return a.sendMessage(r, s)
	}
	attempt, _ := strconv.ParseInt(s.form.Get("attempt"), 10, 64) // one that is no number begins anew
	sid, secret := s.form.Get("sid"), s.form.Get("client_secret")
	p := a.sentForm(s, sid, secret, attempt)
	if missing := p.missing(s.form); missing != nil {
		p.found(missing)
		return a.form(http.StatusBadRequest, p)
	}
	if s.stage == account.StageMSISDN {
		if _, err := a.Accounts.SubmitToken(r.Context(), sid, strings.TrimSpace(s.form.Get("code"))); err != nil {
			e := told(r, err)
			p.found([]problem{{"code", e.Message}})
			return a.refused(e, p)
		}
	}
	return a.complete(r, s, map[string]any{
		"threepid_creds": map[string]string{"sid": sid, "client_secret": secret},
	}, p)
}

func (a *API) sendMessage(r *wire.Request, s stagePage) (any, error) {
	s.form.Set("address", strings.TrimSpace(s.form.Get("address")))
	p := a.addressForm(s)
	if missing := p.missing(s.form); missing != nil {
		p.found(missing)
		return a.form(http.StatusBadRequest, p)
	}
	if err := allow(a.Limits.Mail, r.Network()); err != nil {
		return nil, err
	}
	attempt, _ := strconv.ParseInt(s.form.Get("attempt"), 10, 64) // none is 0
	attempt++
	secret := s.form.Get("client_secret")
	if secret == "" {
		secret = rand.Text()
	}
	req := account.TokenRequest{
		Purpose: s.Purpose, Medium: matrix.MediumEmail, Address: s.form.Get("address"),
		ClientSecret: secret, SendAttempt: attempt,
	}
	if s.stage == account.StageMSISDN {
		req.Medium = matrix.MediumMSISDN
	}
	sid, err := a.Accounts.RequestToken(r.Context(), req)
	if err != nil {
		e := told(r, err)
		p.found([]problem{{"address", e.Message}})
		return a.refused(e, p)
	}
	return a.form(0, a.sentForm(s, sid, secret, attempt))
}
