package room_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage/storagetest"
)

// BenchmarkSend is a message in a room: one transaction, durable. At once: group
// commit, or the locks of PostgreSQL, show.
func BenchmarkSend(b *testing.B) {
	for _, engine := range storagetest.Engines {
		s := hstest.New(b, engine)
		alice := room.Actor{User: matrix.UserID(s.Register("alice").UserID)}
		id, err := s.Rooms.Create(b.Context(), alice, room.Creation{})
		if err != nil {
			b.Fatal(err)
		}
		var n atomic.Int64
		send := func(b *testing.B) {
			_, err := s.Rooms.Send(b.Context(), alice, id, "m.room.message",
				[]byte(`{"msgtype":"m.text","body":"All are welcome at the river, and what is said there is gone."}`),
				strconv.FormatInt(n.Add(1), 10))
			if err != nil {
				b.Error(err)
			}
		}
		b.Run(engine+"/one", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				send(b)
			}
		})
		b.Run(engine+"/many", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					send(b)
				}
			})
		})
		b.Run(engine+"/create", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Rooms.Create(b.Context(), alice, room.Creation{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		s.Stop()
	}
}
