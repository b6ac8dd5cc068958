package storage_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// BenchmarkUpdate is a durable transaction of one row, alone and with others at
// once, which share commits.
func BenchmarkUpdate(b *testing.B) {
	for _, engine := range storagetest.Engines {
		for _, writers := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/writers=%d", engine, writers), func(b *testing.B) {
				db := storagetest.Open(b, storagetest.URL(b, engine))
				people(b, db, alice)
				before := db.Stats().Commits
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range writers {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							token := hash(fmt.Sprint(n))
							err := db.Update(b.Context(), func(tx *storage.Tx) error { return tx.CreateLoginToken(token, alice, 1) })
							if err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(db.Stats().Commits-before)/float64(b.N), "commits/op")
			})
		}
	}
}

// BenchmarkSession is the read behind an access token that no cache has.
func BenchmarkSession(b *testing.B) {
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			db := storagetest.Open(b, storagetest.URL(b, engine))
			people(b, db, alice)
			access, _ := session(b, db, alice, "D")
			b.ReportAllocs()
			for b.Loop() {
				err := db.View(b.Context(), func(tx *storage.Tx) error {
					_, err := tx.Session(access)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
