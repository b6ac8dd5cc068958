package job_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errNo = errors.New("no")

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.UnixMilli(1_000_000)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newRunner(db *storage.DB, now func() time.Time) *job.Runner {
	return job.NewRunner(db, job.Options{Now: now, Log: slog.New(slog.DiscardHandler)})
}

func enqueue(t testing.TB, db *storage.DB, now time.Time, jobs ...job.New) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *storage.Tx) error {
		for _, n := range jobs {
			if err := job.Enqueue(tx, now, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func drain(t testing.TB, r *job.Runner) {
	t.Helper()
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// jobsOf reads the rows of the subject s.
func jobsOf(t testing.TB, db *storage.DB) (jobs []storage.Job) {
	t.Helper()
	err := db.View(t.Context(), func(tx *storage.Tx) (err error) {
		jobs, err = tx.JobsOf("s")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

// start runs the runner until stop is called, which waits for it.
func start(t testing.TB, r *job.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func TestAJobGetsItsPayloadAndIsDoneWithItsEffect(t *testing.T) {
	type payload struct {
		User matrix.UserID `json:"user"`
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		r := newRunner(db, c.now)
		r.Handle("make", func(ctx context.Context, run *job.Run) error {
			var p payload
			if err := run.Payload(&p); err != nil {
				return err
			}
			return db.Update(ctx, func(tx *storage.Tx) error {
				if err := run.Complete(tx); err != nil {
					return err
				}
				return tx.CreateAccount(storage.Account{UserID: p.User, Kind: storage.KindUser, CreatedAt: 1})
			})
		})
		enqueue(t, db, c.now(), job.New{Kind: "make", Subject: "s", Key: "k", Payload: payload{"@a:x"}},
			job.New{Kind: "make", Subject: "s", Key: "k", Payload: payload{"@twin:x"}}) // dropped: one key
		drain(t, r)
		at := matrix.TimestampOf(c.now())
		jobs := jobsOf(t, db)
		want := []storage.Job{{
			Kind: "make", Subject: "s", UniqueKey: "k", Payload: []byte(`{}`), Done: true, Attempts: 1,
			RunAt: at, CreatedAt: at, DoneAt: at,
		}}
		for i := range jobs {
			jobs[i].ID = ""
		}
		if diff := cmp.Diff(want, jobs); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		err := db.View(t.Context(), func(tx *storage.Tx) error { _, err := tx.Account("@a:x"); return err })
		if err != nil {
			t.Errorf("the effect of the job: %v", err)
		}
	})
}

func TestAPayloadThatIsNoJSONIsRefused(t *testing.T) {
	db := storagetest.Open(t, storagetest.URL(t, "sqlite"))
	err := db.Update(t.Context(), func(tx *storage.Tx) error {
		return job.Enqueue(tx, time.Now(), job.New{Kind: "odd", Key: "k", Payload: make(chan int)})
	})
	if err == nil || !strings.Contains(err.Error(), "payload of job odd") {
		t.Errorf("Enqueue returned %v", err)
	}
}

func TestAFailedJobIsTriedAgainAfterGrowingPauses(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		r := newRunner(db, c.now)
		r.Handle("k", func(context.Context, *job.Run) error { return errNo })
		enqueue(t, db, c.now(), job.New{Kind: "k", Subject: "s", Key: "k"})
		pause := time.Second
		for attempt := int64(1); attempt <= 20; attempt++ {
			drain(t, r)
			j := jobsOf(t, db)[0]
			wait := j.RunAt.Time().Sub(c.now())
			if j.Attempts != attempt || j.LastError != "no" || j.Done || wait > pause || wait < pause-pause/5 {
				t.Fatalf("after attempt %d: %+v, and a pause of %v of %v", attempt, j, wait, pause)
			}
			c.add(wait - time.Millisecond)
			drain(t, r)
			if got := jobsOf(t, db)[0].Attempts; got != attempt {
				t.Fatalf("attempt %d was made before its time", got)
			}
			c.add(time.Millisecond)
			pause = min(2*pause, 24*time.Hour)
		}
		stats, err := r.Stats(t.Context())
		if diff := cmp.Diff([]storage.JobStat{{Kind: "k", Pending: 1, Stuck: 1}}, stats); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
	})
}

func TestWhatWentWrongIsKept(t *testing.T) {
	long := strings.Repeat("é", 400)
	tests := []struct {
		name    string
		handler job.Handler
		want    string
		atLeast time.Duration
	}{
		{"an error", func(context.Context, *job.Run) error { return errNo }, "no", 0},
		{"a panic", func(context.Context, *job.Run) error { panic("ouch") }, "panic: ouch", 0},
		{"no handler", nil, "no handler for jobs of the kind k", 0},
		{"a long text", func(context.Context, *job.Run) error { return errors.New(long) }, long[:500], 0},
		{"a text cut in a character", func(context.Context, *job.Run) error { return errors.New("x" + long) }, "x" + long[:498], 0},
		{"a text that no database takes", func(context.Context, *job.Run) error { return errors.New("a\x00\xff") }, "a\uFFFD\uFFFD", 0},
		{
			"a time", func(context.Context, *job.Run) error { return fmt.Errorf("busy: %w", job.Later(errNo, time.Hour)) },
			"busy: no", time.Hour - 12*time.Minute,
		},
		{
			"a payload that is not what it should be", func(_ context.Context, run *job.Run) error { return run.Payload(new(int)) },
			"unmarshal", 0,
		},
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				r := newRunner(db, c.now)
				if test.handler != nil {
					r.Handle("k", test.handler)
				}
				enqueue(t, db, c.now(), job.New{Kind: "k", Subject: "s", Key: test.name, Payload: "text"})
				drain(t, r)
				j := jobsOf(t, db)[0]
				if !strings.Contains(j.LastError, test.want) || len(j.LastError) > 500 {
					t.Errorf("the error is %q, want %q", j.LastError, test.want)
				}
				if wait := j.RunAt.Time().Sub(c.now()); wait <= 0 || wait < test.atLeast {
					t.Errorf("the pause is %v, want at least %v", wait, test.atLeast)
				}
				if err := db.Update(t.Context(), func(tx *storage.Tx) error { return tx.DropJobs("s") }); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

func TestAPauseThatIsAskedForIsBounded(t *testing.T) {
	if err := job.Later(errNo, time.Hour); !errors.Is(err, errNo) {
		t.Errorf("%v is not what was given", err)
	}
	db, c := storagetest.Open(t, storagetest.URL(t, "sqlite")), newClock()
	r := newRunner(db, c.now)
	r.Handle("k", func(context.Context, *job.Run) error { return job.Later(errNo, 1000*time.Hour) })
	enqueue(t, db, c.now(), job.New{Kind: "k", Subject: "s", Key: "k"})
	drain(t, r)
	if wait := jobsOf(t, db)[0].RunAt.Time().Sub(c.now()); wait > 24*time.Hour {
		t.Errorf("the pause is %v", wait)
	}
}

func TestRetryMakesAJobDueAtOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		r := newRunner(db, c.now)
		failing := true
		r.Handle("k", func(context.Context, *job.Run) error {
			if failing {
				return errNo
			}
			return nil
		})
		enqueue(t, db, c.now(), job.New{Kind: "k", Subject: "s", Key: "k"})
		drain(t, r)
		failing = false
		drain(t, r)
		if jobsOf(t, db)[0].Done {
			t.Fatal("it was run again before its time")
		}
		err := db.Update(t.Context(), func(tx *storage.Tx) error {
			n, err := job.Retry(tx, c.now(), "s")
			if n != 1 {
				t.Errorf("%d jobs are due", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		drain(t, r)
		if j := jobsOf(t, db)[0]; !j.Done || j.LastError != "" || j.Attempts != 2 {
			t.Errorf("after the retry: %+v", j)
		}
	})
}

func TestJobsThatAJobCausesAreRunToo(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		r := newRunner(db, c.now)
		r.Handle("count", func(ctx context.Context, run *job.Run) error {
			var n int
			if err := run.Payload(&n); err != nil {
				return err
			}
			return db.Update(ctx, func(tx *storage.Tx) error {
				if n > 0 {
					if err := job.Enqueue(tx, c.now(), job.New{Kind: "count", Subject: "s", Key: fmt.Sprint(n - 1), Payload: n - 1}); err != nil {
						return err
					}
				}
				return run.Complete(tx)
			})
		})
		enqueue(t, db, c.now(), job.New{Kind: "count", Subject: "s", Key: "10", Payload: 10})
		drain(t, r)
		jobs := jobsOf(t, db)
		for _, j := range jobs {
			if !j.Done {
				t.Errorf("%+v is not done", j)
			}
		}
		if len(jobs) != 11 {
			t.Errorf("there are %d jobs", len(jobs))
		}
	})
}

func TestAJobWhoseLeaseIsLostIsNotDoneTwice(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		slow, other := newRunner(db, c.now), newRunner(db, c.now)
		other.Handle("k", func(context.Context, *job.Run) error { return nil })
		slow.Handle("k", func(ctx context.Context, run *job.Run) error {
			c.add(2 * time.Minute) // the process stood still
			drain(t, other)
			return db.Update(ctx, func(tx *storage.Tx) error {
				if err := tx.CreateAccount(storage.Account{UserID: "@twice:x", Kind: storage.KindUser, CreatedAt: 1}); err != nil {
					return err
				}
				return run.Complete(tx)
			})
		})
		enqueue(t, db, c.now(), job.New{Kind: "k", Subject: "s", Key: "k"})
		drain(t, slow)
		if j := jobsOf(t, db)[0]; !j.Done || j.Attempts != 2 || j.LastError != "" {
			t.Errorf("the job is %+v", j)
		}
		err := db.View(t.Context(), func(tx *storage.Tx) error { _, err := tx.Account("@twice:x"); return err })
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the effect of the attempt that had lost its lease: %v", err)
		}
	})
}

func TestWorkOutlivesItsProcess(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			url, c := storagetest.URL(t, engine), newClock()
			first, err := storage.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			enqueue(t, first, c.now(), job.New{Kind: "k", Subject: "s", Key: "k"})
			err = first.Update(t.Context(), func(tx *storage.Tx) error { // it dies with the job in hand
				_, err := tx.LeaseJobs("dead", matrix.TimestampOf(c.now()), matrix.TimestampOf(c.now()).Add(time.Hour), 1)
				return err
			})
			if err := errors.Join(err, first.Close()); err != nil {
				t.Fatal(err)
			}
			db := storagetest.Open(t, url)
			r := newRunner(db, c.now)
			r.Handle("k", func(context.Context, *job.Run) error { return nil })
			ended := r.Ended()
			stop := start(t, r)
			<-ended
			stop()
			if j := jobsOf(t, db)[0]; !j.Done || j.Attempts != 2 {
				t.Errorf("the job is %+v", j)
			}
		})
	}
}

func TestWakeRunsAJobThatWasJustEnqueued(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		r := newRunner(db, c.now)
		ran := make(chan string)
		r.Handle("k", func(_ context.Context, run *job.Run) error {
			ran <- run.Job().UniqueKey
			return nil
		})
		stop := start(t, r)
		for i := range 20 {
			key := fmt.Sprint(i)
			enqueue(t, db, c.now(), job.New{Kind: "k", Key: key})
			r.Wake()
			if got := <-ran; got != key {
				t.Errorf("job %s ran, want %s", got, key)
			}
		}
		stop()
		if stats, err := r.Stats(t.Context()); err != nil || len(stats) != 0 {
			t.Errorf("left are %v, %v", stats, err)
		}
	})
}

func TestManyJobsShareTheWorkers(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		r := newRunner(db, c.now)
		var mu sync.Mutex
		running, most, seen := 0, 0, map[string]int{}
		var wg sync.WaitGroup
		wg.Add(50)
		r.Handle("k", func(_ context.Context, run *job.Run) error {
			mu.Lock()
			running++
			most = max(most, running)
			seen[run.Job().UniqueKey]++
			mu.Unlock()
			defer wg.Done()
			defer func() {
				mu.Lock()
				running--
				mu.Unlock()
			}()
			return nil
		})
		var jobs []job.New
		for i := range 50 {
			jobs = append(jobs, job.New{Kind: "k", Key: fmt.Sprint(i)})
		}
		enqueue(t, db, c.now(), jobs...)
		stop := start(t, r)
		wg.Wait()
		stop()
		if most > 8 || len(seen) != 50 {
			t.Errorf("%d ran at once, and %d of 50 ran", most, len(seen))
		}
		for key, n := range seen {
			if n != 1 {
				t.Errorf("job %s ran %d times", key, n)
			}
		}
	})
}

func TestStoppingIsNotAFailureOfTheJob(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		c := newClock()
		r := newRunner(db, c.now)
		inside := make(chan struct{})
		r.Handle("k", func(ctx context.Context, _ *job.Run) error {
			close(inside)
			<-ctx.Done()
			return ctx.Err()
		})
		enqueue(t, db, c.now(), job.New{Kind: "k", Subject: "s", Key: "k"})
		stop := start(t, r)
		<-inside
		stop()
		if j := jobsOf(t, db)[0]; j.Done || j.Attempts != 0 || j.LastError != "" || j.RunAt != matrix.TimestampOf(c.now()) {
			t.Errorf("the job is %+v", j)
		}
		next := newRunner(db, c.now)
		next.Handle("k", func(context.Context, *job.Run) error { return nil })
		drain(t, next)
		if !jobsOf(t, db)[0].Done {
			t.Error("it was not run after the restart")
		}
	})
}

func TestARunnerWhoseDatabaseIsClosedSaysSo(t *testing.T) {
	db, err := storage.Open(t.Context(), storagetest.URL(t, "sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := newRunner(db, time.Now)
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Run returned %v", err)
	}
	if err := r.Drain(t.Context()); err == nil {
		t.Error("Drain returned nothing")
	}
	if _, err := r.Stats(t.Context()); err == nil {
		t.Error("Stats returned nothing")
	}
}
