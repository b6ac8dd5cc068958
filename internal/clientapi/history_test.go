package clientapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

// said is the events of a list: bodies of messages, and what else there is by
// type, members with who they are about.
func said(v any) []string {
	list, _ := v.([]any)
	texts := []string{}
	for _, item := range list {
		e, _ := item.(map[string]any)
		content, _ := e["content"].(map[string]any)
		text, _ := e["type"].(string)
		if body, ok := content["body"].(string); ok {
			text = body
		} else if text == "m.room.member" {
			text = fmt.Sprint(e["state_key"], " ", content["membership"])
		}
		texts = append(texts, text)
	}
	return texts
}

// query is a path with parameters: names and values in turn.
func query(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return path + "?" + q.Encode()
}

// read is an answer of 200 to a GET.
func read(s *hstest.Server, who hstest.Session, path string, pairs ...string) hstest.Answer {
	return s.Want(http.StatusOK, "", get, query(path, pairs...), who.Token, nil)
}

// pages reads all pages of a room, and fails if there are too many.
func pages(t *testing.T, s *hstest.Server, who hstest.Session, path, next, list string, pairs ...string) (all []string, n int) {
	t.Helper()
	from := []string{}
	for n = 1; n < 100; n++ {
		a := read(s, who, path, append(from, pairs...)...)
		all = append(all, said(a.Get(list))...)
		token := a.String(next)
		if token == "" {
			return all, n
		}
		from = []string{"from", token}
	}
	t.Fatalf("%s has no last page", path)
	return nil, 0
}

// talkative is a room of alice with messages m0 to m(n-1), in which all are who
// are named.
func talkative(s *hstest.Server, alice hstest.Session, n int, others ...hstest.Session) string {
	room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
	for _, other := range others {
		s.Join(other.Token, room)
	}
	for i := range n {
		s.SendText(alice.Token, room, fmt.Sprint("m", i))
	}
	return room
}

func messageNames(from, to int) (names []string) {
	for i := from; i != to; {
		names = append(names, fmt.Sprint("m", i))
		if i < to {
			i++
		} else {
			i--
		}
	}
	return names
}

func TestATimelineIsPagedToBothEnds(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := talkative(s, alice, 23)
		path := hstest.RoomPath(room, "messages")
		back, n := pages(t, s, alice, path, "end", "chunk", "dir", "b", "limit", "5")
		forward, m := pages(t, s, alice, path, "end", "chunk", "dir", "f", "limit", "5")
		if n != m || n != (len(back)+4)/5 {
			t.Errorf("%d events take %d and %d pages", len(back), n, m)
		}
		if diff := cmp.Diff(messageNames(22, -1), back[:23]); diff != "" {
			t.Errorf("back: %s", diff)
		}
		slices.Reverse(back)
		if diff := cmp.Diff(back, forward); diff != "" {
			t.Errorf("forward is not back the other way round: %s", diff)
		}
		if back[0] != "m.room.create" {
			t.Errorf("the first event is %s", back[0])
		}
	})
}

func TestTokensOfSyncAreTakenForPages(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := talkative(s, alice, 3)
		sync := read(s, alice, v3+"sync").String("next_batch")
		s.SendText(alice.Token, room, "later")
		path := hstest.RoomPath(room, "messages")
		for _, tc := range []struct {
			pairs []string
			want  []string
		}{
			{[]string{"dir", "f", "from", sync}, []string{"later"}},
			{[]string{"dir", "b", "from", sync, "limit", "2"}, []string{"m2", "m1"}},
			{[]string{"dir", "b", "to", sync}, []string{"later"}},
		} {
			a := read(s, alice, path, tc.pairs...)
			if diff := cmp.Diff(tc.want, said(a.Get("chunk"))); diff != "" {
				t.Errorf("%v: %s", tc.pairs, diff)
			}
		}
		if start := read(s, alice, path, "dir", "b", "from", sync).String("start"); start != sync {
			t.Errorf("start is %q, from was %q", start, sync)
		}
	})
}

func TestPagesAreFilteredAndLimited(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := talkative(s, alice, 5, bob)
		s.SendText(bob.Token, room, "of bob")
		s.SendEvent(alice.Token, room, "m.room.message", object{"msgtype": "m.file", "body": "a file", "url": "mxc://x/y"})
		path := hstest.RoomPath(room, "messages")
		for _, tc := range []struct {
			filter, limit string
			want          []string
		}{
			{`{"types":["m.room.message"]}`, "3", []string{"a file", "of bob", "m4"}},
			{`{"types":["m.room.me*"],"not_types":["m.room.message"]}`, "10", []string{bob.UserID + " join", alice.UserID + " join"}},
			{`{"senders":["` + bob.UserID + `"]}`, "10", []string{"of bob", bob.UserID + " join"}},
			{`{"contains_url":true}`, "10", []string{"a file"}},
			{`{"types":["m.room.message"],"limit":2}`, "10", []string{"a file", "of bob"}},
			{`{"types":[]}`, "10", []string{}},
			{`{"rooms":["!other:x"]}`, "10", []string{}},
		} {
			if diff := cmp.Diff(tc.want, said(read(s, alice, path, "dir", "b", "limit", tc.limit, "filter", tc.filter).Get("chunk"))); diff != "" {
				t.Errorf("%s: %s", tc.filter, diff)
			}
		}
		if n := len(said(read(s, alice, path, "dir", "b", "limit", "10000").Get("chunk"))); n < 13 {
			t.Errorf("with a large limit there are %d events", n)
		}
		if n := len(said(read(s, alice, path, "dir", "b", "limit", "0").Get("chunk"))); n > 1 {
			t.Errorf("with the limit 0 there are %d events", n)
		}
		lazy := read(s, alice, path, "dir", "b", "limit", "2", "filter", `{"types":["m.room.message"],"lazy_load_members":true}`)
		state := said(lazy.Get("state"))
		slices.Sort(state)
		if diff := cmp.Diff([]string{alice.UserID + " join", bob.UserID + " join"}, state); diff != "" {
			t.Errorf("lazy loading: %s", diff)
		}
		check(t, s,
			row{400, "M_INVALID_PARAM", get, query(path, "dir", "b", "from", "garbage"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "dir", "b", "to", "t"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "dir", "b", "limit", "-1"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "dir", "b", "filter", "{"), alice.Token, nil},
			row{400, "M_MISSING_PARAM", get, query(path), alice.Token, nil},
			row{401, "M_MISSING_TOKEN", get, query(path, "dir", "b"), "", nil},
		)
	})
}

func TestWhoMayReadARoom(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		room := talkative(s, alice, 2, bob)
		s.SetState(alice.Token, room, "m.room.topic", "", object{"topic": "old"})
		s.Leave(bob.Token, room)
		s.SetState(alice.Token, room, "m.room.topic", "", object{"topic": "new"})
		hidden := s.SendText(alice.Token, room, "after bob")
		topic := hstest.RoomPath(room, "state", "m.room.topic", "")
		for _, what := range []string{"messages?dir=b", "members", "state", "initialSync"} {
			s.Want(http.StatusForbidden, "M_FORBIDDEN", get, hstest.RoomPath(room)+"/"+what, carol.Token, nil)
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", get, topic, carol.Token, nil)
		s.Want(http.StatusNotFound, "M_NOT_FOUND", get, hstest.RoomPath(room, "event", hidden), carol.Token, nil)
		// Bob sees the room as he left it.
		if got := read(s, bob, topic).String("topic"); got != "old" {
			t.Errorf("who has left sees the topic %q", got)
		}
		s.Want(http.StatusNotFound, "M_NOT_FOUND", get, hstest.RoomPath(room, "event", hidden), bob.Token, nil)
		s.Want(http.StatusNotFound, "M_NOT_FOUND", get, hstest.RoomPath(room, "context", hidden), bob.Token, nil)
		if got := said(read(s, bob, hstest.RoomPath(room, "messages"), "dir", "b", "limit", "1").Get("chunk")); got[0] != bob.UserID+" leave" {
			t.Errorf("the last that bob sees is %v", got)
		}
		// Everybody may look into a room that is open to the world.
		s.SetState(alice.Token, room, "m.room.history_visibility", "", object{"history_visibility": "world_readable"})
		s.SendText(alice.Token, room, "to the world")
		if got := said(read(s, carol, hstest.RoomPath(room, "messages"), "dir", "b").Get("chunk")); got[0] != "to the world" || slices.Contains(got, "m1") {
			t.Errorf("who peeks sees %v", got)
		}
		if got := read(s, carol, topic).String("topic"); got != "new" {
			t.Errorf("who peeks sees the topic %q", got)
		}
	})
}

func TestTheStateOfARoomIsRead(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		room := talkative(s, alice, 0, bob)
		at := read(s, alice, v3+"sync").String("next_batch")
		s.Join(carol.Token, room)
		s.Leave(bob.Token, room)
		members := hstest.RoomPath(room, "members")
		for _, tc := range []struct{ name, value, want string }{
			{"", "", "@alice:example.org join, @bob:example.org leave, @carol:example.org join"},
			{"membership", "join", "@alice:example.org join, @carol:example.org join"},
			{"not_membership", "join", "@bob:example.org leave"},
			{"membership", "ban", ""},
			{"at", at, "@alice:example.org join, @bob:example.org join"},
		} {
			got := said(read(s, alice, members, tc.name, tc.value).Get("chunk"))
			slices.Sort(got)
			if strings.Join(got, ", ") != tc.want {
				t.Errorf("%s=%s: %q", tc.name, tc.value, got)
			}
		}
		s.SetState(alice.Token, room, "org.x", "a/b", object{"n": 1})
		event := read(s, alice, hstest.RoomPath(room, "state", "org.x", "a/b"), "format", "event")
		if event.String("state_key") != "a/b" || event.String("sender") != alice.UserID {
			t.Errorf("the event of a state is %s", event.Raw)
		}
		all := s.Do(get, hstest.RoomPath(room, "state"), alice.Token, nil)
		if all.Status != http.StatusOK || strings.Count(string(all.Raw), `"m.room.member"`) < 3 || !strings.Contains(string(all.Raw), `"a/b"`) {
			t.Errorf("all state is %s", all.Raw)
		}
		check(t, s,
			row{404, "M_NOT_FOUND", get, hstest.RoomPath(room, "state", "org.none", ""), alice.Token, nil},
			row{404, "M_NOT_FOUND", get, query(hstest.RoomPath(room, "state", "org.none", ""), "format", "event"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(hstest.RoomPath(room, "state", "org.x", "a/b"), "format", "x"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(members, "at", "x"), alice.Token, nil},
		)
	})
}

func TestWhatIsAroundAnEvent(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := talkative(s, alice, 4)
		id := s.SendText(alice.Token, room, "the event")
		for i := range 4 {
			s.SendText(alice.Token, room, fmt.Sprint("n", i))
		}
		path := hstest.RoomPath(room, "context", id)
		a := read(s, alice, path, "limit", "4")
		if diff := cmp.Diff([]any{[]string{"m3", "m2"}, []string{"n0", "n1"}, "the event"},
			[]any{said(a.Get("events_before")), said(a.Get("events_after")), a.String("event", "content", "body")}); diff != "" {
			t.Error(diff)
		}
		messages := hstest.RoomPath(room, "messages")
		if got := said(read(s, alice, messages, "dir", "b", "limit", "1", "from", a.String("start")).Get("chunk")); got[0] != "m1" {
			t.Errorf("before start is %v", got)
		}
		if got := said(read(s, alice, messages, "dir", "f", "limit", "1", "from", a.String("end")).Get("chunk")); got[0] != "n2" {
			t.Errorf("behind end is %v", got)
		}
		if n := len(said(a.Get("state"))); n < 5 {
			t.Errorf("there are %d events of state", n)
		}
		alone := read(s, alice, path, "limit", "0")
		if len(said(alone.Get("events_before")))+len(said(alone.Get("events_after"))) != 0 || alone.String("event", "event_id") != id {
			t.Errorf("with the limit 0: %s", alone.Raw)
		}
		lazy := read(s, alice, path, "filter", `{"lazy_load_members":true}`)
		if got := said(lazy.Get("state")); !slices.Contains(got, alice.UserID+" join") {
			t.Errorf("lazily loaded state is %v", got)
		}
		check(t, s,
			row{404, "M_NOT_FOUND", get, hstest.RoomPath(room, "context", "$none"), alice.Token, nil},
			row{404, "M_NOT_FOUND", get, hstest.RoomPath(room, "event", "$none"), alice.Token, nil},
			row{404, "M_NOT_FOUND", get, hstest.RoomPath(s.CreateRoom(alice.Token, nil), "event", id), alice.Token, nil},
		)
	})
}
