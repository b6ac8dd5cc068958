package storage_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// stranger is a connection of another program to the same database.
type stranger struct {
	*pgx.Conn
	t *testing.T
}

func connect(t *testing.T, url string) stranger {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return stranger{conn, t}
}

func (s stranger) do(stmt string, args ...any) {
	s.t.Helper()
	if _, err := s.Exec(s.t.Context(), stmt, args...); err != nil {
		s.t.Error(err)
	}
}

// lockPID is who has the lock, 0 for nobody.
func (s stranger) lockPID() (pid uint32) {
	s.t.Helper()
	err := s.QueryRow(s.t.Context(), `SELECT COALESCE(MAX(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&pid)
	if err != nil {
		s.t.Fatal(err)
	}
	return pid
}

// queue has the stranger wait for the lock; the channel is closed when it has
// it.
func (s stranger) queue() <-chan struct{} {
	got := make(chan struct{})
	go func() {
		defer close(got)
		s.do(`SELECT pg_advisory_lock($1)`, int64(0x6c65746865))
	}()
	return got
}

// breakLock ends the connection that has the lock, with another waiting for it.
func breakLock(t *testing.T, url string, db *storage.DB) (other stranger) {
	t.Helper()
	other, admin := connect(t, url), connect(t, url)
	got := other.queue()
	for waiting := 0; waiting == 0; {
		err := admin.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	admin.do(`SELECT pg_terminate_backend($1)`, storage.LockPID(db))
	<-got
	return other
}

func TestABrokenLockIsTakenAgain(t *testing.T) {
	storage.ShortLockWait(t)
	url := storagetest.URL(t, "postgres")
	db := storagetest.Open(t, url)
	admin := connect(t, url)
	old := admin.lockPID()
	admin.do(`SELECT pg_terminate_backend($1)`, old)
	for pid := old; pid == old || pid == 0; pid = admin.lockPID() {
		time.Sleep(time.Millisecond)
	}
	if _, err := storage.Open(t.Context(), url); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("a second Open returned %v", err)
	}
	people(t, db, alice)
	select {
	case <-db.Lost():
		t.Error("the database is said to be lost")
	default:
	}
}

func TestALockThatNobodyUsedMeanwhileIsTakenAgain(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	db := storagetest.Open(t, url)
	other := breakLock(t, url, db) // it has the lock, and does not sign: a process whose start fails
	theirs := other.PgConn().PID()
	_ = other.Close(t.Context())
	admin := connect(t, url)
	for pid := theirs; pid == theirs || pid == 0; pid = admin.lockPID() {
		time.Sleep(time.Millisecond)
	}
	people(t, db, alice)
}

func TestALockThatAnotherProcessTookIsLost(t *testing.T) {
	for _, test := range []struct {
		name string
		stay bool
	}{{"and has", true}, {"and gave back", false}} {
		t.Run(test.name, func(t *testing.T) {
			url := storagetest.URL(t, "postgres")
			db := storagetest.Open(t, url)
			people(t, db, alice)
			other := breakLock(t, url, db)
			other.do(`UPDATE holder SET process = 'other'`)
			if !test.stay {
				_ = other.Close(t.Context())
			}
			<-db.Lost()
			wantErr(t, db, storage.ErrLocked, step((*storage.Tx).CreateAccount, account(bob)))
			if err := db.View(t.Context(), func(*storage.Tx) error { return nil }); !errors.Is(err, storage.ErrLocked) {
				t.Errorf("View returned %v", err)
			}
		})
	}
}

func TestOpenWaitsForAProcessThatIsEnding(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	conn := connect(t, url)
	<-conn.queue()
	var wg sync.WaitGroup
	wg.Go(func() { storagetest.Open(t, url) })
	_ = conn.Close(t.Context())
	wg.Wait()
}

func TestADeadlockIsRunAgain(t *testing.T) {
	db := storagetest.Open(t, storagetest.URL(t, "postgres"))
	people(t, db, alice, bob)
	var barrier, wg sync.WaitGroup
	barrier.Add(2)
	runs := make(chan struct{}, 10)
	for _, order := range [][]func(*storage.Tx) error{
		{step2((*storage.Tx).SetAdmin, alice, true), step2((*storage.Tx).SetAdmin, bob, true)},
		{step2((*storage.Tx).SetLocked, bob, 5), step2((*storage.Tx).SetLocked, alice, 5)},
	} {
		wg.Go(func() {
			first := true
			err := db.Update(t.Context(), func(tx *storage.Tx) error {
				runs <- struct{}{}
				if err := order[0](tx); err != nil {
					return err
				}
				if first {
					first = false
					barrier.Done()
					barrier.Wait()
				}
				return order[1](tx)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(runs) < 3 {
		t.Errorf("the two transactions ran %d times: there was no deadlock", len(runs))
	}
	both := account(alice)
	both.Admin, both.LockedAt = true, 5
	want(t, db, both, bind((*storage.Tx).Account, alice))
}

func TestADatabaseInAnotherEncodingIsRefused(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	conn := connect(t, url)
	conn.do(`CREATE DATABASE ` + conn.Config().Database + `_latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
	defer conn.do(`DROP DATABASE ` + conn.Config().Database + `_latin WITH (FORCE)`)
	if _, err := storage.Open(t.Context(), url+"_latin"); err == nil {
		t.Error("it was opened")
	}
}
