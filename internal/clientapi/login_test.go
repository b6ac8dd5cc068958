package clientapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/account"
	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// addThreepid gives an account an address that nobody had to confirm.
func addThreepid(t *testing.T, s *hstest.Server, user, medium, address string) {
	t.Helper()
	err := s.DB.Update(t.Context(), func(tx *storage.Tx) error {
		return s.Accounts.AddThreepid(tx, matrix.UserID(user), account.ProvenThreepid{
			Threepid: matrix.Threepid{Medium: medium, Address: address}, ValidatedAt: 1,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// historical creates an account with a name that cannot be chosen any more.
func historical(t *testing.T, s *hstest.Server, localpart, password string) {
	t.Helper()
	hash, err := s.Accounts.HashPassword(t.Context(), password)
	if err == nil {
		_, err = s.Accounts.Register(t.Context(), account.Registration{
			Localpart: localpart, PasswordHash: hash, Kind: storage.KindUser,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoginTakesEveryWayToSayWho(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		addThreepid(t, s, alice.UserID, "email", "alice@example.com")
		addThreepid(t, s, alice.UserID, "msisdn", "447700900001")
		historical(t, s, "Old Name!", "correct-horse")
		historical(t, s, "Alice2", "correct-horse")
		s.Register("alice2")
		id := func(id object) object { return object{"identifier": id} }
		for _, c := range []struct {
			name string
			who  object
			want string
		}{
			{"user id", id(object{"type": "m.id.user", "user": "@alice:example.org"}), alice.UserID},
			{"localpart", id(object{"type": "m.id.user", "user": "alice"}), alice.UserID},
			{"as typed on a phone", id(object{"type": "m.id.user", "user": "Alice"}), alice.UserID},
			{"historical", id(object{"type": "m.id.user", "user": "@Old Name!:example.org"}), "@Old Name!:example.org"},
			{"exact before mapped", id(object{"type": "m.id.user", "user": "Alice2"}), "@Alice2:example.org"},
			{"e-mail", id(object{"type": "m.id.thirdparty", "medium": "email", "address": "alice@example.com"}), alice.UserID},
			{"e-mail, not canonical", id(object{"type": "m.id.thirdparty", "medium": "email", "address": "Alice@Example.COM"}), alice.UserID},
			{"e-mail, as in the specification's example", id(object{"medium": "email", "address": "alice@example.com"}), alice.UserID},
			{"phone", id(object{"type": "m.id.phone", "country": "GB", "phone": "07700 900001"}), alice.UserID},
			{"number", id(object{"type": "m.id.thirdparty", "medium": "msisdn", "address": "447700900001"}), alice.UserID},
			{"deprecated user", object{"user": "alice"}, alice.UserID},
			{"deprecated medium", object{"medium": "email", "address": "alice@example.com"}, alice.UserID},
		} {
			body := with(object{"type": "m.login.password", "password": "correct-horse"}, c.who)
			a := s.Do(post, loginPath, "", body)
			if a.Status != http.StatusOK || a.String("user_id") != c.want || a.String("device_id") == "" {
				t.Errorf("%s: %d %s, want %s", c.name, a.Status, a.Raw, c.want)
			}
			body["password"] = "wrong"
			if a := s.Do(post, loginPath, "", body); a.Status != http.StatusForbidden || a.Code() != "M_FORBIDDEN" {
				t.Errorf("%s, wrong password: %d %s", c.name, a.Status, a.Raw)
			}
		}
	})
}

func TestLoginsThatAreRefused(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		s.Register("alice")
		alice := object{"type": "m.id.user", "user": "alice"}
		try := func(more object) object {
			return with(object{"type": "m.login.password", "password": "correct-horse", "identifier": alice}, more)
		}
		who := func(id object) object { return try(object{"identifier": id}) }
		check(t, s,
			row{403, "M_FORBIDDEN", post, loginPath, "", who(object{"type": "m.id.user", "user": "nobody"})},
			row{403, "M_FORBIDDEN", post, loginPath, "", who(object{"type": "m.id.user", "user": "@alice:elsewhere.org"})},
			row{403, "M_FORBIDDEN", post, loginPath, "", who(object{"type": "m.id.user", "user": "al\x00ice"})},
			row{403, "M_FORBIDDEN", post, loginPath, "", who(object{"type": "m.id.thirdparty", "medium": "email", "address": "nobody@example.com"})},
			row{403, "M_FORBIDDEN", post, loginPath, "", who(object{"type": "m.id.thirdparty", "medium": "carrier-pigeon", "address": "x"})},
			row{403, "M_FORBIDDEN", post, loginPath, "", who(object{"type": "m.id.phone", "country": "GB", "phone": "1"})},
			row{403, "M_FORBIDDEN", post, loginPath, "", try(object{"password": ""})},
			row{403, "M_FORBIDDEN", post, loginPath, "", try(object{"password": strings.Repeat("x", 600)})},
			row{403, "M_FORBIDDEN", post, loginPath, "", object{"type": "m.login.token", "token": "nonsense"}},
			row{403, "M_FORBIDDEN", post, loginPath, "", object{"type": "m.login.token"}},
			row{400, "M_MISSING_PARAM", post, loginPath, "", object{}},
			row{400, "M_MISSING_PARAM", post, loginPath, "", object{"type": "m.login.password", "password": "x"}},
			row{400, "M_MISSING_PARAM", post, loginPath, "", who(object{"type": "m.id.user"})},
			row{400, "M_MISSING_PARAM", post, loginPath, "", who(object{})},
			row{400, "M_UNKNOWN", post, loginPath, "", who(object{"type": "m.id.carrier-pigeon"})},
			row{400, "M_UNKNOWN", post, loginPath, "", object{"type": "m.login.carrier-pigeon"}},
			row{400, "M_INVALID_PARAM", post, loginPath, "", try(object{"device_id": strings.Repeat("x", 256)})},
			row{400, "M_INVALID_PARAM", post, loginPath, "", try(object{"device_id": "\x00"})},
			row{400, "M_INVALID_PARAM", post, loginPath, "", try(object{"initial_device_display_name": strings.Repeat("x", 1025)})},
			row{400, "M_BAD_JSON", post, loginPath, "", try(object{"password": 5})},
			row{400, "M_BAD_JSON", post, loginPath, "", `[]`},
			row{400, "M_NOT_JSON", post, loginPath, "", ``},
			row{400, "M_NOT_JSON", post, loginPath, "", `{"type":"m.login.password","type":"m.login.token"}`},
		)
		flows := s.Want(http.StatusOK, "", get, loginPath, "", nil)
		want := []any{
			object{"type": "m.login.password"},
			object{"type": "m.login.token", "get_login_token": true},
			object{"type": "m.login.application_service"},
		}
		if diff := cmp.Diff(want, flows.Get("flows")); diff != "" {
			t.Errorf("flows: %s", diff)
		}
	})
}

func TestALoginTakesOverItsDevice(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		again := logIn(s, "alice", alice.Password, object{
			"device_id": alice.DeviceID, "initial_device_display_name": "ignored: the device is known",
		})
		if again.String("device_id") != alice.DeviceID {
			t.Errorf("login = %s", again.Raw)
		}
		check(t, s,
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, alice.Token, nil},
			row{401, "M_UNKNOWN_TOKEN", post, v3 + "refresh", "", object{"refresh_token": alice.RefreshToken}})
		device := s.Want(http.StatusOK, "", get, v3+"devices/"+alice.DeviceID, again.String("access_token"), nil)
		if device.Get("display_name") != nil {
			t.Errorf("device = %s", device.Raw)
		}
	})
}

func TestALoginTokenWorksOnceAndNotForLong(t *testing.T) {
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		path := v1 + "login/get_token"
		token := func() string {
			t.Helper()
			first := challenge(t, s, "", post, path, alice.Token, object{})
			a := s.Want(http.StatusOK, "", post, path, alice.Token, object{"auth": proof(alice, first.String("session"))})
			if a.Get("expires_in_ms") != 120000.0 {
				t.Errorf("get_token = %s", a.Raw)
			}
			return a.String("login_token")
		}
		logInWith := func(token string) row {
			return row{200, "", post, loginPath, "", object{"type": "m.login.token", "token": token}}
		}
		gone := func(r row) row { r.status, r.code = 403, "M_FORBIDDEN"; return r }
		once := logInWith(token())
		check(t, s, once, gone(once), gone(logInWith(alice.Token)))
		ended := logInWith(token())
		check(t, s, row{200, "", post, passwordPath, alice.Token, object{"new_password": alice.Password, "auth": proof(alice, "")}},
			gone(ended)) // all other sessions ended, and this one before it began
		late := logInWith(token())
		clock.Advance(2*time.Minute + time.Second)
		check(t, s, gone(late),
			row{403, "M_FORBIDDEN", post, path, alice.Token, object{"auth": proof(bob, "")}},
			row{401, "M_MISSING_TOKEN", post, path, "", object{}})
	}, hstest.Clock(clock.Now))
}

func TestNoSecretIsInTheLog(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		logIn(s, "alice", "hunter2-wrong", nil)
		a := logIn(s, "alice", alice.Password, nil)
		s.Do(get, whoamiPath+"?access_token="+alice.Token, "", nil)
		s.Do(post, loginPath, "", object{"type": "m.login.password", "refresh_token": alice.RefreshToken})
		s.Do(post, loginPath, "", `{"type": "m.login.password", "password": "hunter2-broken`)
		s.Do(post, v3+"refresh", "", object{"refresh_token": alice.RefreshToken})
		s.Do(post, v3+"account/password", alice.Token, object{"new_password": "hunter2-new", "auth": proof(alice, "")})
		log := s.Log.String()
		for _, secret := range []string{"hunter2", alice.Password, alice.Token, alice.RefreshToken, a.String("access_token")} {
			if strings.Contains(log, secret) {
				t.Errorf("the log has %q", secret)
			}
		}
		if !strings.Contains(log, "/_matrix/client/v3/login") {
			t.Error("the log has no line about the logins")
		}
	})
}

func TestAnEndedAccountIsHiddenWhereTheOperatorWantsIt(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		s.Want(http.StatusOK, "", post, endPath, alice.Token, object{"auth": proof(alice, "")})
		gone, never := logIn(s, "alice", alice.Password, nil), logIn(s, "nobody", alice.Password, nil)
		if gone.Status != http.StatusForbidden || string(gone.Raw) != string(never.Raw) {
			t.Errorf("ended: %d %s; never there: %d %s", gone.Status, gone.Raw, never.Status, never.Raw)
		}
	}, hstest.Set(func(c *config.Settings) { c.DeactivatedLogin = "hide" }))
}
