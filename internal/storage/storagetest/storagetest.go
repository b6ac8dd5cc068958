// Package storagetest gives tests real databases of both kinds.
//
// Holds: [Each], which runs a test on SQLite and on PostgreSQL.
//
// May import: storage, and the PostgreSQL driver to make databases.
//
// Never: a fake store; nothing but tests imports it.
package storagetest

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"lethe/internal/storage"
)

// Variable names the server that PostgreSQL tests use: a URL of a user who may
// create databases. `make test` starts one and sets it.
const Variable = "LETHE_TEST_POSTGRES"

// Engines are the databases that everything is tested on.
var Engines = []string{"sqlite", "postgres"}

// Each runs test once per engine, as a subtest, each time on an empty database
// of its own that is closed at the end.
func Each(t *testing.T, test func(t *testing.T, db *storage.DB)) {
	t.Helper()
	for _, engine := range Engines {
		t.Run(engine, func(t *testing.T) {
			test(t, Open(t, URL(t, engine)))
		})
	}
}

// Open opens the database at url and closes it when the test ends.
func Open(t testing.TB, url string) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), url)
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	return db
}

// URL makes a database of the given engine without rows, which goes when the test
// ends, and returns its URL.
func URL(t testing.TB, engine string) string {
	t.Helper()
	if engine == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "lethe.db")
	}
	return create(t, template(t))
}

// Blank makes a database on PostgreSQL that does not have the schema yet.
func Blank(t testing.TB) string {
	t.Helper()
	return create(t, "template1")
}

// create makes a copy of a database, and returns its URL.
func create(t testing.TB, template string) string {
	t.Helper()
	name := newName()
	admin(t, "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() { admin(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return urlOf(t, name)
}

// template is the name of a database that has the schema and no rows. To copy one
// takes a fraction of the time that making the schema does. It stays, for the next
// process that tests this schema.
func template(t testing.TB) string {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	name := "lethe_schema_" + storage.Schema()
	if made[name] {
		return name
	}
	var found bool
	query(t, `SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)`, &found, name)
	if !found {
		draft := newName()
		admin(t, "CREATE DATABASE "+draft)
		db, err := storage.Open(t.Context(), urlOf(t, draft))
		if err == nil {
			err = db.Close()
		}
		if err != nil {
			t.Fatalf("make the schema: %v", err)
		}
		if tryAdmin(t, "ALTER DATABASE "+draft+" RENAME TO "+name) != nil {
			admin(t, "DROP DATABASE "+draft) // another process was faster
		}
	}
	made[name] = true
	return name
}

var (
	making sync.Mutex
	made   = map[string]bool{} // the templates that are there
)

func newName() string { return "lethe_test_" + strings.ToLower(rand.Text()[:16]) }

func server(t testing.TB) string {
	t.Helper()
	url := os.Getenv(Variable)
	if url == "" {
		t.Fatalf("%s is not set: it names the PostgreSQL server to test on, as postgres://user@host:port/postgres; `make test` starts one", Variable)
	}
	return url
}

// urlOf is the URL of a database on the server.
func urlOf(t testing.TB, name string) string {
	t.Helper()
	u, err := url.Parse(server(t))
	if err != nil {
		t.Fatalf("%s is not a URL: %v", Variable, err)
	}
	u.Path = "/" + name
	return u.String()
}

// admin runs a statement on the server.
func admin(t testing.TB, stmt string) {
	t.Helper()
	if err := tryAdmin(t, stmt); err != nil {
		t.Fatalf("%s: %s: %v", Variable, stmt, err)
	}
}

func tryAdmin(t testing.TB, stmt string) error {
	t.Helper()
	db, err := sql.Open("pgx", server(t))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.Exec(stmt)
	return err
}

func query(t testing.TB, stmt string, dest any, args ...any) {
	t.Helper()
	db, err := sql.Open("pgx", server(t))
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRow(stmt, args...).Scan(dest); err != nil {
		t.Fatalf("%s: %s: %v", Variable, stmt, err)
	}
}
