package syncing_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/hstest"
	"lethe/internal/position"
	"lethe/internal/storage/storagetest"
	"lethe/internal/syncing"
)

// forEngines runs a benchmark once per engine, with a server.
func forEngines(b *testing.B, bench func(b *testing.B, s *hstest.Server)) {
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) { bench(b, hstest.New(b, engine)) })
	}
}

// take makes an answer and writes it, and returns the position it goes up to.
func take(b *testing.B, service *syncing.Service, r syncing.Request) (pos int64, size int) {
	a, err := service.Sync(b.Context(), r)
	if err != nil {
		b.Error(err)
		return r.Since, 0
	}
	raw, err := json.Marshal(a)
	if err != nil {
		b.Error(err)
	}
	pos, err = position.Parse(a.NextBatch)
	if err != nil {
		b.Error(err)
	}
	return pos, len(raw)
}

// BenchmarkIncrementalSync is an answer from memory: with nothing new, and with one
// event of this process's.
func BenchmarkIncrementalSync(b *testing.B) {
	forEngines(b, func(b *testing.B, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		service := own(s, syncing.Options{})
		r := request(alice, -1)
		for range 3 {
			r.Since, _ = take(b, service, r)
		}
		b.Run("nothing", func(b *testing.B) {
			before := s.DB.Stats().Views
			b.ReportAllocs()
			for b.Loop() {
				take(b, service, r)
			}
			b.ReportMetric(float64(s.DB.Stats().Views-before)/float64(b.N), "reads/op")
		})
		s.SendText(alice.Token, room, "x")
		b.Run("one event", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				take(b, service, r)
			}
		})
	})
}

// BenchmarkWake200 is one event until 200 who wait have it, for each of them.
func BenchmarkWake200(b *testing.B) {
	const waiters = 200
	forEngines(b, func(b *testing.B, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, map[string]any{"preset": "public_chat"})
		people := make([]hstest.Session, waiters)
		for i := range people {
			people[i] = s.Register(fmt.Sprintf("p%d", i))
			s.Join(people[i].Token, room)
		}
		service := own(s, syncing.Options{})
		since := make([]int64, waiters)
		for i, who := range people {
			since[i] = -1
			for range 3 {
				since[i], _ = take(b, service, request(who, since[i]))
			}
		}
		before := s.DB.Stats().Statements
		b.ResetTimer()
		for range b.N {
			var woken sync.WaitGroup
			for i, who := range people {
				woken.Go(func() {
					r := request(who, since[i])
					r.Timeout = time.Minute
					since[i], _ = take(b, service, r)
				})
			}
			s.SendText(alice.Token, room, "x")
			woken.Wait()
		}
		b.StopTimer()
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/waiters, "µs/delivery")
		b.ReportMetric(float64(s.DB.Stats().Statements-before)/float64(b.N), "statements/event")
	})
}

// BenchmarkInitialSync50 is the first answer for somebody in 50 rooms.
func BenchmarkInitialSync50(b *testing.B) {
	forEngines(b, func(b *testing.B, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		for i := range 50 {
			room := s.CreateRoom(alice.Token, map[string]any{"preset": "public_chat", "name": fmt.Sprint(i)})
			s.Join(bob.Token, room)
			for range 20 {
				s.SendText(bob.Token, room, "a message of a length that messages have")
			}
		}
		service := own(s, syncing.Options{})
		b.ReportAllocs()
		var size int
		for b.Loop() {
			_, size = take(b, service, request(alice, -1))
		}
		b.ReportMetric(float64(size)/1024, "KiB")
	})
}
