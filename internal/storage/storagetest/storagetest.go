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

// URL makes an empty database of the given engine, which goes when the test
// ends, and returns its URL.
func URL(t testing.TB, engine string) string {
	t.Helper()
	if engine == "sqlite" {
		return "sqlite:" + filepath.Join(t.TempDir(), "lethe.db")
	}
	server := os.Getenv(Variable)
	if server == "" {
		t.Fatalf("%s is not set: it names the PostgreSQL server to test on, as postgres://user@host:port/postgres; `make test` starts one", Variable)
	}
	name := "lethe_test_" + strings.ToLower(rand.Text()[:16])
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL: %v", Variable, err)
	}
	u.Path = "/" + name
	return u.String()
}

func admin(t testing.TB, server, stmt string) {
	t.Helper()
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(stmt); err != nil {
		t.Fatalf("%s: %s: %v", Variable, stmt, err)
	}
}
