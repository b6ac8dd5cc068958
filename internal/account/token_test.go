package account_test

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// checks counts how token checks ended.
type checks struct {
	mu sync.Mutex
	by map[string]int
}

func (c *checks) count(result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[result]++
}

// take returns what was counted since the last time.
func (c *checks) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	by := c.by
	c.by = map[string]int{}
	return by
}

func counted() (*checks, func(*account.Options)) {
	c := &checks{by: map[string]int{}}
	return c, func(o *account.Options) { o.TokenChecked = c.count }
}

func begin(t testing.TB, s *account.Service, device string) account.Session {
	t.Helper()
	session, err := s.Login(t.Context(), alice, account.NewSession{DeviceID: device, RefreshToken: true})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestAWarmTokenAndADeadOneNeedNoDatabase(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			db, err := storage.Open(t.Context(), storagetest.URL(t, engine))
			if err != nil {
				t.Fatal(err)
			}
			s := newService(t, db, nil)
			warm, dead := begin(t, s, "A").AccessToken, begin(t, s, "B").AccessToken
			if err := s.DeleteDevices(t.Context(), alice, []string{"B"}, nil); err != nil {
				t.Fatal(err)
			}
			check := func() {
				t.Helper()
				_, err := s.Authenticate(t.Context(), warm)
				wantCode(t, err, "")
				for _, token := range []string{dead, "", "leth_a_", "syt_other_server"} {
					_, err = s.Authenticate(t.Context(), token)
					wantCode(t, err, matrix.CodeUnknownToken)
				}
			}
			check()
			before := db.Stats()
			check()
			if after := db.Stats(); after != before {
				t.Errorf("%+v, before %+v", after, before)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Authenticate(t.Context(), foreignToken(t)); err == nil || matrix.CodeOf(err) != "" {
				t.Errorf("a token that nobody has seen, without a database: %v", err)
			}
		})
	}
}

// foreignToken is a token of another server's session: it has the form of one of ours.
func foreignToken(t testing.TB) string {
	t.Helper()
	return begin(t, newService(t, storagetest.Open(t, storagetest.URL(t, "sqlite")), nil), "C").AccessToken
}

func TestEveryChangedTokenIsRefusedBeforeTheDatabase(t *testing.T) {
	c, opt := counted()
	s := newService(t, storagetest.Open(t, storagetest.URL(t, "sqlite")), opt)
	token := begin(t, s, "A").AccessToken
	c.take()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \x00"
	rapid.Check(t, func(rt *rapid.T) {
		changed := []byte(token)
		i := rapid.IntRange(0, len(token)-1).Draw(rt, "place")
		changed[i] = alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(rt, "character")]
		if string(changed) == token {
			return
		}
		_, err := s.Authenticate(t.Context(), string(changed))
		if matrix.CodeOf(err) != matrix.CodeUnknownToken {
			rt.Errorf("%q: %v", changed, err)
		}
		if by := c.take(); by["refused"] != 1 || by["read"] != 0 {
			rt.Errorf("%q: %v", changed, by)
		}
	})
}

// TestNoReaderKeepsATokenThatHasEnded: readers come before, during and after the
// end; once it has returned, none of them finds the token.
func TestNoReaderKeepsATokenThatHasEnded(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newService(t, db, nil)
		for range 20 {
			token := begin(t, s, "A").AccessToken
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { _, _ = s.Authenticate(t.Context(), token) }) // either answer is right
			}
			if err := s.DeleteDevices(t.Context(), alice, []string{"A"}, nil); err != nil {
				t.Fatal(err)
			}
			_, err := s.Authenticate(t.Context(), token)
			wantCode(t, err, matrix.CodeUnknownToken)
			wg.Wait()
			_, err = s.Authenticate(t.Context(), token)
			wantCode(t, err, matrix.CodeUnknownToken)
		}
	})
}

// TestWhatAnotherProcessEndsIsEndedHere: the service of the second process has
// the token in its memory, from when it was alone.
func TestWhatAnotherProcessEndsIsEndedHere(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	first := storagetest.Open(t, url)
	c, opt := counted()
	here := newService(t, first, opt)
	for round := range 10 {
		token := begin(t, here, "A").AccessToken
		for _, result := range []string{"read", "cached"} {
			_, err := here.Authenticate(t.Context(), token)
			wantCode(t, err, "")
			if by := c.take(); by[result] != 1 {
				t.Errorf("round %d, while it was alone: %v, want %s", round, by, result)
			}
		}
		second, err := storage.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		there := newService(t, second, nil)
		for range 2 {
			_, err := here.Authenticate(t.Context(), token)
			wantCode(t, err, "")
			if by := c.take(); by["read"] != 1 {
				t.Errorf("round %d, with another: %v", round, by)
			}
		}
		if err := there.DeleteDevices(t.Context(), alice, []string{"A"}, nil); err != nil {
			t.Fatal(err)
		}
		if round%2 == 0 { // nobody asks before it is alone again
			_, err = here.Authenticate(t.Context(), token)
			wantCode(t, err, matrix.CodeUnknownToken)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		for _, alone := first.Alone(); !alone; _, alone = first.Alone() {
			time.Sleep(time.Millisecond)
		}
		_, err = here.Authenticate(t.Context(), token)
		wantCode(t, err, matrix.CodeUnknownToken)
		c.take()
	}
}

// TestServersThatStartAtOnceMakeOneSender of an application service.
func TestServersThatStartAtOnceMakeOneSender(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	var wg sync.WaitGroup
	for range 4 {
		s := newService(t, storagetest.Open(t, url), nil)
		wg.Go(func() {
			if err := s.EnsureAppserviceSender(t.Context(), "@bridge:example.org", "bridge"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkTokenCheckOfSeveral is the check of every request where another
// process has the database, too.
func BenchmarkTokenCheckOfSeveral(b *testing.B) {
	url := storagetest.URL(b, "postgres")
	db := storagetest.Open(b, url)
	storagetest.Open(b, url)
	s := newService(b, db, nil)
	token := begin(b, s, "A").AccessToken
	for b.Loop() {
		if _, err := s.Authenticate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTokenCheck is the check of every request; it fails if one of them
// reads the database.
func BenchmarkTokenCheck(b *testing.B) {
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			c, opt := counted()
			s := newService(b, storagetest.Open(b, storagetest.URL(b, engine)), opt)
			token := begin(b, s, "A").AccessToken
			if _, err := s.Authenticate(b.Context(), token); err != nil {
				b.Fatal(err)
			}
			c.take()
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Authenticate(b.Context(), token); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if by := c.take(); by["cached"] != n || by["read"] != 0 {
				b.Errorf("%d checks ended as %v", n, by)
			}
		})
	}
}

// BenchmarkLoginWithoutHash is all of a login but the password's hash.
func BenchmarkLoginWithoutHash(b *testing.B) {
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			s := newService(b, storagetest.Open(b, storagetest.URL(b, engine)), nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Login(b.Context(), alice, account.NewSession{DeviceID: "A", RefreshToken: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
