package storage

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"lethe/internal/crash"
)

// maxBatch bounds how many transactions share one commit.
const maxBatch = 128

// write is SQLite's writer: it takes what has come in while the last commit was
// on its way, runs each in a savepoint, and commits all of it with one fsync.
func (e *liteEngine) write() {
	defer close(e.done)
	var due <-chan time.Time // when the log is emptied; nil while nothing is in it
	for {
		select {
		case job := <-e.work:
			e.commit(e.batch(job))
			if due == nil {
				due = time.After(checkpointAfter)
			}
		case <-due:
			due = nil
			if e.truncate() != nil {
				due = time.After(checkpointAfter) // a reader was in the way
			}
		case reply := <-e.checkpoints:
			reply <- e.truncate()
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

// errAborted: SQLite has rolled back the whole transaction.
var errAborted = errors.New("the transaction was rolled back")

// commit runs the batch in one transaction. A job that fails is rolled back on
// its own; if the commit fails, all of them have failed. Where a job makes
// SQLite roll back everything, as one that finds the disk full, the others are
// run again without it.
func (e *liteEngine) commit(batch []*liteJob) {
	err := e.transact(batch)
	if errors.Is(err, errAborted) && len(batch) > 1 {
		for _, job := range batch {
			e.commit([]*liteJob{job})
		}
		return
	}
	for _, job := range batch {
		if err != nil && job.err == nil {
			job.err = wrap(err)
		}
		if job.err == nil {
			job.committed(job.changes)
		}
		close(job.done)
	}
}

func (e *liteEngine) transact(batch []*liteJob) error {
	if err := e.control("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, job := range batch {
		if !e.attempt(job) {
			_ = e.control("ROLLBACK")
			return errAborted
		}
	}
	crash.Point("storage.commit.before")
	if err := e.control("COMMIT"); err != nil {
		_ = e.control("ROLLBACK")
		return err
	}
	crash.Point("storage.commit.after")
	e.committed.Add(1)
	return nil
}

// attempt runs one job, and tells whether the transaction of the batch can go
// on.
func (e *liteEngine) attempt(job *liteJob) bool {
	job.panic, job.changes = nil, nil
	if job.err = job.ctx.Err(); job.err != nil {
		return true
	}
	if job.err = wrap(e.control("SAVEPOINT job")); job.err != nil {
		return false
	}
	e.call(job)
	if job.err != nil || job.panic != nil {
		if e.control("ROLLBACK TO job") != nil {
			return false // there is no savepoint any more
		}
	}
	err := wrap(e.control("RELEASE job"))
	job.err = errors.Join(job.err, err)
	return err == nil
}

// call calls a job's function. Its statements run without the caller's context:
// an interrupt in the middle would roll back the whole batch.
func (e *liteEngine) call(job *liteJob) {
	defer func() {
		if p := recover(); p != nil {
			job.panic = &closurePanic{p, debug.Stack()}
		}
	}()
	tx := &Tx{ctx: context.Background(), q: e.q, dialect: sqliteDialect}
	job.err = tx.do(job.fn)
	job.changes = tx.changes
}

func (e *liteEngine) control(stmt string) error {
	_, err := e.q.ExecContext(context.Background(), stmt)
	return err
}

// checkpoint has the writer empty the log.
func (e *liteEngine) checkpoint(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case e.checkpoints <- reply:
		return <-reply
	case <-ctx.Done():
		return ctx.Err()
	}
}

// truncate copies the log into the database and empties its file. It does not
// wait for readers as long as a write would: others want to write.
func (e *liteEngine) truncate() error {
	ctx := context.Background()
	if err := e.control("PRAGMA busy_timeout(100)"); err != nil {
		return wrap(err)
	}
	defer func() { _ = e.control("PRAGMA busy_timeout(5000)") }()
	var busy, inLog, copied int
	row := e.writer.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := row.Scan(&busy, &inLog, &copied); err != nil {
		return wrap(err)
	}
	if busy != 0 {
		return errors.New("a reader keeps the write-ahead log from being emptied")
	}
	return nil
}
