package deactivation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/deactivation"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const endPath = "/_matrix/client/v3/account/deactivate"

type object = map[string]any

// TestTwentyAtOnceAreOneEnding: with one token, with one session, with neither.
// Each is answered 200 or 401, without a token 200, 401 or 403, and one is 200.
func TestTwentyAtOnceAreOneEnding(t *testing.T) {
	const calls = 20
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for _, tc := range []struct {
			name           string
			token, session bool
		}{
			{"token", true, false}, {"token and session", true, true}, {"session", false, true}, {"password", false, false},
		} {
			t.Run(tc.name, func(t *testing.T) {
				who, token, session := s.Register(localpart(tc.name)), "", ""
				if tc.token {
					token = who.Token
				}
				if tc.session {
					session = s.Do(http.MethodPost, endPath, token, object{}).String("session")
				}
				answers := make([]hstest.Answer, calls)
				together(calls, func(i int) {
					var err error
					answers[i], err = s.Try(t.Context(), http.MethodPost, endPath, token,
						object{"auth": hstest.PasswordAuth(who.UserID, who.Password, session), "erase": true})
					if err != nil {
						t.Error(err)
					}
				})
				done := 0
				for _, a := range answers {
					switch {
					case a.Status == http.StatusOK:
						done++
					case a.Status == http.StatusUnauthorized:
					case !tc.token && a.Status == http.StatusForbidden && a.Code() == "M_USER_DEACTIVATED":
					default:
						t.Errorf("answer %d %s", a.Status, a.Raw)
					}
				}
				if done != 1 {
					t.Errorf("%d answers are 200, want 1", done)
				}
				if list := endingsOf(t, s, who.UserID); len(list) != 1 {
					t.Errorf("%d endings, want 1", len(list))
				}
				s.NoCredential(who.UserID)
			})
		}
	})
}

// together calls fn n times at once.
func together(n int, fn func(i int)) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wg.Wait()
}

func localpart(name string) string {
	out := []byte{'u'}
	for _, c := range []byte(name) {
		if 'a' <= c && c <= 'z' {
			out = append(out, c)
		}
	}
	return string(out)
}

func endingsOf(t *testing.T, s *hstest.Server, user string) (list []storage.Deactivation) {
	t.Helper()
	view(t, s.DB, func(tx *storage.Tx) (err error) {
		list, err = tx.Deactivations(matrix.UserID(user), "", "", 100)
		return err
	})
	return list
}

func view(t *testing.T, db *storage.DB, fn func(*storage.Tx) error) {
	t.Helper()
	if err := db.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, db *storage.DB, fn func(*storage.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// racer is something that makes a credential, or would.
type racer struct {
	name string
	run  func(ctx context.Context, s *hstest.Server, who hstest.Session) (tokens []string, err error)
}

var errRefused = errors.New("refused")

// tokensOf are the access tokens of a session, nil after an error.
func tokensOf(session account.Session, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return []string{session.AccessToken}, nil
}

var racers = []racer{
	{"login", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		return tokensOf(s.Accounts.LoginPassword(ctx, account.Identifier{User: who.UserID}, who.Password, account.NewSession{RefreshToken: true}))
	}},
	{"application service login", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		return tokensOf(s.Accounts.Login(ctx, matrix.UserID(who.UserID), account.NewSession{DeviceID: who.DeviceID}))
	}},
	{"refresh", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		return tokensOf(s.Accounts.Refresh(ctx, who.RefreshToken))
	}},
	{"login token and its use", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		token, _, err := s.Accounts.CreateLoginToken(ctx, matrix.UserID(who.UserID), func(*storage.Tx) error { return nil })
		if err != nil {
			return nil, err
		}
		return tokensOf(s.Accounts.LoginToken(ctx, token, account.NewSession{}))
	}},
	{"password reset", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		return nil, s.Accounts.ChangePassword(ctx, account.PasswordChange{
			User: matrix.UserID(who.UserID), Password: "another-password",
		})
	}},
	{"OpenID token", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		_, _, err := s.Accounts.CreateOpenIDToken(ctx, matrix.UserID(who.UserID))
		return nil, err
	}},
	{"device", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		_, err := s.Accounts.EnsureDevice(ctx, matrix.UserID(who.UserID), "NEW", "new")
		return nil, err
	}},
	{"UIA round", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		return nil, try(ctx, s, http.MethodPost, "/_matrix/client/v3/delete_devices", who.Token, object{"devices": []string{"X"}})
	}},
	{"UIA round without a token", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		auth, err := json.Marshal(hstest.PasswordAuth(who.UserID, who.Password, ""))
		if err != nil {
			return nil, err
		}
		// Two stages, so that the session is stored with its subject.
		_, err = s.Accounts.Authorize(ctx, account.UIARequest{
			Endpoint: "POST /x", Auth: jsontext.Value(auth),
			Flows: []account.Flow{{Stages: []string{account.StagePassword, account.StageDummy}}},
		})
		if _, ok := errors.AsType[*account.Challenge](err); ok {
			return nil, nil
		}
		return nil, err
	}},
	{"account data", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		return nil, s.Accounts.SetAccountData(ctx, matrix.UserID(who.UserID), "", "org.example.x", jsontext.Value(`{}`))
	}},
	{"address validation", func(ctx context.Context, s *hstest.Server, who hstest.Session) ([]string, error) {
		// The database's part of a requestToken: no mail is sent here.
		return nil, s.DB.Update(ctx, func(tx *storage.Tx) error {
			a, err := tx.LockAccount(matrix.UserID(who.UserID))
			if err != nil || a.DeactivatedAt != 0 {
				return errors.Join(err, errRefused)
			}
			return tx.PutValidation(storage.Validation{
				SID: who.UserID, Purpose: storage.ForAdd, UserID: matrix.UserID(who.UserID), ExpiresAt: 1 << 50,
				Threepid: matrix.Threepid{Medium: matrix.MediumEmail, Address: "x@example.org"},
			})
		})
	}},
}

// try makes a request and returns an error for one that the server failed at.
func try(ctx context.Context, s *hstest.Server, method, path, token string, body any) error {
	a, err := s.Try(ctx, method, path, token, body)
	if err == nil && a.Status >= http.StatusInternalServerError {
		err = fmt.Errorf("%s %s = %d %s", method, path, a.Status, a.Raw)
	}
	return err
}

// TestNothingOutrunsAnEnding races each of the things that make a credential
// with an ending, many times: none survives, whoever was first.
func TestNothingOutrunsAnEnding(t *testing.T) {
	const rounds, width = 6, 3
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for n, r := range racers {
			t.Run(r.name, func(t *testing.T) {
				for round := range rounds {
					race(t, s, r, fmt.Sprintf("r%d-%d", n, round), width)
				}
			})
		}
	})
}

func race(t *testing.T, s *hstest.Server, r racer, name string, width int) {
	t.Helper()
	who := s.Register(name)
	user := matrix.UserID(who.UserID)
	var mu sync.Mutex
	tokens := []string{who.Token}
	together(width+1, func(i int) {
		if i == 0 {
			_, err := s.Deactivations.Deactivate(t.Context(), deactivation.Request{User: user, By: deactivation.Self})
			if err != nil {
				t.Errorf("deactivate: %v", err)
			}
			return
		}
		more, err := r.run(t.Context(), s, who)
		if err != nil && matrix.CodeOf(err) == "" && !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", r.name, err)
		}
		mu.Lock()
		defer mu.Unlock()
		tokens = append(tokens, more...)
	})
	s.NoCredential(who.UserID)
	for _, token := range tokens {
		if _, err := s.Accounts.Authenticate(t.Context(), token); matrix.CodeOf(err) != matrix.CodeUnknownToken {
			t.Errorf("a token survived: %v", err)
		}
	}
	s.Eventually("the ending is done", func() bool { return endingsOf(t, s, who.UserID)[0].State == storage.Done })
	view(t, s.DB, func(tx *storage.Tx) error {
		for _, table := range []string{"devices", "connections", "account_data", "filters"} {
			n, err := tx.CountPersonal(table, user)
			if err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("%s: %d rows are left in %s", r.name, n, table)
			}
		}
		return nil
	})
}
