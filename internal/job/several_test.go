package job_test

import (
	"context"
	"testing"
	"time"

	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// TestAnotherProcessTakesOver: what one process has in hand when it goes, and
// what it has no worker for.
func TestAnotherProcessTakesOver(t *testing.T) {
	url, c := storagetest.URL(t, "postgres"), newClock()
	first, err := storage.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	db := storagetest.Open(t, url)
	r := newRunner(db, c.now)
	ran := make(chan string, 10)
	r.Handle("k", func(_ context.Context, run *job.Run) error {
		ran <- run.Job().UniqueKey
		return nil
	})
	start(t, r)
	err = first.Update(t.Context(), func(tx *storage.Tx) error {
		if err := job.Enqueue(tx, c.now(), job.New{Kind: "k", Subject: "s", Key: "in hand"}); err != nil {
			return err
		}
		now := matrix.TimestampOf(c.now())
		_, err := tx.LeaseJobs(first.Node()+".x", now, now.Add(time.Hour), 1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, first, c.now(), job.New{Kind: "k", Subject: "s", Key: "nobody's"}) // the second is not woken
	if got := <-ran; got != "nobody's" {
		t.Errorf("the job %q of a process that lives was run", got)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-ran; got != "in hand" {
		t.Errorf("the job %q was run", got)
	}
}
