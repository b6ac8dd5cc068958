package job_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// In a bubble time passes when everything waits, so these see what a runner does
// in hours. SQLite only: a connection to PostgreSQL waits for the network.
func bubble(t *testing.T, test func(t *testing.T, db *storage.DB, r *job.Runner)) {
	t.Helper()
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := storage.Open(t.Context(), "sqlite:"+path+"/lethe.db")
		if err != nil {
			t.Fatal(err)
		}
		r := newRunner(db, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		test(t, db, r)
		cancel()
		wg.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnIdleRunnerWritesNothingAndHardlyReads(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, r *job.Runner) {
		enqueue(t, db, time.Now(), job.New{Kind: "k", Key: "k", RunAt: time.Now().Add(100 * time.Hour)})
		r.Wake()
		synctest.Wait()
		before := db.Stats()
		time.Sleep(9 * time.Minute)
		if after := db.Stats(); after != before {
			t.Errorf("in nine minutes: %+v, before %+v", after, before)
		}
		time.Sleep(24 * time.Hour)
		after := db.Stats()
		if after.Updates != before.Updates || after.Views-before.Views > 24*6+1 {
			t.Errorf("in a day: %+v, before %+v", after, before)
		}
	})
}

func TestAJobRunsAtItsTime(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, r *job.Runner) {
		begin := time.Now()
		var ran []time.Duration
		r.Handle("k", func(context.Context, *job.Run) error {
			ran = append(ran, time.Since(begin))
			return nil
		})
		for _, after := range []time.Duration{3 * time.Second, time.Hour, time.Minute} {
			enqueue(t, db, begin, job.New{Kind: "k", Key: fmt.Sprint(after), RunAt: begin.Add(after)})
		}
		r.Wake()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if diff := cmp.Diff([]time.Duration{3 * time.Second, time.Minute, time.Hour}, ran); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

func TestALongJobKeepsItsLease(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, r *job.Runner) {
		runs := 0
		r.Handle("k", func(context.Context, *job.Run) error {
			runs++
			time.Sleep(time.Hour)
			return nil
		})
		enqueue(t, db, time.Now(), job.New{Kind: "k", Subject: "s", Key: "k"})
		r.Wake()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if j := jobsOf(t, db)[0]; runs != 1 || !j.Done {
			t.Errorf("it ran %d times: %+v", runs, j)
		}
	})
}

func TestALongJobEndsWhenItsLeaseIsLost(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, r *job.Runner) {
		var ended error
		r.Handle("k", func(ctx context.Context, run *job.Run) error {
			err := db.Update(ctx, func(tx *storage.Tx) error { // somebody takes it
				if err := tx.ReleaseJobs(); err != nil {
					return err
				}
				now := matrix.TimestampOf(time.Now())
				_, err := tx.LeaseJobs("other", now, now.Add(24*time.Hour), 1)
				return err
			})
			if err != nil {
				return err
			}
			<-ctx.Done()
			ended = ctx.Err()
			return ended
		})
		enqueue(t, db, time.Now(), job.New{Kind: "k", Subject: "s", Key: "k"})
		r.Wake()
		time.Sleep(time.Minute)
		synctest.Wait()
		if j := jobsOf(t, db)[0]; ended == nil || j.LastError != "" || j.Attempts != 2 {
			t.Errorf("the handler ended with %v; the job is %+v", ended, j)
		}
	})
}

// As when the clock was put back while somebody had the job: its lease is over,
// and its time has not come.
func TestAJobThatCannotBeLeasedIsNotAskedForWithoutAPause(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, r *job.Runner) {
		now := time.Now()
		runs := 0
		r.Handle("k", func(context.Context, *job.Run) error { runs++; return nil })
		enqueue(t, db, now, job.New{Kind: "k", Subject: "s", Key: "k", RunAt: now.Add(time.Hour)})
		err := db.Update(t.Context(), func(tx *storage.Tx) error {
			_, err := tx.LeaseJobs("other", matrix.TimestampOf(now.Add(2*time.Hour)), matrix.TimestampOf(now), 1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		before := db.Stats()
		r.Wake()
		time.Sleep(time.Minute)
		if after := db.Stats(); after.Updates-before.Updates > 61 {
			t.Errorf("in a minute it was asked for %d times", after.Updates-before.Updates)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if j := jobsOf(t, db)[0]; runs != 1 || !j.Done {
			t.Errorf("it ran %d times: %+v", runs, j)
		}
	})
}

func TestAJobWhoseEndWasNotRecordedComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, db *storage.DB, r *job.Runner) {
		runs := 0
		r.Handle("k", func(ctx context.Context, run *job.Run) error {
			if runs++; runs > 1 {
				return nil
			}
			err := db.Update(ctx, func(tx *storage.Tx) error {
				if err := run.Complete(tx); err != nil {
					return err
				}
				return errNo // and so it is not complete
			})
			if !errors.Is(err, errNo) {
				t.Errorf("Update returned %v", err)
			}
			return nil
		})
		enqueue(t, db, time.Now(), job.New{Kind: "k", Subject: "s", Key: "k"})
		r.Wake()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if j := jobsOf(t, db)[0]; runs != 2 || !j.Done {
			t.Errorf("it ran %d times: %+v", runs, j)
		}
	})
}
