package clientapi_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	endPath    = "/_matrix/client/v3/account/deactivate"
	whoamiPath = "/_matrix/client/v3/account/whoami"
	loginPath  = "/_matrix/client/v3/login"
)

type object = map[string]any

// proof is the `auth` of somebody who knows the password of a session's user.
func proof(who hstest.Session, session string) object {
	return hstest.PasswordAuth(who.UserID, who.Password, session)
}

// live fails the test unless the token works and no ending of its user exists.
func live(t *testing.T, s *hstest.Server, who hstest.Session) {
	t.Helper()
	s.Want(http.StatusOK, "", http.MethodGet, whoamiPath, who.Token, nil)
	if list := endings(t, s, who); len(list) != 0 {
		t.Errorf("%s has %d endings, want none", who.UserID, len(list))
	}
}

// dead fails the test unless the account has ended exactly once.
func dead(t *testing.T, s *hstest.Server, who hstest.Session) storage.Deactivation {
	t.Helper()
	a := s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, whoamiPath, who.Token, nil)
	if a.Get("soft_logout") != nil {
		t.Errorf("the answer to a dead token has soft_logout: %s", a.Raw)
	}
	list := endings(t, s, who)
	if len(list) != 1 {
		t.Fatalf("%s has %d endings, want 1", who.UserID, len(list))
	}
	return list[0]
}

func endings(t *testing.T, s *hstest.Server, who hstest.Session) (list []storage.Deactivation) {
	t.Helper()
	err := s.DB.View(t.Context(), func(tx *storage.Tx) (err error) {
		list, err = tx.Deactivations(matrix.UserID(who.UserID), "", "", 10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func update(t *testing.T, s *hstest.Server, fn func(tx *storage.Tx) error) {
	t.Helper()
	if err := s.DB.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func TestEndTakesTheTokenWhereverItIs(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for _, prefix := range []string{"/_matrix/client/v3", "/_matrix/client/r0"} {
			for _, where := range []string{"header", "query", "none"} {
				t.Run(prefix[len(prefix)-2:]+" "+where, func(t *testing.T) {
					who := s.Register("carol-" + where + prefix[len(prefix)-2:])
					path, token := prefix+"/account/deactivate", ""
					switch where {
					case "header":
						token = who.Token
					case "query":
						path += "?access_token=" + who.Token
					}
					challenge := s.Want(http.StatusUnauthorized, "", http.MethodPost, path, token, object{})
					live(t, s, who)
					session := challenge.String("session")
					a := s.Want(http.StatusOK, "", http.MethodPost, path, token, object{"auth": proof(who, session)})
					if got := a.String("id_server_unbind_result"); got != "success" {
						t.Errorf("id_server_unbind_result = %q, want success: nothing was bound", got)
					}
					dead(t, s, who)
				})
			}
		}
	})
}

func TestTheTokensUserAndTheProvenUserAreOne(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		other := s.Want(http.StatusUnauthorized, "", http.MethodPost, endPath, bob.Token, object{}).String("session")
		nobodys := s.Want(http.StatusUnauthorized, "", http.MethodPost, endPath, "", object{}).String("session")
		password := s.Want(http.StatusUnauthorized, "", http.MethodPost, "/_matrix/client/v3/delete_devices", alice.Token,
			object{"devices": []string{}}).String("session")
		own := s.Want(http.StatusUnauthorized, "", http.MethodPost, endPath, alice.Token, object{}).String("session")
		for _, tc := range []struct {
			name   string
			auth   any
			status int
			code   string
		}{
			{"another user's password", proof(bob, own), http.StatusForbidden, "M_FORBIDDEN"},
			{"another user's password, at once", proof(bob, ""), http.StatusForbidden, "M_FORBIDDEN"},
			{"another user's wrong password", hstest.PasswordAuth("bob", "wrong-wrong", own), http.StatusForbidden, "M_FORBIDDEN"},
			{"another user's session", proof(alice, other), http.StatusUnauthorized, "M_FORBIDDEN"},
			{"a session begun without a token", proof(alice, nobodys), http.StatusUnauthorized, "M_FORBIDDEN"},
			{"a session for another endpoint", proof(alice, password), http.StatusUnauthorized, "M_FORBIDDEN"},
			{"a session that never was", proof(alice, "made-up"), http.StatusUnauthorized, "M_FORBIDDEN"},
			{"the wrong password", hstest.PasswordAuth("alice", "wrong-wrong", own), http.StatusUnauthorized, "M_FORBIDDEN"},
			{"a stage that is not offered", object{"type": "m.login.dummy", "session": own}, http.StatusUnauthorized, "M_UNRECOGNIZED"},
			{"no auth", nil, http.StatusUnauthorized, ""},
			{"empty auth", object{}, http.StatusUnauthorized, ""},
			{"the session alone", object{"session": own}, http.StatusUnauthorized, ""},
			{"auth is no object", "yes", http.StatusBadRequest, "M_BAD_JSON"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				a := s.Want(tc.status, tc.code, http.MethodPost, endPath, alice.Token, object{"auth": tc.auth, "erase": true})
				if tc.status == http.StatusUnauthorized {
					wholeChallenge(t, a)
				}
				live(t, s, alice)
				live(t, s, bob)
			})
		}
		// The session has survived all of it.
		s.Want(http.StatusOK, "", http.MethodPost, endPath, alice.Token, object{"auth": proof(alice, own)})
		dead(t, s, alice)
		live(t, s, bob)
	})
}

// wholeChallenge fails the test unless a 401 of user-interactive authentication
// has all of its keys.
func wholeChallenge(t *testing.T, a hstest.Answer) {
	t.Helper()
	want := []any{object{"stages": []any{"m.login.password"}}}
	if diff := cmp.Diff(want, a.Get("flows")); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
	if a.String("session") == "" {
		t.Errorf("the 401 has no session: %s", a.Raw)
	}
	if _, ok := a.Get("params").(object); !ok {
		t.Errorf("params is not an object: %s", a.Raw)
	}
	if _, ok := a.Get("completed").([]any); !ok {
		t.Errorf("completed is not a list: %s", a.Raw)
	}
}

// TestEndRefusesWhatItCannotRead: null too. No client sends it (CLIENTS, and the
// SDKs leave out what is not set), and taking it for "do not erase" would be a
// guess about something that cannot be repeated.
func TestEndRefusesWhatItCannotRead(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		auth := `"auth": {"type": "m.login.password", "user": "alice", "password": "correct-horse"}`
		for _, tc := range []struct{ name, body, code string }{
			{"erase is a string", `{` + auth + `, "erase": "true"}`, "M_BAD_JSON"},
			{"erase is a number", `{` + auth + `, "erase": 1}`, "M_BAD_JSON"},
			{"erase is null", `{` + auth + `, "erase": null}`, "M_BAD_JSON"},
			{"erase is an object", `{` + auth + `, "erase": {}}`, "M_BAD_JSON"},
			{"erase comes twice", `{` + auth + `, "erase": true, "erase": false}`, "M_NOT_JSON"},
			{"id_server is null", `{` + auth + `, "id_server": null}`, "M_BAD_JSON"},
			{"id_server is a number", `{` + auth + `, "id_server": 7}`, "M_BAD_JSON"},
			{"id_server is empty", `{` + auth + `, "id_server": ""}`, "M_INVALID_PARAM"},
			{"id_server is a URL", `{` + auth + `, "id_server": "https://id.example.org"}`, "M_INVALID_PARAM"},
			{"id_server has a path", `{` + auth + `, "id_server": "id.example.org/x"}`, "M_INVALID_PARAM"},
			{"id_server is an address", `{` + auth + `, "id_server": "alice@example.org"}`, "M_INVALID_PARAM"},
			{"the body is a list", `[]`, "M_BAD_JSON"},
			{"the body is a word", `erase`, "M_NOT_JSON"},
			{"there is no body", ``, "M_NOT_JSON"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				for _, token := range []string{alice.Token, ""} {
					s.Want(http.StatusBadRequest, tc.code, http.MethodPost, endPath, token, tc.body)
				}
				live(t, s, alice)
			})
		}
	})
}

func TestTheLastValueGivenInTheRoundsWins(t *testing.T) {
	const one, two = "one.example.org", "two.example.org:8448"
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for _, tc := range []struct {
			name     string
			rounds   []object
			erase    bool
			idServer matrix.ServerName
		}{
			{"never given", []object{{}, {}}, false, ""},
			{"given in the first round", []object{{"erase": true, "id_server": one}, {}}, true, one},
			{"given in the last round", []object{{}, {"erase": true, "id_server": one}}, true, one},
			{"taken back", []object{{"erase": true}, {"erase": false}}, false, ""},
			{"changed", []object{{"erase": false, "id_server": one}, {"erase": true, "id_server": two}}, true, two},
			{"each once", []object{{"erase": true}, {"id_server": two}}, true, two},
			{"in the middle", []object{{}, {"erase": true}, {}}, true, ""},
		} {
			t.Run(tc.name, func(t *testing.T) {
				who, session := s.Register("u"+matrixSafe(tc.name)), ""
				for _, round := range tc.rounds[:len(tc.rounds)-1] {
					body := object{"auth": hstest.PasswordAuth(who.UserID, "wrong-wrong", session)}
					if session == "" {
						delete(body, "auth")
					}
					maps.Copy(body, round)
					a := s.Do(http.MethodPost, endPath, who.Token, body)
					if a.Status != http.StatusUnauthorized {
						t.Fatalf("round: %d %s", a.Status, a.Raw)
					}
					session = a.String("session")
				}
				last := object{"auth": proof(who, session)}
				maps.Copy(last, tc.rounds[len(tc.rounds)-1])
				s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, last)
				if d := dead(t, s, who); d.Erase != tc.erase || d.IDServer != tc.idServer {
					t.Errorf("erase %v, id_server %q; want %v, %q", d.Erase, d.IDServer, tc.erase, tc.idServer)
				}
			})
		}
	})
}

// matrixSafe makes a localpart of a name.
func matrixSafe(name string) string {
	out := []byte{}
	for _, c := range []byte(name) {
		if 'a' <= c && c <= 'z' {
			out = append(out, c)
		}
	}
	return string(out)
}

// TestElementsDialog is what Element Web does, to the letter (CLIENTS,
// Deactivation in Element's dialog).
func TestElementsDialog(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		end := func(status int, body object) hstest.Answer {
			t.Helper()
			a := s.Do(http.MethodPost, endPath, alice.Token, body)
			if a.Status != status {
				t.Fatalf("deactivate = %d %s, want %d", a.Status, a.Raw, status)
			}
			return a
		}
		opened := end(http.StatusUnauthorized, object{"erase": false}) // on opening
		wholeChallenge(t, opened)
		ticked := end(http.StatusUnauthorized, object{"erase": true}) // on ticking the box
		wholeChallenge(t, ticked)
		live(t, s, alice)
		session := ticked.String("session")
		wrong := end(http.StatusUnauthorized, object{"erase": true, "auth": hstest.PasswordAuth("alice", "typo-typo", session)})
		wholeChallenge(t, wrong)
		if wrong.String("session") != session || wrong.Code() != "M_FORBIDDEN" {
			t.Errorf("a wrong password must keep the session: %s", wrong.Raw)
		}
		done := end(http.StatusOK, object{"erase": true, "auth": object{
			"type": "m.login.password", "password": alice.Password, "session": session, "user": alice.UserID,
			"identifier": object{"type": "m.id.user", "user": alice.UserID},
		}})
		if done.String("id_server_unbind_result") != "success" {
			t.Errorf("deactivate = %s", done.Raw)
		}
		if d := dead(t, s, alice); !d.Erase {
			t.Error("the box was ticked, and nothing is erased")
		}
		out := s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodPost, "/_matrix/client/v3/logout", alice.Token, object{})
		if out.Get("soft_logout") != nil {
			t.Errorf("logout = %s: Element would keep the data", out.Raw)
		}
		s.Want(http.StatusForbidden, "M_USER_DEACTIVATED", http.MethodPost, loginPath, "", object{
			"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": "alice"}, "password": alice.Password,
		})
	})
}

// TestOneRequestIsEnough: scripts send a password stage without a session, in
// the old forms, too.
func TestOneRequestIsEnough(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for name, auth := range map[string]object{
			"identifier":      {"type": "m.login.password", "password": "correct-horse", "identifier": object{"type": "m.id.user", "user": "NAME"}},
			"full user id":    {"type": "m.login.password", "password": "correct-horse", "identifier": object{"type": "m.id.user", "user": "@NAME:example.org"}},
			"old user key":    {"type": "m.login.password", "password": "correct-horse", "user": "NAME"},
			"password alone":  {"type": "m.login.password", "password": "correct-horse"},
			"without a token": {"type": "m.login.password", "password": "correct-horse", "user": "NAME"},
		} {
			t.Run(name, func(t *testing.T) {
				who := s.Register(matrixSafe(name))
				fill := func(key string, in object) {
					switch in[key] {
					case "NAME":
						in[key] = matrixSafe(name)
					case "@NAME:example.org":
						in[key] = who.UserID
					}
				}
				fill("user", auth)
				if id, ok := auth["identifier"].(object); ok {
					fill("user", id)
				}
				token := who.Token
				if name == "without a token" {
					token = ""
				}
				s.Want(http.StatusOK, "", http.MethodPost, endPath, token, object{"auth": auth})
				dead(t, s, who)
			})
		}
	})
}

func TestWhoMayEnd(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		t.Run("guests are refused", func(t *testing.T) {
			a := s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/register?kind=guest", "", object{})
			guest := hstest.Session{UserID: a.String("user_id"), Token: a.String("access_token")}
			s.Want(http.StatusForbidden, "M_GUEST_ACCESS_FORBIDDEN", http.MethodPost, endPath, guest.Token, object{})
			live(t, s, guest)
		})
		t.Run("locked accounts are refused, also without their token", func(t *testing.T) {
			who := s.Register("locked")
			restrict(t, s, who, func(tx *storage.Tx) error { return tx.SetLocked(matrix.UserID(who.UserID), 1) })
			for _, token := range []string{who.Token, ""} {
				a := s.Want(http.StatusUnauthorized, "M_USER_LOCKED", http.MethodPost, endPath, token, object{"auth": proof(who, "")})
				if a.Get("soft_logout") != true {
					t.Errorf("M_USER_LOCKED lacks soft_logout: %s", a.Raw)
				}
			}
			restrict(t, s, who, func(tx *storage.Tx) error { return tx.SetLocked(matrix.UserID(who.UserID), 0) })
			live(t, s, who)
		})
		t.Run("suspended accounts may", func(t *testing.T) {
			who := s.Register("suspended")
			restrict(t, s, who, func(tx *storage.Tx) error { return tx.SetSuspended(matrix.UserID(who.UserID), 1) })
			s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, object{"auth": proof(who, "")})
			dead(t, s, who)
		})
		t.Run("nobody without an account", func(t *testing.T) {
			s.Want(http.StatusUnauthorized, "M_FORBIDDEN", http.MethodPost, endPath, "",
				object{"auth": hstest.PasswordAuth("nobody", "correct-horse", "")})
			s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodPost, endPath, "leth_a_none", object{})
		})
	}, hstest.Set(func(c *config.Settings) { c.Guests = true }))
}

func restrict(t *testing.T, s *hstest.Server, who hstest.Session, fn func(*storage.Tx) error) {
	t.Helper()
	update(t, s, fn)
	s.Accounts.Forget(matrix.UserID(who.UserID))
}

func TestAnApplicationServiceEndsItsOwnUsersAndNoOthers(t *testing.T) {
	registration := filepath.Join(t.TempDir(), "as.yaml")
	err := os.WriteFile(registration, []byte(`
id: bridge
url: null
as_token: bridge-token
hs_token: other-token
sender_localpart: bridgebot
namespaces:
  users: [{exclusive: false, regex: "@.*"}]
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		person := s.Register("person")
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/register", "bridge-token", object{
			"type": "m.login.application_service", "username": "ghost", "inhibit_login": true,
		})
		// It may act as everybody, by its namespace; ending is for those it made.
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, endPath+"?user_id=@person:example.org", "bridge-token", object{})
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, endPath+"?user_id=@ghost:elsewhere.org", "bridge-token", object{})
		live(t, s, person)
		s.Want(http.StatusBadRequest, "M_BAD_JSON", http.MethodPost, endPath+"?user_id=@ghost:example.org", "bridge-token", object{"erase": 1})
		s.Want(http.StatusOK, "", http.MethodPost, endPath+"?user_id=@ghost:example.org", "bridge-token", object{"erase": true})
		list := endings(t, s, hstest.Session{UserID: "@ghost:example.org"})
		if len(list) != 1 || !list[0].Erase || list[0].RequestedBy != "appservice:bridge" {
			t.Errorf("endings of the ghost: %+v", list)
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, endPath+"?user_id=@ghost:example.org", "bridge-token", object{})
		s.Want(http.StatusForbidden, "M_USER_DEACTIVATED", http.MethodPost, loginPath, "bridge-token", object{
			"type": "m.login.application_service", "identifier": object{"type": "m.id.user", "user": "ghost"},
		})
	}, hstest.Set(func(c *config.Settings) { c.Appservices, c.SelfDeactivation = []string{registration}, "off" }))
}

func TestSelfDeactivationCanBeSwitchedOff(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		who := s.Register("alice")
		for _, token := range []string{who.Token, ""} {
			s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, endPath, token, object{"auth": proof(who, "")})
			s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, endPath, token, object{})
		}
		live(t, s, who)
	}, hstest.Set(func(c *config.Settings) { c.SelfDeactivation = "off" }))
}

func TestAnEndingRepeatedIsRefused(t *testing.T) {
	for _, tell := range []string{"tell", "hide"} {
		t.Run(tell, func(t *testing.T) {
			hstest.Each(t, func(t *testing.T, s *hstest.Server) {
				who := s.Register("alice")
				session := s.Do(http.MethodPost, endPath, who.Token, object{}).String("session")
				s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, object{"auth": proof(who, session)})
				s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodPost, endPath, who.Token, object{"auth": proof(who, session)})
				s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodPost, endPath, who.Token, object{})
				status, code := http.StatusForbidden, "M_USER_DEACTIVATED"
				if tell == "hide" {
					status, code = http.StatusUnauthorized, "M_FORBIDDEN" // as a wrong password
				}
				s.Want(status, code, http.MethodPost, endPath, "", object{"auth": proof(who, "")})
				dead(t, s, who)
			}, hstest.Set(func(c *config.Settings) { c.DeactivatedLogin = tell }))
		})
	}
}
