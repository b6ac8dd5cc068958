package clientapi_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

const passwordPath = v3 + "account/password"

func TestChangingThePassword(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		other := logIn(s, "alice", alice.Password, nil).String("access_token")
		change := func(password string, more object) object {
			return with(object{"new_password": password, "auth": proof(alice, "")}, more)
		}
		challenge(t, s, "", post, passwordPath, alice.Token, object{"new_password": "better-horse"})
		challenge(t, s, "M_FORBIDDEN", post, passwordPath, alice.Token, change("better-horse", object{"auth": hstest.PasswordAuth("alice", "wrong", "")}))
		check(t, s,
			row{403, "M_FORBIDDEN", post, passwordPath, alice.Token, change("better-horse", object{"auth": proof(bob, "")})},
			row{400, "M_WEAK_PASSWORD", post, passwordPath, alice.Token, object{"new_password": "short"}},
			row{400, "M_MISSING_PARAM", post, passwordPath, alice.Token, object{"auth": proof(alice, "")}},
			row{200, "", get, whoamiPath, other, nil},

			row{200, "", post, passwordPath, alice.Token, change("second-horse", object{"logout_devices": false})},
			row{200, "", get, whoamiPath, other, nil},
			row{403, "M_FORBIDDEN", post, loginPath, "", object{"type": "m.login.password", "user": "alice", "password": alice.Password}},
			row{200, "", post, passwordPath, alice.Token, change("third-horse", object{"auth": hstest.PasswordAuth("alice", "second-horse", "")})},
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, other, nil}, // the default is to log the others out
			row{200, "", get, whoamiPath, alice.Token, nil},
			row{200, "", post, loginPath, "", object{"type": "m.login.password", "user": "alice", "password": "third-horse"}},
			row{401, "M_UNKNOWN_TOKEN", post, passwordPath, "nonsense", object{"new_password": "better-horse"}},
		)
	})
}

func TestAForgottenPasswordIsResetByMail(t *testing.T) {
	mail := hstest.NewMailServer(t, "tls")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		address := "reset-" + t.Name()[len(t.Name())-4:] + "@example.com"
		alice, boss := s.Register("alice"), admin(t, s, "boss")
		addThreepid(t, s, alice.UserID, "email", address)
		ask := func(address string) object {
			return object{"client_secret": "s3cret", "email": address, "send_attempt": 1}
		}
		check(t, s, row{400, "M_THREEPID_NOT_FOUND", post, v3 + "account/password/email/requestToken", "", ask("nobody@example.com")})
		reset := func() object {
			t.Helper()
			sid := s.Want(http.StatusOK, "", post, v3+"account/password/email/requestToken", "", ask(address)).String("sid")
			first := challenge(t, s, "", post, passwordPath, "", object{"new_password": "fresh-horse"})
			if diff := cmp.Diff([][]string{{"m.login.email.identity"}}, flowsOf(first)); diff != "" {
				t.Errorf("flows without a token: %s", diff)
			}
			confirm(t, s, mail, address)
			return object{"new_password": "fresh-horse", "auth": object{
				"type": "m.login.email.identity", "session": first.String("session"),
				"threepid_creds": object{"sid": sid, "client_secret": "s3cret"},
			}}
		}
		done := reset()
		check(t, s,
			row{200, "", post, passwordPath, "", done},
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, alice.Token, nil},
			row{200, "", post, loginPath, "", object{"type": "m.login.password", "user": "alice", "password": "fresh-horse"}})
		challenge(t, s, "M_FORBIDDEN", post, passwordPath, "", done) // the proof is used up

		s.Want(http.StatusOK, "", put, v1+"admin/lock/"+alice.UserID, boss.Token, object{"locked": true})
		check(t, s, row{401, "M_USER_LOCKED", post, passwordPath, "", reset()})
	}, hstest.Mail(t, mail))
}

// Somebody who knew the password has proved it while the account was locked, and
// keeps the session for later.
func TestWhatAnOldPasswordHasProvedIsVoid(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		boss, alice := admin(t, s, "boss"), s.Register("alice")
		lock := func(on bool) {
			s.Want(http.StatusOK, "", put, v1+"admin/lock/"+alice.UserID, boss.Token, object{"locked": on})
		}
		lock(true)
		session := challenge(t, s, "", post, endPath, "", object{"erase": true}).String("session")
		check(t, s, row{401, "M_USER_LOCKED", post, endPath, "", object{"auth": proof(alice, session)}})
		s.Want(http.StatusOK, "", post, "/_lethe/admin/v1/users/alice/password", boss.Token, object{"password": "better-horse"})
		lock(false)
		s.Want(http.StatusUnauthorized, "M_FORBIDDEN", post, endPath, "", object{"auth": object{"session": session}})
		live(t, s, hstest.Session{UserID: alice.UserID, Token: logIn(s, "alice", "better-horse", nil).String("access_token")})
	})
}
