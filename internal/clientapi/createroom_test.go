package clientapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"lethe/internal/event"
	"lethe/internal/hstest"
)

const createRoom = v3 + "createRoom"

// stateOf is the content of a room's state, under the type and, if there is one,
// the key.
func stateOf(s *hstest.Server, who hstest.Session, room string, key ...string) hstest.Answer {
	path := hstest.RoomPath(room, append([]string{"state"}, key...)...)
	return s.Want(http.StatusOK, "", get, path, who.Token, nil)
}

// level is a user's power level in what m.room.power_levels says; nil for none.
func level(levels hstest.Answer, user hstest.Session) any { return levels.Get("users", user.UserID) }

func TestEveryPresetInEveryVersion(t *testing.T) {
	presets := map[string][3]string{
		"private_chat":         {"invite", "shared", "can_join"},
		"trusted_private_chat": {"invite", "shared", "can_join"},
		"public_chat":          {"public", "shared", "forbidden"},
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		for _, id := range event.Versions() {
			version, _ := event.VersionOf(id)
			for preset, want := range presets {
				room := s.CreateRoom(alice.Token, object{
					"room_version": id, "preset": preset, "invite": []string{bob.UserID}, "is_direct": true,
					"name": "N", "topic": "T", "creation_content": object{"m.federate": false, "room_version": "x", "creator": "x"},
				})
				name := fmt.Sprintf("version %s, %s", id, preset)
				got := [3]string{
					stateOf(s, alice, room, "m.room.join_rules").String("join_rule"),
					stateOf(s, alice, room, "m.room.history_visibility").String("history_visibility"),
					stateOf(s, alice, room, "m.room.guest_access").String("guest_access"),
				}
				if got != want {
					t.Errorf("%s: %v", name, got)
				}
				create, levels := stateOf(s, alice, room, "m.room.create"), stateOf(s, alice, room, "m.room.power_levels")
				creator, _ := create.Get("creator").(string)
				if create.String("room_version") != id || create.Get("m.federate") != false ||
					(creator == alice.UserID) == version.SenderIsCreator {
					t.Errorf("%s: created with %s", name, create.Raw)
				}
				trusted := preset == "trusted_private_chat"
				if version.PrivilegedCreators {
					creators, _ := create.Get("additional_creators").([]any)
					if level(levels, alice) != nil || level(levels, bob) != nil || (len(creators) == 1) != trusted {
						t.Errorf("%s: creators %v, levels %s", name, creators, levels.Raw)
					}
					if levels.Get("events", "m.room.tombstone").(float64) <= levels.Get("state_default").(float64) {
						t.Errorf("%s: levels %s", name, levels.Raw)
					}
				} else if level(levels, alice) != 100.0 || (level(levels, bob) == 100.0) != trusted {
					t.Errorf("%s: levels %s", name, levels.Raw)
				}
				if stateOf(s, alice, room, "m.room.name").String("name") != "N" ||
					stateOf(s, alice, room, "m.room.topic").String("topic") != "T" {
					t.Errorf("%s: the name or the topic is wrong", name)
				}
				if m := memberOf(s, alice, room, bob); m["membership"] != "invite" || m["is_direct"] != true {
					t.Errorf("%s: the invite is %v", name, m)
				}
				s.Join(bob.Token, room)
				s.SendText(bob.Token, room, "hello")
			}
		}
	})
}

func TestWhatARoomIsMadeOf(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{
			"visibility": "public", "name": "over", "room_version": "11",
			"initial_state": []object{
				{"type": "m.room.name", "content": object{"name": "under"}},
				{"type": "m.room.join_rules", "content": object{"join_rule": "knock"}},
				{"type": "org.example.thing", "state_key": "k", "content": object{"n": 1}},
			},
			"power_level_content_override": object{"events": object{"m.room.name": 7}, "invite": 3},
		})
		levels := stateOf(s, alice, room, "m.room.power_levels")
		if stateOf(s, alice, room, "m.room.name").String("name") != "over" ||
			stateOf(s, alice, room, "m.room.join_rules").String("join_rule") != "knock" ||
			stateOf(s, alice, room, "m.room.guest_access").String("guest_access") != "forbidden" ||
			stateOf(s, alice, room, "org.example.thing", "k").Get("n") != 1.0 {
			t.Error("the initial state is not what was asked for")
		}
		if levels.Get("events", "m.room.name") != 7.0 || levels.Get("events", "m.room.avatar") != nil ||
			levels.Get("invite") != 3.0 || levels.Get("ban") != 50.0 {
			t.Errorf("the override goes over the top level: %s", levels.Raw)
		}
		create := stateOf(s, alice, s.CreateRoom(alice.Token, object{
			"creation_content": object{"additional_creators": []string{bob.UserID, alice.UserID, bob.UserID}},
		}), "m.room.create")
		if creators, _ := create.Get("additional_creators").([]any); len(creators) != 1 || creators[0] != bob.UserID {
			t.Errorf("the creators are %v", creators)
		}
		levels = stateOf(s, alice, s.CreateRoom(alice.Token, object{
			"power_level_content_override": object{"state_default": 500},
		}), "m.room.power_levels")
		if levels.Get("events", "m.room.tombstone") != 501.0 {
			t.Errorf("the tombstone is not above state_default: %s", levels.Raw)
		}
	})
}

func TestRoomsThatCannotBe(t *testing.T) {
	many := make([]string, 501)
	for i := range many {
		many[i] = fmt.Sprintf("@u%d:example.org", i)
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		initial := func(typ string, content any) object {
			return object{"room_version": "11", "initial_state": []object{{"type": typ, "content": content}}}
		}
		for _, r := range []struct {
			status int
			code   string
			body   any
		}{
			{400, "M_UNSUPPORTED_ROOM_VERSION", object{"room_version": "13"}},
			{400, "M_INVALID_PARAM", object{"preset": "other"}},
			{400, "M_INVALID_PARAM", object{"visibility": "other"}},
			{400, "M_INVALID_PARAM", object{"invite": []string{"bob"}}},
			{400, "M_INVALID_PARAM", object{"invite": many}},
			{400, "M_BAD_JSON", object{"invite": bob.UserID}},
			{400, "M_BAD_JSON", initial("", object{})},
			{400, "M_BAD_JSON", initial("m.room.topic", "x")},
			{400, "M_NOT_JSON", "{"},
			{404, "M_NOT_FOUND", object{"invite": []string{"@nobody:example.org"}}},
			{400, "M_MISSING_PARAM", object{"invite_3pid": []object{{"medium": "email", "address": "a@example.org"}}}},
			// What does not go together.
			{400, "M_INVALID_ROOM_STATE", initial("m.room.create", object{})},
			{400, "M_INVALID_ROOM_STATE", object{"name": "N", "room_version": "11", "power_level_content_override": object{"users": object{alice.UserID: 0}}}},
			{400, "M_INVALID_ROOM_STATE", object{"power_level_content_override": object{"users": object{alice.UserID: 100}}}},
			{400, "M_INVALID_ROOM_STATE", object{"power_level_content_override": object{"ban": "x"}}},
			{400, "M_INVALID_ROOM_STATE", object{"invite": []string{alice.UserID}}},
			{400, "M_BAD_JSON", object{"creation_content": object{"additional_creators": "x"}}},
			{400, "M_BAD_JSON", object{"creation_content": object{"additional_creators": nil}}},
			{400, "M_INVALID_PARAM", object{"creation_content": object{"additional_creators": []string{"x"}}}},
		} {
			check(t, s, row{r.status, r.code, post, createRoom, alice.Token, r.body})
		}
		rooms, _ := s.Want(200, "", get, v3+"joined_rooms", alice.Token, nil).Get("joined_rooms").([]any)
		if len(rooms) != 0 {
			t.Errorf("what was refused left %d rooms", len(rooms))
		}
	})
}

func TestTheSameRoomCanBeMadeTwiceInAMillisecond(t *testing.T) {
	at := time.Now()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		first, second := s.CreateRoom(alice.Token, nil), s.CreateRoom(alice.Token, nil)
		if first == second {
			t.Errorf("both are %s", first)
		}
	}, hstest.Clock(func() time.Time { return at }))
}
