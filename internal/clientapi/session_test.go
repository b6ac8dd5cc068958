package clientapi_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

const refreshPath = v3 + "refresh"

// refresh refreshes a session and returns the answer.
func refresh(s *hstest.Server, token string) hstest.Answer {
	return s.Do(post, refreshPath, "", object{"refresh_token": token})
}

func TestARefreshedPairWorksUntilTheNewOneIsUsed(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		works := func(token string) row { return row{200, "", get, whoamiPath, token, nil} }
		gone := func(token string) row { return row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, token, nil} }
		cannot := func(token string) row {
			return row{401, "M_UNKNOWN_TOKEN", post, refreshPath, "", object{"refresh_token": token}}
		}
		old := s.Register("alice")
		lost := refresh(s, old.RefreshToken) // its answer does not arrive
		check(t, s, works(old.Token))
		second := refresh(s, old.RefreshToken)
		if second.Status != http.StatusOK || second.Get("expires_in_ms") != 3600000.0 {
			t.Fatalf("refresh = %d %s", second.Status, second.Raw)
		}
		check(t, s, gone(lost.String("access_token")), cannot(lost.String("refresh_token")), works(old.Token))
		check(t, s, works(second.String("access_token")), gone(old.Token), cannot(old.RefreshToken))

		// To use the new refresh token is to use the new pair.
		third := refresh(s, second.String("refresh_token"))
		fourth := refresh(s, third.String("refresh_token"))
		check(t, s, cannot(second.String("refresh_token")), gone(second.String("access_token")), works(fourth.String("access_token")))
		who := s.Want(http.StatusOK, "", get, whoamiPath, fourth.String("access_token"), nil)
		if who.String("device_id") != old.DeviceID {
			t.Errorf("the device is %q, was %q", who.String("device_id"), old.DeviceID)
		}
		check(t, s, cannot("nonsense"), cannot(old.Token), cannot(second.String("access_token")),
			row{400, "M_MISSING_PARAM", post, refreshPath, "", object{}}, row{400, "M_BAD_JSON", post, refreshPath, "", object{"refresh_token": 1}})
	})
}

func TestRefreshesAtOnceLeaveOneSession(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		answers := make([]hstest.Answer, 8)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = refresh(s, alice.RefreshToken) })
		}
		wg.Wait()
		alive := 0
		for _, a := range answers {
			if a.Status != http.StatusOK {
				t.Fatalf("refresh = %d %s", a.Status, a.Raw)
			}
		}
		for _, a := range answers {
			if s.Do(get, whoamiPath, a.String("access_token"), nil).Status == http.StatusOK {
				alive++
			}
		}
		if alive != 1 {
			t.Errorf("%d of the new access tokens work, want 1", alive)
		}
	})
}

func TestAnExpiredSessionIsASoftLogout(t *testing.T) {
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		bob := logIn(s, "alice", alice.Password, nil) // without refresh: for ever
		clock.Advance(time.Hour + time.Second)
		soft := func(method, path, token string, body any) {
			t.Helper()
			if a := s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", method, path, token, body); a.Get("soft_logout") != true {
				t.Errorf("%s %s: no soft_logout: %s", method, path, a.Raw)
			}
		}
		soft(get, whoamiPath, alice.Token, nil)
		next := refresh(s, alice.RefreshToken)
		check(t, s, row{200, "", get, whoamiPath, next.String("access_token"), nil}, row{200, "", get, whoamiPath, bob.String("access_token"), nil})
		clock.Advance(24*time.Hour + time.Second)
		soft(post, refreshPath, "", object{"refresh_token": next.String("refresh_token")})
		back := logIn(s, "alice", alice.Password, object{"device_id": alice.DeviceID})
		check(t, s, row{200, "", get, whoamiPath, back.String("access_token"), nil})
	}, hstest.Clock(clock.Now), hstest.Set(func(c *config.Settings) { c.RefreshTokenLifetime = config.Duration(24 * time.Hour) }))
}

func TestLogoutEndsOneSessionOrAll(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		second := logIn(s, "alice", alice.Password, nil).String("access_token")
		third := logIn(s, "alice", alice.Password, nil).String("access_token")
		check(t, s,
			row{200, "", post, v3 + "logout", alice.Token, nil}, // an empty body (API Standards)
			row{401, "M_UNKNOWN_TOKEN", post, v3 + "logout", alice.Token, nil},
			row{401, "M_UNKNOWN_TOKEN", post, refreshPath, "", object{"refresh_token": alice.RefreshToken}},
			row{404, "M_NOT_FOUND", get, v3 + "devices/" + alice.DeviceID, second, nil},
			row{200, "", post, "/_matrix/client/r0/logout/all", second, object{}},
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, second, nil},
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, third, nil},
			row{401, "M_MISSING_TOKEN", post, v3 + "logout", "", nil},
		)
	})
}

func TestTokensInTheQuery(t *testing.T) {
	check := func(t *testing.T, s *hstest.Server, status int, code string) {
		alice := s.Register("alice")
		s.Want(status, code, get, whoamiPath+"?access_token="+alice.Token, "", nil)
		s.Want(http.StatusOK, "", get, whoamiPath+"?access_token=nonsense", alice.Token, nil) // the header's counts
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) { check(t, s, 200, "") })
	hstest.Each(t, func(t *testing.T, s *hstest.Server) { check(t, s, 401, "M_MISSING_TOKEN") },
		hstest.Set(func(c *config.Settings) { c.QueryToken = "off" }))
}

func TestDevices(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		for _, id := range []string{"TWO", "THREE", "FOUR/%2F"} {
			logIn(s, "alice", alice.Password, object{"device_id": id, "initial_device_display_name": "The " + id})
		}
		const two = v3 + "devices/TWO"
		check(t, s,
			row{200, "", put, two, alice.Token, object{"display_name": "Renamed"}},
			row{200, "", put, two, alice.Token, object{}}, // unchanged
			row{404, "M_NOT_FOUND", put, v3 + "devices/NONE", alice.Token, object{"display_name": "x"}},
			row{404, "M_NOT_FOUND", put, v3 + "devices/NONE", alice.Token, object{}},
			row{404, "M_NOT_FOUND", get, two, bob.Token, nil},
			row{404, "M_NOT_FOUND", put, two, bob.Token, object{"display_name": "stolen"}},
			row{200, "", get, v3 + "devices/FOUR%2F%252F", alice.Token, nil},
			row{400, "M_INVALID_PARAM", put, two, alice.Token, object{"display_name": "\x00"}},
		)
		if got := s.Want(http.StatusOK, "", get, two, alice.Token, nil); got.String("display_name") != "Renamed" || got.String("device_id") != "TWO" {
			t.Errorf("device = %s", got.Raw)
		}
		// Bob proves himself, and cannot reach what is Alice's.
		check(t, s, row{403, "M_FORBIDDEN", drop, two, alice.Token, object{"auth": proof(bob, "")}},
			row{200, "", drop, two, bob.Token, object{"auth": proof(bob, "")}},
			row{200, "", get, two, alice.Token, nil})
		first := challenge(t, s, "", drop, two, alice.Token, nil)
		// A session is for one device.
		challenge(t, s, "M_FORBIDDEN", drop, v3+"devices/THREE", alice.Token, object{"auth": proof(alice, first.String("session"))})
		check(t, s,
			row{200, "", drop, two, alice.Token, object{"auth": proof(alice, first.String("session"))}},
			row{404, "M_NOT_FOUND", get, two, alice.Token, nil},
			row{200, "", drop, two, alice.Token, object{"auth": proof(alice, "")}}, // removed before
			row{400, "M_MISSING_PARAM", post, v3 + "delete_devices", alice.Token, object{}},
			row{200, "", post, v3 + "delete_devices", alice.Token, object{
				"devices": []string{"THREE", "FOUR/%2F", "NONE", "\x00"}, "auth": proof(alice, ""),
			}},
		)
		list := s.Want(http.StatusOK, "", get, v3+"devices", alice.Token, nil)
		if all, _ := list.Get("devices").([]any); len(all) != 1 || all[0].(object)["device_id"] != alice.DeviceID {
			t.Errorf("devices = %s", list.Raw)
		}
	})
}

func TestUserInteractiveAuthenticationToTheLetter(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		path := v3 + "delete_devices"
		ask := func(auth any) object { return object{"devices": []string{"X"}, "auth": auth} }
		first := challenge(t, s, "", post, path, alice.Token, object{"devices": []string{"X"}})
		session := first.String("session")
		same := func(a hstest.Answer) {
			t.Helper()
			if a.String("session") != session || !cmp.Equal(flowsOf(a), [][]string{{"m.login.password"}}) {
				t.Errorf("the session was %s: %s", session, a.Raw)
			}
		}
		same(challenge(t, s, "", post, path, alice.Token, ask(object{"session": session})))                                                                       // the fallback's poll
		same(challenge(t, s, "M_FORBIDDEN", post, path, alice.Token, ask(hstest.PasswordAuth("alice", "wrong", session))))                                        // keeps the session
		same(challenge(t, s, "M_UNRECOGNIZED", post, "/_matrix/client/r0/delete_devices", alice.Token, ask(object{"type": "m.login.dummy", "session": session}))) // the alias is the same endpoint
		check(t, s, row{200, "", post, path, alice.Token, ask(object{
			"type": "m.login.password", "user": "alice", "password": alice.Password, "session": session, // CLIENTS: mautrix-go
		})})
		used := challenge(t, s, "M_FORBIDDEN", post, path, alice.Token, ask(proof(alice, session)))
		if used.String("session") == session {
			t.Errorf("a used session was answered with itself: %s", used.Raw)
		}
		check(t, s,
			row{200, "", post, path, alice.Token, ask(proof(alice, ""))}, // one stage, no session
			row{200, "", post, path, alice.Token, ask(object{"type": "m.login.password", "password": alice.Password})},
			row{400, "M_BAD_JSON", post, path, alice.Token, ask("m.login.password")},
			row{400, "M_BAD_JSON", post, path, alice.Token, ask(object{"type": 1})},
			row{403, "M_FORBIDDEN", post, path, alice.Token, ask(object{
				"type": "m.login.password", "password": "x", "identifier": object{"type": "m.id.thirdparty", "medium": "email", "address": "nobody@example.com"},
			})},
		)
		challenge(t, s, "", post, path, alice.Token, ask(nil))
		other := logIn(s, "alice", alice.Password, nil).String("access_token")
		challenge(t, s, "M_FORBIDDEN", post, path, other, ask(proof(alice, challenge(t, s, "", post, path, alice.Token, ask(nil)).String("session"))))
	})
}
