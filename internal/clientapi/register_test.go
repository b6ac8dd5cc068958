package clientapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const registerPath = v3 + "register"

var dummy = object{"type": "m.login.dummy"}

func TestRegistrationIsOneRequestOrASession(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		one := s.Want(http.StatusOK, "", post, registerPath, "", object{
			"username": "one", "password": "correct-horse", "auth": dummy, "device_id": "PHONE",
			"initial_device_display_name": "A phone",
		})
		want := object{"user_id": "@one:example.org", "home_server": "example.org", "device_id": "PHONE"}
		for k, v := range want {
			if one.Get(k) != v {
				t.Errorf("register = %s; %s is not %v", one.Raw, k, v)
			}
		}
		if one.Get("refresh_token") != nil || one.Get("expires_in_ms") != nil {
			t.Errorf("nobody asked for a refresh token: %s", one.Raw)
		}
		device := s.Want(http.StatusOK, "", get, v3+"devices/PHONE", one.String("access_token"), nil)
		if device.String("display_name") != "A phone" {
			t.Errorf("device = %s", device.Raw)
		}

		// The second round is by the alias and omits what the first one said.
		first := challenge(t, s, "", post, registerPath, "", object{"username": "Two", "password": "correct-horse", "refresh_token": true})
		if diff := cmp.Diff([][]string{{"m.login.dummy"}}, flowsOf(first)); diff != "" {
			t.Errorf("flows: %s", diff)
		}
		two := s.Want(http.StatusOK, "", post, "/_matrix/client/r0/register", "", object{
			"auth": object{"type": "m.login.dummy", "session": first.String("session")},
		})
		if two.String("user_id") != "@two:example.org" || two.String("refresh_token") == "" || two.Get("expires_in_ms") == nil {
			t.Errorf("register in two rounds = %s", two.Raw)
		}
		challenge(t, s, "M_FORBIDDEN", post, registerPath, "", object{ // a session is good for one account
			"username": "three", "password": "correct-horse", "auth": object{"type": "m.login.dummy", "session": first.String("session")},
		})

		quiet := s.Want(http.StatusOK, "", post, registerPath, "", object{
			"username": "quiet", "password": "correct-horse", "auth": dummy, "inhibit_login": true, "refresh_token": true,
		})
		for _, key := range []string{"access_token", "device_id", "refresh_token", "expires_in_ms"} {
			if quiet.Get(key) != nil {
				t.Errorf("inhibit_login leaves %s: %s", key, quiet.Raw)
			}
		}
		nameless := s.Want(http.StatusOK, "", post, registerPath, "", object{"password": "correct-horse", "auth": dummy})
		if _, err := matrix.ParseUserID(nameless.String("user_id")); err != nil {
			t.Errorf("a name made up by the server: %v", err)
		}
	})
}

func TestWhoCannotBeRegistered(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, gone := s.Register("alice"), s.Register("gone")
		s.Want(http.StatusOK, "", post, endPath, gone.Token, object{"auth": hstest.PasswordAuth("gone", gone.Password, "")})
		body := func(name string, more object) object {
			return with(object{"username": name, "password": "correct-horse"}, more)
		}
		auth := object{"auth": dummy}
		available := v3 + "register/available?username="
		check(t, s,
			// Before anybody proves anything, and after it (CS API, POST /register).
			row{400, "M_USER_IN_USE", post, registerPath, "", body("alice", nil)},
			row{400, "M_USER_IN_USE", post, registerPath, "", body("ALICE", auth)},
			row{400, "M_USER_IN_USE", post, registerPath, "", body("gone", auth)},
			row{400, "M_INVALID_USERNAME", post, registerPath, "", body("Bücher", nil)},
			row{400, "M_INVALID_USERNAME", post, registerPath, "", body("", nil)},
			row{400, "M_INVALID_USERNAME", post, registerPath, "", body("@carol:example.org", nil)},
			row{400, "M_INVALID_USERNAME", post, registerPath, "", body("a b", nil)},
			row{400, "M_INVALID_USERNAME", post, registerPath, "", body(strings.Repeat("x", 243), auth)},
			row{400, "M_WEAK_PASSWORD", post, registerPath, "", object{"username": "dora", "password": "short", "auth": dummy}},
			row{400, "M_WEAK_PASSWORD", post, registerPath, "", object{"username": "dora", "password": strings.Repeat("x", 513)}},
			row{400, "M_MISSING_PARAM", post, registerPath, "", object{"username": "dora", "auth": dummy}},
			row{400, "M_INVALID_PARAM", post, registerPath, "", body("dora", object{"auth": dummy, "device_id": "a\x00b"})},
			row{400, "M_INVALID_PARAM", post, registerPath, "", body("dora", object{"auth": dummy, "device_id": strings.Repeat("x", 256)})},
			row{400, "M_INVALID_PARAM", post, registerPath + "?kind=robot", "", body("dora", auth)},
			row{400, "M_NOT_JSON", post, registerPath, "", "{"},
			row{400, "M_BAD_JSON", post, registerPath, "", `{"username": 1}`},
			row{400, "M_BAD_JSON", post, registerPath, "", `{"username": "dora", "auth": []}`},
			row{403, "M_GUEST_ACCESS_FORBIDDEN", post, registerPath + "?kind=guest", "", object{}},
			row{200, "", post, registerPath, "", body(strings.Repeat("x", 242), auth)},
			row{200, "", post, registerPath, "", body("a.b_c=d-e/f+1", auth)},

			row{200, "", get, available + "dora", "", nil},
			row{400, "M_USER_IN_USE", get, available + "Alice", "", nil},
			row{400, "M_USER_IN_USE", get, available + "gone", "", nil},
			row{400, "M_INVALID_USERNAME", get, available + "a%20b", "", nil},
			row{400, "M_MISSING_PARAM", get, v3 + "register/available", "", nil},
		)
		if alice.Token == "" {
			t.Error("alice has no token")
		}
	})
}

func TestRegistrationCanBeClosedOrNeedAToken(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		check(t, s, row{403, "M_FORBIDDEN", post, registerPath, "", object{"username": "a", "password": "correct-horse", "auth": dummy}},
			row{403, "M_FORBIDDEN", get, v1 + "register/m.login.registration_token/validity?token=x", "", nil})
	}, hstest.Set(func(c *config.Settings) { c.Registration = "closed" }))

	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		_, err := s.Accounts.CreateRegistrationToken(t.Context(), storage.RegistrationToken{Token: "welcome", UsesAllowed: 1})
		if err != nil {
			t.Fatal(err)
		}
		validity := func(token string, want bool) {
			t.Helper()
			a := s.Want(http.StatusOK, "", get, v1+"register/m.login.registration_token/validity?token="+token, "", nil)
			if a.Get("valid") != want {
				t.Errorf("validity of %q = %s, want %v", token, a.Raw, want)
			}
		}
		validity("welcome", true)
		validity("nothing", false)
		check(t, s, row{400, "M_MISSING_PARAM", get, v1 + "register/m.login.registration_token/validity", "", nil})
		first := challenge(t, s, "", post, registerPath, "", object{"username": "alice", "password": "correct-horse"})
		wantFlow := []string{"m.login.registration_token", "m.login.terms"}
		if diff := cmp.Diff([][]string{wantFlow}, flowsOf(first)); diff != "" {
			t.Errorf("flows: %s", diff)
		}
		wantTerms := object{"policies": object{"terms_of_service": object{
			"version": "2", "en": object{"name": "The rules", "url": "https://example.org/rules"},
		}}}
		if diff := cmp.Diff(wantTerms, first.Get("params", "m.login.terms")); diff != "" {
			t.Errorf("params: %s", diff)
		}
		session := first.String("session")
		stage := func(auth object) object { auth["session"] = session; return object{"auth": auth} }
		// Stages in their order; a wrong token keeps the session.
		challenge(t, s, "M_UNRECOGNIZED", post, registerPath, "", stage(object{"type": "m.login.terms"}))
		challenge(t, s, "M_UNAUTHORIZED", post, registerPath, "", stage(object{"type": "m.login.registration_token", "token": "wrong"}))
		half := challenge(t, s, "", post, registerPath, "", stage(object{"type": "m.login.registration_token", "token": "welcome"}))
		if half.String("session") != session || !cmp.Equal(stages(half.Get("completed")), []string{"m.login.registration_token"}) {
			t.Errorf("after the token: %s", half.Raw)
		}
		validity("welcome", false) // its use is taken
		a := s.Want(http.StatusOK, "", post, registerPath, "", stage(object{"type": "m.login.terms"}))
		if a.String("user_id") != "@alice:example.org" {
			t.Errorf("register = %s", a.Raw)
		}
		challenge(t, s, "M_UNAUTHORIZED", post, registerPath, "", object{
			"username": "bob", "password": "correct-horse", "auth": object{"type": "m.login.registration_token", "token": "welcome"},
		})
	}, hstest.Set(func(c *config.Settings) {
		c.Registration = "token"
		c.TermsURL, c.TermsName, c.TermsVersion = "https://example.org/rules", "The rules", "2"
	}))
}

func TestRegistrationByMail(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		address := strings.ToLower(t.Name()[len(t.Name())-6:]) + "@example.com"
		ask := object{"client_secret": "secret", "email": strings.ToUpper(address), "send_attempt": 1}
		sid := s.Want(http.StatusOK, "", post, v3+"register/email/requestToken", "", ask).String("sid")
		first := challenge(t, s, "", post, registerPath, "", object{"username": "alice", "password": "correct-horse"})
		auth := object{"auth": object{
			"type": "m.login.email.identity", "session": first.String("session"),
			"threepid_creds": object{"sid": sid, "client_secret": "secret"},
		}}
		if diff := cmp.Diff([][]string{{"m.login.email.identity"}}, flowsOf(first)); diff != "" {
			t.Errorf("flows: %s", diff)
		}
		challenge(t, s, "M_THREEPID_AUTH_FAILED", post, registerPath, "", auth) // nobody has confirmed it
		confirm(t, s, mail, address)
		alice := s.Want(http.StatusOK, "", post, registerPath, "", auth)
		list := s.Want(http.StatusOK, "", get, v3+"account/3pid", alice.String("access_token"), nil)
		pids, _ := list.Get("threepids").([]any)
		if len(pids) != 1 || pids[0].(map[string]any)["address"] != address {
			t.Errorf("threepids = %s", list.Raw)
		}
		check(t, s,
			row{400, "M_THREEPID_IN_USE", post, v3 + "register/email/requestToken", "", object{"client_secret": "other", "email": address, "send_attempt": 1}},
			row{400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", post, v3 + "register/msisdn/requestToken", "", object{
				"client_secret": "x", "country": "GB", "phone_number": "07700900001", "send_attempt": 1,
			}})
		letter := mail.Letters(address)[0]
		if !letter.Secure || letter.Login != hstest.MailUser || letter.From != "matrix@example.org" ||
			!strings.Contains(letter.HTML, "href") || strings.Contains(letter.HTML+letter.Text, "secret") {
			t.Errorf("the message: %+v", letter)
		}
	}, hstest.Mail(t, mail), hstest.Set(func(c *config.Settings) { c.RequireEmail = true }))
}

func TestGuestsMayDoLittle(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		// CS API, POST /register: all but the device's name is ignored.
		a := s.Want(http.StatusOK, "", post, registerPath+"?kind=guest", "", object{
			"username": "alice", "device_id": "MINE", "password": "x", "initial_device_display_name": "A visitor", "refresh_token": true,
		})
		if a.String("user_id") == "@alice:example.org" || a.String("device_id") == "MINE" || a.Get("refresh_token") != nil {
			t.Errorf("guest = %s", a.Raw)
		}
		user, token := a.String("user_id"), a.String("access_token")
		who := s.Want(http.StatusOK, "", get, whoamiPath, token, nil)
		if who.Get("is_guest") != true || who.String("user_id") != user {
			t.Errorf("whoami = %s", who.Raw)
		}
		device, profile := v3+"devices/"+a.String("device_id"), v3+"profile/"+user
		const no = "M_GUEST_ACCESS_FORBIDDEN"
		check(t, s, // Guest access, Client behaviour
			row{200, "", put, profile + "/displayname", token, object{"displayname": "Guest"}},
			row{200, "", drop, profile + "/displayname", token, nil},
			row{403, no, put, profile + "/avatar_url", token, object{"avatar_url": "mxc://a/b"}},
			row{403, no, drop, profile + "/m.tz", token, nil},
			row{200, "", get, v3 + "devices", token, nil},
			row{200, "", get, device, token, nil},
			row{200, "", put, device, token, object{"display_name": "Still a visitor"}},
			row{403, no, drop, device, token, object{}},
			row{403, no, post, v3 + "delete_devices", token, object{"devices": []string{}}},
			row{403, no, post, v3 + "account/password", token, object{"new_password": "correct-horse"}},
			row{403, no, get, v3 + "account/3pid", token, nil},
			row{403, no, post, v3 + "account/3pid/add", token, object{"sid": "1", "client_secret": "s"}},
			row{403, no, post, endPath, token, object{}},
			row{403, no, post, v1 + "login/get_token", token, object{}},
			row{403, no, post, v3 + "user/" + user + "/openid/request_token", token, object{}},
			row{403, no, put, v3 + "user/" + user + "/account_data/m.x", token, object{}},
			row{403, no, get, v3 + "admin/whois/" + user, token, nil},
			row{200, "", post, v3 + "logout", token, nil},
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, token, nil},
		)
	}, hstest.Set(func(c *config.Settings) { c.Guests = true }))
}

// bridge is the registration of an application service.
const bridge = `
id: bridge
url: null
as_token: as-secret
hs_token: hs-secret
sender_localpart: bridgebot
rate_limited: false
namespaces:
  users:
    - {exclusive: true, regex: '@_bridge_.*:example\.org'}
    - {exclusive: false, regex: '@shared_.*:example\.org'}
`

func withBridge(t *testing.T) hstest.Option {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(path, []byte(bridge), 0o600); err != nil {
		t.Fatal(err)
	}
	return hstest.Set(func(c *config.Settings) { c.Appservices, c.Registration = []string{path}, "open" })
}

func TestApplicationServicesRegisterAndLogInTheirUsers(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		const as, kind = "as-secret", "m.login.application_service"
		register := func(name string) object { return object{"type": kind, "username": name} }
		logInAs := func(name string) object {
			return object{"type": kind, "identifier": object{"type": "m.id.user", "user": name}}
		}
		password := object{"username": "_bridge_x", "password": "correct-horse", "auth": dummy}
		check(t, s,
			row{400, "M_EXCLUSIVE", post, registerPath, "", password},
			row{400, "M_EXCLUSIVE", get, v3 + "register/available?username=_bridge_x", "", nil},
			row{200, "", get, v3 + "register/available?username=shared_x", "", nil},
			row{401, "M_MISSING_TOKEN", post, registerPath, "", register("_bridge_a")},
			row{401, "M_UNKNOWN_TOKEN", post, registerPath, "nonsense", register("_bridge_a")},
			row{400, "M_EXCLUSIVE", post, registerPath, as, register("elsewhere")},
			row{400, "M_INVALID_USERNAME", post, registerPath, as, register("_bridge_A")},
			row{200, "", post, registerPath, as, register("_bridge_a")},
			row{400, "M_USER_IN_USE", post, registerPath, as, register("_bridge_a")},
			row{400, "M_MISSING_PARAM", post, registerPath, as, object{"type": kind}},

			row{403, "M_FORBIDDEN", post, loginPath, alice.Token, logInAs("_bridge_a")},
			row{401, "M_MISSING_TOKEN", post, loginPath, "", logInAs("_bridge_a")},
			row{403, "M_FORBIDDEN", post, loginPath, as, logInAs("_bridge_nobody")},
			row{400, "M_EXCLUSIVE", post, loginPath, as, logInAs("alice")},
			row{200, "", post, loginPath, as, logInAs("@_bridge_a:example.org")},
			row{200, "", post, loginPath, as, logInAs("bridgebot")},

			// Application Service API, Identity assertion.
			row{200, "", get, whoamiPath + "?user_id=@_bridge_a:example.org", as, nil},
			row{403, "M_FORBIDDEN", get, whoamiPath + "?user_id=@alice:example.org", as, nil},
			row{403, "M_FORBIDDEN", get, whoamiPath + "?user_id=@_bridge_nobody:example.org", as, nil},
			row{403, "M_FORBIDDEN", get, whoamiPath + "?user_id=@_bridge_%00:example.org", as, nil},
			row{400, "M_UNKNOWN_DEVICE", get, whoamiPath + "?user_id=@_bridge_a:example.org&device_id=NONE", as, nil},
			row{201, "", put, v3 + "devices/NEW?user_id=@_bridge_a:example.org", as, object{"display_name": "made by the bridge"}},
			row{200, "", put, v3 + "devices/NEW?user_id=@_bridge_a:example.org", as, object{"display_name": "again"}},
			row{200, "", get, whoamiPath + "?user_id=@_bridge_a:example.org&device_id=NEW", as, nil},
			row{200, "", drop, v3 + "devices/NEW?user_id=@_bridge_a:example.org", as, object{}},
			row{403, "M_FORBIDDEN", put, v3 + "profile/@alice:example.org/displayname", as, object{"displayname": "x"}},
		)
		if got := s.Want(http.StatusOK, "", get, whoamiPath, as, nil).String("user_id"); got != "@bridgebot:example.org" {
			t.Errorf("the service itself is %q", got)
		}
	}, withBridge(t))
}
