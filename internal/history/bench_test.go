package history_test

import (
	"fmt"
	"testing"

	"lethe/internal/door"
	"lethe/internal/history"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage/storagetest"
)

// BenchmarkMessages100 is a page of 100 messages out of 2,000.
func BenchmarkMessages100(b *testing.B) {
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			s := hstest.New(b, engine)
			alice := matrix.UserID(s.Register("alice").UserID)
			id, err := s.Rooms.Create(b.Context(), room.Actor{User: alice}, room.Creation{})
			if err != nil {
				b.Fatal(err)
			}
			for i := range 2000 {
				_, err := s.Rooms.Send(b.Context(), room.Actor{User: alice}, id, "m.room.message",
					[]byte(`{"msgtype":"m.text","body":"All are welcome at the river, and what is said there is gone."}`), fmt.Sprint(i))
				if err != nil {
					b.Fatal(err)
				}
			}
			var from string
			b.ReportAllocs()
			for b.Loop() {
				c, err := s.History.Messages(b.Context(), door.Reader{User: alice}, id, history.Page{From: from, Back: true, Limit: 100})
				if err != nil || len(c.Events) == 0 {
					b.Fatal(len(c.Events), err)
				}
				from = c.End
			}
		})
	}
}
