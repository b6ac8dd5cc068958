package presence_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/presence"
	"lethe/internal/storage"
)

const alice, v3 = matrix.UserID("@alice:example.org"), "/_matrix/client/v3/"

// bubble runs a test in which time passes when everything waits. SQLite only: a
// connection to PostgreSQL waits for the network.
func bubble(t *testing.T, test func(t *testing.T, db *storage.DB, s *presence.Service)) {
	t.Helper()
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := storage.Open(t.Context(), "sqlite:"+path+"/lethe.db")
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(t.Context(), func(tx *storage.Tx) error {
			return tx.CreateAccount(storage.Account{UserID: alice, Kind: storage.KindUser, CreatedAt: 1})
		})
		if err != nil {
			t.Fatal(err)
		}
		s, stop := start(t, db)
		synctest.Wait()
		test(t, db, s)
		stop()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func start(t *testing.T, db *storage.DB) (s *presence.Service, stop func()) {
	t.Helper()
	s = presence.New(db, presence.Options{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	return s, func() {
		cancel()
		wg.Wait()
	}
}

// is fails the test unless alice is something.
func is(t *testing.T, s *presence.Service, want string) presence.Content {
	t.Helper()
	synctest.Wait()
	c, err := s.Of(t.Context(), alice, alice)
	if err != nil || c.Presence != want {
		t.Errorf("she is %q, %v; want %s", c.Presence, err, want)
	}
	return c
}

// polls syncs for a while, as a client does, half a minute each time.
func polls(s *presence.Service, device, state string, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		done := s.Seen(alice, device, state)
		time.Sleep(30 * time.Second)
		done()
	}
}

func TestSilenceIsIdleAndThenOffline(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, s *presence.Service) {
		done := s.Seen(alice, "D", presence.Online)
		if c := is(t, s, presence.Online); c.CurrentlyActive == nil || !*c.CurrentlyActive || *c.LastActiveAgo != 0 {
			t.Errorf("%+v", c)
		}
		done()
		before := db.Stats().Updates
		polls(s, "D", presence.Online, 4*time.Minute+30*time.Second)
		is(t, s, presence.Online)
		if n := db.Stats().Updates - before; n != 0 {
			t.Errorf("%d writes while nothing has changed", n)
		}
		polls(s, "D", presence.Online, time.Minute)
		if c := is(t, s, presence.Unavailable); c.CurrentlyActive != nil || *c.LastActiveAgo < 300_000 {
			t.Errorf("%+v", c)
		}
		s.Active(alice, "D")
		is(t, s, presence.Online)
		time.Sleep(31 * time.Second)
		is(t, s, presence.Offline)
		before = db.Stats().Updates
		time.Sleep(24 * time.Hour)
		if n := db.Stats().Updates - before; n != 0 {
			t.Errorf("%d writes while nobody is there", n)
		}
	})
}

func TestTheBestOfTheClientsCounts(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, s *presence.Service) {
		done := s.Seen(alice, "phone", presence.Unavailable)
		is(t, s, presence.Unavailable)
		s.Seen(alice, "desk", presence.Online)()
		is(t, s, presence.Online)
		before := db.Stats().Updates
		s.Seen(alice, "phone", presence.Unavailable)()
		s.Seen(alice, "desk", presence.Online)()
		is(t, s, presence.Online)
		if n := db.Stats().Updates - before; n != 0 {
			t.Errorf("%d writes as both go on", n)
		}
		time.Sleep(31 * time.Second)
		is(t, s, presence.Unavailable)
		done()
		s.Seen(alice, "phone", presence.Offline)() // says nothing
		time.Sleep(31 * time.Second)
		is(t, s, presence.Offline)
	})
}

func TestWhatSomebodySaysOfThemselvesGoes(t *testing.T) {
	bubble(t, func(t *testing.T, _ *storage.DB, s *presence.Service) {
		done := s.Seen(alice, "D", presence.Online)
		if err := s.Set(t.Context(), alice, "D", presence.Unavailable, "at lunch"); err != nil {
			t.Fatal(err)
		}
		if c := is(t, s, presence.Unavailable); c.Status != "at lunch" {
			t.Errorf("her status is %q", c.Status)
		}
		if err := s.Set(t.Context(), alice, "D", presence.Offline, ""); err != nil {
			t.Fatal(err)
		}
		if c := is(t, s, presence.Offline); c.Status != "" {
			t.Errorf("her status is %q", c.Status)
		}
		done()
	})
}

func TestAfterARestartTheyComeBackOrHaveGone(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, s *presence.Service) {
		if err := s.Set(t.Context(), alice, "D", presence.Online, "here"); err != nil {
			t.Fatal(err)
		}
		again, stop := start(t, db)
		defer stop()
		synctest.Wait()
		before := db.Stats().Updates
		again.Seen(alice, "D", presence.Online)()
		if c := is(t, again, presence.Online); c.Status != "here" || db.Stats().Updates != before {
			t.Errorf("%+v, after %d writes", c, db.Stats().Updates-before)
		}
		time.Sleep(31 * time.Second)
		if c := is(t, again, presence.Offline); c.Status != "here" {
			t.Errorf("her status has become %q", c.Status)
		}
	})
}

func TestEndedAccountsHaveNone(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, s *presence.Service) {
		err := db.Update(t.Context(), func(tx *storage.Tx) error { _, err := tx.MarkDeactivated(alice, 2, 0); return err })
		if err != nil {
			t.Fatal(err)
		}
		s.Seen(alice, "D", presence.Online)()
		is(t, s, presence.Offline)
		err = db.View(t.Context(), func(tx *storage.Tx) error { _, err := tx.Presence(alice); return err })
		if err == nil {
			t.Error("something is stored")
		}
	})
}

// events are the presence events of an answer to /sync, by sender.
func events(a hstest.Answer) map[string]any {
	found := map[string]any{}
	list, _ := a.Get("presence", "events").([]any)
	for _, e := range list {
		e := e.(map[string]any)
		content := e["content"].(map[string]any)
		found[e["sender"].(string)] = [2]any{content["presence"], content["status_msg"]}
	}
	return found
}

func TestThoseInARoomHearOfEachOther(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		room := s.CreateRoom(alice.Token, map[string]any{"preset": "public_chat"})
		s.Join(bob.Token, room)
		sync := func(who hstest.Session, since string) hstest.Answer {
			return s.Want(http.StatusOK, "", http.MethodGet, v3+"sync?set_presence=offline&since="+since, who.Token, nil)
		}
		path := v3 + "presence/" + alice.UserID + "/status"
		bobs, carols := sync(bob, "").String("next_batch"), sync(carol, "").String("next_batch")
		say := map[string]any{"presence": "unavailable", "status_msg": "at lunch"}
		s.Want(http.StatusOK, "", http.MethodPut, path, alice.Token, say)
		want := map[string]any{alice.UserID: [2]any{"unavailable", "at lunch"}}
		for what, a := range map[string]hstest.Answer{"news": sync(bob, bobs), "all": sync(bob, "")} {
			if got := events(a); !cmp.Equal(got, want) {
				t.Errorf("%s: bob hears %v", what, got)
			}
		}
		for _, since := range []string{carols, ""} {
			if got := events(sync(carol, since)); len(got) != 0 {
				t.Errorf("carol hears %v", got)
			}
		}
		if a := s.Want(http.StatusOK, "", http.MethodGet, path, bob.Token, nil); a.String("status_msg") != "at lunch" {
			t.Errorf("bob is told %s", a.Raw)
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodGet, path, carol.Token, nil)
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodGet, v3+"presence/@none:example.org/status", carol.Token, nil)
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPut, path, bob.Token, say)
		s.Want(http.StatusBadRequest, "M_INVALID_PARAM", http.MethodPut, path, alice.Token, map[string]any{"presence": "busy"})
	})
}

func TestWherePresenceIsOffNobodyIsTold(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		path := v3 + "presence/" + alice.UserID + "/status"
		s.Want(http.StatusOK, "", http.MethodPut, path, alice.Token, map[string]any{"presence": "online"})
		s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodGet, path, alice.Token, nil)
		if got := events(s.Want(http.StatusOK, "", http.MethodGet, v3+"sync", alice.Token, nil)); len(got) != 0 {
			t.Errorf("she hears %v", got)
		}
	}, hstest.Set(func(c *config.Settings) { c.Presence = "off" }))
}
