package storage_test

import (
	"sync"
	"testing"

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
