package storage

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
)

// DB is the store. It is safe for concurrent use. Close it once nothing uses
// it any more.
type DB struct {
	engine  engine
	dialect dialect
	gate    gate
	updates atomic.Int64
	views   atomic.Int64
	// statements counts those within transactions.
	statements atomic.Int64
	feed       *feed
	// Of the goroutine that follows the changes of other processes; nil on SQLite.
	stop, followed chan struct{}
	stopOnce       sync.Once
	nodes          *nodes // nil on SQLite
}

// engine is what differs between SQLite and PostgreSQL in how a transaction
// runs; the statements inside are the same.
type engine interface {
	update(ctx context.Context, fn func(*Tx) error, committed func([]Change)) error
	view(ctx context.Context, fn func(*Tx) error) error
	look(ctx context.Context, fn func(*Tx) error) error
	checkpoint(ctx context.Context) error
	commits() int64
	close() error
}

// Open opens the database that url names and brings its schema up to date.
//
// url is `sqlite:PATH` (created if it is missing) or `postgres://…`
// (`postgresql://…`). The errors [ErrNewer], [ErrLocked], [ErrReadOnly] and
// [ErrFull] tell what an operator has to do. One process at a time may have a
// SQLite database open. On PostgreSQL there may be several; Open returns when
// all the others know of this one, or their leases have run out.
func Open(ctx context.Context, url string) (*DB, error) { return OpenIn(ctx, url, "") }

// OpenIn is [Open] for a process that has a folder of its own. On PostgreSQL the
// folder remembers the process: one that was killed is known to be dead by the
// next one there, which does not wait for its lease to run out, and a second one
// with the same folder is refused with [ErrLocked].
func OpenIn(ctx context.Context, url, folder string) (*DB, error) {
	db := &DB{feed: newFeed()}
	var err error
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		db.dialect = sqliteDialect
		db.engine, err = openSQLite(ctx, path)
	} else if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		db.dialect = postgresDialect
		var pg *pgEngine
		if pg, err = openPostgres(ctx, url, folder); err == nil {
			db.engine, db.nodes = pg, pg.nodes
		}
	} else {
		err = errors.New("the database must be sqlite:PATH or postgres://…")
	}
	if err != nil {
		return nil, err
	}
	if err := db.View(ctx, func(tx *Tx) (err error) { db.feed.delivered, err = tx.Pos(); return err }); err != nil {
		_ = db.Close()
		return nil, err
	}
	if db.nodes != nil {
		db.stop, db.followed = make(chan struct{}), make(chan struct{})
		go func() {
			defer close(db.followed)
			db.follow(db.stop)
		}()
	}
	return db, nil
}

// Engine is "sqlite" or "postgres", for logs and metrics.
func (db *DB) Engine() string { return db.dialect.name }

// Close waits for running transactions and closes the database. Later ones are
// refused.
func (db *DB) Close() error {
	if db.stop != nil {
		db.stopOnce.Do(func() { close(db.stop) })
		<-db.followed
	}
	if !db.gate.close() {
		return errClosed
	}
	return db.engine.close()
}

// Update runs fn in a transaction that may write, and returns once the
// transaction is on disk. If fn returns an error nothing is changed, and that
// error is returned. It is the same if a statement failed and fn went on: after
// a failure a transaction takes no more statements. A panic of fn is passed on.
//
// fn may run more than once and on another goroutine: it has no effect outside
// but through variables it sets anew each time, does not wait for anything but
// the database, does not call Update or View, and does not end its goroutine
// (as t.Fatal does). What others have to be told is told after Update returned
// nil.
//
// An error of the engine during the commit leaves open whether the transaction
// happened; a ctx that ends meanwhile does not.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	db.updates.Add(1)
	return db.engine.update(ctx, db.counted(fn), db.committed)
}

// View runs fn in a transaction that sees one state of the database, that of its
// first statement, and cannot write. Without a statement it costs nothing. The
// rules for fn are those of [DB.Update].
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	db.views.Add(1)
	return db.engine.view(ctx, db.counted(fn))
}

// counted is fn with its statements counted.
func (db *DB) counted(fn func(*Tx) error) func(*Tx) error {
	return func(tx *Tx) error {
		defer func() { db.statements.Add(tx.statements) }()
		return fn(tx)
	}
}

// Look is [DB.View] for a single statement, which on PostgreSQL needs no
// transaction around it: one exchange with the server and not three.
func (db *DB) Look(ctx context.Context, fn func(*Tx) error) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	db.views.Add(1)
	return db.engine.look(ctx, fn)
}

// Checkpoint takes what was deleted out of SQLite's files: deleted content is
// overwritten in the database at once (secure_delete), but stays in the -wal
// file until that is emptied, which this does now and the store does by itself
// a minute after a change. It fails if a reader is in the way. On PostgreSQL it
// does nothing: there VACUUM and the archiving of the log decide.
func (db *DB) Checkpoint(ctx context.Context) error {
	if err := db.gate.enter(); err != nil {
		return err
	}
	defer db.gate.leave()
	return db.engine.checkpoint(ctx)
}

// Stats counts what a database has done since it was opened.
type Stats struct {
	Updates int64 // calls of Update
	Views   int64 // calls of View and Look
	Commits int64 // transactions that wrote; on SQLite several Updates share one
	// Statements that ran in transactions, those of attempts that failed included.
	Statements int64
}

// Stats returns the counts.
func (db *DB) Stats() Stats {
	return Stats{
		Updates: db.updates.Load(), Views: db.views.Load(), Commits: db.engine.commits(),
		Statements: db.statements.Load(),
	}
}

// dialect is what the two engines spell differently.
type dialect struct {
	name string
	// forUpdate ends a SELECT whose rows must not change until the end of the
	// transaction. SQLite has one writer, so there it is empty.
	forUpdate string
	// forShare ends a SELECT whose rows must not be changed by others, but may be
	// read, until the end of the transaction.
	forShare string
	// skipLocked ends a SELECT that takes rows nobody else is taking.
	skipLocked string
	// Lists, with the number of their parameter left open; see [Tx.in].
	in, inBytes, fromTexts, fromBytes string
}

var sqliteDialect = dialect{
	name:      "sqlite",
	in:        "IN (SELECT value FROM json_each($%d))",
	inBytes:   "IN (SELECT unhex(value) FROM json_each($%d))",
	fromTexts: "(SELECT value AS v FROM json_each($%d)) AS list",
	fromBytes: "(SELECT unhex(value) AS v FROM json_each($%d)) AS list",
}

var postgresDialect = dialect{
	name: "postgres", forUpdate: " FOR UPDATE", forShare: " FOR SHARE", skipLocked: " FOR UPDATE SKIP LOCKED",
	in: "= ANY($%d)", inBytes: "= ANY($%d)",
	fromTexts: "unnest($%d::text[]) AS list(v)",
	fromBytes: "unnest($%d::bytea[]) AS list(v)",
}

// querier is the part of database/sql that [Tx] needs; [sql.Tx] and a SQLite
// connection with its prepared statements both have it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
