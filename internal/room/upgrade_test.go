package room_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

func stateOf(s *hstest.Server, token, room, typ, key string) object {
	return s.Want(200, "", get, hstest.RoomPath(room, "state", typ, key), token, nil).Body
}

// TestARoomIsReplacedWithWhatItHas goes through the steps of the specification,
// for versions whose rooms are named before the create event, and after it.
func TestARoomIsReplacedWithWhatItHas(t *testing.T) {
	for _, v := range [][2]string{{"9", "11"}, {"10", "12"}, {"12", "12"}, {"12", "10"}} {
		t.Run(v[0]+" to "+v[1], func(t *testing.T) {
			hstest.Each(t, func(t *testing.T, s *hstest.Server) { testUpgrade(t, s, v[0], v[1]) })
		})
	}
}

func testUpgrade(t *testing.T, s *hstest.Server, from, to string) {
	alice, bob, eve := s.Register("alice"), s.Register("bob"), s.Register("eve")
	body := public("Old")
	body["topic"], body["room_alias_name"], body["room_version"] = "Things", "old", from
	body["creation_content"] = object{"type": "m.space"}
	room := s.CreateRoom(alice.Token, body)
	s.Join(bob.Token, room)
	s.Want(200, "", post, hstest.RoomPath(room, "ban"), alice.Token, object{"user_id": eve.UserID, "reason": "spam"})
	child := s.CreateRoom(alice.Token, nil)
	s.SetState(alice.Token, room, "m.space.child", child, object{"via": []string{"example.org"}})

	path := hstest.RoomPath(room, "upgrade")
	s.Want(403, "M_FORBIDDEN", post, path, bob.Token, object{"new_version": to})
	s.Want(400, "M_UNSUPPORTED_ROOM_VERSION", post, path, alice.Token, object{"new_version": "x"})
	next := s.Want(200, "", post, path, alice.Token, object{
		"new_version": to, "additional_creators": []string{bob.UserID},
	}).String("replacement_room")

	create := stateOf(s, alice.Token, next, "m.room.create", "")
	predecessor, _ := create["predecessor"].(object)
	if create["room_version"] != to || create["type"] != "m.space" || predecessor["room_id"] != room {
		t.Errorf("the new room was made as %v", create)
	}
	if _, ok := create["additional_creators"]; ok != (to == "12") {
		t.Errorf("the creators of the new room: %v", create)
	}
	if stateOf(s, alice.Token, next, "m.room.name", "")["name"] != "Old" ||
		stateOf(s, alice.Token, next, "m.room.join_rules", "")["join_rule"] != "public" ||
		stateOf(s, alice.Token, next, "m.room.canonical_alias", "")["alias"] != "#old:example.org" {
		t.Error("the new room has lost its name, its join rule or its alias")
	}
	if diff := cmp.Diff(object{"membership": "ban"}, stateOf(s, alice.Token, next, "m.room.member", eve.UserID)); diff != "" {
		t.Errorf("the ban (-want +got):\n%s", diff)
	}
	stateOf(s, alice.Token, next, "m.space.child", child)
	if stateOf(s, alice.Token, room, "m.room.tombstone", "")["replacement_room"] != next {
		t.Error("the old room does not point to the new one")
	}
	if got := s.Want(200, "", get, aliasPath("#old:example.org"), "", nil).String("room_id"); got != next {
		t.Errorf("the alias stands for %s, want %s", got, next)
	}
	for id, visibility := range map[string]string{room: "private", next: "public"} {
		list := v3 + "directory/list/room/" + url.PathEscape(id)
		if got := s.Want(200, "", get, list, "", nil).String("visibility"); got != visibility {
			t.Errorf("%s is %s, want %s", id, got, visibility)
		}
	}
	s.Want(403, "M_FORBIDDEN", put, hstest.RoomPath(room, "send", "m.room.message", "t"), bob.Token, object{"body": "x"})
	s.Join(bob.Token, next)
	s.SendText(bob.Token, next, "here")
	// Alice has the power she had.
	s.SetState(alice.Token, next, "m.room.history_visibility", "", object{"history_visibility": "joined"})
}
