package storage

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// DB is the store. It is safe for concurrent use. Close it once nothing uses
// it any more.
type DB struct {
	engine  engine
	dialect dialect
}

// engine is what differs between SQLite and PostgreSQL in how a transaction
// runs; the statements inside are the same.
type engine interface {
	update(ctx context.Context, fn func(*Tx) error) error
	view(ctx context.Context, fn func(*Tx) error) error
	close() error
}

// Open opens the database that url names and brings its schema up to date.
//
// url is `sqlite:PATH` (created if it is missing) or `postgres://…`
// (`postgresql://…`). The errors [ErrNewer], [ErrLocked], [ErrReadOnly] and
// [ErrFull] tell what an operator has to do; one process at a time may have a
// database open.
func Open(ctx context.Context, url string) (*DB, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return openSQLite(ctx, path)
	}
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return openPostgres(ctx, url)
	}
	return nil, fmt.Errorf("the database must be sqlite:PATH or postgres://…")
}

// Engine is "sqlite" or "postgres", for logs and metrics.
func (db *DB) Engine() string { return db.dialect.name }

// Close waits for running transactions and closes the database.
func (db *DB) Close() error { return db.engine.close() }

// Update runs fn in a transaction that may write, and returns once the
// transaction is on disk. If fn returns an error nothing is changed, and that
// error is returned.
//
// fn may run more than once and on another goroutine: it has no effect outside
// but through variables it sets anew each time, does not wait for anything but
// the database, and does not call Update or View. What others have to be told
// is told after Update returned nil.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	return db.engine.update(ctx, fn)
}

// View runs fn in a transaction that sees one state of the database and cannot
// write. The rules for fn are those of [DB.Update].
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return db.engine.view(ctx, fn)
}

// dialect is what the two engines spell differently.
type dialect struct {
	name string
	// forUpdate ends a SELECT whose rows must not change until the end of the
	// transaction. SQLite has one writer, so there it is empty.
	forUpdate string
	// skipLocked ends a SELECT that takes rows nobody else is taking.
	skipLocked string
	// anyOf compares with each element of a list that [dialect.list] encoded.
	anyOf func(placeholder string) string
	// list encodes strings as one argument for anyOf.
	list func([]string) any
}

var sqliteDialect = dialect{
	name:  "sqlite",
	anyOf: func(p string) string { return "IN (SELECT value FROM json_each(" + p + "))" },
	list:  func(s []string) any { return jsonList(s) },
}

var postgresDialect = dialect{
	name:       "postgres",
	forUpdate:  " FOR UPDATE",
	skipLocked: " FOR UPDATE SKIP LOCKED",
	anyOf:      func(p string) string { return "= ANY(" + p + ")" },
	list:       func(s []string) any { return s },
}

// querier is the part of database/sql that [Tx] needs; [sql.Tx] and a SQLite
// connection with its prepared statements both have it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
