package web

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lethe/internal/account"
	"lethe/internal/cache"
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// endingKey is a form that ends an account, with the session that sends it.
type endingKey = [sha256.Size]byte

// Which endings are remembered, for who sends the form again.
const (
	endedSize = 1000
	endedTime = 10 * time.Minute
)

func newEnded() *cache.Cache[endingKey, string] {
	return cache.New(cache.Options[endingKey, string]{
		Size: endedSize, Written: endedTime,
	})
}

// endPage is the page that ends an account.
type endPage struct {
	base
	User   matrix.UserID
	Grace  string // in words, "" for none
	Fields []field
}

func (a *API) endPage(who account.Requester) endPage {
	p := endPage{base: a.base("End your account"), User: who.UserID, Fields: []field{
		{
			Name: "erase", Type: "checkbox", Label: "Also erase what others can see of me",
			Hint: "This server then forgets your profile and what you agreed to, too, and nobody can reopen the account, " +
				"not even its operator. Copies that other people and other servers have made are beyond its reach.",
		},
		{
			Name: "confirm", Type: "text", Label: "Your username, to confirm", Complete: "off", Required: true,
			Hint: "Type " + who.UserID.Localpart() + ".",
		},
		{Name: "password", Type: "password", Label: "Your password", Complete: "current-password", Required: true},
	}}
	p.SignedIn = true
	if a.Grace > 0 {
		p.Grace = words(a.Grace)
	}
	return p
}

func (p endPage) show(status int) (*wire.Response, error) {
	return render("end.html", status, policy{account: true}, p)
}

// onlyOperators is the page where people may not end their accounts themselves.
func (a *API) onlyOperators(status int) (any, error) {
	p := formPage{
		base:        a.base("Ask the operator"),
		Text:        []string{"On this server only its operators end accounts. They will do it for you if you ask them:"},
		ShowSupport: true, Support: a.Support, Links: []link{{accountPath, "Back to your account"}},
		policy: policy{account: true},
	}
	p.SignedIn = true
	return a.form(status, p)
}

// askEnd shows the form that ends the account.
func (a *API) askEnd(_ *wire.Request, who account.Requester) (any, error) {
	if !a.SelfDeactivation {
		return a.onlyOperators(http.StatusForbidden)
	}
	return a.endPage(who).show(0)
}

// end ends the account. Whoever is kept waiting presses the button again, and
// the browser shows only the second answer, which would be that the session has
// ended: so the same form, with the same cookie, gets the answer of the first.
func (a *API) end(r *wire.Request) (any, error) {
	form, err := values(r)
	if err != nil {
		return nil, err
	}
	token := ""
	if c, err := r.Cookie(cookieName); err == nil {
		token = c.Value
	}
	key := sha256.Sum256([]byte(token + "\n" + form.Encode()))
	answer, err, _ := a.endings.Do(string(key[:]), func() (any, error) {
		if receipt, ok := a.ended.Get(key); ok {
			return a.toReceipt(receipt), nil
		}
		return a.signedIn(func(r *wire.Request, who account.Requester) (any, error) { return a.endSelf(r, who, form, key) })(r)
	})
	return answer, err
}

// toReceipt leads to the receipt, without the session, which has ended.
func (a *API) toReceipt(id string) *wire.Response {
	return see(accountPath+"/receipt/"+id, a.cookie("", -1))
}

// endSelf is POST /account/deactivate for people. The password is what
// user-interactive authentication would ask for.
func (a *API) endSelf(r *wire.Request, who account.Requester, form url.Values, key endingKey) (any, error) {
	if !a.SelfDeactivation {
		return a.onlyOperators(http.StatusForbidden)
	}
	if err := allow(a.Limits.Deactivate, string(who.UserID)); err != nil {
		return nil, err
	}
	p := a.endPage(who)
	if !p.check(form) {
		return p.show(http.StatusBadRequest)
	}
	// Who closes the page now has ended the account all the same.
	ctx := context.WithoutCancel(r.Context())
	proof, err := a.Accounts.CheckOwnPassword(ctx, who.UserID, form.Get("password"))
	if err != nil {
		if matrix.CodeOf(err) != matrix.CodeForbidden {
			return nil, err
		}
		p.found([]problem{{"password", "The password is wrong."}})
		return p.show(http.StatusForbidden)
	}
	result, err := a.Deactivations.Deactivate(ctx, deactivation.Request{
		User: who.UserID, Erase: form.Get("erase") != "", By: deactivation.Self, InTx: proof.Holds,
	})
	if err != nil {
		return nil, err
	}
	a.ended.Set(key, result.ID)
	return a.toReceipt(result.ID), nil
}

// check looks at what was filled in, and keeps what need not be typed again.
func (p *endPage) check(form url.Values) bool {
	confirm := strings.TrimSpace(form.Get("confirm"))
	if form.Get("erase") != "" {
		p.Fields[0].Value = "yes"
	}
	p.Fields[1].Value = confirm
	var list []problem
	if confirm != p.User.Localpart() && confirm != string(p.User) {
		list = append(list, problem{"confirm", "Type your username, " + p.User.Localpart() + ", to confirm that you mean it."})
	}
	if form.Get("password") == "" {
		list = append(list, problem{"password", "Enter your password."})
	}
	p.found(list)
	return list == nil
}

func (p *endPage) found(list []problem) {
	p.Errors = list
	mark(p.Fields, list)
}
