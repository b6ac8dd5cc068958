package job

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Handler does the work of one kind. It may be run again after it has
// succeeded, if the process died before that was recorded, so it is idempotent.
// It calls [Run.Complete] in its last transaction, or leaves that to the runner
// if it has none. An error means that it is tried again.
type Handler func(ctx context.Context, run *Run) error

// Options are the settings of a [Runner].
type Options struct {
	Now     func() time.Time
	Log     *slog.Logger
	Workers int // 0: 8; most wait for other hosts
}

// lease is how long a job is one runner's; it is extended while a handler runs.
const lease = time.Minute

// maxSleep is the longest a runner sleeps: time may be set by hand. Where there
// are several it looks more often, for jobs that another has no worker for.
const (
	maxSleep    = 10 * time.Minute
	sharedSleep = 5 * time.Second
)

// LookAgain is how often a caller that waits for a state of jobs looks at it
// beside what [Runner.Ended] says: another process may have run them.
const LookAgain = 250 * time.Millisecond

// Runner runs jobs that are due. Between them it sleeps until the next is, and
// writes and reads nothing. Several processes with one database may each have
// one; a job is run by whoever takes it first.
type Runner struct {
	db       *storage.DB
	opts     Options
	owner    string
	handlers map[string]Handler
	wake     chan struct{}
	nodes    chan struct{} // another process has come or gone

	taking  sync.Mutex   // held while jobs are leased and counted
	running atomic.Int64 // jobs that this runner has
	mu      sync.Mutex
	done    chan struct{} // closed and replaced when a job ends
}

// NewRunner makes a runner. Register all handlers before it runs.
func NewRunner(db *storage.DB, opts Options) *Runner {
	if opts.Workers == 0 {
		opts.Workers = 8
	}
	r := &Runner{
		db: db, opts: opts, owner: db.Node() + "." + rand.Text(), handlers: map[string]Handler{},
		wake: make(chan struct{}, 1), nodes: make(chan struct{}, 1), done: make(chan struct{}),
	}
	db.OnNodes(func() { signal(r.nodes) })
	return r
}

// signal is for channels with room for one: more says nothing more.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Handle registers the handler of a kind.
func (r *Runner) Handle(kind string, h Handler) { r.handlers[kind] = h }

// Wake tells the runner that a job was enqueued. It does not block.
func (r *Runner) Wake() { signal(r.wake) }

// Ended is closed when a job that this runner has ends, well or not. A caller
// that waits for a state of jobs gets the channel, looks at the state, and then
// waits, but no longer than [LookAgain].
func (r *Runner) Ended() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

func (r *Runner) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.done)
	r.done = make(chan struct{})
}

// stopTime is how long the jobs that are running have to end when the runner is
// stopped.
const stopTime = 5 * time.Second

// Run runs jobs until ctx ends, and returns once those that are running have
// ended too, for which they get a few seconds. Leases of processes that are gone
// are void.
func (r *Runner) Run(ctx context.Context) error {
	err := r.release(ctx)
	if ctx.Err() != nil {
		return nil // it was stopped before it began
	}
	if err != nil {
		return fmt.Errorf("release jobs: %w", err)
	}
	slots := make(chan struct{}, r.opts.Workers)
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var wg sync.WaitGroup
	defer func() {
		defer time.AfterFunc(stopTime, abandon).Stop()
		wg.Wait()
	}()
	for {
		jobs, next, err := r.take(ctx, cap(slots)-len(slots))
		if err != nil && ctx.Err() == nil {
			r.opts.Log.Error("jobs cannot be read", "error", err)
		}
		for _, j := range jobs {
			slots <- struct{}{}
			wg.Go(func() {
				r.run(work, j)
				<-slots
				r.Wake()
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-r.nodes:
			if err := r.release(ctx); err != nil && ctx.Err() == nil {
				r.opts.Log.Error("jobs of a process that is gone are not released", "error", err)
			}
		case <-time.After(next):
		}
	}
}

// release takes the jobs of processes that are gone from them.
func (r *Runner) release(ctx context.Context) error {
	return r.db.Update(ctx, func(tx *storage.Tx) error { return tx.ReleaseJobs() })
}

// Drain runs everything that is due, and what that causes, until nothing is:
// for tests, and for the command line.
func (r *Runner) Drain(ctx context.Context) error {
	for {
		ended := r.Ended()
		jobs, _, err := r.take(ctx, r.opts.Workers)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			if r.running.Load() == 0 {
				return nil
			}
			select { // what Run has taken may cause more
			case <-ended:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var wg sync.WaitGroup
		for _, j := range jobs {
			wg.Go(func() { r.run(ctx, j) })
		}
		wg.Wait()
	}
}

// take leases up to n jobs that are due, and tells how long to sleep until the
// next is.
func (r *Runner) take(ctx context.Context, n int) (jobs []storage.Job, next time.Duration, err error) {
	next = maxSleep
	if _, alone := r.db.Alone(); !alone {
		next = sharedSleep
	}
	if n == 0 {
		return nil, next, nil // the end of a running job wakes the runner
	}
	r.taking.Lock()
	defer r.taking.Unlock()
	now := matrix.TimestampOf(r.opts.Now())
	var at matrix.Timestamp
	err = r.db.View(ctx, func(tx *storage.Tx) (err error) {
		at, err = tx.NextJobAt()
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, next, nil
	}
	if err != nil {
		return nil, time.Second, err
	}
	if at > now {
		return nil, min(next, at.Time().Sub(now.Time())), nil
	}
	err = r.db.Update(ctx, func(tx *storage.Tx) (err error) {
		jobs, err = tx.LeaseJobs(r.owner, now, now.Add(lease), n)
		return err
	})
	if err != nil {
		return nil, time.Second, err
	}
	if len(jobs) == 0 {
		// Somebody is at its row, or the clock was put back behind its time.
		return nil, time.Second, nil
	}
	r.running.Add(int64(len(jobs)))
	return jobs, 0, nil // look again: there may be more
}

// run makes one attempt at a job and records how it ended.
func (r *Runner) run(ctx context.Context, j storage.Job) {
	defer r.ended()
	defer r.running.Add(-1)
	run := &Run{job: j, owner: r.owner, now: r.opts.Now}
	err := r.attempt(ctx, run)
	if err == nil && run.complete {
		return
	}
	stopping := ctx.Err() != nil
	// What is recorded here must be, also when the server is stopping.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err == nil {
		err = r.db.Update(ctx, run.Complete)
	}
	switch {
	case err == nil || errors.Is(err, ErrLeaseLost):
		return
	case stopping: // not the job's fault
		err = r.db.Update(ctx, func(tx *storage.Tx) error { return tx.ReleaseJob(j.ID, r.owner) })
	default:
		err = r.fail(ctx, j, err)
	}
	if err != nil {
		r.opts.Log.Error("end of a job not recorded; it is run again when its lease ends", "job", j.ID, "error", err)
	}
}

// fail records why an attempt failed and when the next one is.
func (r *Runner) fail(ctx context.Context, j storage.Job, failure error) error {
	text := shorten(failure.Error())
	next := matrix.TimestampOf(r.opts.Now()).Add(pause(j.Attempts, failure))
	r.opts.Log.Warn("job failed, will be tried again", "kind", j.Kind, "job", j.ID, "subject", j.Subject,
		"attempts", j.Attempts, "next", next.Time(), "error", text)
	return r.db.Update(ctx, func(tx *storage.Tx) error { return tx.FailJob(j.ID, r.owner, text, next) })
}

// shorten cuts what is too long to keep, between two characters.
func shorten(text string) string {
	if len(text) <= maxError {
		return text
	}
	return strings.ToValidUTF8(text[:maxError], "")
}

// attempt calls the handler, with the lease extended for as long as it runs.
func (r *Runner) attempt(ctx context.Context, run *Run) (err error) {
	h := r.handlers[run.job.Kind]
	if h == nil {
		// From a newer version, say. It waits for one that knows it.
		return fmt.Errorf("this version has no handler for jobs of the kind %s", run.job.Kind)
	}
	ctx, cancel := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { r.keep(ctx, cancel, run.job.ID) })
	defer func() {
		cancel()
		keeper.Wait()
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			r.opts.Log.Error("job panicked", "kind", run.job.Kind, "job", run.job.ID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return h(ctx, run)
}

// keep extends the lease of a job until ctx ends, and ends the work if the lease
// is lost.
func (r *Runner) keep(ctx context.Context, lost context.CancelFunc, id string) {
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var ours bool
		until := matrix.TimestampOf(r.opts.Now()).Add(lease)
		err := r.db.Update(ctx, func(tx *storage.Tx) (err error) {
			ours, err = tx.ExtendLease(id, r.owner, until)
			return err
		})
		if err == nil && !ours {
			lost()
			return
		}
	}
}

// jitter is a random duration below d.
func jitter(d time.Duration) time.Duration {
	return mathrand.N(max(d, 1)) //nolint:gosec // it spreads load and keeps no secret
}

// StuckAfter is how many attempts make a job one that somebody should look at.
const StuckAfter = 5

// Stats counts the pending jobs of each kind.
func (r *Runner) Stats(ctx context.Context) (stats []storage.JobStat, err error) {
	err = r.db.View(ctx, func(tx *storage.Tx) (err error) {
		stats, err = tx.JobStats(StuckAfter)
		return err
	})
	return stats, err
}
