//go:build e2e

package e2e

import (
	"net/http"
	"net/url"
	"testing"
)

const operator = "/_lethe/admin/v1"

// operators use Lethe's own API, and the registration that tools know.
func (w *world) operators(admin *person) {
	w.synapseRegister("quentin", "quentin's password", sharedSecret, false).want(http.StatusOK, "")
	w.synapseRegister("rupert", "rupert's password", "a wrong secret", true).want(http.StatusForbidden, "M_FORBIDDEN")
	nosy := w.register(w.t, "sybil")
	w.client.call(http.MethodGet, operator+"/openapi.yaml", nil).want(http.StatusOK, "")
	// Whoever is no administrator sees and does nothing, whatever it is.
	for _, op := range w.seen.operations() {
		method, path, ok := cutOperation(op)
		if !ok {
			continue
		}
		nosy.call(method, path, object{}).want(http.StatusForbidden, "M_FORBIDDEN")
		w.client.call(method, path, object{}).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	}
	w.users(admin)
	w.registrationTokens(admin)
	admin.call(http.MethodGet, operator+"/audit?limit=5", nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, operator+"/audit?limit=none", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	admin.call(http.MethodGet, operator+"/work", nil).want(http.StatusOK, "")
}

func (w *world) users(admin *person) {
	const users = operator + "/users"
	admin.call(http.MethodGet, users+"?search=a&kind=user&deactivated=false&admin=false&limit=2", nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, users+"?limit=0", nil).want(http.StatusBadRequest, "M_INVALID_PARAM")
	trent := admin.call(http.MethodPost, users, object{"localpart": "trent"}).want(http.StatusOK, "")
	p := &person{client: w.client, name: "trent", id: trent.text("user_id"), secret: trent.text("password")}
	p.login(nil).want(http.StatusOK, "")
	admin.call(http.MethodPost, users, object{"localpart": "trent"}).want(http.StatusBadRequest, "M_USER_IN_USE")
	admin.call(http.MethodGet, users+"/trent", nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, path(users+"/%s", p.id), nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, users+"/nobody", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	p.secret = admin.call(http.MethodPost, users+"/trent/password", object{}).want(http.StatusOK, "").text("password")
	p.login(nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, users+"/trent/export", nil).want(http.StatusOK, "")

	admin.call(http.MethodPost, users+"/trent/deactivate", object{"dry_run": true}).want(http.StatusOK, "")
	p.login(nil).want(http.StatusOK, "")
	id := admin.call(http.MethodPost, users+"/trent/deactivate", object{"erase": false}).want(http.StatusOK, "").text("id")
	p.login(nil).want(http.StatusForbidden, "M_USER_DEACTIVATED")
	w.completed(id)
	admin.call(http.MethodGet, operator+"/deactivations?state=done&limit=3", nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, operator+"/deactivations/"+id, nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, operator+"/deactivations/none", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	admin.call(http.MethodPost, operator+"/deactivations/"+id+"/retry", object{}).want(http.StatusOK, "")
	admin.call(http.MethodGet, operator+"/deactivations/"+id+"/receipt", nil).want(http.StatusOK, "")
	admin.call(http.MethodPost, operator+"/deactivations/"+id+"/undo", object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	p.secret = admin.call(http.MethodPost, users+"/trent/reactivate", object{}).want(http.StatusOK, "").text("password")
	p.login(nil).want(http.StatusOK, "")
}

func (w *world) registrationTokens(admin *person) {
	const tokens = operator + "/registration_tokens"
	valid := func() any {
		return w.client.call(http.MethodGet, v1+"/register/m.login.registration_token/validity?token=welcome", nil).
			want(http.StatusOK, "").json()["valid"]
	}
	admin.call(http.MethodPost, tokens, object{"token": "welcome", "uses_allowed": 1}).want(http.StatusOK, "")
	admin.call(http.MethodPost, tokens, object{"token": "welcome"}).want(http.StatusBadRequest, "")
	admin.call(http.MethodGet, tokens, nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, tokens+"/welcome", nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, tokens+"/none", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	if valid() != true {
		w.t.Error("the new token is not valid")
	}
	admin.call(http.MethodPut, tokens+"/welcome", object{"uses_allowed": 0}).want(http.StatusOK, "")
	if valid() != false {
		w.t.Error("a token without uses is valid")
	}
	admin.call(http.MethodDelete, tokens+"/welcome", nil).want(http.StatusOK, "")
	admin.call(http.MethodDelete, tokens+"/welcome", nil).want(http.StatusNotFound, "M_NOT_FOUND")
}

// fallbackPages are for clients that do not know a stage.
func (w *world) fallbackPages(p *person) {
	fallback := func(stage, session string) string {
		return path(v3+"/auth/%s/fallback/web", stage) + "?session=" + url.QueryEscape(session)
	}
	session := p.call(http.MethodPost, v3+"/delete_devices", object{"devices": []string{"NONE"}}).want(http.StatusUnauthorized, "").text("session")
	poll := object{"devices": []string{"NONE"}, "auth": object{"session": session}}
	w.client.call(http.MethodGet, fallback("m.login.password", session), nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, fallback("m.login.none", session), nil).refused()
	w.client.call(http.MethodPost, fallback("m.login.none", session), url.Values{}).refused()
	p.call(http.MethodPost, v3+"/delete_devices", poll).want(http.StatusUnauthorized, "")
	w.client.call(http.MethodPost, fallback("m.login.password", session), url.Values{"user": {p.id}, "password": {p.secret}}).
		want(http.StatusOK, "")
	p.call(http.MethodPost, v3+"/delete_devices", poll).want(http.StatusOK, "")

	w.client.call(http.MethodGet, "/", nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, "/_lethe/validate?sid=none&token=none", nil).want(http.StatusOK, "")
	w.client.call(http.MethodPost, "/_lethe/validate", url.Values{"sid": {"none"}, "token": {"none"}}).refused()
	w.client.call(http.MethodGet, "/_lethe/undo?secret=none", nil).want(http.StatusOK, "")
	w.client.call(http.MethodPost, "/_lethe/undo", url.Values{"secret": {"none"}}).refused()
}

// strictServer asks for a token, the acceptance of its terms and an address of
// those who register.
func (w *world) strictServer() {
	admin := w.admin(w.t, "admin")
	admin.call(http.MethodPost, operator+"/registration_tokens", object{"token": "welcome", "uses_allowed": 1}).want(http.StatusOK, "")
	const address, secret, register = "victor@example.org", "secret", v3 + "/register"
	sid := w.client.call(http.MethodPost, register+"/email/requestToken", object{
		"client_secret": secret, "email": address, "send_attempt": 1,
	}).want(http.StatusOK, "").text("sid")
	w.client.browse(find(w.t, linkPattern, w.mail.next(w.t, address)), "Your address is confirmed")

	first := w.client.call(http.MethodPost, register, object{"username": "victor", "password": "victor's password"}).want(http.StatusUnauthorized, "")
	session := first.text("session")
	if params, _ := first.json()["params"].(object); params["m.login.terms"] == nil {
		w.t.Errorf("the terms are not shown: %s", first.body)
	}
	round := func(stage object) answer {
		return w.client.call(http.MethodPost, register, authed(nil, stage, session))
	}
	round(object{"type": "m.login.registration_token", "token": "wrong"}).want(http.StatusUnauthorized, "")
	round(object{"type": "m.login.registration_token", "token": "welcome"}).want(http.StatusUnauthorized, "")
	round(object{"type": "m.login.terms"}).want(http.StatusUnauthorized, "")
	creds := object{"sid": sid, "client_secret": secret}
	round(object{"type": "m.login.email.identity", "threepid_creds": creds}).want(http.StatusOK, "")
	used := w.client.call(http.MethodGet, v1+"/register/m.login.registration_token/validity?token=welcome", nil).want(http.StatusOK, "")
	if used.json()["valid"] != false {
		w.t.Errorf("the token was used up, and is still valid")
	}
}

// graceServer lets people take an ending back for a while.
func (w *world) graceServer() {
	admin := w.admin(w.t, "admin")
	walter := w.register(w.t, "walter")
	w.addEmail(walter, "walter@example.org")
	id := walter.deactivate(false).text("org.lethe.deactivation_id")
	walter.login(nil).want(http.StatusForbidden, "M_USER_DEACTIVATED")
	walter.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	admin.call(http.MethodPost, operator+"/deactivations/"+id+"/retry", object{}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	admin.call(http.MethodPost, operator+"/users/walter/reactivate", object{}).want(http.StatusConflict, "M_FORBIDDEN")
	link := find(w.t, linkPattern, w.mail.next(w.t, "walter@example.org"))
	w.client.browse(link, "You keep your account")
	walter.login(nil).want(http.StatusOK, "")

	xena := w.register(w.t, "xena")
	id = xena.deactivate(true).text("org.lethe.deactivation_id")
	admin.call(http.MethodPost, operator+"/deactivations/"+id+"/undo", object{}).want(http.StatusOK, "")
	xena.login(nil).want(http.StatusOK, "")
}

// A client that was left open repeats a dead token without a pause; others guess
// passwords. Both are slowed down, and told for how long.
func TestFloodsAreLimited(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.register(t, "yves")
		limited := func(what string, ask func() answer) {
			for range 50 {
				if a := ask(); a.status == http.StatusTooManyRequests {
					a.want(http.StatusTooManyRequests, "M_LIMIT_EXCEEDED")
					if ms, _ := a.json()["retry_after_ms"].(float64); ms <= 0 || a.header.Get("Retry-After") == "" {
						t.Errorf("%s: not told for how long to wait: %v %s", what, a.header, a.body)
					}
					return
				}
			}
			t.Errorf("%s: never limited", what)
		}
		limited("wrong passwords", func() answer { return p.login(object{"password": "wrong"}) })
		p.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusOK, "")
		dead := p.with("dead")
		limited("a dead token", func() answer { return dead.call(http.MethodGet, v3+"/account/whoami", nil) })
		p.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusOK, "")
	}, "--registration", "open", "--rate-unknown-token", "10/1m", "--rate-login-failed", "5/1m")
}
