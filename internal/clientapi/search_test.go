package clientapi_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

// searchFor is the answer for room_events; more is what else is asked for.
func searchFor(s *hstest.Server, who hstest.Session, term string, more object, batch ...string) hstest.Answer {
	path := v3 + "search"
	if len(batch) > 0 {
		path = query(path, "next_batch", batch[0])
	}
	a := s.Want(http.StatusOK, "", post, path, who.Token,
		object{"search_categories": object{"room_events": with(object{"search_term": term}, more)}})
	a.Body, _ = a.Get("search_categories", "room_events").(map[string]any)
	return a
}

// results are the bodies of the events of a search.
func results(a hstest.Answer) []string {
	list, _ := a.Get("results").([]any)
	var events []any
	for _, item := range list {
		events = append(events, item.(map[string]any)["result"])
	}
	return said(events)
}

func TestMessagesAreFoundByTheirWords(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := talkative(s, alice, 0, bob)
		private := s.CreateRoom(alice.Token, object{"preset": "private_chat"})
		s.SendText(alice.Token, room, "a river and a boat, a long text about what goes down the river with it")
		s.SendText(alice.Token, room, "River, river!")
		s.SendText(alice.Token, private, "the river is secret")
		gone := s.SendText(alice.Token, room, "river that is redacted")
		s.Want(http.StatusOK, "", put, hstest.RoomPath(room, "redact", gone, "1"), alice.Token, object{})
		s.SetState(alice.Token, room, "m.room.name", "", object{"name": "River Room"})
		recent := object{"order_by": "recent"}
		long := "a river and a boat, a long text about what goes down the river with it"
		for _, tc := range []struct {
			who  hstest.Session
			term string
			more object
			want []string
		}{
			{alice, "river", recent, []string{"m.room.name", "the river is secret", "River, river!", long}},
			{bob, "river", recent, []string{"m.room.name", "River, river!", long}},
			{bob, "river", object{"keys": []string{"content.body"}}, []string{"River, river!", long}},
			{bob, "river", object{"keys": []string{"content.topic"}}, []string{}},
			{bob, "boat RIVER", nil, []string{long}},
			{bob, "boat nothing", nil, []string{}},
			{bob, "…", nil, []string{}},
			{alice, "river", object{"filter": object{"rooms": []string{private}}}, []string{"the river is secret"}},
			{bob, "river", object{"filter": object{"rooms": []string{private}}}, []string{}},
			{bob, "river", object{"filter": object{"senders": []string{bob.UserID}}}, []string{}},
		} {
			a := searchFor(s, tc.who, tc.term, tc.more)
			if diff := cmp.Diff(tc.want, results(a)); diff != "" {
				t.Errorf("%q %v: %s", tc.term, tc.more, diff)
			}
			if a.Get("count") != float64(len(tc.want)) {
				t.Errorf("%q: counted %v", tc.term, a.Get("count"))
			}
		}
		if diff := cmp.Diff([]any{"boat", "river"}, searchFor(s, bob, "BOAT river", nil).Get("highlights")); diff != "" {
			t.Errorf("highlights: %s", diff)
		}
		body := func(events any) object { return object{"search_categories": object{"room_events": events}} }
		check(t, s,
			row{400, "M_MISSING_PARAM", post, v3 + "search", bob.Token, object{}},
			row{200, "", post, v3 + "search", bob.Token, object{"search_categories": object{}}},
			row{400, "M_MISSING_PARAM", post, v3 + "search", bob.Token, body(object{})},
			row{400, "M_INVALID_PARAM", post, v3 + "search", bob.Token, body(object{"search_term": "x", "keys": []string{"content.x"}})},
			row{400, "M_INVALID_PARAM", post, v3 + "search", bob.Token, body(object{"search_term": "x", "order_by": "x"})},
			row{
				400, "M_INVALID_PARAM", post, v3 + "search", bob.Token,
				body(object{"search_term": "x", "groupings": object{"group_by": []object{{"key": "x"}}}}),
			},
			row{400, "M_INVALID_PARAM", post, v3 + "search?next_batch=x", bob.Token, body(object{"search_term": "x"})},
		)
	})
}

func TestASearchIsPagedAlsoWithinItsGroups(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		one, two := talkative(s, alice, 0, bob), talkative(s, alice, 0, bob)
		for i := range 4 {
			s.SendText(alice.Token, one, fmt.Sprint("word m", i))
			s.SendText(bob.Token, two, fmt.Sprint("word n", i))
		}
		more := object{
			"order_by": "recent", "filter": object{"limit": 3},
			"groupings": object{"group_by": []object{{"key": "room_id"}, {"key": "sender"}}},
		}
		var all []string
		first := searchFor(s, alice, "word", more)
		s.SendText(alice.Token, one, "a later word") // which moves nothing
		a := first
		for n := 1; ; n++ {
			all = append(all, results(a)...)
			next := a.String("next_batch")
			if next == "" || n > 5 {
				break
			}
			a = searchFor(s, alice, "word", more, next)
		}
		want := []string{"word n3", "word m3", "word n2", "word m2", "word n1", "word m1", "word n0", "word m0"}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Error(diff)
		}
		if first.Get("count") != 8.0 {
			t.Errorf("counted %v", first.Get("count"))
		}
		for key, value := range map[string]string{"room_id": one, "sender": alice.UserID} {
			group, _ := first.Get("groups", key, value).(map[string]any)
			if list, _ := group["results"].([]any); len(list) != 1 {
				t.Errorf("the group of %s is %v", value, group)
			}
			next, _ := group["next_batch"].(string)
			if diff := cmp.Diff([]string{"word m2", "word m1", "word m0"}, results(searchFor(s, alice, "word", more, next))); diff != "" {
				t.Errorf("more of %s: %s", value, diff)
			}
		}
	})
}

func TestResultsComeWithWhatIsAroundThem(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		s.Want(http.StatusOK, "", put, v3+"profile/"+alice.UserID+"/displayname", alice.Token, object{"displayname": "Alice"})
		room := talkative(s, alice, 3)
		s.SendText(alice.Token, room, "needle")
		s.SendText(alice.Token, room, "after")
		a := searchFor(s, alice, "needle", object{
			"event_context": object{"before_limit": 2, "after_limit": 2, "include_profile": true}, "include_state": true,
		})
		context := hstest.Answer{Body: a.Get("results").([]any)[0].(map[string]any)}
		got := []any{
			said(context.Get("context", "events_before")), said(context.Get("context", "events_after")),
			context.Get("context", "profile_info", alice.UserID, "displayname"),
		}
		if diff := cmp.Diff([]any{[]string{"m2", "m1"}, []string{"after"}, "Alice"}, got); diff != "" {
			t.Error(diff)
		}
		page := read(s, alice, hstest.RoomPath(room, "messages"), "dir", "b", "limit", "1", "from", context.String("context", "start"))
		if diff := cmp.Diff([]string{"m0"}, said(page.Get("chunk"))); diff != "" {
			t.Errorf("before start: %s", diff)
		}
		if n := len(said(a.Get("state", room))); n < 5 {
			t.Errorf("there are %d events of state", n)
		}
		if plain := searchFor(s, alice, "needle", nil); plain.Get("state") != nil || plain.Get("groups") != nil {
			t.Errorf("what nobody asked for: %s", plain.Raw)
		}
	})
}

// TestASearchFindsWhatItsReaderMayReadWhole: nothing that came after they left,
// nothing of a room that they have forgotten, nothing of those whom they ignore,
// and what an erasure covers neither matches nor is counted.
func TestASearchFindsWhatItsReaderMayReadWhole(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		room := talkative(s, alice, 0, bob, carol)
		s.SendText(alice.Token, room, "word of alice")
		s.SendText(carol.Token, room, "word of carol")
		s.Leave(bob.Token, room)
		s.SendText(alice.Token, room, "word after bob")
		want := func(who hstest.Session, want ...string) {
			t.Helper()
			a := searchFor(s, who, "word", object{"order_by": "recent"})
			if diff := cmp.Diff(append([]string{}, want...), results(a)); diff != "" || a.Get("count") != float64(len(want)) {
				t.Errorf("%s, counted %v: %s", who.UserID, a.Get("count"), diff)
			}
		}
		want(bob, "word of carol", "word of alice")
		s.Want(http.StatusOK, "", post, hstest.RoomPath(room, "forget"), bob.Token, object{})
		want(bob)
		ignore := v3 + "user/" + carol.UserID + "/account_data/m.ignored_user_list"
		s.Want(http.StatusOK, "", put, ignore, carol.Token, object{"ignored_users": object{alice.UserID: object{}}})
		want(carol, "word of carol")
		erase(t, s, alice)
		dave := s.Register("dave")
		s.Join(dave.Token, room)
		want(dave, "word of carol")
	})
}
