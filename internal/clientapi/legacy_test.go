package clientapi_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

func TestTheOldInitialSync(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := talkative(s, alice, 3, bob)
		left := talkative(s, alice, 1, bob)
		s.Leave(bob.Token, left)
		asked := s.CreateRoom(alice.Token, object{"invite": []string{bob.UserID}})
		data := v3 + "user/" + bob.UserID
		s.Want(200, "", put, data+"/account_data/org.x", bob.Token, object{"a": 1})
		s.Want(200, "", put, data+"/rooms/"+room+"/account_data/org.y", bob.Token, object{"b": 1})
		a := read(s, bob, v3+"initialSync", "limit", "2")
		found := map[string]string{}
		for _, item := range a.Get("rooms").([]any) {
			r := item.(map[string]any)
			found[r["room_id"].(string)] = r["membership"].(string)
			if r["room_id"] == room {
				got := []any{said(r["messages"].(map[string]any)["chunk"]), len(said(r["account_data"])), len(said(r["state"])) > 5}
				if diff := cmp.Diff([]any{[]string{"m1", "m2"}, 1, true}, got); diff != "" {
					t.Errorf("the room: %s", diff)
				}
				start := r["messages"].(map[string]any)["start"].(string)
				page := read(s, bob, hstest.RoomPath(room, "messages"), "dir", "b", "limit", "1", "from", start)
				if diff := cmp.Diff([]string{"m0"}, said(page.Get("chunk"))); diff != "" {
					t.Errorf("before start: %s", diff)
				}
			}
			if r["room_id"] == asked && r["invite"].(map[string]any)["state_key"] != bob.UserID {
				t.Errorf("the invite is %v", r["invite"])
			}
		}
		if diff := cmp.Diff(map[string]string{room: "join", asked: "invite"}, found); diff != "" {
			t.Error(diff)
		}
		if !slices.Contains(said(a.Get("account_data")), "org.x") || a.Get("presence") == nil || a.String("end") == "" {
			t.Errorf("the rest is %s", a.Raw)
		}
		if n := len(read(s, bob, v3+"initialSync", "archived", "true").Get("rooms").([]any)); n != 3 {
			t.Errorf("with those left there are %d", n)
		}
		one := read(s, bob, hstest.RoomPath(room, "initialSync"))
		if one.String("room_id") != room || one.String("membership") != "join" || len(said(one.Get("messages", "chunk"))) < 3 {
			t.Errorf("one room is %s", one.Raw)
		}
	})
}

func TestTheOldStreamOfEvents(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		room, closed := talkative(s, alice, 0, bob), talkative(s, alice, 0)
		s.SetState(alice.Token, room, "m.room.history_visibility", "", object{"history_visibility": "world_readable"})
		end := read(s, bob, v3+"initialSync").String("end")
		id := s.SendText(alice.Token, room, "one")
		s.SendText(alice.Token, closed, "hidden")
		s.SendText(alice.Token, room, "two")
		for _, a := range []hstest.Answer{
			read(s, bob, v3+"events", "from", end), read(s, carol, v3+"events", "from", end, "room_id", room),
		} {
			if diff := cmp.Diff([]string{"one", "two"}, said(a.Get("chunk"))); diff != "" {
				t.Error(diff)
			}
			if again := read(s, bob, v3+"events", "from", a.String("end")); len(said(again.Get("chunk"))) != 0 {
				t.Errorf("after the end comes %s", again.Raw)
			}
		}
		for _, who := range []hstest.Session{bob, carol} {
			pairs := []string{"from", read(s, bob, v3+"events").String("end"), "timeout", "20000"}
			if who == carol {
				pairs = append(pairs, "room_id", room)
			}
			woken := make(chan hstest.Answer, 1)
			go func() {
				a, _ := s.Try(context.WithoutCancel(t.Context()), get, query(v3+"events", pairs...), who.Token, nil)
				woken <- a
			}()
			s.SendText(alice.Token, room, "to "+who.UserID)
			if got := said((<-woken).Get("chunk")); !cmp.Equal(got, []string{"to " + who.UserID}) {
				t.Errorf("%s waits and hears %v", who.UserID, got)
			}
		}
		if got := read(s, bob, v3+"events/"+id).String("content", "body"); got != "one" {
			t.Errorf("the event is %q", got)
		}
		check(t, s,
			row{404, "M_NOT_FOUND", get, v3 + "events/$none", bob.Token, nil},
			row{400, "M_INVALID_PARAM", get, v3 + "events?from=x", bob.Token, nil},
			row{400, "M_INVALID_PARAM", get, v3 + "events?from=s99999999", bob.Token, nil},
			row{403, "M_FORBIDDEN", get, query(v3+"events", "room_id", closed), bob.Token, nil},
			row{400, "M_INVALID_PARAM", get, v3 + "events?room_id=x", bob.Token, nil},
		)
	})
}
