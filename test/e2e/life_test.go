//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The whole life of an account: it is made, has an address that an identity
// server tells people about, and ends, and nothing of it is left.
func TestLife(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const address = "alice.liddell@example.org"
		ids := newSydent(t, w.dir, w.ca, w.mail.port)
		observer := ids.register(t, w.register(t, "observer").openID())
		alice := w.register(t, "alice")
		if got := alice.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusOK, "").text("user_id"); got != alice.id {
			t.Fatalf("whoami tells %s, not %s", got, alice.id)
		}
		w.addEmail(alice, address)
		w.bind(alice, ids, address)
		if got := ids.lookup(observer, address); got != alice.id {
			t.Fatalf("after the bind the identity server knows %q, want %s", got, alice.id)
		}
		tokens := w.credentialsOf(alice)
		if w.traces(address) == nil {
			t.Fatal("the address is nowhere to be found before the end: the search finds nothing")
		}

		ending := alice.deactivate(true)
		if got := ending.text("id_server_unbind_result"); got != "success" {
			t.Errorf("id_server_unbind_result is %s", got)
		}
		if got := ids.lookup(observer, address); got != "" {
			t.Errorf("after the ending the identity server still knows %q", got)
		}
		w.refused(alice, tokens, address)
		receipt := w.completed(ending.text("org.lethe.deactivation_id"))
		if receipt["user_id"] != alice.id || receipt["erase"] != true {
			t.Errorf("the receipt is of another ending: %v", receipt)
		}
		w.genuine(ending.text("org.lethe.deactivation_id"))
		w.stop()
		if found := w.traces(address); found != nil {
			t.Errorf("the address is still in %v", found)
		}
		w.start()
		w.refused(alice, tokens, address)
	}, "--registration", "open", "--rate-limits", "off")
}

// credentials are everything that someone could act with as a person, but the
// password.
type credentials struct {
	access                 []string
	refresh, login, openID string
}

func (w *world) credentialsOf(p *person) credentials {
	p.t.Helper()
	second := p.login(object{"refresh_token": true, "device_id": "SECOND"}).want(http.StatusOK, "")
	return credentials{
		access:  []string{p.token, second.text("access_token")},
		refresh: second.text("refresh_token"),
		login: p.prove(http.MethodPost, v1+"/login/get_token", nil, p.auth()).
			want(http.StatusOK, "").text("login_token"),
		openID: p.openID().text("access_token"),
	}
}

// refused checks that nothing can act as a person whose account has ended, and
// that each way says so as the specification does.
func (w *world) refused(p *person, tokens credentials, address string) {
	p.t.Helper()
	nobody := w.client
	for _, token := range tokens.access {
		for _, call := range [][2]string{
			{http.MethodGet, v3 + "/account/whoami"},
			{http.MethodPost, v3 + "/logout"},
			{http.MethodPost, v3 + "/account/deactivate"},
			{http.MethodGet, v3 + "/devices"},
		} {
			got := p.with(token).call(call[0], call[1], object{}).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
			if got.json()["soft_logout"] == true {
				p.t.Errorf("%s has soft_logout: a client would keep the data and offer to sign in", got.what)
			}
		}
		nobody.call(http.MethodGet, v3+"/account/whoami?access_token="+token, nil).
			want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	}
	nobody.call(http.MethodPost, v3+"/refresh", object{"refresh_token": tokens.refresh}).
		want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	nobody.call(http.MethodPost, v3+"/login", object{"type": "m.login.token", "token": tokens.login}).
		want(http.StatusForbidden, "M_FORBIDDEN")
	w.federation().call(http.MethodGet, "/_matrix/federation/v1/openid/userinfo?access_token="+url.QueryEscape(tokens.openID), nil).
		want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
	for _, secret := range []string{p.secret, "a wrong password"} {
		p.login(object{"password": secret}).want(http.StatusForbidden, "M_USER_DEACTIVATED")
	}
	nobody.call(http.MethodPost, v3+"/login", object{
		"type": "m.login.password", "password": p.secret,
		"identifier": object{"type": "m.id.thirdparty", "medium": "email", "address": address},
	}).want(http.StatusForbidden, "M_FORBIDDEN")
	nobody.call(http.MethodPost, v3+"/account/password/email/requestToken", object{
		"client_secret": "reset", "email": address, "send_attempt": 1,
	}).want(http.StatusBadRequest, "M_THREEPID_NOT_FOUND")
	nobody.call(http.MethodPost, v3+"/account/deactivate", authed(nil, p.auth(), "")).
		want(http.StatusForbidden, "M_USER_DEACTIVATED")
	nobody.call(http.MethodGet, v3+"/register/available?username="+p.name, nil).
		want(http.StatusBadRequest, "M_USER_IN_USE")
	nobody.call(http.MethodPost, v3+"/register", object{
		"username": p.name, "password": "somebody else's", "auth": object{"type": "m.login.dummy"},
	}).want(http.StatusBadRequest, "M_USER_IN_USE")
}

// completed waits until an ending is complete, and returns its receipt, which
// has to be signed with the key that the server publishes.
func (w *world) completed(id string) (receipt object) {
	w.t.Helper()
	eventually(w.t, "the receipt is complete", func() bool {
		got := w.client.call(http.MethodGet, path("/_lethe/client/v1/deactivation/%s/receipt", id), nil).
			want(http.StatusOK, "")
		receipt = got.json()
		w.verify(got.body)
		return receipt["complete"] == true
	})
	steps, _ := receipt["steps"].([]any)
	for _, step := range steps {
		if step.(object)["state"] != "done" {
			w.t.Errorf("the receipt is complete, and a step is not done: %v", step)
		}
	}
	if len(steps) == 0 {
		w.t.Errorf("the receipt has no steps: %v", receipt)
	}
	return receipt
}

// genuine gets a receipt by the command line, as an operator does, and has it
// checked, as anybody can who is shown one.
func (w *world) genuine(id string) {
	w.t.Helper()
	receipt := w.script(nil, binary, "deactivation", "receipt", id, "--json", "--data-dir", w.dataDir())
	file := filepath.Join(w.dir, "receipt.json")
	for text, want := range map[string]bool{receipt: true, strings.Replace(receipt, "true", "false", 1): false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
		cmd := exec.Command(binary, "deactivation", "receipt", "--verify", file)
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+w.ca.caFile)
		out, err := cmd.CombinedOutput()
		if (err == nil) != want {
			w.t.Errorf("the check of a receipt that is genuine: %v, ended with %v:\n%s\n%s", want, err, out, text)
		}
	}
}

// verify checks a signed object with the key that the server publishes, without
// any code of the server's (Appendices, Checking for a Signature).
func (w *world) verify(raw []byte) {
	w.t.Helper()
	keys := w.federation().call(http.MethodGet, "/_matrix/key/v2/server", nil).want(http.StatusOK, "").json()
	published := keys["verify_keys"].(object)
	id := slices.Collect(maps.Keys(published))[0]
	key := unbase64(w.t, published[id].(object)["key"])

	var signed object
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&signed); err != nil {
		w.t.Fatal(err)
	}
	signature := unbase64(w.t, signed["signatures"].(object)[w.name].(object)[id])
	delete(signed, "signatures")
	delete(signed, "unsigned")
	var canonical bytes.Buffer
	encoder := json.NewEncoder(&canonical)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(signed); err != nil {
		w.t.Fatal(err)
	}
	if !ed25519.Verify(key, bytes.TrimSuffix(canonical.Bytes(), []byte("\n")), signature) {
		w.t.Fatalf("the signature with the key %s is wrong: %s", id, raw)
	}
}

func unbase64(t *testing.T, value any) []byte {
	t.Helper()
	text, _ := value.(string)
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		t.Fatalf("%v is not unpadded base64: %v", value, err)
	}
	return raw
}

// An identity server that is down neither keeps an account from ending nor is
// forgotten: the address is unbound there once it is back.
func TestIdentityServerDown(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const address = "bob@example.org"
		ids := newSydent(t, w.dir, w.ca, w.mail.port)
		admin := w.admin(t, "operator")
		observer := ids.register(t, admin.openID())
		bob := w.register(t, "bob")
		w.addEmail(bob, address)
		w.bind(bob, ids, address)

		ids.stop()
		ending := bob.deactivate(true)
		if got := ending.text("id_server_unbind_result"); got != "no-support" {
			t.Errorf("the identity server is down, and id_server_unbind_result is %s", got)
		}
		id := ending.text("org.lethe.deactivation_id")
		show := func() object {
			return admin.call(http.MethodGet, path("/_lethe/admin/v1/deactivations/%s", id), nil).want(http.StatusOK, "").json()
		}
		unbind := func() object {
			for _, step := range show()["steps"].([]any) {
				if step := step.(object); step["name"] == "unbind" {
					return step
				}
			}
			t.Fatalf("the ending has no step to unbind: %v", show())
			return nil
		}
		if step := unbind(); step["state"] != "pending" || step["last_error"] == nil || step["target"] != ids.name {
			t.Errorf("the operator cannot see what is stuck, and where: %v", step)
		}
		bob.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")

		w.stop() // the work outlives the process
		w.start()
		ids.start()
		if got := ids.lookup(observer, address); got != bob.id {
			t.Fatalf("the identity server came back with %q, want %s: the test shows nothing", got, bob.id)
		}
		admin.call(http.MethodPost, path("/_lethe/admin/v1/deactivations/%s/retry", id), object{}).want(http.StatusOK, "")
		w.completed(id)
		if got := ids.lookup(observer, address); got != "" {
			t.Errorf("the ending is complete, and the identity server still knows %q", got)
		}
		if step := unbind(); step["state"] != "done" {
			t.Errorf("the step to unbind is not done: %v", step)
		}
		w.stop()
		if found := w.traces(address); found != nil {
			t.Errorf("the address is still in %v", found)
		}
		w.start()
	}, "--registration", "open", "--rate-limits", "off")
}

// One that takes requests and never answers keeps nobody waiting either. It gets
// the request again by itself, without an operator.
func TestIdentityServerHangs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const address = "chuck@example.org"
		ids := newSydent(t, w.dir, w.ca, w.mail.port)
		observer := ids.register(t, w.register(t, "observer").openID())
		chuck := w.register(t, "chuck")
		w.addEmail(chuck, address)
		w.bind(chuck, ids, address)

		ids.signal(syscall.SIGSTOP)
		ending := chuck.deactivate(true)
		if got := ending.text("id_server_unbind_result"); got != "no-support" {
			t.Errorf("the identity server hangs, and id_server_unbind_result is %s", got)
		}
		chuck.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
		ids.signal(syscall.SIGCONT)
		w.completed(ending.text("org.lethe.deactivation_id"))
		if got := ids.lookup(observer, address); got != "" {
			t.Errorf("the ending is complete, and the identity server still knows %q", got)
		}
	}, "--registration", "open", "--rate-limits", "off", "--deactivation-unbind-wait", "1s")
}

// What clients send besides, and scripts (CLIENTS.md, UIA).
func TestWaysToEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const deactivate = v3 + "/account/deactivate"
		for name, end := range map[string]func(*person) answer{
			"one-request": func(p *person) answer {
				return p.call(http.MethodPost, deactivate, authed(object{"erase": true}, p.auth(), ""))
			},
			"no-token": func(p *person) answer {
				return w.client.call(http.MethodPost, deactivate, authed(object{"erase": true}, p.auth(), ""))
			},
			"query-token": func(p *person) answer {
				return w.client.call(http.MethodPost, deactivate+"?access_token="+url.QueryEscape(p.token),
					authed(object{"erase": true}, p.auth(), ""))
			},
			"old-user": func(p *person) answer {
				return p.prove(http.MethodPost, deactivate, object{"erase": true},
					object{"type": "m.login.password", "user": p.name, "password": p.secret})
			},
			"remembered": func(p *person) answer {
				first := p.call(http.MethodPost, deactivate, object{"erase": true}).want(http.StatusUnauthorized, "")
				return p.call(http.MethodPost, deactivate, authed(nil, p.auth(), first.text("session")))
			},
			"changed-mind": func(p *person) answer {
				first := p.call(http.MethodPost, deactivate, object{"erase": false}).want(http.StatusUnauthorized, "")
				return p.call(http.MethodPost, deactivate, authed(object{"erase": true}, p.auth(), first.text("session")))
			},
			"fallback": func(p *person) answer {
				session := p.call(http.MethodPost, deactivate, object{"erase": true}).want(http.StatusUnauthorized, "").text("session")
				poll := object{"auth": object{"session": session}}
				p.call(http.MethodPost, deactivate, poll).want(http.StatusUnauthorized, "")
				page := path(v3+"/auth/%s/fallback/web", "m.login.password") + "?session=" + url.QueryEscape(session)
				w.client.call(http.MethodPost, page, url.Values{"user": {p.id}, "password": {p.secret}}).want(http.StatusOK, "")
				return p.call(http.MethodPost, deactivate, poll)
			},
		} {
			p := w.register(t, name)
			got := end(p).want(http.StatusOK, "")
			if got.text("id_server_unbind_result") != "success" {
				t.Errorf("%s: nothing was bound, and the answer is %s", name, got.body)
			}
			p.call(http.MethodGet, v3+"/account/whoami", nil).want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN")
			if receipt := w.completed(got.text("org.lethe.deactivation_id")); receipt["erase"] != true || receipt["user_id"] != p.id {
				t.Errorf("%s: the receipt is %v", name, receipt)
			}
		}
	}, "--registration", "open", "--rate-limits", "off")
}
