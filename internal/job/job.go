// Package job runs durable work: what must happen after a transaction is a row
// written in it, and is tried until it succeeds.
//
// Holds: [Enqueue], [Runner], [Run].
//
// May import: matrix, storage.
//
// Never: what the work is.
package job

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// New is work to be done later.
type New struct {
	Kind string
	// Subject groups jobs, as those of one ending; done jobs of a subject stay as
	// rows. "" for none.
	Subject string
	// Key makes enqueueing idempotent: of two jobs with one key the second is
	// dropped.
	Key string
	// Payload is stored as JSON until the job is done.
	Payload any
	// RunAt is when the job is due; zero for at once.
	RunAt time.Time
}

// Enqueue stores a job in the transaction of what causes it. After the commit
// the caller calls [Runner.Wake].
func Enqueue(tx *storage.Tx, now time.Time, n New) error {
	payload, err := json.Marshal(n.Payload)
	if err != nil {
		return fmt.Errorf("payload of job %s: %w", n.Kind, err)
	}
	if n.RunAt.IsZero() {
		n.RunAt = now
	}
	return tx.AddJob(storage.Job{
		ID: rand.Text(), Kind: n.Kind, Subject: n.Subject, UniqueKey: n.Key, Payload: payload,
		RunAt: matrix.TimestampOf(n.RunAt), CreatedAt: matrix.TimestampOf(now),
	})
}

// ErrLeaseLost says that the job has become another's, or is done.
var ErrLeaseLost = errors.New("the job is no longer this runner's")

// Run is one attempt at a job.
type Run struct {
	job      storage.Job
	owner    string
	now      func() time.Time
	complete bool
}

// Job is the row as it was when the attempt began, this attempt counted.
func (r *Run) Job() storage.Job { return r.job }

// Payload reads the payload into dst.
func (r *Run) Payload(dst any) error { return json.Unmarshal(r.job.Payload, dst) }

// Complete marks the job done, in the transaction that has its effect: so
// either both are on disk or the job is run again. A transaction that may be
// run twice may call it twice.
func (r *Run) Complete(tx *storage.Tx) error {
	ours, err := tx.FinishJob(r.job.ID, r.owner, matrix.TimestampOf(r.now()))
	if err != nil {
		return err
	}
	if !ours {
		return ErrLeaseLost
	}
	r.complete = true
	return nil
}

// later is an error that says when to try again.
type later struct {
	error
	after time.Duration
}

func (l later) Unwrap() error { return l.error }

// Later makes the pause before the next attempt at least d: what the other side
// asked for.
func Later(err error, d time.Duration) error { return later{err, d} }

const (
	firstPause = time.Second
	maxPause   = 24 * time.Hour
	// maxError is how much of an error is kept, in bytes.
	maxError = 500
)

// pause is how long to wait after a failed attempt: twice as long each time, up
// to a day, less up to a fifth so that jobs that failed together spread.
func pause(attempts int64, err error) time.Duration {
	p := maxPause
	if attempts < 18 {
		p = min(firstPause<<max(attempts-1, 0), maxPause)
	}
	if l, ok := errors.AsType[later](err); ok {
		p = min(max(p, l.after), maxPause)
	}
	return p - jitter(p/5)
}

// Retry makes the pending jobs of a subject due at once, and returns how many
// there are. After the commit the caller calls [Runner.Wake].
func Retry(tx *storage.Tx, now time.Time, subject string) (int64, error) {
	return tx.RetryJobs(subject, matrix.TimestampOf(now))
}
