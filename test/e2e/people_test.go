//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the protocol has it
	"encoding/hex"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// person is a user of the server, with a session.
type person struct {
	*client
	name, id, device, secret string
}

// auth is what the person proves who they are with.
func (p *person) auth() object { return password(p.id, p.secret) }

// register makes an account over the client API.
func (w *world) register(t *testing.T, name string) *person {
	t.Helper()
	p := &person{name: name, secret: "the password of " + name}
	got := w.client.prove(http.MethodPost, v3+"/register", object{
		"username": name, "password": p.secret, "initial_device_display_name": "first",
	}, object{"type": "m.login.dummy"}).want(http.StatusOK, "")
	p.id, p.device, p.client = got.text("user_id"), got.text("device_id"), w.client.with(got.text("access_token"))
	return p
}

// login begins another session of the same person.
func (p *person) login(options object) answer {
	p.t.Helper()
	body := object{"type": "m.login.password", "password": p.secret, "identifier": object{"type": "m.id.user", "user": p.name}}
	maps.Copy(body, options)
	return p.with("").call(http.MethodPost, v3+"/login", body)
}

// admin makes a server administrator, as tools do that know the shared secret.
func (w *world) admin(t *testing.T, name string) *person {
	t.Helper()
	p := &person{name: name, secret: "the password of " + name}
	got := w.synapseRegister(p.name, p.secret, sharedSecret, true).want(http.StatusOK, "")
	p.id, p.device, p.client = got.text("user_id"), got.text("device_id"), w.client.with(got.text("access_token"))
	return p
}

// synapseRegister registers an account with a shared secret.
func (w *world) synapseRegister(name, password, secret string, admin bool) answer {
	w.t.Helper()
	const path = "/_synapse/admin/v1/register"
	nonce := w.client.call(http.MethodGet, path, nil).want(http.StatusOK, "").text("nonce")
	rights := "notadmin"
	if admin {
		rights = "admin"
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(strings.Join([]string{nonce, name, password, rights}, "\x00")))
	return w.client.call(http.MethodPost, path, object{
		"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": hex.EncodeToString(mac.Sum(nil)),
	})
}

// addEmail gives the person an address that they prove to read the mail of.
func (w *world) addEmail(p *person, address string) {
	p.t.Helper()
	const secret = "a-secret-of-the-client"
	sid := p.call(http.MethodPost, v3+"/account/3pid/email/requestToken", object{
		"client_secret": secret, "email": address, "send_attempt": 1,
	}).want(http.StatusOK, "").text("sid")
	w.client.browse(find(p.t, linkPattern, w.mail.next(p.t, address)), "Your address is confirmed")
	p.prove(http.MethodPost, v3+"/account/3pid/add", object{
		"client_secret": secret, "sid": sid,
	}, p.auth()).want(http.StatusOK, "")
}

// openID asks for a token that tells another service who the person is.
func (p *person) openID() answer {
	p.t.Helper()
	return p.call(http.MethodPost, path(v3+"/user/%s/openid/request_token", p.id), object{}).want(http.StatusOK, "")
}

// bind publishes an address of the person at an identity server.
func (w *world) bind(p *person, s *sydent, address string) {
	p.t.Helper()
	const secret = "another-secret"
	identity := s.register(p.t, p.openID())
	sid := s.validate(p.t, identity, w.mail, address, secret)
	p.call(http.MethodPost, v3+"/account/3pid/bind", object{
		"client_secret": secret, "sid": sid, "id_server": s.name, "id_access_token": identity.token,
	}).want(http.StatusOK, "")
}

// deactivate ends the account as its owner, and returns the answer.
func (p *person) deactivate(erase bool) answer {
	p.t.Helper()
	return p.prove(http.MethodPost, v3+"/account/deactivate", object{"erase": erase}, p.auth()).
		want(http.StatusOK, "")
}
