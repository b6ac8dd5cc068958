package storage

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
)

// connect makes the connection that extends the lease and listens.
func (n *nodes) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, nodeAnswer)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, n.cfg)
	if err != nil {
		return err
	}
	n.conn = conn
	for _, channel := range []string{nodesChannel, changesChannel} {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
	}
	return nil
}

// join makes this process a node, and waits until the others know it, or are
// dead.
func (n *nodes) join(ctx context.Context) error {
	if err := n.register(ctx); err != nil {
		return err
	}
	for {
		member, err := n.tick(ctx)
		if member || err != nil {
			return err
		}
		if _, err := n.hear(ctx, nodePause); err != nil {
			return err
		}
	}
}

// keep extends the lease and listens until leave is called.
func (n *nodes) keep(pool *sql.DB) {
	n.wg.Go(func() { n.tell(pool) })
	n.wg.Go(func() {
		for n.ctx.Err() == nil {
			n.attend() // returns when the connection is broken
			_ = n.conn.Close(n.ctx)
			for n.connect(n.ctx) != nil && sleep(n.ctx, nodePause) == nil {
			}
			n.hint() // what was said meanwhile was not heard
		}
	})
}

// attend is keep on one connection.
func (n *nodes) attend() {
	var next time.Time
	for {
		if !time.Now().Before(next) {
			member, err := n.tick(n.ctx)
			if err != nil {
				return
			}
			next = time.Now().Add(leaseEvery)
			if !member {
				next = time.Now().Add(nodePause)
			}
		}
		wait := time.Until(next)
		if n.now.Load().termOf() == 0 {
			wait = min(wait, hintEvery)
		}
		channel, err := n.hear(n.ctx, wait)
		switch {
		case err != nil:
			return
		case channel == nodesChannel:
			next = time.Time{}
		case channel == changesChannel || n.now.Load().termOf() == 0:
			n.hint()
		}
	}
}

// hear waits until another node says something, or the time has passed. It
// returns the channel, "" for none, and an error when the connection or ctx has
// ended.
func (n *nodes) hear(ctx context.Context, wait time.Duration) (channel string, err error) {
	timeout, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		notice, err := n.conn.WaitForNotification(timeout)
		switch {
		case err == nil && notice.Payload == n.id:
			continue // its own
		case err == nil:
			return notice.Channel, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case timeout.Err() != nil && !n.conn.IsClosed():
			return "", nil
		}
		return "", err
	}
}

// hint has [DB.Hints] fire.
func (n *nodes) hint() {
	select {
	case n.hints <- struct{}{}:
	default:
	}
}

// tell notifies the others of changes: of all that were made since the last time
// at once.
func (n *nodes) tell(pool *sql.DB) {
	for {
		select {
		case <-n.notify:
		case <-n.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(n.ctx, nodeAnswer)
		// One that is lost costs the others a second, hintEvery.
		_, _ = pool.ExecContext(ctx, `SELECT pg_notify($1, $2)`, changesChannel, n.id)
		cancel()
		if sleep(n.ctx, tellPause) != nil {
			return
		}
	}
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
