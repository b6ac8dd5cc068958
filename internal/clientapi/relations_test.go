package clientapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/deactivation"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
)

func relationsPath(room string, parts ...string) string {
	path := v1 + "rooms/" + url.PathEscape(room) + "/relations"
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// relates is a message that relates to another.
func relates(parent, relType, body string) object {
	return object{"msgtype": "m.text", "body": body, "m.relates_to": object{"rel_type": relType, "event_id": parent}}
}

func erase(t *testing.T, s *hstest.Server, who hstest.Session) {
	t.Helper()
	_, err := s.Deactivations.Deactivate(t.Context(), deactivation.Request{
		User: matrix.UserID(who.UserID), Erase: true, By: deactivation.Operator,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRelationsArePagedBothWays(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := talkative(s, alice, 1)
		parent := s.SendText(alice.Token, room, "parent")
		for i := range 7 {
			s.SendEvent(alice.Token, room, "m.room.message", relates(parent, "m.thread", fmt.Sprint("m", i)))
		}
		path := relationsPath(room, parent)
		back, n := pages(t, s, alice, path, "next_batch", "chunk", "limit", "3")
		if diff := cmp.Diff(messageNames(6, -1), back); diff != "" || n != 3 {
			t.Errorf("%d pages: %s", n, diff)
		}
		forward, _ := pages(t, s, alice, path, "next_batch", "chunk", "limit", "3", "dir", "f")
		if diff := cmp.Diff(messageNames(0, 7), forward); diff != "" {
			t.Errorf("forward: %s", diff)
		}
		first := read(s, alice, path, "limit", "3")
		second := read(s, alice, path, "limit", "3", "from", first.String("next_batch"))
		if first.String("prev_batch") != "" || second.String("prev_batch") == "" {
			t.Errorf("prev_batch is %q and %q", first.String("prev_batch"), second.String("prev_batch"))
		}
		if got := said(read(s, alice, path, "to", first.String("next_batch")).Get("chunk")); !cmp.Equal(got, messageNames(6, 3)) {
			t.Errorf("up to the second page: %v", got)
		}
		check(t, s,
			row{404, "M_NOT_FOUND", get, relationsPath(room, "$none"), alice.Token, nil},
			row{404, "M_NOT_FOUND", get, path, s.Register("bob").Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "from", "x"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "dir", "x"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "recurse", "x"), alice.Token, nil},
		)
	})
}

func TestRelationsAreOfTheTypesAskedForAndOfTheirChildren(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := talkative(s, alice, 0)
		parent := s.SendText(alice.Token, room, "parent")
		reply := s.SendEvent(alice.Token, room, "m.room.message", relates(parent, "m.reference", "one"))
		second := s.SendEvent(alice.Token, room, "org.x", relates(reply, "m.reference", "two"))
		third := s.SendEvent(alice.Token, room, "m.room.message", relates(second, "org.rel", "three"))
		s.SendEvent(alice.Token, room, "m.room.message", relates(third, "m.reference", "too deep"))
		for _, tc := range []struct {
			parts   []string
			recurse string
			want    []string
			depth   any
		}{
			{nil, "", []string{"one"}, nil},
			{nil, "false", []string{"one"}, 0.0},
			{nil, "true", []string{"three", "two", "one"}, 3.0},
			{[]string{"m.reference"}, "true", []string{"two", "one"}, 3.0},
			{[]string{"m.reference", "org.x"}, "true", []string{"two"}, 3.0},
			{[]string{"m.reference", "org.x"}, "", []string{}, nil},
			{[]string{"org.rel"}, "", []string{}, nil},
		} {
			a := read(s, alice, relationsPath(room, append([]string{parent}, tc.parts...)...), "recurse", tc.recurse)
			if diff := cmp.Diff([]any{tc.want, tc.depth}, []any{said(a.Get("chunk")), a.Get("recursion_depth")}); diff != "" {
				t.Errorf("%v %s: %s", tc.parts, tc.recurse, diff)
			}
		}
	})
}

func TestWhatIsRedactedOrCoveredRelatesToNothing(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := talkative(s, alice, 0, bob)
		parent := s.SendText(alice.Token, room, "parent")
		gone := s.SendEvent(alice.Token, room, "m.room.message", relates(parent, "m.thread", "redacted"))
		s.SendEvent(bob.Token, room, "m.room.message", relates(parent, "m.thread", "covered"))
		s.SendEvent(alice.Token, room, "m.room.message", relates(parent, "m.thread", "stays"))
		s.Want(http.StatusOK, "", put, hstest.RoomPath(room, "redact", gone, "1"), alice.Token, object{"reason": "why"})
		erase(t, s, bob)
		carol := s.Register("carol")
		s.Join(carol.Token, room)
		if diff := cmp.Diff([]string{"stays", "covered"}, said(read(s, alice, relationsPath(room, parent)).Get("chunk"))); diff != "" {
			t.Errorf("to one who was there: %s", diff)
		}
		if diff := cmp.Diff([]string{"stays"}, said(read(s, carol, relationsPath(room, parent)).Get("chunk"))); diff != "" {
			t.Errorf("to a newcomer: %s", diff)
		}
	})
}

func TestARedactedEventIsItsRedactedFormForEverybody(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		for _, version := range []string{"2", "10", "12"} {
			room := s.CreateRoom(alice.Token, object{"preset": "public_chat", "room_version": version})
			s.Join(bob.Token, room)
			own, other := s.SendText(bob.Token, room, "own"), s.SendText(alice.Token, room, "other")
			check(t, s,
				row{403, "M_FORBIDDEN", put, hstest.RoomPath(room, "redact", other, "1"), bob.Token, object{}},
				row{403, "M_FORBIDDEN", put, hstest.RoomPath(room, "send", "m.room.redaction", "2"), bob.Token, object{"redacts": other}},
				row{404, "M_NOT_FOUND", put, hstest.RoomPath(room, "redact", "$none", "3"), bob.Token, object{}},
			)
			for _, id := range []string{own, other} {
				by := s.Want(http.StatusOK, "", put, hstest.RoomPath(room, "redact", id, "4"), alice.Token, object{"reason": "why"}).String("event_id")
				e := read(s, bob, hstest.RoomPath(room, "event", id))
				if got := e.Get("content"); !cmp.Equal(got, map[string]any{}) {
					t.Errorf("version %s: the content is %v", version, got)
				}
				because := []any{e.Get("unsigned", "redacted_because", "event_id"), e.Get("unsigned", "redacted_because", "content", "reason")}
				if diff := cmp.Diff([]any{by, "why"}, because); diff != "" {
					t.Errorf("version %s: because %s", version, diff)
				}
			}
		}
	})
}

func TestThreadsOfARoom(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := talkative(s, alice, 0, bob)
		var roots []string
		for i := range 5 {
			roots = append(roots, s.SendText(alice.Token, room, fmt.Sprint("m", i)))
		}
		var last string
		for _, root := range roots {
			last = s.SendEvent(alice.Token, room, "m.room.message", relates(root, "m.thread", "reply"))
		}
		s.SendEvent(bob.Token, room, "m.room.message", relates(roots[1], "m.thread", "reply of bob"))
		path := v1 + "rooms/" + url.PathEscape(room) + "/threads"
		all, n := pages(t, s, alice, path, "next_batch", "chunk", "limit", "2")
		if diff := cmp.Diff([]string{"m1", "m4", "m3", "m2", "m0"}, all); diff != "" || n != 3 {
			t.Errorf("%d pages: %s", n, diff)
		}
		if diff := cmp.Diff([]string{"m1"}, said(read(s, bob, path, "include", "participated").Get("chunk"))); diff != "" {
			t.Errorf("those of bob: %s", diff)
		}
		s.Want(http.StatusOK, "", put, hstest.RoomPath(room, "redact", last, "1"), alice.Token, object{})
		s.Want(http.StatusOK, "", put, v3+"user/"+url.PathEscape(bob.UserID)+"/account_data/m.ignored_user_list", bob.Token,
			object{"ignored_users": object{alice.UserID: object{}}})
		got := read(s, bob, path).Get("chunk").([]any)
		if len(got) != 1 || got[0].(map[string]any)["event_id"] != roots[1] || len(got[0].(map[string]any)["content"].(map[string]any)) != 0 {
			t.Errorf("to one who ignores alice: %v", got)
		}
		if diff := cmp.Diff([]string{"m1", "m3", "m2", "m0"}, said(read(s, alice, path).Get("chunk"))); diff != "" {
			t.Errorf("when the only reply is redacted: %s", diff)
		}
		reply := s.SendEvent(alice.Token, room, "m.room.message", relates(roots[0], "m.thread", "again"))
		check(t, s,
			row{400, "M_UNKNOWN", put, hstest.RoomPath(room, "send", "m.room.message", "x1"), alice.Token, relates(reply, "m.thread", "off a reply")},
			row{400, "M_INVALID_PARAM", get, query(path, "from", "x"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "limit", "0"), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "include", "x"), alice.Token, nil},
			row{403, "M_FORBIDDEN", get, path, s.Register("carol").Token, nil},
		)
	})
}

func TestAReactionIsSentOnce(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := talkative(s, alice, 0, bob)
		parent := s.SendText(alice.Token, room, "parent")
		react := func(key string) object {
			return object{"m.relates_to": object{"rel_type": "m.annotation", "event_id": parent, "key": key}}
		}
		first := s.SendEvent(alice.Token, room, "m.reaction", react("👍"))
		s.SendEvent(alice.Token, room, "m.reaction", react("👎"))
		s.SendEvent(bob.Token, room, "m.reaction", react("👍"))
		again := hstest.RoomPath(room, "send", "m.reaction", "again")
		s.Want(http.StatusBadRequest, "M_DUPLICATE_ANNOTATION", put, again, alice.Token, react("👍"))
		s.Want(http.StatusOK, "", put, hstest.RoomPath(room, "redact", first, "1"), alice.Token, object{})
		s.Want(http.StatusOK, "", put, again, alice.Token, react("👍"))
	})
}

func TestPagesHaveOnlyWhatOthersRelateToIfAskedSo(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := talkative(s, alice, 3, bob)
		one, two := s.SendText(alice.Token, room, "one"), s.SendText(alice.Token, room, "two")
		s.SendEvent(alice.Token, room, "m.room.message", relates(one, "m.thread", "reply"))
		s.SendEvent(bob.Token, room, "m.room.message", relates(two, "m.reference", "reference"))
		for filter, want := range map[string][]string{
			`{"related_by_rel_types":["m.thread"]}`:                                             {"one"},
			`{"related_by_rel_types":["m.thread","m.reference"]}`:                               {"two", "one"},
			`{"related_by_senders":["` + bob.UserID + `"]}`:                                     {"two"},
			`{"related_by_rel_types":["m.thread"],"related_by_senders":["` + bob.UserID + `"]}`: {},
		} {
			got := said(read(s, alice, hstest.RoomPath(room, "messages"), "dir", "b", "filter", filter).Get("chunk"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", filter, diff)
			}
		}
	})
}

func TestTheEventNearestToATime(t *testing.T) {
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		ids, times := map[string]string{}, []int64{}
		for i := range 9 {
			clock.Advance(time.Minute)
			times = append(times, clock.Now().UnixMilli())
			ids[s.SendText(alice.Token, room, "x")] = fmt.Sprint("m", i)
		}
		path := v1 + "rooms/" + url.PathEscape(room) + "/timestamp_to_event"
		for _, tc := range []struct {
			at   int64
			dir  string
			want string
		}{
			{times[4], "f", "m4"},
			{times[4], "b", "m4"},
			{times[4] + 1, "f", "m5"},
			{times[4] - 1, "b", "m3"},
			{times[8] + 5, "b", "m8"},
			{times[0] - 1, "f", "m0"},
		} {
			a := read(s, alice, path, "ts", strconv.FormatInt(tc.at, 10), "dir", tc.dir)
			if got := ids[a.String("event_id")]; got != tc.want {
				t.Errorf("%d %s is %s %s, want %s", tc.at, tc.dir, got, a.Raw, tc.want)
			}
		}
		at := strconv.FormatInt(times[8]+1, 10)
		check(t, s,
			row{404, "M_NOT_FOUND", get, query(path, "ts", at, "dir", "f"), alice.Token, nil},
			row{404, "M_NOT_FOUND", get, query(path, "ts", "0", "dir", "b"), alice.Token, nil},
			row{403, "M_FORBIDDEN", get, query(path, "ts", at, "dir", "b"), bob.Token, nil},
			row{400, "M_MISSING_PARAM", get, query(path, "dir", "b"), alice.Token, nil},
			row{400, "M_MISSING_PARAM", get, query(path, "ts", at), alice.Token, nil},
			row{400, "M_INVALID_PARAM", get, query(path, "ts", "x", "dir", "b"), alice.Token, nil},
		)
	}, hstest.Clock(clock.Now))
}
