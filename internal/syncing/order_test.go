package syncing_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

// TestNoEventIsLostDoubledOrOutOfOrder: while several send at once, the timelines
// of each client, with its gaps filled, are the timeline of the room.
func TestNoEventIsLostDoubledOrOutOfOrder(t *testing.T) {
	const senders, each = 4, 25
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		people := []hstest.Session{alice}
		for i := range senders {
			who := s.Register(fmt.Sprintf("p%d", i))
			s.Join(who.Token, room)
			people = append(people, who)
		}
		start := newClient(s, alice)
		start.sync()
		var sending, reading sync.WaitGroup
		sent := make(chan struct{})
		for _, who := range people[1:] {
			sending.Go(func() {
				for i := range each {
					s.SendText(who.Token, room, fmt.Sprint(i))
				}
			})
		}
		got := make([][]string, len(people))
		for i, who := range people {
			reading.Go(func() {
				c := newClient(s, who).filter(fmt.Sprintf(`{"room":{"timeline":{"limit":%d}}}`, 2+3*i))
				c.since = start.since
				c.more.Set("timeout", "50")
				for done := false; !done; {
					select {
					case <-sent:
						done = true // and once more
					default:
					}
					since := c.since
					a := c.sync()
					if a.Get("rooms", "join", room, "timeline", "limited") == true {
						prev := a.String("rooms", "join", room, "timeline", "prev_batch")
						got[i] = append(got[i], messages(s, who.Token, room, prev, since)...)
					}
					got[i] = append(got[i], a.timeline(room)...)
				}
			})
		}
		sending.Wait()
		close(sent)
		reading.Wait()
		end := newClient(s, alice)
		end.sync()
		want := messages(s, alice.Token, room, end.since, start.since)
		if len(want) != senders*each {
			t.Fatalf("the room has %d events, of %d that were sent", len(want), senders*each)
		}
		for i, ids := range got {
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("client %d (-want +got)\n%s", i, diff)
			}
		}
	})
}

// TestTheStateOfAClientIsTheRooms: whatever happens between two answers, and
// whatever the filter leaves out, a client that follows the rules ends with the
// state that the room has.
func TestTheStateOfAClientIsTheRooms(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that is the same each time
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		type model struct {
			*client
			after bool
			state map[string]string
		}
		var models []*model
		for _, f := range []string{
			`{"room":{"timeline":{"limit":2}}}`, `{"room":{"timeline":{"limit":50}}}`,
			`{"room":{"timeline":{"limit":3,"types":["m.room.message"]}}}`,
			`{"room":{"timeline":{"limit":3,"not_types":["m.room.topic"]}}}`, `{"room":{"timeline":{"limit":0}}}`,
		} {
			for _, after := range []bool{false, true} {
				c := newClient(s, alice).filter(f)
				if after {
					c.more.Set("use_state_after", "true")
				}
				models = append(models, &model{c, after, map[string]string{}})
			}
		}
		apply := func(m *model, events []object) {
			for _, e := range events {
				if key, ok := e["state_key"]; ok {
					m.state[fmt.Sprintf("%v/%v", e["type"], key)] = e["event_id"].(string)
				}
			}
		}
		acts := []func(i int){
			func(i int) { s.SendText(bob.Token, room, fmt.Sprint(i)) },
			func(i int) { s.SetState(alice.Token, room, "m.room.topic", "", object{"topic": fmt.Sprint(i)}) },
			func(i int) { s.SetState(alice.Token, room, "org.example", fmt.Sprint(i%3), object{"v": i}) },
			func(int) { s.Leave(bob.Token, room) },
			func(int) { s.Join(bob.Token, room) },
		}
		s.Join(bob.Token, room)
		for step := range 25 {
			for i := range rng.IntN(7) {
				s.Join(bob.Token, room)
				acts[rng.IntN(len(acts))](step*10 + i)
			}
			want := roomState(t, s, alice.Token, room)
			for _, m := range models {
				a := m.sync()
				section := "state"
				if m.after {
					section = "state_after"
				}
				if joined := a.rooms("join"); slices.Contains(joined, room) {
					other := map[bool]string{true: "state", false: "state_after"}[m.after]
					if a.Get("rooms", "join", room, other) != nil || a.Get("rooms", "join", room, section) == nil {
						t.Fatalf("step %d: there is %s, or no %s: %s", step, other, section, a.Raw)
					}
				}
				apply(m, a.events("rooms", "join", room, section))
				if !m.after {
					apply(m, a.events("rooms", "join", room, "timeline"))
				}
				if diff := cmp.Diff(want, m.state); diff != "" {
					t.Fatalf("step %d, filter %s, %s (-want +got)\n%s", step, m.more.Get("filter"), section, diff)
				}
			}
		}
	})
}
