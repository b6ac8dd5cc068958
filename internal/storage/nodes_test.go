package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// eventually waits until cond holds, or fails the test after a while.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

func alone(db *storage.DB) bool {
	_, ok := db.Alone()
	return ok
}

func closeDB(t *testing.T, db *storage.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func open(t *testing.T, url string) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestSQLiteIsAlwaysAlone(t *testing.T) {
	db := storagetest.Open(t, storagetest.URL(t, "sqlite"))
	if term, ok := db.Alone(); !ok || term != 1 || db.Node() != "" {
		t.Errorf("Alone is %d, %v; Node is %q", term, ok, db.Node())
	}
}

// The promise that caches rest on: from the moment in which Open returns nobody
// answers from memory, however busy the others are.
func TestNobodyIsAloneOnceAnotherIsLetIn(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	first := storagetest.Open(t, url)
	people(t, first, alice)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				do(t, first, step2((*storage.Tx).SetAdmin, alice, true))
			}
		})
	}
	last := uint64(0)
	for range 20 {
		eventually(t, "the first is alone", func() bool { return alone(first) })
		if term, _ := first.Alone(); term <= last {
			t.Errorf("term %d after %d", term, last)
		} else {
			last = term
		}
		second := open(t, url)
		if alone(first) || alone(second) {
			t.Error("one of two is alone")
		}
		people(t, second)
		closeDB(t, second)
	}
	stop()
	load.Wait()
}

func TestManyProcessesStartAtOnceOnAnEmptyDatabase(t *testing.T) {
	url := storagetest.Blank(t)
	var wg sync.WaitGroup
	opened := make(chan *storage.DB, 8)
	for range cap(opened) {
		wg.Go(func() {
			db, err := storage.Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			opened <- db
		})
	}
	wg.Wait()
	close(opened)
	var all []*storage.DB
	for db := range opened {
		all = append(all, db)
	}
	for i, db := range all {
		if alone(db) {
			t.Errorf("%d of %d is alone", i, len(all))
		}
	}
	for i, db := range all[1:] {
		closeDB(t, db)
		if i < len(all)-2 && alone(all[0]) {
			t.Errorf("alone with %d others", len(all)-2-i)
		}
	}
	eventually(t, "the last one is alone", func() bool { return alone(all[0]) })
	closeDB(t, all[0])
}

// stop has a node stand still, as far as its row shows: it cannot extend its
// lease. go lets it go on.
func standStill(t *testing.T, url string, node string) (goOn func()) {
	s := connect(t, url)
	s.do(`CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'stand still'; END $$`)
	s.do(`CREATE TRIGGER stand_still BEFORE UPDATE ON nodes FOR EACH ROW WHEN (OLD.id = '` + node + `')
		EXECUTE FUNCTION stand_still()`)
	return func() { s.do(`DROP TRIGGER stand_still ON nodes`) }
}

func TestANodeThatStandsStillIsNotWaitedForForEver(t *testing.T) {
	storage.ShortLeases(t)
	url := storagetest.URL(t, "postgres")
	first := storagetest.Open(t, url)
	people(t, first, alice)
	before, _ := first.Alone()
	goOn := standStill(t, url, first.Node())

	s := connect(t, url)
	var opening time.Time
	if err := s.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&opening); err != nil {
		t.Fatal(err)
	}
	second := storagetest.Open(t, url)
	if alone(first) {
		t.Error("its lease has run out, and it is alone")
	}
	// Sessions that it begins later change nothing: it knows that it has lapsed.
	eventually(t, "the sessions of the node have ended", func() bool {
		sessions := 1
		err := s.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE l.locktype = 'advisory' AND a.backend_start < $2
			AND (l.classid::bigint << 32) | l.objid::bigint = hashtextextended($1, 0)`, first.Node(), opening).Scan(&sessions)
		return err == nil && sessions == 0
	})
	eventually(t, "the second is alone", func() bool { return alone(second) })
	// Refused as lapsed, or because the connection was ended with its sessions.
	if first.Update(t.Context(), step2((*storage.Tx).SetAdmin, alice, true)) == nil {
		t.Error("a node whose lease has run out has changed something")
	}
	want(t, second, account(alice), bind((*storage.Tx).Account, alice))

	goOn()
	eventually(t, "the first comes back", func() bool {
		return first.Update(t.Context(), step2((*storage.Tx).SetAdmin, alice, true)) == nil
	})
	if alone(first) || alone(second) {
		t.Error("one of two is alone")
	}
	closeDB(t, open(t, url)) // both answer
	admin := account(alice)
	admin.Admin = true
	want(t, second, admin, bind((*storage.Tx).Account, alice))
	if term, ok := first.Alone(); ok || term == before {
		t.Errorf("the term is %d, as before", term)
	}
}

// A transaction that was open when its node stood still does not come back to
// life when others have taken the node for dead.
func TestATransactionOfADeadNodeIsNotCommitted(t *testing.T) {
	storage.ShortLeases(t)
	url := storagetest.URL(t, "postgres")
	first := storagetest.Open(t, url)
	people(t, first, alice)
	begun, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	result := make(chan error, 1)
	go func() {
		result <- first.Update(t.Context(), func(tx *storage.Tx) error {
			err := tx.SetAdmin(alice, true)
			once.Do(func() { close(begun) })
			<-proceed
			return err
		})
	}()
	<-begun
	goOn := standStill(t, url, first.Node())
	second := storagetest.Open(t, url)
	want(t, second, account(alice), bind((*storage.Tx).LockAccount, alice)) // the row's lock has gone, too
	close(proceed)
	if err := <-result; err == nil {
		t.Error("it was committed")
	}
	want(t, second, account(alice), bind((*storage.Tx).Account, alice))
	goOn()
}

func TestABrokenConnectionIsMadeAgain(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	db := storagetest.Open(t, url)
	people(t, db, alice)
	s := connect(t, url)
	listening := func() (n int) {
		err := s.QueryRow(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
			AND pid <> pg_backend_pid() AND (query LIKE '%UPDATE nodes%' OR query LIKE 'LISTEN lethe_changes%')`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	term, _ := db.Alone()
	for range 3 {
		eventually(t, "it listens", func() bool { return listening() == 1 })
		s.do(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		eventually(t, "it listens again", func() bool { return listening() == 1 })
	}
	eventually(t, "the pool is back", func() bool {
		return db.Update(t.Context(), step2((*storage.Tx).SetAdmin, alice, true)) == nil
	})
	if now, ok := db.Alone(); !ok || now != term {
		t.Errorf("nobody came, and the term is %d, %v; it was %d", now, ok, term)
	}
	second := open(t, url)
	if alone(db) {
		t.Error("one of two is alone")
	}
	closeDB(t, second)
}

func TestAFolderHasOneProcess(t *testing.T) {
	url, folder := storagetest.URL(t, "postgres"), t.TempDir()
	for range 2 {
		db, err := storage.OpenIn(t.Context(), url, folder)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := storage.OpenIn(t.Context(), url, folder); !errors.Is(err, storage.ErrLocked) {
			t.Errorf("a second Open returned %v", err)
		}
		closeDB(t, open(t, url)) // from elsewhere
		closeDB(t, db)
	}
}

func TestTheNextProcessOfAFolderDoesNotWaitForAKilledOne(t *testing.T) {
	url, folder := storagetest.URL(t, "postgres"), t.TempDir()
	closeDB(t, open(t, url))
	s := connect(t, url)
	s.do(`INSERT INTO nodes (id, started_at, alive_until, shared) VALUES ('killed', 0, 9000000000000000000, FALSE)`)
	if err := os.WriteFile(filepath.Join(folder, "node.lock"), []byte("killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := storage.OpenIn(late, url, t.TempDir()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("from elsewhere Open returned %v", err)
	}
	db, err := storage.OpenIn(t.Context(), url, folder)
	if err != nil {
		t.Fatal(err)
	}
	if !alone(db) {
		t.Error("it is not alone")
	}
	closeDB(t, db)
}

func TestAProcessThatEndsWhileItWaitsLeavesNoRow(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	closeDB(t, open(t, url))
	s := connect(t, url)
	s.do(`INSERT INTO nodes (id, started_at, alive_until, shared) VALUES ('other', 0, 9000000000000000000, FALSE)`)
	ctx, cancel := context.WithCancel(t.Context())
	rows := func() (n int) {
		if err := s.QueryRow(t.Context(), `SELECT COUNT(*) FROM nodes`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	result := make(chan error, 1)
	go func() {
		_, err := storage.Open(ctx, url)
		result <- err
	}()
	eventually(t, "it waits", func() bool { return rows() == 2 })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("Open returned %v", err)
	}
	if n := rows(); n != 1 {
		t.Errorf("%d rows are left", n)
	}
}

func TestOthersHearOfChanges(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	first, second := storagetest.Open(t, url), storagetest.Open(t, url)
	for range 20 {
		first.Notify()
		<-second.Hints()
		second.Notify()
		<-first.Hints()
	}
}

func TestNodesComeAndGo(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	db := storagetest.Open(t, url)
	changed := make(chan struct{}, 10)
	db.OnNodes(func() { changed <- struct{}{} })
	other := open(t, url)
	<-changed
	closeDB(t, other)
	<-changed
}

func TestWhoIsAloneHearsNothing(t *testing.T) {
	storage.ShortLeases(t)
	url := storagetest.URL(t, "postgres")
	db := storagetest.Open(t, url)
	s := connect(t, url)
	until := func() (at int64) {
		if err := s.QueryRow(t.Context(), `SELECT alive_until FROM nodes`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	before := db.Stats()
	for range 5 {
		db.Notify()
		at := until()
		eventually(t, "the lease is extended", func() bool { return until() > at })
	}
	select {
	case <-db.Hints():
		t.Error("it was told of a change")
	default:
	}
	if after := db.Stats(); after != before {
		t.Errorf("%+v, before %+v", after, before)
	}
	other := open(t, url)
	for range 3 {
		<-db.Hints() // without a word of the other
	}
	closeDB(t, other)
}
