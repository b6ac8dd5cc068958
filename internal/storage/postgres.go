package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"lethe/internal/crash"
)

const (
	// postgresConns bounds the connections of one process.
	postgresConns = 20
	// maxRetries bounds how often a transaction is run again after a
	// serialization failure or a deadlock.
	maxRetries = 12
	// commitTimeout is how long a commit may take before its connection is given
	// up.
	commitTimeout = 30 * time.Second
)

// pgEngine runs PostgreSQL.
type pgEngine struct {
	db        *sql.DB
	nodes     *nodes
	place     *place // nil: none
	committed atomic.Int64
}

// openPostgres opens the database at url, from a folder ("": none) that this
// process alone has.
func openPostgres(ctx context.Context, url, folder string) (*pgEngine, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// The error of pgx may quote the URL, and with it the password.
		return nil, errors.New("the database URL is not valid")
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "lethe"
	}
	e := &pgEngine{nodes: newNodes(cfg)}
	e.db = stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(e.nodes.hold))
	e.db.SetMaxOpenConns(postgresConns)
	e.db.SetMaxIdleConns(postgresConns)
	e.db.SetConnMaxIdleTime(5 * time.Minute)
	if err := e.open(ctx, folder); err != nil {
		_ = e.close()
		return nil, fmt.Errorf("open database %s on %s: %w", cfg.Database, cfg.Host, wrap(err))
	}
	e.nodes.keep(e.db)
	return e, nil
}

func (e *pgEngine) open(ctx context.Context, folder string) (err error) {
	if folder != "" {
		if e.place, err = takePlace(folder); err != nil {
			return err
		}
	}
	if err := e.nodes.connect(ctx); err != nil {
		return err
	}
	if err := e.migrate(ctx); err != nil {
		return err
	}
	if e.place != nil {
		// Who was here last is dead: this process has its lock.
		if err := e.nodes.bury(ctx, e.place.last, `TRUE`); err != nil {
			return err
		}
		if err := e.place.sign(e.nodes.id); err != nil {
			return err
		}
	}
	return e.nodes.join(ctx)
}

// pgMigrateLock is the key of the advisory lock that one process at a time has
// while it brings the schema up to date.
const pgMigrateLock = 0x6c65746865 // "lethe"

func (e *pgEngine) migrate(ctx context.Context) error {
	conn := e.nodes.conn
	var encoding string
	if err := conn.QueryRow(ctx, "SHOW server_encoding").Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return fmt.Errorf("its encoding is %s; create it with ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(pgMigrateLock)); err != nil {
		return err
	}
	if err := migrate(ctx, e.db, postgresDialect); err != nil {
		return err // the lock goes with the connection
	}
	_, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(pgMigrateLock))
	return err
}

func (e *pgEngine) close() error {
	err := e.db.Close()
	e.nodes.leave()
	if e.place != nil {
		err = errors.Join(err, e.place.close())
	}
	return err
}

func (e *pgEngine) commits() int64 { return e.committed.Load() }

// checkpoint has nothing to do; see [DB.Checkpoint].
func (e *pgEngine) checkpoint(context.Context) error { return nil }

func (e *pgEngine) update(ctx context.Context, fn func(*Tx) error, committed func([]Change)) error {
	for attempt := 0; ; attempt++ {
		changes, err := e.once(ctx, fn)
		if err == nil {
			committed(changes) // after the connection is given back: it may need one
		}
		if !retryable(err) || attempt == maxRetries {
			return err
		}
		pause := time.Duration(1+rand.IntN(4<<min(attempt, 6))) * time.Millisecond //nolint:gosec // it keeps no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// once is one attempt. READ COMMITTED is enough, since whatever decides on a
// row locks it first ([Tx.LockAccount]) or guards its UPDATE. The statements
// end with ctx, but not the commit: whether it happened has to be known.
func (e *pgEngine) once(ctx context.Context, fn func(*Tx) error) ([]Change, error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { _ = conn.Close() }()
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	sqlTx, err := conn.BeginTx(whole, nil)
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { _ = sqlTx.Rollback() }()
	tx := &Tx{ctx: ctx, q: sqlTx, dialect: postgresDialect}
	if err := tx.do(fn); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	crash.Point("storage.commit.before")
	if !e.nodes.now.Load().fresh() {
		return nil, errLapsed
	}
	defer time.AfterFunc(commitTimeout, cancel).Stop()
	if err := sqlTx.Commit(); err != nil {
		return nil, wrap(err)
	}
	crash.Point("storage.commit.after")
	e.committed.Add(1)
	return tx.changes, nil
}

func (e *pgEngine) view(ctx context.Context, fn func(*Tx) error) error {
	var tx *sql.Tx
	defer func() {
		if tx != nil {
			_ = tx.Rollback()
		}
	}()
	q := &lazy{begin: func() (_ querier, err error) {
		tx, err = e.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
		return tx, err
	}}
	return (&Tx{ctx: ctx, q: q, dialect: postgresDialect, view: true}).do(fn)
}

func (e *pgEngine) look(ctx context.Context, fn func(*Tx) error) error {
	return (&Tx{ctx: ctx, q: e.db, dialect: postgresDialect}).do(fn)
}
