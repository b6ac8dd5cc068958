package room_test

import (
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

func TestASummaryIsForThoseWhoMayComeIn(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		open := public("Open")
		open["topic"], open["room_alias_name"] = "All", "open"
		room := s.CreateRoom(alice.Token, open)
		closed := s.CreateRoom(alice.Token, object{"name": "Closed"})
		want := object{
			"room_id": room, "name": "Open", "topic": "All", "canonical_alias": "#open:example.org", "join_rule": "public",
			"num_joined_members": 1.0, "world_readable": false, "guest_can_join": false, "room_version": "12",
			"membership": "leave",
		}
		for _, path := range []string{
			v1 + "room_summary/" + url.PathEscape("#open:example.org"), v1 + "room_summary/" + url.PathEscape(room),
			"/_matrix/client/unstable/im.nheko.summary/summary/" + url.PathEscape(room),
			"/_matrix/client/unstable/im.nheko.summary/rooms/" + url.PathEscape(room) + "/summary",
		} {
			if diff := cmp.Diff(want, s.Want(200, "", get, path, bob.Token, nil).Body); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
		if a := s.Want(200, "", get, v1+"room_summary/"+url.PathEscape(room), "", nil); a.Get("membership") != nil {
			t.Errorf("to somebody unknown it says what they are to the room: %s", a.Raw)
		}
		path := v1 + "room_summary/" + url.PathEscape(closed)
		s.Want(404, "M_NOT_FOUND", get, path, bob.Token, nil)
		s.Want(404, "M_NOT_FOUND", get, path, "", nil)
		s.Invite(alice.Token, closed, bob.UserID)
		if got := s.Want(200, "", get, path, bob.Token, nil).String("membership"); got != "invite" {
			t.Errorf("whom it invites is told they are %q", got)
		}
		s.SetState(alice.Token, closed, "m.room.join_rules", "", object{
			"join_rule": "restricted", "allow": []object{{"type": "m.room_membership", "room_id": room}},
		})
		carol := s.Register("carol")
		s.Want(404, "M_NOT_FOUND", get, path, carol.Token, nil)
		s.Join(carol.Token, room)
		allowed := s.Want(200, "", get, path, carol.Token, nil).Get("allowed_room_ids")
		if diff := cmp.Diff([]any{room}, allowed); diff != "" {
			t.Errorf("the rooms whose members may join (-want +got):\n%s", diff)
		}
	})
}

// tree makes a space with an open room, a space in it with another, which has the
// first as a child again, and a room that is closed.
func tree(s *hstest.Server, token string) (space, sub string) {
	via := func(more object) object {
		content := object{"via": []string{"example.org"}}
		maps.Copy(content, more)
		return content
	}
	spaced := func(name string) object {
		body := public(name)
		body["creation_content"] = object{"type": "m.space"}
		return body
	}
	space, sub = s.CreateRoom(token, spaced("Root")), s.CreateRoom(token, spaced("Sub"))
	leaf, deep := s.CreateRoom(token, public("Leaf")), s.CreateRoom(token, public("Deep"))
	closed, gone := s.CreateRoom(token, object{"name": "Closed"}), s.CreateRoom(token, public("Gone"))
	s.SetState(token, space, "m.space.child", leaf, via(object{"order": "b"}))
	s.SetState(token, space, "m.space.child", sub, via(object{"order": "a", "suggested": true}))
	s.SetState(token, space, "m.space.child", closed, via(object{"order": "not\tvalid"}))
	s.SetState(token, space, "m.space.child", gone, object{})
	s.SetState(token, sub, "m.space.child", deep, via(nil))
	s.SetState(token, sub, "m.space.child", space, via(nil))
	return space, sub
}

func TestASpaceIsWalkedDepthFirstInItsOrder(t *testing.T) {
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		space, sub := tree(s, alice.Token)
		path := func(query string) string { return v1 + "rooms/" + url.PathEscape(space) + "/hierarchy?" + query }
		for _, c := range []struct {
			token, query string
			want         []string
		}{
			{alice.Token, "", []string{"Root", "Sub", "Deep", "Leaf", "Closed"}},
			{bob.Token, "", []string{"Root", "Sub", "Deep", "Leaf"}},
			{bob.Token, "max_depth=1", []string{"Root", "Sub", "Leaf"}},
			{bob.Token, "max_depth=0", []string{"Root"}},
			{bob.Token, "suggested_only=true", []string{"Root", "Sub"}},
		} {
			if diff := cmp.Diff(c.want, roomNames(s.Want(200, "", get, path(c.query), c.token, nil))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.query, diff)
			}
		}
		first := s.Want(200, "", get, path("limit=3"), bob.Token, nil)
		children := first.Get("rooms").([]any)[0].(object)["children_state"].([]any)
		child := children[0].(object)
		if len(children) != 3 || child["state_key"] != sub || child["sender"] != alice.UserID || len(child) != 5 ||
			child["origin_server_ts"] == nil {
			t.Errorf("the children of the space are %v", children)
		}
		from := first.String("next_batch")
		if from == "" {
			t.Fatalf("there is no next page: %s", first.Raw)
		}
		second := s.Want(200, "", get, path("limit=3&from="+from), bob.Token, nil)
		if diff := cmp.Diff([]string{"Leaf"}, roomNames(second)); diff != "" || second.Get("next_batch") != nil {
			t.Errorf("the second page %s (-want +got):\n%s", second.Raw, diff)
		}
		s.Want(400, "M_INVALID_PARAM", get, path("max_depth=1&from="+from), bob.Token, nil)
		s.Want(400, "M_INVALID_PARAM", get, path("from=x"), bob.Token, nil)
		s.Want(400, "M_INVALID_PARAM", get, path("limit=0"), bob.Token, nil)
		closed := s.CreateRoom(alice.Token, nil)
		s.Want(403, "M_FORBIDDEN", get, v1+"rooms/"+url.PathEscape(closed)+"/hierarchy", bob.Token, nil)
		clock.Advance(2 * time.Hour)
		token := s.Want(200, "", post, v3+"login", "", object{
			"type": "m.login.password", "password": bob.Password,
			"identifier": object{"type": "m.id.user", "user": "bob"},
		}).String("access_token")
		s.Want(400, "M_INVALID_PARAM", get, path("limit=3&from="+from), token, nil)
	}, hstest.Clock(clock.Now))
}

func roomNames(a hstest.Answer) (list []string) {
	rooms, _ := a.Get("rooms").([]any)
	for _, room := range rooms {
		name, _ := room.(object)["name"].(string)
		list = append(list, name)
	}
	return list
}
