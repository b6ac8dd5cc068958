package deactivation_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lethe/internal/deactivation"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// BenchmarkEndingWithRooms ends an account that is in 1,000 rooms with another.
// quiet: how long it takes until everything is done, and the answer alone. busy:
// what the sends of others take meanwhile, against what they take before.
func BenchmarkEndingWithRooms(b *testing.B) {
	for _, engine := range storagetest.Engines {
		for _, busy := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/busy=%v", engine, busy), func(b *testing.B) {
				s := hstest.New(b, engine)
				n := 0
				for b.Loop() {
					b.StopTimer()
					n++
					alice := benchUser(b, s, fmt.Sprintf("alice%d", n), 1)
					bob := room.Actor{User: benchUser(b, s, fmt.Sprintf("bob%d", n), 1)}
					rooms := benchRooms(b, s, room.Actor{User: alice}, bob, 1000)
					var before []time.Duration
					if busy {
						before = sends(b, s, bob, rooms, func(sent int) bool { return sent < 400 })
					}
					b.StartTimer()
					began := time.Now()
					ended, err := s.Deactivations.Deactivate(b.Context(), deactivation.Request{
						User: alice, Erase: true, By: deactivation.Self,
					})
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/answer")
					undone := func(int) bool { return !endingDone(b, s, ended.ID) }
					if busy {
						during := sends(b, s, bob, rooms, undone)
						b.ReportMetric(percentile(before), "ms/p95-before")
						b.ReportMetric(percentile(during), "ms/p95-during")
					}
					for undone(0) {
						time.Sleep(5 * time.Millisecond)
					}
					b.ReportMetric(time.Since(began).Seconds(), "s/everything")
				}
			})
		}
	}
}

func benchRooms(b *testing.B, s *hstest.Server, who, other room.Actor, n int) []matrix.RoomID {
	b.Helper()
	rooms := make([]matrix.RoomID, n)
	for i := range rooms {
		var err error
		if rooms[i], err = s.Rooms.Create(b.Context(), who, room.Creation{Preset: room.PublicChat, Version: "11"}); err != nil {
			b.Fatal(err)
		}
		if err := s.Rooms.Join(b.Context(), other, rooms[i], room.Joining{}); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Rooms.Send(b.Context(), who, rooms[i], "m.room.message", []byte(`{"msgtype":"m.text","body":"hello"}`), fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
	return rooms
}

// sends has four people's worth of messages sent while more says so, and returns
// what each took.
func sends(b *testing.B, s *hstest.Server, who room.Actor, rooms []matrix.RoomID, more func(sent int) bool) (took []time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for lane := range 4 {
		wg.Go(func() {
			for i := 0; more(i * 4); i++ {
				began := time.Now()
				_, err := s.Rooms.Send(b.Context(), who, rooms[(i*4+lane)%len(rooms)], "m.room.message",
					[]byte(`{"msgtype":"m.text","body":"hello"}`), fmt.Sprint(lane, i, began.UnixNano()))
				if err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return took
}

func percentile(took []time.Duration) float64 {
	slices.Sort(took)
	return float64(took[len(took)*95/100].Microseconds()) / 1000
}

func endingDone(b *testing.B, s *hstest.Server, id string) (done bool) {
	b.Helper()
	err := s.DB.View(b.Context(), func(tx *storage.Tx) error {
		d, err := tx.Deactivation(id)
		done = d.State == storage.Done
		return err
	})
	if err != nil {
		b.Error(err)
	}
	return done
}
