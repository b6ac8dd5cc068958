package syncing_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

// TestWhatMakesNoSenseIsRefused: with what was wrong.
func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		for query, want := range map[string]string{
			"since=garbage": "M_INVALID_PARAM", "since=s": "M_INVALID_PARAM", "since=s-1": "M_INVALID_PARAM",
			"since=t-1": "M_INVALID_PARAM", "since=s99999999": "M_INVALID_PARAM", "since=12": "M_INVALID_PARAM",
			"timeout=soon": "M_INVALID_PARAM", "timeout=-1": "M_INVALID_PARAM", "full_state=maybe": "M_INVALID_PARAM",
			"use_state_after=1": "M_INVALID_PARAM", "set_presence=busy": "M_INVALID_PARAM",
			"filter=unknown": "M_NOT_FOUND", "filter={": "M_NOT_JSON", `filter={"room":[]}`: "M_BAD_JSON",
			`filter={"event_format":"html"}`: "M_BAD_JSON", `filter={"room":{"timeline":{"limit":-1}}}`: "M_BAD_JSON",
		} {
			name, value, _ := cut(query)
			status := http.StatusBadRequest
			if want == "M_NOT_FOUND" {
				status = http.StatusNotFound
			}
			s.Want(status, want, http.MethodGet, v3+"sync?"+url.Values{name: {value}}.Encode(), alice.Token, nil)
		}
		s.Want(http.StatusUnauthorized, "M_MISSING_TOKEN", http.MethodGet, v3+"sync", "", nil)
	})
}

func cut(query string) (name, value string, ok bool) {
	i := slices.Index([]byte(query), '=')
	return query[:i], query[i+1:], true
}

// TestFiltersLeaveOut: rooms, types and fields, of a filter that is stored and of
// one in the query.
func TestFiltersLeaveOut(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room, other := s.CreateRoom(alice.Token, nil), s.CreateRoom(alice.Token, nil)
		stored := s.Want(http.StatusOK, "", http.MethodPost, v3+"user/"+alice.UserID+"/filter", alice.Token, object{
			"room": object{"not_rooms": []string{other}, "timeline": object{"types": []string{"m.room.message"}}},
		}).String("filter_id")
		none := newClient(s, alice).filter(`{"room":{"rooms":[]},"account_data":{"not_types":["*"]}}`)
		c := newClient(s, alice).filter(stored)
		fields := newClient(s, alice).filter(`{"event_fields":["content.body"],"room":{"timeline":{"types":["m.room.message"]}}}`)
		silent := newClient(s, alice).filter(`{"room":{"timeline":{"limit":0}}}`)
		for _, c := range []*client{none, c, fields, silent} {
			c.sync()
		}
		sent := s.SendText(alice.Token, room, "x")
		s.SendEvent(alice.Token, room, "org.example", object{"body": "y"})
		s.SetState(alice.Token, room, "m.room.topic", "", object{"topic": "t"})
		s.SendText(alice.Token, other, "z")
		a := c.sync()
		if !cmp.Equal(a.rooms("join"), []string{room}) || !cmp.Equal(a.timeline(room), []string{sent}) {
			t.Errorf("messages of one room: %s", a.Raw)
		}
		// The topic came after the message, and is not in the timeline: it is state.
		if got := a.state(room, "state"); !cmp.Equal(got, []string{"m.room.topic/"}) {
			t.Errorf("state that the filter of the timeline leaves out: %v", got)
		}
		if a := none.sync(); len(a.rooms("join")) != 0 || len(a.events("account_data")) != 0 {
			t.Errorf("a filter that wants nothing: %s", a.Raw)
		}
		events := fields.sync().events("rooms", "join", room, "timeline")
		if len(events) != 1 || !cmp.Equal(events[0]["content"], any(object{"body": "x"})) || events[0]["unsigned"] != nil {
			t.Errorf("with one field alone: %v", events)
		}
		a = silent.sync()
		if len(a.timeline(room)) != 0 || a.Get("rooms", "join", room, "timeline", "limited") != true ||
			!cmp.Equal(a.state(room, "state"), []string{"m.room.topic/"}) {
			t.Errorf("with a limit of 0: %s", a.Raw)
		}
		prev := a.String("rooms", "join", room, "timeline", "prev_batch")
		if got := messages(s, alice.Token, room, prev, ""); len(got) != 10-1 {
			t.Errorf("and before that there are %d events: %v", len(got), got)
		}
	})
}

// TestAccountDataComesOnce: global, and of rooms; push rules also where nobody has
// changed them.
func TestAccountDataComesOnce(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		set := func(path, value string) {
			s.Want(http.StatusOK, "", http.MethodPut, v3+"user/"+alice.UserID+"/"+path, alice.Token, object{"v": value})
		}
		set("account_data/org.a", "1")
		set("rooms/"+url.PathEscape(room)+"/account_data/m.tag", "2")
		types := func(events []object) (list []string) {
			for _, e := range events {
				v, _ := e["content"].(object)["v"].(string)
				list = append(list, e["type"].(string)+v)
			}
			slices.Sort(list)
			return list
		}
		check := func(what string, a answer, global, inRoom []string) {
			t.Helper()
			got := types(a.events("account_data"))
			gotRoom := types(a.events("rooms", "join", room, "account_data"))
			if !slices.Equal(got, global) || !slices.Equal(gotRoom, inRoom) {
				t.Errorf("%s: %v, in the room %v; want %v and %v", what, got, gotRoom, global, inRoom)
			}
		}
		c := newClient(s, alice)
		check("at first", c.sync(), []string{"m.push_rules", "org.a1"}, []string{"m.tag2"})
		check("then", c.sync(), nil, nil)
		set("account_data/org.a", "3")
		set("rooms/"+url.PathEscape(room)+"/account_data/m.tag", "4")
		check("when it has changed", c.sync(), []string{"org.a3"}, []string{"m.tag4"})
		check("and then", c.sync(), nil, nil)
	})
}

// TestFullStateIsAllState: also with since, and at once.
func TestFullStateIsAllState(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		c := newClient(s, alice)
		c.sync()
		c.more.Set("full_state", "true")
		c.more.Set("timeout", "300000")
		a := c.sync()
		if got, want := len(a.state(room, "state")), len(roomState(t, s, alice.Token, room)); got != want || len(a.timeline(room)) != 0 {
			t.Errorf("%d of %d pieces of state, and the timeline %v", got, want, a.timeline(room))
		}
	})
}
