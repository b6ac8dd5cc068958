package clientapi_test

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/deactivation"
	"lethe/internal/event"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// bind publishes an address of who at an identity server.
func bind(s *hstest.Server, who hstest.Session, ids *hstest.IdentityServer, address string) {
	s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/3pid/bind", who.Token, object{
		"sid": address, "client_secret": "secret", "id_server": ids.Name, "id_access_token": "token",
	})
}

// remember makes the server believe that an address is bound somewhere.
func remember(t *testing.T, s *hstest.Server, who hstest.Session, address, idServer string) {
	t.Helper()
	update(t, s, func(tx *storage.Tx) error {
		return tx.PutBinding(storage.Binding{
			Threepid: matrix.Threepid{Medium: matrix.MediumEmail, Address: address},
			UserID:   matrix.UserID(who.UserID), IDServer: matrix.ServerName(idServer), BoundAt: 1, SettledAt: 1,
		})
	})
}

// add gives an account an address.
func add(t *testing.T, s *hstest.Server, who hstest.Session, address string) {
	t.Helper()
	update(t, s, func(tx *storage.Tx) error {
		return tx.AddThreepid(storage.ThreepidRow{
			Threepid: matrix.Threepid{Medium: matrix.MediumEmail, Address: address},
			UserID:   matrix.UserID(who.UserID), ValidatedAt: 1, AddedAt: 1,
		})
	})
}

// unbindSteps are the unbind steps of an account's only ending.
func unbindSteps(t *testing.T, s *hstest.Server, who hstest.Session) (steps []deactivation.Step) {
	t.Helper()
	ending, err := s.Deactivations.Show(t.Context(), dead(t, s, who).ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range ending.Steps {
		if step.Name == "unbind" {
			steps = append(steps, step)
		}
	}
	return steps
}

// quick makes answers wait less for identity servers than they do by default.
var quick = hstest.Set(func(c *config.Settings) { c.DeactivationWait = config.Duration(time.Second) })

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// TestNoIdentityServerStopsAnEnding: whatever it does, the answer is 200 within
// the wait and says success only where it is true; and the work goes on until it
// is done.
func TestNoIdentityServerStopsAnEnding(t *testing.T) {
	const address = "wendy.secret@example.org"
	faults := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"400", status(http.StatusBadRequest, `{"errcode":"M_UNKNOWN","error":"`+address+` is not mine"}`)},
		{"404", status(http.StatusNotFound, `{"errcode":"M_UNRECOGNIZED","error":"?"}`)},
		{"501", status(http.StatusNotImplemented, ``)},
		{"500", status(http.StatusInternalServerError, `{"errcode":"`+address+`","error":"?"}`)},
		{"503", status(http.StatusServiceUnavailable, `<html>`+address)},
		{"429", status(http.StatusTooManyRequests, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1000}`)},
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { hijack(w, "HTTP/9 what "+address+"\r\n\r\n") }},
		{"hangs up", func(w http.ResponseWriter, _ *http.Request) { hijack(w, "") }},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
	}
	ids := hstest.NewIdentityServer(t)
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for i, fault := range faults {
			t.Run(fault.name, func(t *testing.T) {
				who := s.Register("user" + strconv.Itoa(i) + s.DB.Engine())
				bind(s, who, ids, address)
				ids.AnswerUnbind(fault.answer)
				a := s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, object{"auth": proof(who, "")})
				if got := a.String("id_server_unbind_result"); got != "no-support" {
					t.Errorf("id_server_unbind_result = %q, want no-support", got)
				}
				dead(t, s, who)
				if fault.name != "hangs" { // that attempt has not failed yet
					s.Eventually("the failure is seen", func() bool { return unbindSteps(t, s, who)[0].Error != "" })
				}
				step := unbindSteps(t, s, who)[0]
				if step.State != "pending" || step.Target != ids.Name || strings.Contains(step.Error, "secret") {
					t.Errorf("step = %+v, want it pending, with its server, without the address", step)
				}
				ids.AnswerUnbind(nil)
				clock.Advance(25 * time.Hour)
				retryAfterHang(s, fault.name)
				s.Jobs.Wake()
				s.Eventually("it is unbound", func() bool { return unbindSteps(t, s, who)[0].State == "done" })
				if got := ids.Bound(); len(got) != 0 {
					t.Errorf("still bound: %v", got)
				}
			})
		}
	}, hstest.Trust(t, ids), quick, hstest.Clock(clock.Now))
}

// retryAfterHang restarts the server where an attempt is still waiting for its
// answer: what was leased to the old process is tried again by the new one.
func retryAfterHang(s *hstest.Server, fault string) {
	if fault == "hangs" {
		s.Stop()
		s.Start()
	}
}

func hijack(w http.ResponseWriter, raw string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = conn.Write([]byte(raw))
	_ = conn.Close()
}

func TestAnIdentityServerThatCannotBeReachedStopsNoEnding(t *testing.T) {
	trusted, untrusted := hstest.NewIdentityServer(t), hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for name, server := range map[string]string{
			"wrongcertificate": untrusted.Name, "unresolvable": "no-such-host.invalid", "closedport": "127.0.0.1:1",
		} {
			t.Run(name, func(t *testing.T) {
				who := s.Register(name)
				remember(t, s, who, name+"@example.org", server)
				a := s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, object{"auth": proof(who, ""), "erase": true})
				if got := a.String("id_server_unbind_result"); got != "no-support" {
					t.Errorf("id_server_unbind_result = %q, want no-support", got)
				}
				s.Eventually("the failure is seen", func() bool { return unbindSteps(t, s, who)[0].Error != "" })
				if step := unbindSteps(t, s, who)[0]; strings.Contains(step.Error, name+"@") {
					t.Errorf("the error %q names the address", step.Error)
				}
			})
		}
		if got := untrusted.Unbinds(); len(got) != 0 {
			t.Errorf("%d requests to a server with the wrong certificate", len(got))
		}
	}, hstest.Trust(t, trusted), quick)
}

func TestUnbindSuccessIsTold(t *testing.T) {
	one, two := hstest.NewIdentityServer(t), hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for _, tc := range []struct {
			name     string
			set      func(hstest.Session)
			idServer string
			result   string
		}{
			{"nothing bound", func(hstest.Session) {}, "", "success"},
			{"nothing bound, a server named", func(hstest.Session) {}, one.Name, "success"},
			{"an address that was never bound", func(w hstest.Session) { add(t, s, w, "never@example.org") }, "", "success"},
			{"bound at one", func(w hstest.Session) { bind(s, w, one, "one@example.org") }, "", "success"},
			{"bound at two", func(w hstest.Session) {
				bind(s, w, one, "both@example.org")
				bind(s, w, two, "both@example.org")
			}, "", "success"},
			{"all addresses, at the server named", func(w hstest.Session) {
				add(t, s, w, "local@example.org")
				bind(s, w, one, "elsewhere@example.org")
			}, two.Name, "success"},
			{"one of two fails", func(w hstest.Session) {
				bind(s, w, one, "half@example.org")
				remember(t, s, w, "half@example.org", "127.0.0.1:1")
			}, "", "no-support"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				who := s.Register("u" + matrixSafe(tc.name))
				tc.set(who)
				body := object{"auth": proof(who, "")}
				if tc.idServer != "" {
					body["id_server"] = tc.idServer
				}
				a := s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, body)
				if got := a.String("id_server_unbind_result"); got != tc.result {
					t.Errorf("id_server_unbind_result = %q, want %s", got, tc.result)
				}
				if tc.result != "success" {
					return
				}
				if left := append(one.Bound(), two.Bound()...); len(left) != 0 {
					t.Errorf("success, and still bound: %v", left)
				}
			})
		}
		asked := map[string]bool{}
		for _, u := range two.Unbinds() {
			asked[u.Address] = true
		}
		want := map[string]bool{"both@example.org": true, "local@example.org": true, "elsewhere@example.org": true}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("unbound at the second server (-want +got):\n%s", diff)
		}
	}, hstest.Trust(t, one, two), quick)
}

// TestUnbindIsSigned: by the key that is published, for this identity server
// (Identity Service API, POST /3pid/unbind).
func TestUnbindIsSigned(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		who := s.Register("alice")
		bind(s, who, ids, "alice@example.org")
		s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, object{"auth": proof(who, "")})
		all := ids.Unbinds()
		if len(all) == 0 {
			t.Fatal("no request to unbind")
		}
		got := all[len(all)-1]
		if got.User != who.UserID || got.Address != "alice@example.org" {
			t.Errorf("unbind of %s for %s", got.Address, got.User)
		}
		auth, err := matrix.ParseXMatrix(got.Authorization)
		if err != nil {
			t.Fatal(err)
		}
		if auth.Origin != hstest.ServerName || auth.Destination != ids.Name {
			t.Errorf("signed by %s for %s, want %s for %s", auth.Origin, auth.Destination, hstest.ServerName, ids.Name)
		}
		key := publishedKey(t, s, auth.Key)
		const path = "/_matrix/identity/v2/3pid/unbind"
		if err := event.VerifyRequest(http.MethodPost, path, ids.Name, got.Body, auth, key); err != nil {
			t.Errorf("the signature: %v", err)
		}
		if event.VerifyRequest(http.MethodPost, path, "other.example.org", got.Body, auth, key) == nil {
			t.Error("the signature is good for another server, too")
		}
	}, hstest.Trust(t, ids))
}

func publishedKey(t *testing.T, s *hstest.Server, id string) ed25519.PublicKey {
	t.Helper()
	a := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/key/v2/server", "", nil)
	key, err := event.DecodeBase64(a.String("verify_keys", id, "key"))
	if err != nil || len(key) != ed25519.PublicKeySize {
		t.Fatalf("the key %s is not published: %s", id, a.Raw)
	}
	return key
}

// TestAnswersToEndingsAreStrings: some SDKs throw on anything else (CLIENTS).
func TestAnswersToEndingsAreStrings(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		who := s.Register("alice")
		a := s.Want(http.StatusOK, "", http.MethodPost, endPath, who.Token, object{"auth": proof(who, "")})
		if fmt.Sprintf("%T", a.Get("id_server_unbind_result")) != "string" {
			t.Errorf("deactivate = %s", a.Raw)
		}
		if id := a.String("org.lethe.deactivation_id"); id != dead(t, s, who).ID {
			t.Errorf("org.lethe.deactivation_id = %q", id)
		}
	})
}

// An account that was reactivated may have an address that its first ending could
// not unbind: the second one knows of none, and still it is bound.
func TestSuccessIsNotToldOfWhatAnEarlierEndingStillHasToUnbind(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		who := s.Register("alice")
		remember(t, s, who, "first@example.org", "127.0.0.1:1")
		end := func(token string) string {
			return s.Want(http.StatusOK, "", http.MethodPost, endPath, token, object{"auth": proof(who, "")}).String("id_server_unbind_result")
		}
		if got := end(who.Token); got != "no-support" {
			t.Fatalf("the first ending = %s", got)
		}
		hash, err := s.Accounts.HashPassword(t.Context(), who.Password)
		if err != nil {
			t.Fatal(err)
		}
		s.Eventually("the account can be reactivated", func() bool {
			return s.Deactivations.Reactivate(t.Context(), matrix.UserID(who.UserID), hash, deactivation.Operator) == nil
		})
		if got := end(logIn(s, "alice", who.Password, nil).String("access_token")); got != "no-support" {
			t.Errorf("the second ending = %s, and the address is still bound", got)
		}
	}, hstest.Set(func(c *config.Settings) { c.DeactivationWait = config.Duration(5 * time.Second) }))
}
