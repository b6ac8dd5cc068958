package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// sqliteReaders is how many transactions may read at once. Each has a page
// cache of its own, so there are few (DESIGN §7).
const sqliteReaders = 8

// Pragmas of every connection; the writer's come on top. secure_delete
// overwrites what is deleted, synchronous=FULL makes a commit durable.
var (
	sqlitePragmas = []string{
		"busy_timeout(5000)", "foreign_keys(1)", "secure_delete(1)",
		"cache_size(-2000)", "temp_store(memory)",
	}
	sqliteWriterPragmas = []string{"journal_mode(wal)", "synchronous(full)", "journal_size_limit(67108864)"}
)

// checkpointAfter is how long after a change the write-ahead log is emptied, so
// that what was deleted is in no file any more.
var checkpointAfter = time.Minute

// liteEngine runs SQLite: one connection writes, with group commit, and a pool
// of others reads.
type liteEngine struct {
	lock    *os.File
	writeDB *sql.DB
	readDB  *sql.DB
	writer  *liteConn
	q       querier        // the writer
	readers []*liteConn    // all of them
	idle    chan *liteConn // those that no transaction has

	work        chan *liteJob
	checkpoints chan chan error
	quit        chan struct{}
	done        chan struct{}
	committed   atomic.Int64
}

// liteJob is one Update on its way through the writer.
type liteJob struct {
	ctx       context.Context
	fn        func(*Tx) error
	committed func([]Change)
	changes   []Change
	err       error
	panic     *closurePanic
	done      chan struct{}
}

// closurePanic carries a panic from the writer to the caller of Update, with
// the place where it happened.
type closurePanic struct {
	value any
	stack []byte
}

func (p *closurePanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

func openSQLite(ctx context.Context, path string) (*liteEngine, error) {
	if path == "" {
		return nil, errors.New("sqlite: needs a path")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, wrapFile(err))
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	e := &liteEngine{
		lock: lock, idle: make(chan *liteConn, sqliteReaders),
		work: make(chan *liteJob), checkpoints: make(chan chan error),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	if err := e.open(ctx, path); err != nil {
		_ = e.closeFiles()
		return nil, fmt.Errorf("open database %s: %w", path, wrap(err))
	}
	go e.write()
	return e, nil
}

func (e *liteEngine) open(ctx context.Context, path string) (err error) {
	if err := private(path); err != nil {
		return err
	}
	e.writeDB, err = sql.Open("sqlite", sqliteDSN(path, slices.Concat(sqlitePragmas, sqliteWriterPragmas)))
	if err != nil {
		return err
	}
	e.writeDB.SetMaxOpenConns(1)
	if err := migrate(ctx, e.writeDB, sqliteDialect); err != nil {
		return err
	}
	if e.writer, err = newLiteConn(ctx, e.writeDB); err != nil {
		return err
	}
	e.q = e.writer
	e.readDB, err = sql.Open("sqlite", sqliteDSN(path, slices.Concat(sqlitePragmas, []string{"query_only(1)"})))
	if err != nil {
		return err
	}
	for range sqliteReaders {
		reader, err := newLiteConn(ctx, e.readDB)
		if err != nil {
			return err
		}
		e.readers = append(e.readers, reader)
		e.idle <- reader
	}
	return nil
}

// private makes the database's file, if it is missing, readable for nobody
// else; SQLite gives its other files the same mode.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return wrapFile(err)
	}
	return f.Close()
}

func sqliteDSN(path string, pragmas []string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	u.RawQuery = url.Values{"_pragma": pragmas, "_txlock": {"immediate"}}.Encode()
	return u.String()
}

// lockFile takes the lock that keeps a second process away: positions and
// group commit live in one process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return nil, wrapFile(err)
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
	close(e.quit)
	<-e.done
	return e.closeFiles()
}

// closeFiles closes what is open. The last connection to go empties and removes
// the write-ahead log.
func (e *liteEngine) closeFiles() error {
	var errs []error
	for _, reader := range e.readers {
		errs = append(errs, reader.close())
	}
	if e.readDB != nil {
		errs = append(errs, e.readDB.Close())
	}
	if e.writer != nil {
		errs = append(errs, e.writer.close())
	}
	if e.writeDB != nil {
		errs = append(errs, e.writeDB.Close())
	}
	return errors.Join(append(errs, e.lock.Close())...)
}

func (e *liteEngine) commits() int64 { return e.committed.Load() }

func (e *liteEngine) update(ctx context.Context, fn func(*Tx) error, committed func([]Change)) error {
	job := &liteJob{ctx: ctx, fn: fn, committed: committed, done: make(chan struct{})}
	select {
	case e.work <- job:
	case <-ctx.Done():
		return ctx.Err()
	}
	// From here the writer decides: it may have committed although ctx ended.
	<-job.done
	if job.panic != nil {
		panic(job.panic)
	}
	return job.err
}

func (e *liteEngine) look(ctx context.Context, fn func(*Tx) error) error { return e.view(ctx, fn) }

func (e *liteEngine) view(ctx context.Context, fn func(*Tx) error) error {
	var reader *liteConn
	defer func() {
		if reader != nil {
			_, _ = reader.ExecContext(context.Background(), "ROLLBACK")
			e.idle <- reader
		}
	}()
	q := &lazy{begin: func() (querier, error) {
		var next *liteConn
		select {
		case next = <-e.idle:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// Begun and ended without the caller's context: a connection that is given
		// back has no transaction.
		if _, err := next.ExecContext(context.Background(), "BEGIN"); err != nil {
			e.idle <- next
			return nil, err
		}
		reader = next
		return reader, nil
	}}
	return (&Tx{ctx: ctx, q: q, dialect: sqliteDialect, view: true}).do(fn)
}
