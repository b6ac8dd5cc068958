package door_test

import (
	"testing"

	"lethe/internal/door"
	"lethe/internal/door/doortest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// BenchmarkServe100 serves a page of 100 messages, of ten senders, with what it
// needs in the caches: plain, with aggregations looked for, and with half of the
// messages by senders who are erased.
func BenchmarkServe100(b *testing.B) {
	for _, engine := range storagetest.Engines {
		for _, erased := range []int{0, 5} {
			name := map[int]string{0: "plain", 5: "half of it erased"}[erased]
			b.Run(engine+"/"+name, func(b *testing.B) {
				h := doortest.New(b, storagetest.Open(b, storagetest.URL(b, engine)), nil)
				s := newStage(h, "11")
				senders := page(s)
				for _, sender := range senders[:erased] {
					h.Erase(sender)
				}
				s.Join(s.vera)
				serveAll(b, s, door.Reader{User: s.vera, Device: "PHONE"}, door.Format{Bundle: true})
			})
		}
	}
}

// page fills a room with 100 messages and returns their senders.
func page(s *stage) []matrix.UserID {
	var senders []matrix.UserID
	s.Batch(func() {
		for i := range 10 {
			senders = append(senders, matrix.UserID("@sender"+string(rune('a'+i))+":x"))
			s.Join(senders[i])
		}
		for i := range 100 {
			s.Send(senders[i%10], "m.room.message", doortest.Content{
				"msgtype": "m.text", "body": "The quick brown fox jumps over the lazy dog, and so on, for as long as a message is.",
			})
		}
	})
	return senders
}

// serveAll serves the newest 100 events before the reader's join, in one
// transaction.
func serveAll(b *testing.B, s *stage, who door.Reader, f door.Format) {
	events := s.Timeline()
	events = events[len(events)-101 : len(events)-1]
	s.View(func(tx *storage.Tx) error {
		b.ReportAllocs()
		for b.Loop() {
			v, err := s.Door.Enter(tx, who, s.ID)
			if err != nil {
				return err
			}
			served, err := v.Serve(events, f)
			if err != nil {
				return err
			}
			if len(served) != 100 {
				b.Fatalf("served %d events", len(served))
			}
		}
		return nil
	})
}
