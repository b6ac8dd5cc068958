package job_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"lethe/internal/job"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// BenchmarkJob is a job from the transaction that enqueues it to the one that
// marks it done.
func BenchmarkJob(b *testing.B) {
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			db := storagetest.Open(b, storagetest.URL(b, engine))
			r := newRunner(db, time.Now)
			r.Handle("k", func(ctx context.Context, run *job.Run) error { return db.Update(ctx, run.Complete) })
			stop := start(b, r)
			n := 0
			for b.Loop() {
				ended := r.Ended()
				n++
				err := db.Update(b.Context(), func(tx *storage.Tx) error {
					return job.Enqueue(tx, time.Now(), job.New{Kind: "k", Key: fmt.Sprint(n), Payload: n})
				})
				if err != nil {
					b.Fatal(err)
				}
				r.Wake()
				<-ended
			}
			stop()
		})
	}
}
