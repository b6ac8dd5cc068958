//go:build e2e

package e2e

import (
	"net/http"
	"net/url"
)

func (w *world) registration() {
	const register = v3 + "/register"
	nobody := w.client
	available := func(name string) answer {
		return nobody.call(http.MethodGet, register+"/available?username="+url.QueryEscape(name), nil)
	}
	available("carol").want(http.StatusOK, "")
	available("not a name").want(http.StatusBadRequest, "M_INVALID_USERNAME")
	available("_bridge_someone").want(http.StatusBadRequest, "M_EXCLUSIVE")
	w.register(w.t, "carol")
	available("carol").want(http.StatusBadRequest, "M_USER_IN_USE")

	dummy := object{"type": "m.login.dummy"}
	refusals := []struct {
		body   any
		status int
		code   string
	}{
		{"{", http.StatusBadRequest, "M_NOT_JSON"},
		{`{"username": 7}`, http.StatusBadRequest, "M_BAD_JSON"},
		{object{"username": "Not A Name", "password": "long enough", "auth": dummy}, http.StatusBadRequest, "M_INVALID_USERNAME"},
		{object{"username": "carol", "password": "long enough", "auth": dummy}, http.StatusBadRequest, "M_USER_IN_USE"},
		{object{"username": "_bridge_x", "password": "long enough", "auth": dummy}, http.StatusBadRequest, "M_EXCLUSIVE"},
		{object{"username": "dave", "password": "short", "auth": dummy}, http.StatusBadRequest, "M_WEAK_PASSWORD"},
		{object{"username": "dave", "auth": dummy}, http.StatusBadRequest, "M_MISSING_PARAM"},
		{object{"username": "dave", "password": "long enough", "auth": object{"type": "m.login.none"}}, http.StatusUnauthorized, ""},
	}
	for _, r := range refusals {
		nobody.call(http.MethodPost, register, r.body).want(r.status, r.code)
	}
	nobody.call(http.MethodPost, register+"?kind=robot", object{}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	nobody.call(http.MethodPost, register, object{
		"username": "dave", "password": "long enough", "inhibit_login": true, "auth": dummy,
	}).want(http.StatusOK, "")
	nobody.call(http.MethodPost, register, object{"password": "long enough", "auth": dummy}).want(http.StatusOK, "")
	const validity = v1 + "/register/m.login.registration_token/validity"
	nobody.call(http.MethodGet, validity+"?token=none", nil).want(http.StatusOK, "")
	nobody.call(http.MethodGet, validity, nil).want(http.StatusBadRequest, "M_MISSING_PARAM")
	w.guests()
}

func (w *world) guests() {
	guest := w.client.with(w.client.call(http.MethodPost, v3+"/register?kind=guest", object{}).
		want(http.StatusOK, "").text("access_token"))
	if got := guest.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusOK, ""); got.json()["is_guest"] != true {
		w.t.Errorf("a guest is not told to be one: %s", got.body)
	}
	guest.call(http.MethodPost, v3+"/account/deactivate", object{}).want(http.StatusForbidden, "M_GUEST_ACCESS_FORBIDDEN")
	guest.call(http.MethodGet, v3+"/account/3pid", nil).want(http.StatusForbidden, "M_GUEST_ACCESS_FORBIDDEN")
}

func (w *world) logins(admin *person) {
	w.client.call(http.MethodGet, v3+"/login", nil).want(http.StatusOK, "")
	p := w.register(w.t, "erin")
	login := func(body any) answer { return w.client.call(http.MethodPost, v3+"/login", body) }
	for _, identifier := range []object{
		{"identifier": object{"type": "m.id.user", "user": p.id}}, {"user": p.name},
	} {
		identifier["type"], identifier["password"] = "m.login.password", p.secret
		login(identifier).want(http.StatusOK, "")
	}
	p.login(object{"password": "wrong"}).want(http.StatusForbidden, "M_FORBIDDEN")
	p.login(object{"identifier": object{"type": "m.id.user", "user": "nobody-here"}}).want(http.StatusForbidden, "M_FORBIDDEN")
	login("[").want(http.StatusBadRequest, "M_NOT_JSON")
	login(object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	login(object{"type": "m.login.magic"}).want(http.StatusBadRequest, "M_UNKNOWN")
	login(object{"type": "m.login.token", "token": "none"}).want(http.StatusForbidden, "M_FORBIDDEN")

	token := p.prove(http.MethodPost, v1+"/login/get_token", object{}, p.auth()).want(http.StatusOK, "").text("login_token")
	login(object{"type": "m.login.token", "token": token}).want(http.StatusOK, "")
	login(object{"type": "m.login.token", "token": token}).want(http.StatusForbidden, "M_FORBIDDEN")
	p.prove(http.MethodPost, v1+"/login/get_token", object{}, admin.auth()).want(http.StatusForbidden, "M_FORBIDDEN")
	w.client.call(http.MethodPost, v1+"/login/get_token", object{}).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
}

func (w *world) sessions() {
	p := w.register(w.t, "frank")
	nobody := w.client
	nobody.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	nobody.with("none").call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	nobody.call(http.MethodGet, v3+"/account/whoami?access_token="+p.token, nil).want(http.StatusOK, "")

	session := p.login(object{"refresh_token": true, "device_id": "PHONE", "initial_device_display_name": "phone"}).want(http.StatusOK, "")
	fresh := nobody.call(http.MethodPost, v3+"/refresh", object{"refresh_token": session.text("refresh_token")}).want(http.StatusOK, "")
	p.with(fresh.text("access_token")).call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusOK, "")
	p.with(session.text("access_token")).call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	nobody.call(http.MethodPost, v3+"/refresh", object{"refresh_token": session.text("refresh_token")}).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	nobody.call(http.MethodPost, v3+"/refresh", object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	w.devices(p)

	phone := p.with(fresh.text("access_token"))
	phone.call(http.MethodPost, v3+"/logout", object{}).want(http.StatusOK, "")
	phone.call(http.MethodPost, v3+"/logout", object{}).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	p.call(http.MethodPost, v3+"/logout/all", object{}).want(http.StatusOK, "")
	p.call(http.MethodPost, v3+"/logout/all", object{}).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
}

func (w *world) devices(p *person) {
	p.call(http.MethodGet, v3+"/devices", nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, v3+"/devices", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	p.call(http.MethodPut, v3+"/devices/PHONE", object{"display_name": "my phone"}).want(http.StatusOK, "")
	p.call(http.MethodPut, v3+"/devices/NONE", object{"display_name": "none"}).want(http.StatusNotFound, "M_NOT_FOUND")
	if name := p.call(http.MethodGet, v3+"/devices/PHONE", nil).want(http.StatusOK, "").text("display_name"); name != "my phone" {
		w.t.Errorf("the device is called %s", name)
	}
	p.call(http.MethodGet, v3+"/devices/NONE", nil).want(http.StatusNotFound, "M_NOT_FOUND")

	for _, id := range []string{"ONE", "TWO", "THREE"} {
		p.login(object{"device_id": id}).want(http.StatusOK, "")
	}
	p.prove(http.MethodDelete, v3+"/devices/ONE", object{}, p.auth()).want(http.StatusOK, "")
	p.prove(http.MethodDelete, v3+"/devices/TWO", object{}, password(p.id, "wrong")).want(http.StatusUnauthorized, "M_FORBIDDEN")
	p.prove(http.MethodPost, v3+"/delete_devices", object{"devices": []string{"TWO", "THREE"}}, p.auth()).want(http.StatusOK, "")
	p.call(http.MethodPost, v3+"/delete_devices", object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	for _, id := range []string{"ONE", "TWO", "THREE"} {
		p.call(http.MethodGet, v3+"/devices/"+id, nil).want(http.StatusNotFound, "M_NOT_FOUND")
	}
}

func (w *world) passwords() {
	const change = v3 + "/account/password"
	p := w.register(w.t, "grace")
	other := p.with(p.login(nil).want(http.StatusOK, "").text("access_token"))
	p.call(http.MethodPost, change, object{"new_password": "short"}).want(http.StatusBadRequest, "M_WEAK_PASSWORD")
	p.prove(http.MethodPost, change, object{"new_password": "the next one"}, p.auth()).want(http.StatusOK, "")
	p.login(nil).want(http.StatusForbidden, "M_FORBIDDEN")
	p.secret = "the next one"
	other.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	p.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusOK, "")
	p.login(nil).want(http.StatusOK, "")
	w.resetByMail(p)
}

// resetByMail sets a new password for someone who has forgotten the old one.
func (w *world) resetByMail(p *person) {
	const address, secret = "grace@example.org", "reset-secret"
	w.addEmail(p, address)
	ask := object{"client_secret": secret, "email": address, "send_attempt": 1}
	sid := w.client.call(http.MethodPost, v3+"/account/password/email/requestToken", ask).want(http.StatusOK, "").text("sid")
	stage := object{"type": "m.login.email.identity", "threepid_creds": object{"sid": sid, "client_secret": secret}}
	body := object{"new_password": "after the reset"}
	w.client.prove(http.MethodPost, v3+"/account/password", body, stage).want(http.StatusUnauthorized, "")
	w.client.browse(find(w.t, linkPattern, w.mail.next(w.t, address)), "Your address is confirmed")
	w.client.prove(http.MethodPost, v3+"/account/password", body, stage).want(http.StatusOK, "")
	p.secret = "after the reset"
	p.login(object{"identifier": object{"type": "m.id.thirdparty", "medium": "email", "address": address}}).want(http.StatusOK, "")
	ask["email"] = "nobody@example.org"
	w.client.call(http.MethodPost, v3+"/account/password/email/requestToken", ask).want(http.StatusBadRequest, "M_THREEPID_NOT_FOUND")
}
