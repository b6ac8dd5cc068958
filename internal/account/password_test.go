package account_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// cheap are the parameters of password hashes in tests.
var cheap = account.Argon2{MemoryKiB: 8, Time: 1, Threads: 1}

// newService makes a service with alice, whose password is alice-secret; change
// may be nil.
func newService(t testing.TB, db *storage.DB, change func(*account.Options)) *account.Service {
	t.Helper()
	opts := account.Options{
		ServerName: "example.org", Now: time.Now, Argon2: cheap, HashConcurrency: 2,
		PasswordMinLength: 8, PasswordMaxLength: 512, AccessTokenLifetime: time.Hour,
	}
	if change != nil {
		change(&opts)
	}
	s := account.New(db, opts)
	hash, err := s.HashPassword(t.Context(), "alice-secret")
	if err == nil {
		_, err = s.Register(t.Context(), account.Registration{Localpart: "alice", PasswordHash: hash, Kind: storage.KindUser})
	}
	if err != nil && matrix.CodeOf(err) != matrix.CodeUserInUse {
		t.Fatal(err)
	}
	return s
}

// wantCode fails the test unless err has that code; "" stands for no error.
func wantCode(t testing.TB, err error, code matrix.Code) {
	t.Helper()
	if code == "" && err != nil || matrix.CodeOf(err) != code {
		t.Errorf("error = %v, want %q", err, code)
	}
}

// stored is the hash of alice's password.
func stored(t testing.TB, db *storage.DB) string {
	t.Helper()
	var a storage.Account
	err := db.View(t.Context(), func(tx *storage.Tx) (err error) { a, err = tx.Account(alice); return err })
	if err != nil {
		t.Fatal(err)
	}
	return a.PasswordHash
}

func TestAHashOfOtherParametersIsReplacedAtLogin(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		newService(t, db, nil)
		before := stored(t, db)
		s := newService(t, db, func(o *account.Options) { o.Argon2.Time = 2 })
		wantCode(t, s.CheckPassword(t.Context(), alice, "wrong"), matrix.CodeForbidden)
		if got := stored(t, db); got != before {
			t.Errorf("a wrong password changed the hash to %s", got)
		}
		for range 2 {
			wantCode(t, s.CheckPassword(t.Context(), alice, "alice-secret"), "")
		}
		after := stored(t, db)
		if !strings.HasPrefix(after, "$argon2id$v=19$m=8,t=2,p=1$") {
			t.Errorf("the hash is %s", after)
		}
		wantCode(t, s.CheckPassword(t.Context(), alice, "alice-secret"), "")
		if got := stored(t, db); got != after {
			t.Error("a hash of the right parameters was replaced")
		}
	})
}

func TestABcryptHashIsTakenAndReplaced(t *testing.T) {
	long := strings.Repeat("x", 80) // bcrypt looks at 72 bytes of it
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newService(t, db, nil)
		for _, password := range []string{"alice-secret", long} {
			hash, err := bcrypt.GenerateFromPassword([]byte(password[:min(len(password), 72)]), bcrypt.MinCost)
			if err == nil {
				err = db.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetPasswordHash(alice, string(hash)) })
			}
			if err != nil {
				t.Fatal(err)
			}
			wantCode(t, s.CheckPassword(t.Context(), alice, "wrong"), matrix.CodeForbidden)
			wantCode(t, s.CheckPassword(t.Context(), alice, password), "")
			if got := stored(t, db); !strings.HasPrefix(got, "$argon2id$") {
				t.Errorf("the hash is %s", got)
			}
			wantCode(t, s.CheckPassword(t.Context(), alice, password), "")
		}
	})
}

func TestAHashInNoKnownFormIsTheServersFailure(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newService(t, db, nil)
		for _, hash := range []string{
			"plain", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA",
			"$argon2id$v=19$m=8,t=99,p=1$AAAA$AAAA", "$argon2id$v=19$m=8,t=1,p=0$AAAA$AAAA", "$argon2id$v=19$m=8,t=1,p=1$AAAA$", "$2a$",
		} {
			err := db.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetPasswordHash(alice, hash) })
			if err != nil {
				t.Fatal(err)
			}
			err = s.CheckPassword(t.Context(), alice, "alice-secret")
			if err == nil || matrix.CodeOf(err) != "" || strings.Contains(err.Error(), "alice-secret") {
				t.Errorf("%s: %v", hash, err)
			}
		}
	})
}

func TestTheHasherTurnsAwayWhoCannotWait(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newService(t, db, nil)
		release := s.OccupyHasher(true)
		for _, user := range []matrix.UserID{alice, "@nobody:example.org"} {
			var e *matrix.Error
			err := s.CheckPassword(t.Context(), user, "alice-secret")
			if !errors.As(err, &e) || e.Code != matrix.CodeLimitExceeded || e.RetryAfter <= 0 {
				t.Errorf("%s: %v", user, err)
			}
		}
		release()
		wantCode(t, s.CheckPassword(t.Context(), alice, "alice-secret"), "")

		// Who gives up while waiting leaves no trace.
		release = s.OccupyHasher(false)
		before := s.HasherWaiters()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		for range 4 {
			go func() { _, err := s.HashPassword(ctx, "alice-secret"); done <- err }()
		}
		for s.HasherWaiters() != before+4 {
			runtime.Gosched()
		}
		cancel()
		for range 4 {
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v", err)
			}
		}
		if got := s.HasherWaiters(); got != before {
			t.Errorf("%d are in the hasher, want %d", got, before)
		}
		release()
		wantCode(t, s.CheckPassword(t.Context(), alice, "alice-secret"), "")
	})
}

// A login may wait for seconds while others hash, and the password be changed
// meanwhile by who wants to keep this very login out.
func TestALoginWithAPasswordThatIsChangedMeanwhileIsRefused(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newService(t, db, nil)
		fresh, err := s.HashPassword(t.Context(), "better-horse")
		if err != nil {
			t.Fatal(err)
		}
		release := s.OccupyHasher(false)
		before := s.HasherWaiters()
		done := make(chan error)
		go func() {
			_, err := s.LoginPassword(t.Context(), account.Identifier{User: string(alice)}, "alice-secret", account.NewSession{})
			done <- err
		}()
		for s.HasherWaiters() != before+1 { // then it has read the old hash
			runtime.Gosched()
		}
		err = db.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetPasswordHash(alice, fresh) })
		release()
		if err != nil {
			t.Error(err)
		}
		wantCode(t, <-done, matrix.CodeForbidden)
		_, err = s.LoginPassword(t.Context(), account.Identifier{User: string(alice)}, "better-horse", account.NewSession{})
		wantCode(t, err, "")
	})
}

// TestAStormOfLoginsTakesBoundedMemory: 60 at once would take 16 MiB each, and
// all of them are answered.
func TestAStormOfLoginsTakesBoundedMemory(t *testing.T) {
	const logins, limit = 60, 400 << 20
	s := newService(t, storagetest.Open(t, storagetest.URL(t, "sqlite")), func(o *account.Options) {
		o.Argon2.MemoryKiB = 16 << 10
	})
	var peak atomic.Uint64
	var wg sync.WaitGroup
	for range logins {
		wg.Go(func() {
			wantCode(t, s.CheckPassword(t.Context(), alice, "alice-secret"), "")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			for old := peak.Load(); m.HeapInuse > old && !peak.CompareAndSwap(old, m.HeapInuse); old = peak.Load() {
			}
		})
	}
	wg.Wait()
	if got := peak.Load(); got > limit {
		t.Errorf("the heap grew to %d MiB, want at most %d", got>>20, limit>>20)
	}
}
