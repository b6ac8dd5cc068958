//go:build e2e

package e2e

import (
	"bytes"
	"net/http"
	"net/url"
)

func (w *world) profiles(other *person) {
	p := w.register(w.t, "mallory")
	whole := path(v3+"/profile/%s", p.id)
	p.call(http.MethodPut, whole+"/displayname", object{"displayname": "Mallory"}).want(http.StatusOK, "")
	p.call(http.MethodPut, whole+"/avatar_url", object{"avatar_url": "mxc://example.org/m"}).want(http.StatusOK, "")
	p.call(http.MethodPut, whole+"/m.tz", object{"m.tz": "Europe/Berlin"}).want(http.StatusOK, "")
	p.call(http.MethodPut, whole+"/org.example.pets", object{"org.example.pets": []string{"cat"}}).want(http.StatusOK, "")
	for _, field := range []string{"displayname", "avatar_url", "m.tz", "org.example.pets"} {
		got := w.client.call(http.MethodGet, whole+"/"+field, nil).want(http.StatusOK, "").json()
		if len(got) != 1 || got[field] == nil {
			w.t.Errorf("the field %s is %v", field, got)
		}
	}
	if got := w.client.call(http.MethodGet, whole, nil).want(http.StatusOK, "").json(); len(got) != 4 {
		w.t.Errorf("the profile is %v", got)
	}
	p.call(http.MethodDelete, whole+"/m.tz", nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, whole+"/m.tz", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	w.client.call(http.MethodGet, path(v3+"/profile/%s", "@nobody:"+w.name), nil).want(http.StatusNotFound, "M_NOT_FOUND")
	p.call(http.MethodPut, whole+"/displayname", object{"displayname": 7}).want(http.StatusBadRequest, "M_BAD_JSON")
	p.call(http.MethodPut, whole+"/displayname", object{}).want(http.StatusBadRequest, "M_MISSING_PARAM")
	p.call(http.MethodPut, whole+"/No%20Field", object{"No Field": 1}).want(http.StatusBadRequest, "M_INVALID_PARAM")
	other.call(http.MethodPut, whole+"/displayname", object{"displayname": "x"}).want(http.StatusForbidden, "M_FORBIDDEN")
	other.call(http.MethodDelete, whole+"/displayname", nil).want(http.StatusForbidden, "M_FORBIDDEN")
}

// personalData are account data, filters and OpenID tokens.
func (w *world) personalData(other *person) {
	p := w.register(w.t, "niaj")
	user := path(v3+"/user/%s", p.id)
	for _, at := range []string{user + "/account_data/", user + "/rooms/!room:example.org/account_data/"} {
		p.call(http.MethodGet, at+"org.example", nil).want(http.StatusNotFound, "M_NOT_FOUND")
		p.call(http.MethodPut, at+"org.example", object{"key": "value"}).want(http.StatusOK, "")
		if got := p.call(http.MethodGet, at+"org.example", nil).want(http.StatusOK, "").text("key"); got != "value" {
			w.t.Errorf("the account data is %s", got)
		}
		p.call(http.MethodPut, at+"org.example", "[]").want(http.StatusBadRequest, "M_BAD_JSON")
		p.call(http.MethodPut, at+"m.fully_read", object{}).want(http.StatusMethodNotAllowed, "M_BAD_JSON")
		other.call(http.MethodGet, at+"org.example", nil).want(http.StatusForbidden, "M_FORBIDDEN")
		other.call(http.MethodPut, at+"org.example", object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	}
	p.call(http.MethodPut, user+"/rooms/none/account_data/org.example", object{}).want(http.StatusBadRequest, "M_INVALID_PARAM")

	id := p.call(http.MethodPost, user+"/filter", object{"room": object{"timeline": object{"limit": 7}}}).want(http.StatusOK, "").text("filter_id")
	p.call(http.MethodGet, user+"/filter/"+id, nil).want(http.StatusOK, "")
	p.call(http.MethodGet, user+"/filter/none", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	p.call(http.MethodPost, user+"/filter", object{"room": 7}).want(http.StatusBadRequest, "M_BAD_JSON")
	other.call(http.MethodPost, user+"/filter", object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	other.call(http.MethodPost, user+"/openid/request_token", object{}).want(http.StatusForbidden, "M_FORBIDDEN")
	p.openID()
}

// pushRules are a rule of each kind, and the predefined ones.
func (w *world) pushRules() {
	p := w.register(w.t, "pushy")
	const rules = v3 + "/pushrules/"
	w.client.call(http.MethodGet, rules, nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	w.client.call(http.MethodGet, rules+"global/", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	conditions := []object{{"kind": "event_match", "key": "content.body", "pattern": "beer"}, {"kind": "room_member_count", "is": "<=10"}}
	for rule, body := range map[string]object{
		"override/beer":   {"conditions": conditions, "actions": []any{"notify"}},
		"underride/beer":  {"conditions": conditions, "actions": []any{"notify", object{"set_tweak": "highlight"}}},
		"content/nocake":  {"pattern": "cake*lie", "actions": []any{"notify", object{"set_tweak": "sound", "value": "default"}}},
		"room/!a:b.org":   {"actions": []any{}},
		"sender/@a:b.org": {"actions": []any{}},
	} {
		at := rules + "global/" + rule
		p.call(http.MethodGet, at, nil).want(http.StatusNotFound, "M_NOT_FOUND")
		p.call(http.MethodDelete, at, nil).want(http.StatusNotFound, "M_NOT_FOUND")
		p.call(http.MethodPut, at+"?before=none", body).want(http.StatusBadRequest, "M_UNKNOWN")
		for _, of := range []string{"enabled", "actions"} {
			body := object{"enabled": false, "actions": []any{"notify"}}
			p.call(http.MethodGet, at+"/"+of, nil).want(http.StatusNotFound, "M_NOT_FOUND")
			p.call(http.MethodPut, at+"/"+of, body).want(http.StatusNotFound, "M_NOT_FOUND")
		}
		p.call(http.MethodPut, at, body).want(http.StatusOK, "")
		p.call(http.MethodPut, at+"/enabled", object{"enabled": false}).want(http.StatusOK, "")
		p.call(http.MethodPut, at+"/actions", object{"actions": []any{"notify"}}).want(http.StatusOK, "")
		for _, of := range []string{"", "/enabled", "/actions"} {
			p.call(http.MethodGet, at+of, nil).want(http.StatusOK, "")
		}
	}
	for _, all := range []string{rules, rules + "global/", path(v3+"/user/%s/account_data/m.push_rules", p.id)} {
		p.call(http.MethodGet, all, nil).want(http.StatusOK, "")
	}
	p.call(http.MethodDelete, rules+"global/content/nocake", nil).want(http.StatusOK, "")
}

// moderation is what a server administrator may do to others, and what those
// still can.
func (w *world) moderation(admin *person) {
	p := w.register(w.t, "olivia")
	p.call(http.MethodGet, path(v3+"/admin/whois/%s", p.id), nil).want(http.StatusOK, "")
	admin.call(http.MethodGet, path(v3+"/admin/whois/%s", p.id), nil).want(http.StatusOK, "")
	p.call(http.MethodGet, path(v3+"/admin/whois/%s", admin.id), nil).want(http.StatusForbidden, "M_FORBIDDEN")
	set := func(by *person, what string, on bool) answer {
		key := map[string]string{"lock": "locked", "suspend": "suspended"}[what]
		return by.call(http.MethodPut, path(v1+"/admin/%s/%s", what, p.id), object{key: on})
	}
	get := func(by *person, what, user string) answer {
		return by.call(http.MethodGet, path(v1+"/admin/%s/%s", what, user), nil)
	}
	for _, what := range []string{"lock", "suspend"} {
		set(p, what, true).want(http.StatusForbidden, "M_FORBIDDEN")
		get(p, what, p.id).want(http.StatusForbidden, "M_FORBIDDEN")
		get(admin, what, "@nobody:"+w.name).want(http.StatusNotFound, "M_NOT_FOUND")
		get(admin, what, p.id).want(http.StatusOK, "")
	}
	set(admin, "lock", true).want(http.StatusOK, "")
	if got := p.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_USER_LOCKED"); got.json()["soft_logout"] != true {
		w.t.Errorf("a locked user is not told to keep the session: %s", got.body)
	}
	p.call(http.MethodPost, v3+"/account/deactivate", object{}).want(http.StatusUnauthorized, "M_USER_LOCKED")
	set(admin, "lock", false).want(http.StatusOK, "")
	set(admin, "suspend", true).want(http.StatusOK, "")
	p.call(http.MethodPut, path(v3+"/profile/%s/displayname", p.id), object{"displayname": "x"}).want(http.StatusForbidden, "M_USER_SUSPENDED")
	p.deactivate(true) // who is suspended may leave
	get(admin, "suspend", p.id).want(http.StatusNotFound, "M_NOT_FOUND")
}

// bridge is an application service with users of its own.
func (w *world) bridge() {
	bridge := w.client.with(bridgeToken)
	login := object{"type": "m.login.application_service", "identifier": object{"type": "m.id.user", "user": "_bridge_anna"}}
	bridge.call(http.MethodPost, v3+"/register", object{"type": "m.login.application_service", "username": "anna"}).want(http.StatusBadRequest, "M_EXCLUSIVE")
	id := bridge.call(http.MethodPost, v3+"/register", object{
		"type": "m.login.application_service", "username": "_bridge_anna", "inhibit_login": true,
	}).want(http.StatusOK, "").text("user_id")
	w.client.call(http.MethodPost, v3+"/login", login).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
	anna := w.client.with(bridge.call(http.MethodPost, v3+"/login", login).want(http.StatusOK, "").text("access_token"))
	anna.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusOK, "")
	as := "?user_id=" + url.QueryEscape(id)
	bridge.call(http.MethodPut, v3+"/devices/BRIDGED"+as, object{"display_name": "bridged"}).want(http.StatusCreated, "")
	bridge.call(http.MethodDelete, v3+"/devices/BRIDGED"+as, object{}).want(http.StatusOK, "")
	bridge.call(http.MethodGet, v3+"/account/whoami?user_id="+url.QueryEscape("@admin:"+w.name), nil).want(http.StatusForbidden, "M_FORBIDDEN")
	bridge.call(http.MethodPost, v3+"/account/deactivate"+as, object{"erase": true}).want(http.StatusOK, "")
	anna.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
}

// endings are the requests to deactivate that do not end an account, and Lethe's
// own endpoints around it.
func (w *world) endings(other *person) {
	const deactivate = v3 + "/account/deactivate"
	p := w.register(w.t, "peggy")
	for body, code := range map[string]string{
		`{"erase": "true"}`: "M_BAD_JSON", `{"erase": null}`: "M_BAD_JSON", `{"id_server": 7}`: "M_BAD_JSON",
		`{"id_server": "not a server"}`: "M_INVALID_PARAM", `"erase"`: "M_BAD_JSON",
	} {
		p.call(http.MethodPost, deactivate, body).want(http.StatusBadRequest, code)
	}
	p.prove(http.MethodPost, deactivate, object{}, other.auth()).want(http.StatusForbidden, "M_FORBIDDEN")
	p.prove(http.MethodPost, deactivate, object{}, password(p.id, "wrong")).want(http.StatusUnauthorized, "M_FORBIDDEN")
	p.call(http.MethodPost, deactivate, object{"auth": object{"session": "none"}}).want(http.StatusUnauthorized, "M_FORBIDDEN")

	p.call(http.MethodGet, "/_lethe/client/v1/account/export", nil).want(http.StatusOK, "")
	if got := p.call(http.MethodGet, "/_lethe/client/v1/account/export", nil); !bytes.HasPrefix(got.body, []byte("PK")) {
		w.t.Errorf("the export is no zip: %q", got.body[:min(len(got.body), 20)])
	}
	w.client.call(http.MethodGet, "/_lethe/client/v1/account/export", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")

	// Without a token, the stage says whose account it is.
	got := w.client.prove(http.MethodPost, deactivate, object{}, p.auth()).want(http.StatusOK, "")
	w.completed(got.text("org.lethe.deactivation_id"))
	w.client.call(http.MethodGet, "/_lethe/client/v1/deactivation/none/receipt", nil).want(http.StatusNotFound, "M_NOT_FOUND")
	p.call(http.MethodPost, deactivate, object{}).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	w.client.call(http.MethodPost, deactivate, authed(nil, p.auth(), "")).want(http.StatusForbidden, "M_USER_DEACTIVATED")
}

// otherServers ask for the key, and about who has an OpenID token.
func (w *world) otherServers(p *person) {
	const userinfo = "/_matrix/federation/v1/openid/userinfo"
	for _, c := range []*client{w.federation(), w.client} {
		c.call(http.MethodGet, "/_matrix/federation/v1/version", nil).want(http.StatusOK, "")
		w.verify(c.call(http.MethodGet, "/_matrix/key/v2/server", nil).want(http.StatusOK, "").body)
		token := url.QueryEscape(p.openID().text("access_token"))
		if got := c.call(http.MethodGet, userinfo+"?access_token="+token, nil).want(http.StatusOK, "").text("sub"); got != p.id {
			w.t.Errorf("the token is said to be of %s", got)
		}
		c.call(http.MethodGet, userinfo, nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
		c.call(http.MethodGet, userinfo+"?access_token=none", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	}
	w.federation().call(http.MethodGet, v3+"/login", nil).want(http.StatusNotFound, "M_UNRECOGNIZED")
}
