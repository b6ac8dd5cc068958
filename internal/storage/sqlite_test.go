package storage_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func openLite(t *testing.T) (db *storage.DB, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "data", "lethe.db")
	return storagetest.Open(t, "sqlite:"+path), path
}

// TestSQLiteKeepsWhatItAcknowledges: no test can cut the power, so this one looks
// at what a commit waits for (PRAGMA synchronous: 2 is FULL), and at what the
// rest of the promises rests on.
func TestSQLiteKeepsWhatItAcknowledges(t *testing.T) {
	db, _ := openLite(t)
	for name, want := range map[string]string{
		"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "secure_delete": "1",
	} {
		if got, err := storage.Pragma(t.Context(), db, name); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

// together runs the functions as Updates that come in while another is running,
// and returns their errors; a panic is one too.
func together(t *testing.T, db *storage.DB, fns ...func(*storage.Tx) error) []error {
	t.Helper()
	before := db.Stats().Updates
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	wg.Go(func() {
		err := db.Update(t.Context(), func(*storage.Tx) error {
			for db.Stats().Updates < before+1+int64(len(fns)) {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		if err != nil {
			t.Errorf("the first transaction: %v", err)
		}
	})
	for db.Stats().Updates == before {
		time.Sleep(time.Millisecond)
	}
	for i, fn := range fns {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			errs[i] = db.Update(t.Context(), fn)
		})
	}
	wg.Wait()
	return errs
}

func createN(n int) matrix.UserID { return matrix.UserID(fmt.Sprintf("@u%d:x", n)) }

func TestUpdatesAtOnceShareCommits(t *testing.T) {
	db, _ := openLite(t)
	before := db.Stats()
	var fns []func(*storage.Tx) error
	for n := range 64 {
		fns = append(fns, step((*storage.Tx).CreateAccount, account(createN(n))))
	}
	for _, err := range together(t, db, fns...) {
		if err != nil {
			t.Error(err)
		}
	}
	after := db.Stats()
	updates, commits := after.Updates-before.Updates, after.Commits-before.Commits
	if updates != 65 || commits >= updates {
		t.Errorf("%d updates took %d commits", updates, commits)
	}
	t.Logf("%d updates, %d commits", updates, commits)
	want(t, db, 64, func(tx *storage.Tx) (int, error) {
		users, err := tx.Users(storage.UserFilter{Limit: 1000})
		return len(users), err
	})
}

func TestNeighboursOfAFailureInABatchAreStored(t *testing.T) {
	db, _ := openLite(t)
	var fns []func(*storage.Tx) error
	for n := range 30 {
		fns = append(fns, func(tx *storage.Tx) error {
			if err := tx.CreateAccount(account(createN(n))); err != nil {
				return err
			}
			switch n % 3 {
			case 1:
				return errNo
			case 2:
				panic("ouch")
			}
			return nil
		})
	}
	for n, err := range together(t, db, fns...) {
		if (n%3 == 0) != (err == nil) {
			t.Errorf("transaction %d: %v", n, err)
		}
		if n%3 == 0 {
			want(t, db, account(createN(n)), bind((*storage.Tx).Account, createN(n)))
		} else {
			wantNone(t, db, bind((*storage.Tx).Account, createN(n)))
		}
	}
}

func TestACommitThatFailsFailsItsWholeBatch(t *testing.T) {
	db, _ := openLite(t)
	broken := errors.New("the disk is gone")
	commits := 0
	storage.Hook(db, func(query string) error {
		if query != "COMMIT" {
			return nil
		}
		if commits++; commits == 1 {
			return nil // of the transaction that the others wait for
		}
		return broken
	})
	var fns []func(*storage.Tx) error
	for n := range 20 {
		fns = append(fns, step((*storage.Tx).CreateAccount, account(createN(n))))
	}
	for n, err := range together(t, db, fns...) {
		if !errors.Is(err, broken) {
			t.Errorf("transaction %d: %v", n, err)
		}
	}
	storage.Hook(db, func(string) error { return nil })
	for n := range 20 {
		wantNone(t, db, bind((*storage.Tx).Account, createN(n)))
	}
	people(t, db, alice)
}

func TestABatchThatCannotBeginFails(t *testing.T) {
	db, _ := openLite(t)
	for _, at := range []string{"BEGIN IMMEDIATE", "SAVEPOINT job", "RELEASE job"} {
		storage.Hook(db, func(query string) error {
			if query == at {
				return errNo
			}
			return nil
		})
		if err := db.Update(t.Context(), step((*storage.Tx).CreateAccount, account(alice))); !errors.Is(err, errNo) {
			t.Errorf("%s failed, and Update returned %v", at, err)
		}
		storage.Hook(db, func(string) error { return nil })
		wantNone(t, db, bind((*storage.Tx).Account, alice))
	}
}

// limit lets the database grow by a number of pages.
func limit(t *testing.T, db *storage.DB, path string, pages int) {
	t.Helper()
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := storage.Control(db, fmt.Sprintf("PRAGMA max_page_count(%d)", int(info.Size()/4096)+pages)); err != nil {
		t.Fatal(err)
	}
}

func setField(name string, size int) func(*storage.Tx) error {
	value := []byte(`"` + strings.Repeat("x", size) + `"`)
	return func(tx *storage.Tx) error { return tx.SetProfileField(alice, name, value) }
}

func TestAFullDatabaseAcknowledgesNothingAndGoesOn(t *testing.T) {
	db, path := openLite(t)
	people(t, db, alice)
	limit(t, db, path, 10)
	wantErr(t, db, storage.ErrFull, setField("big", 1<<20))
	wantErr(t, db, storage.ErrFull, func(tx *storage.Tx) error {
		if err := tx.SetAdmin(alice, true); err != nil {
			return err
		}
		_ = setField("big", 1<<20)(tx)
		return tx.SetLocked(alice, 5) // SQLite has rolled back: this must not be stored on its own
	})
	want(t, db, nil, bind((*storage.Tx).Profile, alice))
	want(t, db, account(alice), bind((*storage.Tx).Account, alice))
	do(t, db, setField("small", 10))

	// In one batch with others it spoils only itself.
	var fns []func(*storage.Tx) error
	for n := range 9 {
		size := 10
		if n == 4 {
			size = 1 << 20
		}
		fns = append(fns, setField(fmt.Sprint("f", n), size))
	}
	for n, err := range together(t, db, fns...) {
		if n == 4 && !errors.Is(err, storage.ErrFull) || n != 4 && err != nil {
			t.Errorf("transaction %d: %v", n, err)
		}
	}
	limit(t, db, path, 1000)
	do(t, db, setField("big", 1<<20))
	want(t, db, 10, bind2((*storage.Tx).CountPersonal, "profile_fields", alice))
}

func TestADatabaseThatCannotBeWrittenIsStillRead(t *testing.T) {
	db, _ := openLite(t)
	people(t, db, alice)
	if err := storage.Control(db, "PRAGMA query_only(1)"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, db, storage.ErrReadOnly, step((*storage.Tx).CreateAccount, account(bob)))
	err := db.View(t.Context(), func(tx *storage.Tx) error {
		_, err := tx.Account(alice)
		return err
	})
	if err != nil {
		t.Errorf("View returned %v", err)
	}
}

func TestAnotherProgramThatWritesIsNamed(t *testing.T) {
	db, path := openLite(t)
	if err := storage.Control(db, "PRAGMA busy_timeout(10)"); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, db, storage.ErrLocked, step((*storage.Tx).CreateAccount, account(alice)))
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	people(t, db, alice)
}

// contains tells whether a text is in any of the database's files.
func contains(t *testing.T, path, text string) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s: %v", path, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(text)) {
			return true
		}
	}
	return false
}

// scatter stores rows of all sizes among rows that stay, some of them changed
// again, so that pages split and merge; each has the marker in it.
func scatter(t *testing.T, db *storage.DB, marker string) {
	t.Helper()
	people(t, db, alice, bob)
	random := rand.New(rand.NewPCG(1, 2))
	value := func(marker string) []byte {
		return []byte(`"` + strings.Repeat(marker, 1+random.IntN(60)*random.IntN(10)) + `"`)
	}
	for i := range 400 {
		name := fmt.Sprint(random.IntN(1000))
		do(t, db, func(tx *storage.Tx) error { return tx.SetProfileField(alice, marker+name, value(marker)) },
			func(tx *storage.Tx) error { return tx.SetProfileField(bob, name, value("stays")) })
		if i%7 == 0 {
			do(t, db, step2((*storage.Tx).DropProfileField, bob, name), step2((*storage.Tx).DropProfileField, alice, marker+name))
		}
	}
}

func TestWhatWasDeletedIsInNoFile(t *testing.T) {
	const marker = "TOPSECRET"
	path := filepath.Join(t.TempDir(), "lethe.db")
	db, err := storage.Open(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	scatter(t, db, marker)
	if !contains(t, path, marker) {
		t.Fatal("the marker is not found even before it is deleted")
	}
	want(t, db, true, func(tx *storage.Tx) (bool, error) {
		n, err := tx.DeletePersonal("profile_fields", alice, 1<<30)
		return n > 0, err
	})
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if contains(t, path, marker) {
		t.Error("it is there after Checkpoint")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if contains(t, path, marker) {
		t.Error("it is there after Close")
	}
	if !contains(t, path, "stays") {
		t.Error("what was not deleted is gone")
	}
}

func TestTheLogIsEmptiedSoonAfterAChange(t *testing.T) {
	storage.CheckpointSoon(t)
	db, path := openLite(t)
	people(t, db, alice)
	for {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() == 0 {
			break
		}
		time.Sleep(time.Millisecond) // until it is empty, or the test times out
	}
	want(t, db, account(alice), bind((*storage.Tx).Account, alice))
}

func TestAReaderKeepsTheLogUntilItHasEnded(t *testing.T) {
	db, _ := openLite(t)
	people(t, db, alice)
	err := db.View(t.Context(), func(tx *storage.Tx) error {
		if _, err := tx.Account(alice); err != nil {
			return err
		}
		people(t, db, bob)
		if err := db.Checkpoint(t.Context()); err == nil || !strings.Contains(err.Error(), "reader") {
			t.Errorf("Checkpoint returned %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(context.Background()); err != nil {
		t.Errorf("Checkpoint after the reader: %v", err)
	}
}

func TestFilesAreTheOwnersAlone(t *testing.T) {
	db, path := openLite(t)
	people(t, db, alice)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 4 { // itself, -wal, -shm, .lock
		t.Fatalf("files are %v, %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", file, info.Mode(), err)
		}
	}
}
