package adminapi_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the protocol's choice
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

const sharedPath = "/_synapse/admin/v1/register"

// macOf is how the tools that speak the protocol make a mac.
func macOf(secret string, parts ...string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestToolsRegisterWithTheSharedSecret(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		nonce := func() string {
			return s.Want(http.StatusOK, "", http.MethodGet, sharedPath, "", nil).String("nonce")
		}
		body := func(nonce, user string, admin bool, rights string) map[string]any {
			return map[string]any{
				"nonce": nonce, "username": user, "password": "correct-horse", "admin": admin, "displayname": "From a tool",
				"mac": macOf("the-secret", nonce, user, "correct-horse", rights),
			}
		}
		register := func(status int, code string, body map[string]any) hstest.Answer {
			t.Helper()
			return s.Want(status, code, http.MethodPost, sharedPath, "", body)
		}
		first := nonce()
		boss := register(http.StatusOK, "", body(first, "Boss", true, "admin"))
		if boss.String("user_id") != "@boss:example.org" || boss.String("home_server") != "example.org" || boss.String("device_id") == "" {
			t.Errorf("register = %s", boss.Raw)
		}
		s.Want(http.StatusOK, "", http.MethodGet, "/_lethe/admin/v1/users", boss.String("access_token"), nil)
		profile := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/profile/@boss:example.org", "", nil)
		if profile.String("displayname") != "From a tool" {
			t.Errorf("profile = %s", profile.Raw)
		}
		register(http.StatusBadRequest, "M_UNKNOWN", body(first, "second", false, "notadmin")) // a nonce is good once
		register(http.StatusBadRequest, "M_UNKNOWN", body("made-up", "second", false, "notadmin"))
		register(http.StatusForbidden, "M_FORBIDDEN", body(nonce(), "second", true, "notadmin")) // other rights than signed
		wrong := nonce()
		bad := body(wrong, "second", false, "notadmin")
		bad["mac"] = macOf("another-secret", wrong, "second", "correct-horse", "notadmin")
		register(http.StatusForbidden, "M_FORBIDDEN", bad)
		register(http.StatusBadRequest, "M_UNKNOWN", body(wrong, "second", false, "notadmin")) // a wrong mac uses it up
		register(http.StatusBadRequest, "M_USER_IN_USE", body(nonce(), "boss", false, "notadmin"))
		register(http.StatusBadRequest, "M_INVALID_USERNAME", body(nonce(), "not a name", false, "notadmin"))
		register(http.StatusBadRequest, "M_INVALID_PARAM", body(nonce(), "a\x00b", false, "notadmin"))
		short := nonce()
		register(http.StatusBadRequest, "M_WEAK_PASSWORD", map[string]any{
			"nonce": short, "username": "third", "password": "x", "mac": macOf("the-secret", short, "third", "x", "notadmin"),
		})

		n := nonce()
		quiet := body(n, "quiet", false, "notadmin")
		quiet["inhibit_login"], quiet["user_type"] = true, "bot"
		quiet["mac"] = macOf("the-secret", n, "quiet", "correct-horse", "notadmin", "bot")
		if a := register(http.StatusOK, "", quiet); a.Get("access_token") != nil {
			t.Errorf("inhibit_login = %s", a.Raw)
		}
		if strings.Contains(s.Log.String(), "the-secret") || strings.Contains(s.Log.String(), "correct-horse") {
			t.Error("the log has the secret or a password")
		}
	}, hstest.Set(func(c *config.Settings) {
		c.Registration, c.RegistrationSharedSecret = "closed", "the-secret"
	}))
}

func TestWithoutASecretThereIsNoSuchEndpoint(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		s.Want(http.StatusNotFound, "M_UNRECOGNIZED", http.MethodGet, sharedPath, "", nil)
	})
}

// TestNobodyGetsTheNameOfAnApplicationService: it would act as them, too.
func TestNobodyGetsTheNameOfAnApplicationService(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	err := os.WriteFile(path, []byte(`
id: bridge
url: null
as_token: as-secret
hs_token: hs-secret
sender_localpart: bridgebot
namespaces:
  users: [{exclusive: true, regex: '@_bridge_.*'}]
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin := root(t, s)
		for _, name := range []string{"bridgebot", "_bridge_alice"} {
			s.Want(http.StatusBadRequest, "M_EXCLUSIVE", http.MethodPost, prefix+"/users", admin.Token, object{"localpart": name})
			nonce := s.Want(http.StatusOK, "", http.MethodGet, sharedPath, "", nil).String("nonce")
			s.Want(http.StatusBadRequest, "M_EXCLUSIVE", http.MethodPost, sharedPath, "", object{
				"nonce": nonce, "username": name, "password": "correct-horse",
				"mac": macOf("the-secret", nonce, name, "correct-horse", "notadmin"),
			})
		}
	}, hstest.Set(func(c *config.Settings) {
		c.RegistrationSharedSecret, c.Appservices = "the-secret", []string{path}
	}))
}
