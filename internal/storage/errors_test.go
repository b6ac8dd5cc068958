package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestADatabaseOfANewerVersionIsLeftAlone(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			url := storagetest.URL(t, engine)
			db, err := storage.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			do(t, db, func(tx *storage.Tx) error {
				return tx.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)`, 99999, true)
			})
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 { // it is refused each time, and the lock is given back
				if _, err := storage.Open(t.Context(), url); !errors.Is(err, storage.ErrNewer) {
					t.Errorf("Open returned %v", err)
				}
			}
		})
	}
}

func TestASecondOpenOfSQLiteIsRefused(t *testing.T) {
	url := storagetest.URL(t, "sqlite")
	db := storagetest.Open(t, url)
	if _, err := storage.Open(t.Context(), url); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("a second Open returned %v", err)
	}
	people(t, db, alice)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := storagetest.URL(t, "postgres")
	t.Run("a first Open makes the schema", func(t *testing.T) { storagetest.Open(t, readOnly) })
	tests := []struct {
		name, url string
		want      error
		text      string
	}{
		{"a path below a file", "sqlite:" + file + "/x.db", storage.ErrReadOnly, file},
		{"a directory", "sqlite:" + dir, storage.ErrReadOnly, dir},
		{"a file that is no database", "sqlite:" + file, nil, "not a database"},
		{"no path", "sqlite:", nil, "needs a path"},
		{"an unknown kind", "mysql://x", nil, "sqlite:PATH or postgres://"},
		{"a URL that cannot be read", "postgres://u:secret@[x/db", nil, "not valid"},
		{"a server that is not there", "postgres://u:secret@127.0.0.1:1/db", nil, "open database db on 127.0.0.1"},
		{"a server that may not be written", readOnly + "?default_transaction_read_only=on", storage.ErrReadOnly, "cannot be written"},
		{"a database that is not there", strings.Replace(readOnly, "lethe_test_", "lethe_none_", 1), nil, "does not exist"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := storage.Open(t.Context(), test.url)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Fatalf("Open returned %v", err)
			}
			if !strings.Contains(err.Error(), test.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error says %q, and not %q", err, test.text)
			}
		})
	}
}

func TestConditionsOfPostgreSQLHaveNames(t *testing.T) {
	for code, want := range map[string]error{
		"23505": storage.ErrExists, "53100": storage.ErrFull, "25006": storage.ErrReadOnly, "42501": storage.ErrReadOnly,
	} {
		cause := &pgconn.PgError{Code: code}
		if err := storage.Wrap(cause); !errors.Is(err, want) || !errors.Is(err, cause) {
			t.Errorf("SQLSTATE %s is %v, want %v", code, err, want)
		}
	}
	for _, cause := range []error{errNo, &pgconn.PgError{Code: "42601"}} {
		if err := storage.Wrap(cause); err != cause { //nolint:errorlint // it is not wrapped
			t.Errorf("%v became %v", cause, err)
		}
	}
	if storage.Wrap(nil) != nil {
		t.Error("no error became one")
	}
}

func TestConditionsOfFilesHaveNames(t *testing.T) {
	for cause, want := range map[syscall.Errno]error{
		syscall.ENOSPC: storage.ErrFull, syscall.EDQUOT: storage.ErrFull,
		syscall.EROFS: storage.ErrReadOnly, syscall.EACCES: storage.ErrReadOnly,
	} {
		if err := storage.WrapFile(&os.PathError{Op: "open", Path: "x", Err: cause}); !errors.Is(err, want) || !errors.Is(err, cause) {
			t.Errorf("%v is %v, want %v", cause, err, want)
		}
	}
}
