package storage

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// pgLockKey is the key of the advisory lock that keeps a second process away.
// The token cache and the job runner of this version assume that they are alone
// (docs/decisions/0004-one-process.md).
const pgLockKey = 0x6c65746865 // "lethe"

// How long to wait: for the lock of a process that has just been killed, whose
// connection the server may not have noticed yet; between two tries; between two
// looks at whether a silent connection still lives; and for an answer.
var (
	pgLockWait   = 3 * time.Second
	pgLockPause  = 100 * time.Millisecond
	pgLockLook   = 5 * time.Second
	pgLockAnswer = 5 * time.Second
)

// pgLock holds the advisory lock, on a connection of its own. A lock ends with
// its connection, and then another process may take it; so who took it last
// signs the table holder, and who comes back to a lock that broke knows whether
// anybody was there meanwhile.
type pgLock struct {
	cfg  *pgx.ConnConfig
	name string
	conn *pgx.Conn

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	done   chan struct{} // closed when watch has ended; nil if it never began
}

func newPGLock(cfg *pgx.ConnConfig) *pgLock {
	l := &pgLock{cfg: cfg, name: rand.Text()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// take takes the lock, or returns [ErrLocked].
func (l *pgLock) take(ctx context.Context) (err error) {
	if l.conn, err = pgx.ConnectConfig(ctx, l.cfg); err != nil {
		return err
	}
	for until := time.Now().Add(pgLockWait); ; {
		ours, err := l.try(ctx)
		if ours || err != nil {
			return err
		}
		if time.Now().After(until) {
			return ErrLocked
		}
		if err := sleep(ctx, pgLockPause); err != nil {
			return err
		}
	}
}

func (l *pgLock) try(ctx context.Context) (ours bool, err error) {
	err = l.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(pgLockKey)).Scan(&ours)
	return ours, err
}

// sign leaves this process's name.
func (l *pgLock) sign(ctx context.Context) error {
	_, err := l.conn.Exec(ctx, `INSERT INTO holder (id, process) VALUES (1, $1)
		ON CONFLICT (id) DO UPDATE SET process = excluded.process`, l.name)
	return err
}

// keep keeps the lock until close, and calls lose if another process has got it.
func (l *pgLock) keep(lose func(error)) {
	l.done = make(chan struct{})
	go l.watch(lose)
}

func (l *pgLock) watch(lose func(error)) {
	defer close(l.done)
	for l.ctx.Err() == nil {
		if l.held() {
			continue
		}
		if holder := l.retake(); holder != "" {
			lose(fmt.Errorf("the connection that held the lock broke, and then: %w", ErrLocked))
			return
		}
	}
}

// held waits a while, and tells whether the connection still lives. A server
// that ends it is noticed at once, one that has gone silent by asking.
func (l *pgLock) held() bool {
	ctx, cancel := context.WithTimeout(l.ctx, pgLockLook)
	_, err := l.conn.WaitForNotification(ctx) // none is asked for: it returns with ctx or the connection
	cancel()
	if err == nil || l.ctx.Err() != nil {
		return true
	}
	ctx, cancel = context.WithTimeout(l.ctx, pgLockAnswer)
	defer cancel()
	return l.conn.Ping(ctx) == nil || l.ctx.Err() != nil
}

// retake connects and takes the lock again, for as long as it takes. It returns
// the name of the process that has had it meanwhile, if one has.
func (l *pgLock) retake() string {
	for {
		ours, holder := l.reconnect()
		switch {
		case holder != "" && holder != l.name:
			return holder
		case ours && holder != "":
			return ""
		case sleep(l.ctx, pgLockPause) != nil:
			return ""
		}
	}
}

// reconnect makes one attempt. The holder is read after the lock was tried: so
// one who came and went is seen. It is "" if the server cannot be asked.
func (l *pgLock) reconnect() (ours bool, holder string) {
	ctx, cancel := context.WithTimeout(l.ctx, pgLockAnswer)
	defer cancel()
	if l.conn.Ping(ctx) != nil {
		_ = l.conn.Close(ctx)
		conn, err := pgx.ConnectConfig(ctx, l.cfg)
		if err != nil {
			return false, ""
		}
		l.conn = conn
	}
	ours, err := l.try(ctx)
	if err != nil {
		return false, ""
	}
	if l.conn.QueryRow(ctx, `SELECT process FROM holder WHERE id = 1`).Scan(&holder) != nil {
		return false, ""
	}
	return ours, holder
}

func (l *pgLock) close() error {
	l.cancel()
	if l.done != nil {
		<-l.done
	}
	if l.conn == nil || l.conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), pgLockAnswer)
	defer cancel()
	return l.conn.Close(ctx)
}

// sleep waits, or returns the error of ctx if that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
