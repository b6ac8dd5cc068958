//go:build e2e

package e2e

import (
	"net/http"
	"strings"
)

// addresses are e-mail addresses, with an identity server.
func (w *world) addresses(ids *sydent) {
	const address, secret = "heidi@example.org", "client-secret"
	p := w.register(w.t, "heidi")
	ask := func(path, secret, address string) answer {
		return p.call(http.MethodPost, v3+path, object{"client_secret": secret, "email": address, "send_attempt": 1})
	}
	ask("/account/3pid/email/requestToken", secret, "no address").want(http.StatusBadRequest, "M_INVALID_PARAM")
	ask("/account/3pid/email/requestToken", "not a secret!", address).want(http.StatusBadRequest, "M_INVALID_PARAM")
	sid := ask("/account/3pid/email/requestToken", secret, address).want(http.StatusOK, "").text("sid")
	creds := object{"sid": sid, "client_secret": secret}
	p.prove(http.MethodPost, v3+"/account/3pid/add", creds, p.auth()).want(http.StatusBadRequest, "M_THREEPID_AUTH_FAILED")
	p.call(http.MethodPost, v3+"/account/3pid", object{"three_pid_creds": creds}).want(http.StatusForbidden, "M_THREEPID_AUTH_FAILED")
	w.client.browse(find(w.t, linkPattern, w.mail.next(w.t, address)), "Your address is confirmed")
	p.prove(http.MethodPost, v3+"/account/3pid/add", creds, p.auth()).want(http.StatusOK, "")
	p.call(http.MethodGet, v3+"/account/3pid", nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, v3+"/account/3pid", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	ask("/account/3pid/email/requestToken", secret, address).want(http.StatusBadRequest, "M_THREEPID_IN_USE")
	ask("/register/email/requestToken", secret, address).want(http.StatusBadRequest, "M_THREEPID_IN_USE")
	w.oldAdd(p)
	w.binding(p, ids, address)
	w.registerByMail()
}

// oldAdd adds an address as clients did before POST /account/3pid/add.
func (w *world) oldAdd(p *person) {
	const address, secret = "heidi@old.example", "old-secret"
	sid := p.call(http.MethodPost, v3+"/account/3pid/email/requestToken", object{
		"client_secret": secret, "email": address, "send_attempt": 1,
	}).want(http.StatusOK, "").text("sid")
	w.client.browse(find(w.t, linkPattern, w.mail.next(w.t, address)), "Your address is confirmed")
	p.call(http.MethodPost, v3+"/account/3pid", object{"three_pid_creds": object{
		"sid": sid, "client_secret": secret, "id_server": "id.example.org",
	}}).want(http.StatusOK, "")
	p.call(http.MethodPost, v3+"/account/3pid/delete", object{"medium": "email", "address": address}).want(http.StatusOK, "")
}

// binding publishes an address and takes it back, once alone and once with the
// address.
func (w *world) binding(p *person, ids *sydent, address string) {
	this := object{"medium": "email", "address": address}
	p.call(http.MethodPost, v3+"/account/3pid/bind", object{"client_secret": "x"}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	p.call(http.MethodPost, v3+"/account/3pid/bind", object{
		"client_secret": "x", "sid": "17", "id_server": ids.name, "id_access_token": "none",
	}).want(http.StatusBadRequest, "")
	observer := ids.register(w.t, p.openID())
	for _, path := range []string{"/account/3pid/unbind", "/account/3pid/delete"} {
		w.bind(p, ids, address)
		if got := ids.lookup(observer, address); got != p.id {
			w.t.Fatalf("the identity server knows %q, not %s", got, p.id)
		}
		got := p.call(http.MethodPost, v3+path, this).want(http.StatusOK, "").text("id_server_unbind_result")
		if left := ids.lookup(observer, address); got != "success" || left != "" {
			w.t.Errorf("%s answered %s, and the identity server knows %q", path, got, left)
		}
	}
	bad := object{"medium": "pigeon", "address": "x"}
	p.call(http.MethodPost, v3+"/account/3pid/unbind", bad).want(http.StatusBadRequest, "M_INVALID_PARAM")
	p.call(http.MethodPost, v3+"/account/3pid/delete", bad).want(http.StatusBadRequest, "M_INVALID_PARAM")
}

// registerByMail registers with an address in the place of the dummy stage.
func (w *world) registerByMail() {
	const address, secret = "ivan@example.org", "register-secret"
	sid := w.client.call(http.MethodPost, v3+"/register/email/requestToken", object{
		"client_secret": secret, "email": address, "send_attempt": 1,
	}).want(http.StatusOK, "").text("sid")
	w.client.browse(find(w.t, linkPattern, w.mail.next(w.t, address)), "Your address is confirmed")
	w.client.prove(http.MethodPost, v3+"/register", object{"username": "ivan", "password": "ivan's password"}, object{
		"type": "m.login.email.identity", "threepid_creds": object{"sid": sid, "client_secret": secret},
	}).want(http.StatusOK, "")
	w.client.call(http.MethodPost, v3+"/login", object{
		"type": "m.login.password", "password": "ivan's password",
		"identifier": object{"type": "m.id.thirdparty", "medium": "email", "address": address},
	}).want(http.StatusOK, "")
}

// proveNumber asks for a code by text message, and gives it back.
func (w *world) proveNumber(path, secret, number string) (sid string) {
	w.t.Helper()
	got := w.client.call(http.MethodPost, v3+path, object{
		"client_secret": secret, "country": "GB", "phone_number": number, "send_attempt": 1,
	}).want(http.StatusOK, "")
	sid = got.text("sid")
	submit := strings.TrimPrefix(got.text("submit_url"), w.client.base)
	w.client.call(http.MethodPost, submit, object{"sid": sid, "client_secret": secret, "token": "000000"}).want(http.StatusBadRequest, "")
	code := find(w.t, codePattern, w.phones.next(w.t, number))
	w.client.call(http.MethodPost, submit, object{"sid": sid, "client_secret": secret, "token": code}).want(http.StatusOK, "")
	return sid
}

// phoneNumbers register, are added, log in and reset a password.
func (w *world) phoneNumbers() {
	const secret, number, second = "number-secret", "447700900001", "447700900002"
	nobody := w.client
	sid := w.proveNumber("/register/msisdn/requestToken", secret, number)
	stage := object{"type": "m.login.msisdn", "threepid_creds": object{"sid": sid, "client_secret": secret}}
	got := nobody.prove(http.MethodPost, v3+"/register", object{"username": "judy", "password": "judy's password"}, stage).want(http.StatusOK, "")
	p := &person{client: nobody.with(got.text("access_token")), name: "judy", id: got.text("user_id"), secret: "judy's password"}
	p.login(object{"identifier": object{"type": "m.id.phone", "country": "GB", "phone": number}}).want(http.StatusOK, "")

	sid = w.proveNumber("/account/3pid/msisdn/requestToken", secret, second)
	p.prove(http.MethodPost, v3+"/account/3pid/add", object{"sid": sid, "client_secret": secret}, p.auth()).want(http.StatusOK, "")
	sid = w.proveNumber("/account/password/msisdn/requestToken", "reset", second)
	stage["threepid_creds"] = object{"sid": sid, "client_secret": "reset"}
	nobody.prove(http.MethodPost, v3+"/account/password", object{"new_password": "judy's next one"}, stage).want(http.StatusOK, "")
	p.secret = "judy's next one"
	p.login(nil).want(http.StatusOK, "")

	ask := func(path, number string) answer {
		return nobody.call(http.MethodPost, v3+path, object{
			"client_secret": "again", "country": "GB", "phone_number": number, "send_attempt": 1,
		})
	}
	ask("/register/msisdn/requestToken", number).want(http.StatusBadRequest, "M_THREEPID_IN_USE")
	ask("/account/3pid/msisdn/requestToken", number).want(http.StatusBadRequest, "M_THREEPID_IN_USE")
	ask("/account/3pid/msisdn/requestToken", "no number").want(http.StatusBadRequest, "M_INVALID_PARAM")
	ask("/account/password/msisdn/requestToken", "447700900003").want(http.StatusBadRequest, "M_THREEPID_NOT_FOUND")
}
