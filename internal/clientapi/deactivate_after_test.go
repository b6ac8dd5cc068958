package clientapi_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// TestAfterTheEndNothingWorks: every kind of credential that there is, and none
// of them says soft_logout.
func TestAfterTheEndNothingWorks(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		add(t, s, alice, "alice@example.org")
		second := s.Want(http.StatusOK, "", http.MethodPost, loginPath, "", login("alice", alice.Password)).String("access_token")
		login1 := loginToken(t, s, alice)
		openID := s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/user/"+alice.UserID+"/openid/request_token",
			alice.Token, object{}).String("access_token")
		uia := s.Do(http.MethodPost, "/_matrix/client/v3/delete_devices", alice.Token, object{"devices": []string{"X"}}).String("session")
		anonymous := s.Do(http.MethodPost, "/_matrix/client/v3/account/deactivate", "", object{}).String("session")
		update(t, s, func(tx *storage.Tx) error {
			for i, v := range []storage.Validation{
				{SID: "own", Purpose: storage.ForPassword, UserID: matrix.UserID(alice.UserID)},
				{SID: "nobodys", Purpose: storage.ForAdd}, // begun without a token
			} {
				v.Threepid = matrix.Threepid{Medium: matrix.MediumEmail, Address: "alice@example.org"}
				v.ClientSecret[0], v.ExpiresAt, v.ValidatedAt = byte(i), 1<<50, 1
				if err := tx.PutValidation(v); err != nil {
					return err
				}
			}
			return nil
		})
		s.Want(http.StatusOK, "", http.MethodPost, endPath, alice.Token, object{"auth": proof(alice, "")})
		s.NoCredential(alice.UserID)
		for name, a := range map[string]hstest.Answer{
			"access token":        s.Do(http.MethodGet, whoamiPath, alice.Token, nil),
			"another's device":    s.Do(http.MethodGet, whoamiPath, second, nil),
			"refresh token":       s.Do(http.MethodPost, "/_matrix/client/v3/refresh", "", object{"refresh_token": alice.RefreshToken}),
			"OpenID token":        s.Do(http.MethodGet, "/_matrix/federation/v1/openid/userinfo?access_token="+openID, "", nil),
			"session of a device": s.Do(http.MethodPost, "/_matrix/client/v3/delete_devices", alice.Token, object{"auth": object{"session": uia}}),
			"logout":              s.Do(http.MethodPost, "/_matrix/client/v3/logout", alice.Token, object{}),
		} {
			if a.Status != http.StatusUnauthorized || a.Code() != "M_UNKNOWN_TOKEN" || a.Get("soft_logout") != nil {
				t.Errorf("%s: %d %s, want 401 M_UNKNOWN_TOKEN without soft_logout", name, a.Status, a.Raw)
			}
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, loginPath, "", object{"type": "m.login.token", "token": login1})
		s.Want(http.StatusForbidden, "M_USER_DEACTIVATED", http.MethodPost, endPath, "", object{"auth": proof(alice, anonymous)})
		for _, sid := range []string{"own", "nobodys"} {
			err := s.DB.View(t.Context(), func(tx *storage.Tx) error { _, err := tx.Validation(sid); return err })
			if err == nil {
				t.Errorf("the validation session %q is left", sid)
			}
		}
	})
}

func login(user, password string) object {
	return object{
		"type": "m.login.password", "password": password, "identifier": object{"type": "m.id.user", "user": user},
	}
}

func loginToken(t *testing.T, s *hstest.Server, who hstest.Session) string {
	t.Helper()
	return s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v1/login/get_token", who.Token,
		object{"auth": proof(who, "")}).String("login_token")
}

// TestAnEndedAccountIsNobodys: logins, addresses, moderation, the name and the
// profile of an ended account, with and without erasure.
func TestAnEndedAccountIsNobodys(t *testing.T) {
	for _, tell := range []string{"tell", "hide"} {
		t.Run(tell, func(t *testing.T) {
			hstest.Each(t, func(t *testing.T, s *hstest.Server) {
				admin := s.Register("root")
				restrict(t, s, admin, func(tx *storage.Tx) error { return tx.SetAdmin(matrix.UserID(admin.UserID), true) })
				for _, erase := range []bool{false, true} {
					t.Run(fmt.Sprintf("erase=%v", erase), func(t *testing.T) {
						name := fmt.Sprintf("alice-%v", erase)
						alice := s.Register(name)
						add(t, s, alice, name+"@example.org")
						s.Want(http.StatusOK, "", http.MethodPut, "/_matrix/client/v3/profile/"+alice.UserID+"/displayname",
							alice.Token, object{"displayname": "Alice"})
						s.Want(http.StatusOK, "", http.MethodPost, endPath, alice.Token, object{"auth": proof(alice, ""), "erase": erase})
						ended(t, s, alice, name, admin, map[string]string{"tell": "M_USER_DEACTIVATED", "hide": "M_FORBIDDEN"}[tell])
					})
				}
			}, hstest.Set(func(c *config.Settings) {
				c.DeactivatedLogin, c.SMTPHost, c.SMTPFrom = tell, "127.0.0.1", "matrix@example.org" // no mail is sent
			}))
		})
	}
}

func ended(t *testing.T, s *hstest.Server, alice hstest.Session, name string, admin hstest.Session, refusal string) {
	t.Helper()
	const v3 = "/_matrix/client/v3"
	for _, password := range []string{alice.Password, "wrong-wrong"} {
		s.Want(http.StatusForbidden, refusal, http.MethodPost, loginPath, "", login(name, password))
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, loginPath, "", object{
			"type": "m.login.password", "password": password,
			"identifier": object{"type": "m.id.thirdparty", "medium": "email", "address": name + "@example.org"},
		})
	}
	s.Want(http.StatusBadRequest, "M_THREEPID_NOT_FOUND", http.MethodPost, v3+"/account/password/email/requestToken", "", object{
		"client_secret": "secret", "email": name + "@example.org", "send_attempt": 1,
	})
	for _, kind := range []string{"lock", "suspend"} {
		path := "/_matrix/client/v1/admin/" + kind + "/" + alice.UserID
		s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodGet, path, admin.Token, nil)
		s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodPut, path, admin.Token, object{kind + "ed": true, "locked": true, "suspended": true})
	}
	s.Want(http.StatusBadRequest, "M_USER_IN_USE", http.MethodGet, v3+"/register/available?username="+name, "", nil)
	s.Want(http.StatusBadRequest, "M_USER_IN_USE", http.MethodPost, v3+"/register", "", object{
		"username": name, "password": alice.Password, "auth": object{"type": "m.login.dummy"},
	})
	// What others see of a person goes with the account, also where its row stays
	// on disk because nothing was to be erased (docs/deactivation.md).
	s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodGet, v3+"/profile/"+alice.UserID, "", nil)
	s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodGet, v3+"/profile/"+alice.UserID+"/displayname", "", nil)
}

// TestAFloodOfDeadTokensCostsNothing: clients that were left open repeat their
// token without a pause (CLIENTS, After an account has ended). After the first,
// no request asks the database; with limits on, they are told to wait.
func TestAFloodOfDeadTokensCostsNothing(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		s.Want(http.StatusOK, "", http.MethodPost, endPath, alice.Token, object{"auth": proof(alice, "")})
		s.Do(http.MethodGet, whoamiPath, alice.Token, nil) // the first asks
		// A query with this context would fail with something else.
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		const flood = 300
		limited := 0
		for range flood {
			if _, err := s.Accounts.Authenticate(canceled, alice.Token); matrix.CodeOf(err) != matrix.CodeUnknownToken {
				t.Fatalf("a dead token costs a query: %v", err)
			}
			a := s.Do(http.MethodGet, whoamiPath, alice.Token, nil)
			switch {
			case a.Status == http.StatusTooManyRequests && a.Code() == "M_LIMIT_EXCEEDED":
				limited++
				if ms, _ := a.Get("retry_after_ms").(float64); ms < 1 || a.Header.Get("Retry-After") == "" {
					t.Fatalf("the limit does not say how long to wait: %s", a.Raw)
				}
			case a.Status != http.StatusUnauthorized || a.Code() != "M_UNKNOWN_TOKEN" || a.Get("soft_logout") != nil:
				t.Fatalf("a dead token: %d %s", a.Status, a.Raw)
			}
		}
		if limited < flood/2 {
			t.Errorf("of %d requests %d were limited", flood, limited)
		}
		// Who is signed in at the same address does not suffer.
		bob := s.Register("bob")
		s.Want(http.StatusOK, "", http.MethodGet, whoamiPath, bob.Token, nil)
	}, hstest.Set(func(c *config.Settings) {
		c.RateLimits = "on"
		c.RateUnknownToken = config.Rate{Burst: 20, Per: time.Hour}
	}))
}
