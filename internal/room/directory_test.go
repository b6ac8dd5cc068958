package room_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

// names are those of the rooms on a page of the directory; nil for none.
func names(a hstest.Answer) (list []string) {
	chunk, _ := a.Get("chunk").([]any)
	for _, room := range chunk {
		name, _ := room.(object)["name"].(string)
		list = append(list, name)
	}
	return list
}

func public(name string) object {
	return object{"name": name, "visibility": "public", "preset": "public_chat"}
}

func TestTheDirectoryHasLargeRoomsFirstAndPagesBothWays(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		s.CreateRoom(alice.Token, object{"name": "Hidden", "preset": "public_chat"})
		one := s.CreateRoom(alice.Token, public("One"))
		two := s.CreateRoom(alice.Token, public("Two"))
		three := s.CreateRoom(alice.Token, public("Three"))
		s.Join(bob.Token, three)
		s.Join(carol.Token, three)
		s.Join(bob.Token, two)

		page := func(since string) hstest.Answer {
			return s.Want(200, "", get, v3+"publicRooms?limit=1&since="+since, "", nil)
		}
		first := page("")
		second := page(first.String("next_batch"))
		third := page(second.String("next_batch"))
		back := page(third.String("prev_batch"))
		start := page(back.String("prev_batch"))
		for i, c := range []struct {
			page       hstest.Answer
			name       string
			next, prev bool
		}{{first, "Three", true, false}, {second, "Two", true, true}, {third, "One", false, true}, {back, "Two", true, true}, {start, "Three", true, false}} {
			if got := names(c.page); len(got) != 1 || got[0] != c.name {
				t.Errorf("page %d has %v, want %s", i, got, c.name)
			}
			if (c.page.String("next_batch") != "") != c.next || (c.page.String("prev_batch") != "") != c.prev {
				t.Errorf("page %d: %s", i, c.page.Raw)
			}
			if c.page.Get("total_room_count_estimate") != 3.0 {
				t.Errorf("page %d: the total is %v", i, c.page.Get("total_room_count_estimate"))
			}
		}
		s.Want(400, "M_INVALID_PARAM", get, v3+"publicRooms?since=x", "", nil)
		s.Want(502, "M_UNKNOWN", get, v3+"publicRooms?server=elsewhere.example", "", nil)
		s.Leave(alice.Token, one)
		if diff := cmp.Diff([]string{"Three", "Two"}, names(s.Want(200, "", get, v3+"publicRooms", "", nil))); diff != "" {
			t.Errorf("after everybody has left a room (-want +got):\n%s", diff)
		}
	})
}

func TestTheDirectoryIsSearchedByNameTopicAndAlias(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		cheese := public("Käse 100%")
		cheese["topic"], cheese["room_alias_name"] = "Tasty", "fromage"
		room := s.CreateRoom(alice.Token, cheese)
		space := public("Space")
		space["creation_content"] = object{"type": "m.space"}
		s.CreateRoom(alice.Token, space)
		search := func(filter object) []string {
			return names(s.Want(200, "", post, v3+"publicRooms", alice.Token, object{"filter": filter}))
		}
		k := []string{"Käse 100%"}
		for _, c := range []struct {
			filter object
			want   []string
		}{
			{object{"generic_search_term": "KÄSE"}, k},
			{object{"generic_search_term": "tasty"}, k},
			{object{"generic_search_term": "#fromage"}, k},
			{object{"generic_search_term": "0%"}, k},
			{object{"generic_search_term": "_"}, nil},
			{object{"room_types": []any{nil}}, k},
			{object{"room_types": []any{"m.space"}}, []string{"Space"}},
			{object{"room_types": []any{}, "generic_search_term": "space"}, []string{"Space"}},
		} {
			if diff := cmp.Diff(c.want, search(c.filter)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", c.filter, diff)
			}
		}
		event := s.SetState(alice.Token, room, "m.room.name", "", object{"name": "Butter"})
		if got := search(object{"generic_search_term": "butter"}); len(got) != 1 {
			t.Errorf("by its new name it is not found: %v", got)
		}
		s.Want(200, "", put, hstest.RoomPath(room, "redact", event, "r1"), alice.Token, object{})
		if got := search(object{"generic_search_term": "butter"}); got != nil {
			t.Errorf("by a name that was redacted it is found: %v", got)
		}
		list := v3 + "directory/list/room/" + url.PathEscape(room)
		s.Want(200, "", put, list, alice.Token, object{"visibility": "private"})
		if got := search(object{"generic_search_term": "tasty"}); got != nil {
			t.Errorf("a room that is private is found: %v", got)
		}
	})
}

func TestWhoMaySayWhichAliasIsTheRoomsMayPublishIt(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		s.Join(bob.Token, room)
		list := v3 + "directory/list/room/" + url.PathEscape(room)
		s.Want(403, "M_FORBIDDEN", put, list, bob.Token, object{"visibility": "public"})
		s.Want(400, "M_INVALID_PARAM", put, list, alice.Token, object{"visibility": "x"})
		none := v3 + "directory/list/room/" + url.PathEscape("!none:example.org")
		s.Want(404, "M_NOT_FOUND", put, none, alice.Token, object{})
		s.Want(404, "M_NOT_FOUND", get, none, "", nil)
		for _, visibility := range []string{"public", "private"} {
			s.Want(200, "", put, list, alice.Token, object{"visibility": visibility})
			if got := s.Want(200, "", get, list, "", nil).String("visibility"); got != visibility {
				t.Errorf("the visibility is %s, want %s", got, visibility)
			}
		}
		s.Want(200, "", put, list, alice.Token, object{})
		if got := s.Want(200, "", get, list, "", nil).String("visibility"); got != "public" {
			t.Errorf("the visibility is %s if nobody says", got)
		}
	})
}
