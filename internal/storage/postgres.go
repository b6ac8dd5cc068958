package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
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
	// postgresLock is the key of the advisory lock that keeps a second process
	// away. The token cache and the job runner of this version assume that they
	// are alone (docs/decisions/0004-one-process.md).
	postgresLock = 0x6c65746865 // "lethe"
)

// pgEngine runs PostgreSQL.
type pgEngine struct {
	db   *sql.DB
	lock *sql.Conn
}

func openPostgres(ctx context.Context, url string) (*DB, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		// The error of pgx may quote the URL, and with it the password.
		return nil, fmt.Errorf("the database URL is not valid")
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	e := &pgEngine{db: db}
	if err := e.open(ctx); err != nil {
		_ = e.close()
		return nil, fmt.Errorf("open database %s on %s: %w", cfg.Database, cfg.Host, wrap(err))
	}
	return &DB{engine: e, dialect: postgresDialect}, nil
}

func (e *pgEngine) open(ctx context.Context) (err error) {
	if e.lock, err = e.db.Conn(ctx); err != nil {
		return err
	}
	var ours bool
	if err := e.lock.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(postgresLock)).Scan(&ours); err != nil {
		return err
	}
	if !ours {
		return ErrLocked
	}
	return migrate(ctx, e.db, postgresDialect)
}

func (e *pgEngine) close() error {
	if e.lock != nil {
		_ = e.lock.Close()
	}
	return e.db.Close()
}

func (e *pgEngine) update(ctx context.Context, fn func(*Tx) error) error {
	for attempt := 0; ; attempt++ {
		err := e.once(ctx, fn)
		if !retryable(err) || attempt == maxRetries {
			return err
		}
		pause := time.Duration(1+rand.IntN(4<<min(attempt, 6))) * time.Millisecond
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// once is one attempt. READ COMMITTED is enough, since whatever decides on a
// row locks it first ([Tx.LockAccount]) or guards its UPDATE.
func (e *pgEngine) once(ctx context.Context, fn func(*Tx) error) error {
	tx, err := e.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(&Tx{ctx: ctx, q: tx, dialect: postgresDialect}); err != nil {
		return err
	}
	crash.Point("storage.commit.before")
	if err := tx.Commit(); err != nil {
		return wrap(err)
	}
	crash.Point("storage.commit.after")
	return nil
}

func (e *pgEngine) view(ctx context.Context, fn func(*Tx) error) error {
	tx, err := e.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return wrap(err)
	}
	defer func() { _ = tx.Rollback() }()
	return fn(&Tx{ctx: ctx, q: tx, dialect: postgresDialect})
}
