package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// A process that has a PostgreSQL database open is a node: it has a row in the
// table nodes, with a lease that it extends (docs/decisions/0005-several-processes.md).
//
// While a node is alone it may answer from memory ([DB.Alone]). It says in its
// row whether it does: shared is FALSE. A node that comes has its row first, and
// then waits until every other row says TRUE or has gone; a node that wants to
// be alone writes FALSE first, and then looks whether somebody has come. So one
// of the two sees the other.
//
// A node whose lease has run out by the database's clock is dead to the others.
// It may only have stood still, so two things hold: well before that time it
// takes nothing for granted any more, and neither answers from memory nor
// commits; and who deletes its row ends its sessions first, so that no commit
// that was on its way comes later.

// The lease: how long a row holds, how long its node relies on it, and how often
// it is extended.
var (
	leaseTime  = 30 * time.Second
	leaseTrust = 15 * time.Second
	leaseEvery = 5 * time.Second
	// hintEvery is how often a node that is not alone looks for changes of others,
	// if it hears nothing.
	hintEvery = time.Second
)

const (
	// nodeAnswer is how long PostgreSQL has to answer about the nodes.
	nodeAnswer = 5 * time.Second
	// nodePause lies between two attempts to reach PostgreSQL, and between two
	// looks of a node that waits for others.
	nodePause = 200 * time.Millisecond
	// buryPause lies between two looks at whether a dead node's sessions have
	// ended.
	buryPause = 5 * time.Millisecond
	// tellPause is the least time between two notices of changes.
	tellPause = 5 * time.Millisecond
)

// The channels of LISTEN; the payload is the id of the node.
const (
	nodesChannel   = "lethe_nodes"   // a node has come, or gone, or answered
	changesChannel = "lethe_changes" // a node has changed something
)

// errLapsed is a transaction of a node that the others may take for dead. It is
// run again: the lease may be extended in a moment.
var errLapsed = errors.New("the database has not answered this process for a while, so its lease may have run out")

// standing is what a node knows of itself, since it last heard from the
// database.
type standing struct {
	term uint64    // 0: it is not alone
	sent time.Time // when it asked, before the database had an answer
}

// fresh tells whether the lease can be relied on. Both clocks are asked: the one
// stands still while the machine sleeps, the other may be set.
func (s *standing) fresh() bool {
	if s == nil {
		return false
	}
	now := time.Now()
	return now.Sub(s.sent) < leaseTrust && now.Round(0).Sub(s.sent.Round(0)) < leaseTrust
}

// nodes is this process among those that have the database open.
type nodes struct {
	id  string
	cfg *pgx.ConnConfig
	now atomic.Pointer[standing] // nil: it is not among them

	// Of the goroutine that has the connection: open, and then keep.
	conn   *pgx.Conn
	term   uint64
	others []string

	hints  chan struct{}
	notify chan struct{}
	mu     sync.Mutex
	hooks  []func()

	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newNodes(cfg *pgx.ConnConfig) *nodes {
	n := &nodes{id: rand.Text(), cfg: cfg, hints: make(chan struct{}, 1), notify: make(chan struct{}, 1)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// alone is [DB.Alone].
func (n *nodes) alone() (term uint64, ok bool) {
	s := n.now.Load()
	return s.termOf(), s.fresh() && s.term != 0
}

func (s *standing) termOf() uint64 {
	if s == nil {
		return 0
	}
	return s.term
}

// databaseNow is the database's clock, in milliseconds, at this moment and not
// at the transaction's beginning.
const databaseNow = `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT`

// register writes the row of a node that has none. It is not among the others
// yet.
func (n *nodes) register(ctx context.Context) error {
	n.now.Store(nil)
	_, err := n.conn.Exec(ctx, `INSERT INTO nodes (id, started_at, alive_until, shared)
		VALUES ($1, `+databaseNow+`, `+databaseNow+` + $2, TRUE)
		ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until, shared = TRUE`, n.id, leaseTime.Milliseconds())
	if err != nil {
		return err
	}
	return n.announce(ctx)
}

// announce tells the other nodes to look.
func (n *nodes) announce(ctx context.Context) error {
	_, err := n.conn.Exec(ctx, `SELECT pg_notify($1, $2)`, nodesChannel, n.id)
	return err
}

// mark says whether this node does without its caches.
func (n *nodes) mark(ctx context.Context, shared bool) error {
	if _, err := n.conn.Exec(ctx, `UPDATE nodes SET shared = $2 WHERE id = $1`, n.id, shared); err != nil {
		return err
	}
	if !shared {
		return nil // nobody waits for that
	}
	return n.announce(ctx)
}

// view is what a node saw when it extended its lease.
type view struct {
	sent   time.Time
	shared bool     // what its own row says
	others []string // who else is there, by id
	closed bool     // one of the others says that it is alone
}

// renew extends the lease and looks around. ok is false if the row has gone.
func (n *nodes) renew(ctx context.Context) (v view, ok bool, err error) {
	v.sent = time.Now()
	err = n.conn.QueryRow(ctx, `UPDATE nodes SET alive_until = `+databaseNow+` + $2 WHERE id = $1
		RETURNING shared, ARRAY(SELECT o.id FROM nodes o WHERE o.id <> $1 ORDER BY o.id),
			EXISTS (SELECT 1 FROM nodes o WHERE o.id <> $1 AND NOT o.shared)`,
		n.id, leaseTime.Milliseconds()).Scan(&v.shared, &v.others, &v.closed)
	if errors.Is(err, pgx.ErrNoRows) {
		return v, false, nil
	}
	return v, err == nil, err
}

// sweep deletes the rows of nodes that have gone without a word.
func (n *nodes) sweep(ctx context.Context) error {
	var dead []string
	err := n.conn.QueryRow(ctx, `SELECT ARRAY(SELECT id FROM nodes WHERE id <> $1 AND alive_until <= `+databaseNow+`)`,
		n.id).Scan(&dead)
	for _, id := range dead {
		err = errors.Join(err, n.bury(ctx, id, `alive_until <= `+databaseNow))
	}
	return err
}

// nodeKey is the key of the advisory lock that every session of the node $1 has,
// but for the one that keeps its row.
const nodeKey = `hashtextextended($1, 0)`

// hold marks a session as this node's.
func (n *nodes) hold(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT pg_advisory_lock_shared(`+nodeKey+`)`, n.id)
	return err
}

// bury ends the sessions of a node and deletes its row if that is still as
// condition says. A session that takes its time, in a commit say, keeps the row
// until the next attempt.
func (n *nodes) bury(ctx context.Context, id, condition string) error {
	_, err := n.conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_backend_pid()
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (classid::bigint << 32) | objid::bigint = `+nodeKey, id)
	for last := time.Now().Add(nodePause); err == nil; err = sleep(ctx, buryPause) {
		var ended bool
		err = n.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+nodeKey+`)`, id).Scan(&ended)
		if err == nil && ended {
			_, err = n.conn.Exec(ctx, `DELETE FROM nodes WHERE id = $1 AND `+condition, id)
			_, unlock := n.conn.Exec(ctx, `SELECT pg_advisory_unlock(`+nodeKey+`)`, id)
			return errors.Join(err, unlock)
		}
		if time.Now().After(last) {
			return nil
		}
	}
	return err
}

// tick extends the lease and does what the others make necessary. It returns
// false while this node has to wait for them.
func (n *nodes) tick(ctx context.Context) (member bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, nodeAnswer)
	defer cancel()
	if n.now.Load().termOf() == 0 {
		if err := n.sweep(ctx); err != nil {
			return false, err
		}
	}
	v, err := n.look(ctx)
	if err != nil {
		return false, err
	}
	if len(v.others) == 0 && n.now.Load().termOf() == 0 {
		// It is alone if it still sees nobody after it has said so: who came before
		// that took it for shared.
		if err := n.mark(ctx, false); err != nil {
			return false, err
		}
		if v, err = n.look(ctx); err != nil {
			return false, err
		}
	}
	if len(v.others) == 0 {
		n.beAlone(v)
	} else if member, err := n.beOneOf(ctx, v); !member || err != nil {
		return false, err
	}
	if !slices.Equal(n.others, v.others) {
		n.others = v.others
		n.hint()
		n.changed()
	}
	return true, nil
}

// look extends the lease, of a new row where the old one has gone.
func (n *nodes) look(ctx context.Context) (view, error) {
	v, ok, err := n.renew(ctx)
	if err != nil || ok {
		return v, err
	}
	if err := n.register(ctx); err != nil {
		return v, err
	}
	if v, ok, err = n.renew(ctx); err == nil && !ok {
		err = errLapsed // somebody deletes rows by hand
	}
	return v, err
}

func (n *nodes) beAlone(v view) {
	term := n.now.Load().termOf()
	if term == 0 && !v.shared {
		n.term++
		term = n.term
	}
	n.now.Store(&standing{term: term, sent: v.sent})
}

// beOneOf does without caches from here on, and then says so. It returns false
// for a node that is new and has to wait until the others have done the same.
func (n *nodes) beOneOf(ctx context.Context, v view) (member bool, err error) {
	member = n.now.Load() != nil
	if member {
		n.now.Store(&standing{sent: v.sent})
	}
	if !v.shared {
		if err := n.mark(ctx, true); err != nil {
			return false, err
		}
	}
	if !member && !v.closed {
		n.now.Store(&standing{sent: v.sent})
		member = true
	}
	return member, nil
}

// changed tells who wants to know that nodes have come or gone.
func (n *nodes) changed() {
	n.mu.Lock()
	hooks := slices.Clone(n.hooks)
	n.mu.Unlock()
	for _, hook := range hooks {
		hook()
	}
}

func (n *nodes) onChange(hook func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hooks = append(n.hooks, hook)
}

// leave ends this node, after its sessions.
func (n *nodes) leave() {
	n.cancel()
	n.wg.Wait()
	n.now.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), nodeAnswer)
	defer cancel()
	if n.conn == nil || n.conn.IsClosed() && n.connect(ctx) != nil {
		return // its row stays until the lease has run out
	}
	_ = n.bury(ctx, n.id, `TRUE`)
	_ = n.announce(ctx)
	_ = n.conn.Close(ctx)
}
