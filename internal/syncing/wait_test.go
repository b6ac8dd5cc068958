package syncing_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// wait syncs in the background, and returns once the server waits for something
// new.
func (c *client) wait(t *testing.T) <-chan answer {
	t.Helper()
	c.more.Set("timeout", "300000")
	done := make(chan answer, 1)
	before, path := c.s.Hub.Waiting(), c.path()
	go func() {
		a, err := c.s.Try(context.WithoutCancel(t.Context()), http.MethodGet, path, c.who.Token, nil)
		if err != nil {
			t.Errorf("sync: %v", err)
		}
		done <- answer{a}
	}()
	c.s.Eventually("the sync waits", func() bool { return c.s.Hub.Waiting() > before })
	return done
}

func get(t *testing.T, done <-chan answer) answer {
	t.Helper()
	select {
	case a := <-done:
		return a
	case <-time.After(30 * time.Second):
		t.Fatal("the sync is not answered")
		return answer{}
	}
}

// TestASyncWaitsForWhatIsNew: and is answered with nothing when its time is over.
func TestASyncWaitsForWhatIsNew(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		c := newClient(s, alice)
		c.sync()
		first, second := c.wait(t), c.wait(t)
		sent := s.SendText(alice.Token, room, "x")
		for _, done := range []<-chan answer{first, second} {
			if a := get(t, done); !cmp.Equal(a.timeline(room), []string{sent}) {
				t.Errorf("a sync that has waited: %s", a.Raw)
			}
		}
		c.sync()
		c.more.Set("timeout", "20")
		since := c.since
		if a := c.sync(); a.Status != http.StatusOK || len(a.rooms("join")) != 0 || c.since != since {
			t.Errorf("a sync whose time is over: %s", a.Raw)
		}
	})
}

// TestASyncEndsWithItsSession: at once, and not with what is new (CLIENTS, and
// DESIGN §2, promise 1).
func TestASyncEndsWithItsSession(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for what, end := range map[string]func(who hstest.Session){
			"logged out": func(who hstest.Session) {
				s.Want(http.StatusOK, "", http.MethodPost, v3+"logout", who.Token, object{})
			},
			"logged out of all": func(who hstest.Session) {
				s.Want(http.StatusOK, "", http.MethodPost, v3+"logout/all", who.Token, object{})
			},
			"account ended": func(who hstest.Session) {
				s.Want(http.StatusOK, "", http.MethodPost, v3+"account/deactivate", who.Token,
					object{"auth": hstest.PasswordAuth(who.UserID, who.Password, "")})
			},
		} {
			who := s.Register("u" + string(rune('a'+len(what))))
			s.CreateRoom(who.Token, nil)
			c := newClient(s, who)
			c.sync()
			done := c.wait(t)
			end(who)
			if a := get(t, done); a.Status != http.StatusUnauthorized || a.Code() != "M_UNKNOWN_TOKEN" || a.Get("soft_logout") == true {
				t.Errorf("%s: the open sync is answered %d %s", what, a.Status, a.Raw)
			}
		}
		who := s.Register("locked")
		c := newClient(s, who)
		c.sync()
		done := c.wait(t)
		err := s.DB.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetLocked(matrix.UserID(who.UserID), 1) })
		if err != nil {
			t.Fatal(err)
		}
		s.Accounts.Forget(matrix.UserID(who.UserID))
		if a := get(t, done); a.Code() != "M_USER_LOCKED" {
			t.Errorf("locked: the open sync is answered %d %s", a.Status, a.Raw)
		}
	})
}

// TestTokensOutliveTheServer: what is open is answered when it stops, and the
// token goes on where it was after the start.
func TestTokensOutliveTheServer(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		c := newClient(s, alice)
		c.sync()
		// What is sent is not in the answer of a sync that began after it.
		missed := s.SendText(alice.Token, room, "before")
		behind := *c
		c.sync()
		done := c.wait(t)
		s.Stop()
		a := get(t, done)
		if a.Status != http.StatusOK || len(a.rooms("join")) != 0 || a.String("next_batch") == "" {
			t.Errorf("when the server stops: %d %s", a.Status, a.Raw)
		}
		s.Start()
		if a := behind.sync(); !cmp.Equal(a.timeline(room), []string{missed}) {
			t.Errorf("after the start, from before: %s", a.Raw)
		}
		sent := s.SendText(alice.Token, room, "after")
		if a := c.sync(); !cmp.Equal(a.timeline(room), []string{sent}) {
			t.Errorf("after the start: %s", a.Raw)
		}
	})
}

// TestWhatIsKnownCostsNoQuery: neither where nothing is new, nor for events that
// this process has written.
func TestWhatIsKnownCostsNoQuery(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		s.Join(bob.Token, room)
		c := newClient(s, bob)
		c.sync()
		// The fewest of some times: the server has other things to do, too.
		statements := func(prepare func()) int64 {
			fewest := int64(1000)
			for range 5 {
				prepare()
				before := s.DB.Stats().Statements
				c.sync()
				fewest = min(fewest, s.DB.Stats().Statements-before)
			}
			return fewest
		}
		c.sync() // the token is in the cache, and the rooms are known
		if n := statements(func() {}); n != 0 {
			t.Errorf("a sync with nothing new costs %d statements", n)
		}
		if n := statements(func() { s.SendText(alice.Token, room, "x") }); n != 0 {
			t.Errorf("a sync with one event costs %d statements", n)
		}
	})
}
