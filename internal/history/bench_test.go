package history_test

import (
	"testing"

	"lethe/internal/door"
	"lethe/internal/history"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage/storagetest"
)

// BenchmarkMessages100 is a page of 100 messages out of 2,000.
func BenchmarkMessages100(b *testing.B) {
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			s := hstest.New(b, engine)
			alice := s.Register("alice")
			who, id := door.Reader{User: matrix.UserID(alice.UserID)}, matrix.RoomID(s.CreateRoom(alice.Token, nil))
			for range 2000 {
				s.SendText(alice.Token, string(id), "All are welcome at the river, and what is said there is gone.")
			}
			var from string
			b.ReportAllocs()
			for b.Loop() {
				c, err := s.History.Messages(b.Context(), who, id, history.Page{From: from, Back: true, Limit: 100})
				if err != nil || len(c.Events) == 0 {
					b.Fatal(len(c.Events), err)
				}
				from = c.End
			}
		})
	}
}
