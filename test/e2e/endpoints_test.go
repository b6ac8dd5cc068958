//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lethe/internal/storage/storagetest"
)

const (
	v3 = "/_matrix/client/v3"
	v1 = "/_matrix/client/v1"
)

// Every operation that the server has is seen to succeed and to fail, as the
// specification says; the proxy in front of the server looks at each answer.
func TestEndpoints(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			seen := newCoverage()
			for _, part := range []struct {
				name    string
				test    func(*world)
				options []string
			}{
				{"open", (*world).openServer, []string{"--registration", "open", "--guests"}},
				{"strict", (*world).strictServer, []string{
					"--registration", "token", "--terms-url", "https://example.org/terms", "--require-email",
				}},
				{"grace", (*world).graceServer, []string{"--registration", "open", "--deactivation-grace", "1h"}},
			} {
				ok := t.Run(part.name, func(t *testing.T) {
					options := append(part.options, "--rate-limits", "off", "--appservice", writeAppservice(t))
					w := newWorld(t, engine, options...)
					w.seen, w.client.seen = seen, seen
					part.test(w)
				})
				if !ok {
					return
				}
			}
			seen.complete(t)
		})
	}
}

const bridgeToken = "the token of the bridge"

// writeAppservice writes the registration of an application service, a bridge
// with users of its own.
func writeAppservice(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	raw, err := json.Marshal(object{
		"id": "bridge", "url": nil, "as_token": bridgeToken, "hs_token": "another token", "sender_localpart": "_bridge",
		"namespaces": object{"users": []object{{"exclusive": true, "regex": "@_bridge_.*"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil { // JSON is YAML
		t.Fatal(err)
	}
	return path
}

// openServer is a server that takes everybody, with an identity server beside it.
func (w *world) openServer() {
	admin := w.admin(w.t, "admin")
	w.discovery(admin)
	w.standards(admin)
	w.registration()
	w.logins(admin)
	w.sessions()
	w.passwords()
	w.addresses(newSydent(w.t, w.dir, w.ca, w.mail.port))
	w.phoneNumbers()
	w.profiles(admin)
	w.personalData(admin)
	w.pushRules()
	w.rooms()
	w.syncs()
	w.moments()
	w.history()
	w.directory()
	w.reports(admin)
	w.moderation(admin)
	w.bridge()
	w.endings(admin)
	w.otherServers(admin)
	w.operators(admin)
	w.fallbackPages(admin)
}

func (w *world) discovery(p *person) {
	for _, path := range []string{
		"/_matrix/client/versions", "/.well-known/matrix/client", "/.well-known/matrix/server", "/.well-known/matrix/support",
		"/_matrix/federation/v1/version", "/_matrix/key/v2/server",
	} {
		w.client.call(http.MethodGet, path, nil).want(http.StatusOK, "")
	}
	w.client.call(http.MethodGet, "/_matrix/key/v2/server/", nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, "/_matrix/key/v2/server/ed25519:any", nil).want(http.StatusOK, "")
	p.call(http.MethodGet, v3+"/capabilities", nil).want(http.StatusOK, "")
	w.client.call(http.MethodGet, v3+"/capabilities", nil).want(http.StatusUnauthorized, "M_MISSING_TOKEN")
}

// standards are what holds for all endpoints (CS API, API Standards and Web
// Browser Clients).
func (w *world) standards(p *person) {
	for _, a := range []answer{
		w.client.call(http.MethodOptions, v3+"/account/whoami", nil).want(http.StatusOK, ""),
		w.client.call(http.MethodOptions, v3+"/no/such/endpoint", nil),
		w.client.call(http.MethodGet, v3+"/no/such/endpoint", nil).want(http.StatusNotFound, "M_UNRECOGNIZED"),
		w.client.call(http.MethodGet, "/_matrix/no/such/api", nil).want(http.StatusNotFound, "M_UNRECOGNIZED"),
		w.client.call(http.MethodDelete, v3+"/account/whoami", nil).want(http.StatusMethodNotAllowed, "M_UNRECOGNIZED"),
		p.call(http.MethodPost, v3+"/account/deactivate", "{not JSON").want(http.StatusBadRequest, "M_NOT_JSON"),
		p.call(http.MethodPost, v3+"/account/deactivate", `{"erase": 1}`).want(http.StatusBadRequest, "M_BAD_JSON"),
	} {
		if a.header.Get("Access-Control-Allow-Origin") != "*" {
			w.t.Errorf("%s: a web client may not read the answer: %v", a.what, a.header)
		}
		if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Authorization") {
			w.t.Errorf("%s: a web client may not send its token: %v", a.what, a.header)
		}
	}
}

// placeholder is a part of a path that is a value.
var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// Old clients know only r0: each of its paths answers as the v3 path does.
func TestOldPaths(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		old := 0
		for pattern := range w.seen.statuses {
			method, path, _ := strings.Cut(pattern, " ")
			rest, ok := strings.CutPrefix(path, "/_matrix/client/r0/")
			if !ok {
				continue
			}
			old++
			rest = placeholder.ReplaceAllString(strings.ReplaceAll(rest, "{$}", ""), "x")
			var body any
			if method != http.MethodGet {
				body = object{}
			}
			before := w.client.call(method, "/_matrix/client/r0/"+rest, body)
			now := w.client.call(method, "/_matrix/client/v3/"+rest, body)
			if strings.HasPrefix(before.header.Get("Content-Type"), "text/html") {
				continue
			}
			if before.status != now.status || before.json()["errcode"] != now.json()["errcode"] {
				t.Errorf("%s answered %d %s, and %s %d %s", before.what, before.status, before.body, now.what, now.status, now.body)
			}
			if before.json()["errcode"] == "M_UNRECOGNIZED" {
				t.Errorf("%s: %s", before.what, before.body)
			}
		}
		if old == 0 {
			t.Error("the server has no path with r0")
		}
	}, "--registration", "open", "--rate-limits", "off")
}
