package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// numbered is a job of River.
type numbered struct {
	N int `json:"n"`
}

// Kind is the name of the job.
func (numbered) Kind() string { return "number" }

type worker struct {
	river.WorkerDefaults[numbered]
	ran *atomic.Pointer[func(int)]
}

// Work is the handler.
func (w *worker) Work(_ context.Context, j *river.Job[numbered]) error {
	(*w.ran.Load())(j.Args.N)
	return nil
}

// riverQueue is River with the transactions T.
type riverQueue[T any] struct {
	client *river.Client[T]
	ran    atomic.Pointer[func(int)]
	begin  func(ctx context.Context, fn func(T) error) error
	count  func(ctx context.Context) (int64, error)
	shut   func()
}

func openRiver[T any](ctx context.Context, driver riverdriver.Driver[T], q *riverQueue[T]) (queue, error) {
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return nil, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{ran: &q.ran})
	q.client, err = river.NewClient(driver, &river.Config{
		FetchCooldown: river.FetchCooldownMin, // its default of 100 ms would bound what it runs
		Logger:        slog.New(slog.DiscardHandler),
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}},
		Workers:       workers,
	})
	return q, err
}

func (q *riverQueue[T]) enqueue(ctx context.Context, n int) error {
	return q.begin(ctx, func(tx T) error {
		_, err := q.client.InsertTx(ctx, tx, numbered{n}, nil)
		return err
	})
}

func (q *riverQueue[T]) start(ctx context.Context, ran func(int)) (func(), error) {
	q.ran.Store(&ran)
	err := q.client.Start(ctx)
	return func() { _ = q.client.Stop(ctx) }, err
}

func (q *riverQueue[T]) writes(ctx context.Context) (int64, error) { return q.count(ctx) }

func (q *riverQueue[T]) close() { q.shut() }

// openRiverLite uses one connection, as River's SQLite driver advises, with the
// durability of our own store.
func openRiverLite(ctx context.Context, url string) (queue, error) {
	path := strings.TrimPrefix(url, "sqlite:")
	const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_txlock=immediate"
	db, err := sql.Open("sqlite", "file:"+path+pragmas)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	watching, cancel := context.WithCancel(ctx)
	q := &riverQueue[*sql.Tx]{count: liteWrites(watching, path)}
	q.shut = func() {
		cancel()
		_ = db.Close()
	}
	q.begin = func(ctx context.Context, fn func(*sql.Tx) error) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}
	return openRiver(ctx, riversqlite.New(db), q)
}

// liteWrites counts the changes of data_version that a second connection sees,
// 500 times a second: no fewer commits than it counts have been made.
func liteWrites(watching context.Context, path string) func(context.Context) (int64, error) {
	var seen atomic.Int64
	var failure atomic.Pointer[error]
	started := false
	watch := func() {
		db, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			failure.Store(&err)
			return
		}
		db.SetMaxOpenConns(1)
		defer func() { _ = db.Close() }()
		for last := int64(-1); watching.Err() == nil; time.Sleep(2 * time.Millisecond) {
			var version int64
			if err := db.QueryRowContext(watching, "PRAGMA data_version").Scan(&version); err != nil && watching.Err() == nil {
				failure.Store(&err)
				return
			}
			if last >= 0 && version != last {
				seen.Add(1)
			}
			last = version
		}
	}
	return func(context.Context) (int64, error) {
		if !started {
			started = true
			go watch()
			time.Sleep(100 * time.Millisecond)
		}
		if err := failure.Load(); err != nil {
			return 0, *err
		}
		return seen.Load(), nil
	}
}

func openRiverPG(ctx context.Context, url string) (queue, error) {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, err
	}
	q := &riverQueue[pgx.Tx]{shut: pool.Close}
	q.begin = func(ctx context.Context, fn func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, pool, fn) }
	q.count = func(ctx context.Context) (writes int64, err error) {
		time.Sleep(1100 * time.Millisecond) // the server's statistics lag a second
		err = pool.QueryRow(ctx, `SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database
			WHERE datname = current_database()`).Scan(&writes)
		return writes, err
	}
	return openRiver(ctx, riverpgxv5.New(pool), q)
}

// postgresDatabase makes an empty database on the server of the tests.
func postgresDatabase(ctx context.Context) (string, func(), error) {
	server := os.Getenv("LETHE_TEST_POSTGRES")
	u, err := url.Parse(server)
	if err != nil || server == "" {
		return "", nil, errors.New("LETHE_TEST_POSTGRES has to be the URL of a user who may create databases")
	}
	admin := func(stmt string) error {
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, stmt)
		return err
	}
	name := "lethe_measure_" + strings.ToLower(rand.Text()[:12])
	u.Path = "/" + name
	return u.String(), func() { _ = admin("DROP DATABASE " + name + " WITH (FORCE)") }, admin("CREATE DATABASE " + name)
}
