package event_test

import (
	"fmt"
	"testing"

	"lethe/internal/event"
)

func BenchmarkAuthorize(b *testing.B) {
	for _, id := range []string{"6", "11", "12"} {
		v := version(b, id)
		room, e := aRoom(b, v), load(b, v, message("@user:b"))
		b.Run(id, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := event.Authorize(e, room); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkResolve is of two states of a room of 2,000, which differ in 1,000
// memberships.
func BenchmarkResolve(b *testing.B) {
	for _, id := range []string{"1", "2", "11", "12"} {
		s := newStory(b, id)
		state := s.begin("public")
		for i := range 2000 {
			user := fmt.Sprintf("@user%d:b", i)
			state = s.then(state, memberBy("$"+user, user, user, "join"))
		}
		one, two := state, state
		for i := range 1000 {
			user := fmt.Sprintf("@user%d:b", i)
			if i%2 == 0 {
				one = s.then(one, memberBy("$again"+user, user, user, "join"))
			} else {
				two = s.then(two, memberBy("$kick"+user, "@alice:a", user, "leave"))
			}
		}
		sets := []statemap{one, two}
		b.Run(id, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := event.Resolve(s.v, sets, s.fetch, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
