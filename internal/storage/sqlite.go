package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"lethe/internal/crash"
)

// sqliteReaders is how many transactions may read at once. Each has a page
// cache of its own, so there are few (DESIGN §7).
const sqliteReaders = 8

// maxBatch bounds how many transactions share one commit.
const maxBatch = 128

// Pragmas of every connection; the writer's come on top. secure_delete
// overwrites what is deleted, synchronous=FULL makes a commit durable.
var (
	sqlitePragmas = []string{
		"busy_timeout(5000)", "foreign_keys(1)", "secure_delete(1)",
		"cache_size(-2000)", "temp_store(memory)",
	}
	sqliteWriterPragmas = []string{"journal_mode(wal)", "synchronous(full)", "journal_size_limit(67108864)"}
)

// liteEngine runs SQLite: one connection writes, with group commit, and a pool
// of others reads.
type liteEngine struct {
	lock    *os.File
	writer  *sql.DB
	conn    *sql.Conn
	stmts   preparer
	readers *sql.DB
	opened  int              // how many read
	idle    chan *liteReader // those that no transaction has

	work chan *liteJob
	stop sync.Once
	quit chan struct{}
	done chan struct{}
}

// liteReader is a connection that reads, with its prepared statements: those of
// another connection would have to be prepared again.
type liteReader struct {
	conn  *sql.Conn
	stmts preparer
}

// liteJob is one Update on its way through the writer.
type liteJob struct {
	ctx   context.Context
	fn    func(*Tx) error
	err   error
	panic any
	done  chan struct{}
}

func openSQLite(ctx context.Context, path string) (*DB, error) {
	if path == "" {
		return nil, fmt.Errorf("sqlite: needs a path")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	e := &liteEngine{
		lock: lock, work: make(chan *liteJob), quit: make(chan struct{}), done: make(chan struct{}),
		idle: make(chan *liteReader, sqliteReaders),
	}
	if err := e.open(ctx, path); err != nil {
		e.closeFiles()
		return nil, fmt.Errorf("open database %s: %w", path, wrap(err))
	}
	go e.write()
	return &DB{engine: e, dialect: sqliteDialect}, nil
}

func (e *liteEngine) open(ctx context.Context, path string) (err error) {
	e.writer, err = sql.Open("sqlite", sqliteDSN(path, "immediate", append(sqlitePragmas, sqliteWriterPragmas...)))
	if err != nil {
		return err
	}
	e.writer.SetMaxOpenConns(1)
	if err := migrate(ctx, e.writer, sqliteDialect); err != nil {
		return err
	}
	if e.conn, err = e.writer.Conn(ctx); err != nil {
		return err
	}
	e.stmts = preparer{prepare: e.conn.PrepareContext, cache: &stmtCache{}}
	e.readers, err = sql.Open("sqlite", sqliteDSN(path, "deferred", append(sqlitePragmas, "query_only(1)")))
	if err != nil {
		return err
	}
	e.readers.SetMaxOpenConns(sqliteReaders)
	for range sqliteReaders {
		conn, err := e.readers.Conn(ctx)
		if err != nil {
			return err
		}
		e.opened++
		e.idle <- &liteReader{conn, preparer{prepare: conn.PrepareContext, cache: &stmtCache{}}}
	}
	return nil
}

func sqliteDSN(path, txlock string, pragmas []string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	u.RawQuery = url.Values{"_pragma": pragmas, "_txlock": {txlock}}.Encode()
	return u.String()
}

// lockFile takes the lock that keeps a second process away: positions and
// group commit live in one process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func (e *liteEngine) close() error {
	e.stop.Do(func() { close(e.quit) })
	<-e.done
	return e.closeFiles()
}

func (e *liteEngine) closeFiles() error {
	var errs []error
	for range e.opened {
		r := <-e.idle // of a running transaction: once it has ended
		errs = append(errs, r.stmts.cache.close(), r.conn.Close())
	}
	if e.readers != nil {
		errs = append(errs, e.readers.Close())
	}
	if e.conn != nil {
		errs = append(errs, e.stmts.cache.close(), e.conn.Close())
	}
	if e.writer != nil {
		errs = append(errs, e.writer.Close())
	}
	return errors.Join(append(errs, e.lock.Close())...)
}

// errClosed is what Update says after Close.
var errClosed = errors.New("the database is closed")

func (e *liteEngine) update(ctx context.Context, fn func(*Tx) error) error {
	job := &liteJob{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case e.work <- job:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.quit:
		return errClosed
	}
	// From here the writer decides: it may have committed although ctx ended.
	<-job.done
	if job.panic != nil {
		panic(job.panic)
	}
	return job.err
}

// write is the writer: it takes what has come in while the last commit was on
// its way, runs each in a savepoint, and commits all of it with one fsync.
func (e *liteEngine) write() {
	defer close(e.done)
	for {
		select {
		case job := <-e.work:
			e.commit(e.batch(job))
		case <-e.quit:
			return
		}
	}
}

func (e *liteEngine) batch(job *liteJob) []*liteJob {
	batch := []*liteJob{job}
	for len(batch) < maxBatch {
		select {
		case next := <-e.work:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// commit runs the batch in one transaction. A job that fails is rolled back on
// its own; if the commit fails, all of them have failed.
func (e *liteEngine) commit(batch []*liteJob) {
	ctx := context.Background()
	err := e.control(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		for _, job := range batch {
			e.attempt(job)
		}
		crash.Point("storage.commit.before")
		if err = e.control(ctx, "COMMIT"); err != nil {
			_ = e.control(ctx, "ROLLBACK")
		} else {
			crash.Point("storage.commit.after")
		}
	}
	for _, job := range batch {
		if err != nil && job.err == nil {
			job.err = wrap(err)
		}
		close(job.done)
	}
}

func (e *liteEngine) attempt(job *liteJob) {
	if job.err = job.ctx.Err(); job.err != nil {
		return
	}
	ctx := context.Background()
	if job.err = e.control(ctx, "SAVEPOINT job"); job.err != nil {
		return
	}
	// The statements run without the caller's context: an interrupt in the
	// middle would roll back the whole batch.
	func() {
		defer func() { job.panic = recover() }()
		job.err = job.fn(&Tx{ctx: ctx, q: e.stmts, dialect: sqliteDialect})
	}()
	if job.err != nil || job.panic != nil {
		if err := e.control(ctx, "ROLLBACK TO job"); err != nil {
			job.err = errors.Join(job.err, err)
		}
	}
	if err := e.control(ctx, "RELEASE job"); err != nil {
		job.err = errors.Join(job.err, err)
	}
}

func (e *liteEngine) control(ctx context.Context, stmt string) error {
	_, err := e.stmts.ExecContext(ctx, stmt)
	return err
}

func (e *liteEngine) view(ctx context.Context, fn func(*Tx) error) error {
	var r *liteReader
	select {
	case r = <-e.idle:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.quit:
		return errClosed
	}
	defer func() { e.idle <- r }()
	// Begun and ended without the caller's context: a connection that is given
	// back has no transaction.
	if _, err := r.stmts.ExecContext(context.Background(), "BEGIN"); err != nil {
		return wrap(err)
	}
	defer func() { _, _ = r.stmts.ExecContext(context.Background(), "ROLLBACK") }()
	return fn(&Tx{ctx: ctx, q: r.stmts, dialect: sqliteDialect})
}
