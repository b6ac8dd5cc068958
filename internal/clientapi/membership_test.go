package clientapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

// doTo is the body of a request about another member.
func doTo(user hstest.Session) object { return object{"user_id": user.UserID} }

// memberOf is the content of somebody's member event, as who sees it.
func memberOf(s *hstest.Server, who hstest.Session, room string, user hstest.Session) map[string]any {
	return s.Want(http.StatusOK, "", get, hstest.RoomPath(room, "state", "m.room.member", user.UserID), who.Token, nil).Body
}

func TestEveryChangeOfMembershipIsAsTheSpecificationSays(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		room := s.CreateRoom(alice.Token, object{"preset": "private_chat"})
		path := func(what string) string { return hstest.RoomPath(room, what) }
		message := hstest.RoomPath(room, "send", "m.room.message", "1")
		check(t, s,
			row{403, "M_FORBIDDEN", post, path("join"), bob.Token, object{}},
			row{403, "M_FORBIDDEN", put, message, bob.Token, object{}},
			row{403, "M_FORBIDDEN", post, path("leave"), bob.Token, object{}},
			row{403, "M_FORBIDDEN", post, path("invite"), bob.Token, doTo(carol)},
			row{403, "M_FORBIDDEN", post, path("kick"), bob.Token, doTo(alice)},
			row{403, "M_FORBIDDEN", post, path("unban"), bob.Token, doTo(carol)},
			row{404, "M_NOT_FOUND", post, path("forget"), bob.Token, object{}},
			row{403, "M_FORBIDDEN", post, path("kick"), alice.Token, doTo(bob)}, // is not in
			row{403, "M_BAD_STATE", post, path("unban"), alice.Token, doTo(bob)},
			row{404, "M_NOT_FOUND", post, path("invite"), alice.Token, object{"user_id": "@nobody:example.org"}},
			row{400, "M_MISSING_PARAM", post, path("invite"), alice.Token, object{}},
			row{400, "M_INVALID_PARAM", post, path("ban"), alice.Token, object{"user_id": "bob"}},

			row{200, "", post, path("invite"), alice.Token, object{"user_id": bob.UserID, "reason": "come"}},
			row{200, "", post, path("invite"), alice.Token, object{"user_id": bob.UserID, "reason": "come"}},
			row{403, "M_FORBIDDEN", put, message, bob.Token, object{}},
			row{400, "M_UNKNOWN", post, path("forget"), bob.Token, object{}},
			row{200, "", post, path("leave"), bob.Token, object{"reason": "no"}},
			row{200, "", post, path("leave"), bob.Token, nil},
			row{403, "M_FORBIDDEN", post, path("join"), bob.Token, object{}},
			row{200, "", post, path("invite"), alice.Token, doTo(bob)},
			row{200, "", post, path("join"), bob.Token, object{"reason": "yes"}},
			row{200, "", post, path("join"), bob.Token, object{"reason": "again"}},
			row{403, "M_FORBIDDEN", post, path("invite"), alice.Token, doTo(bob)}, // is in
			row{200, "", put, message + "a", bob.Token, object{}},
			row{403, "M_FORBIDDEN", post, path("kick"), bob.Token, doTo(alice)},
			row{403, "M_FORBIDDEN", post, path("ban"), bob.Token, doTo(carol)},
			row{200, "", post, path("kick"), alice.Token, doTo(bob)},
			row{403, "M_FORBIDDEN", put, message, bob.Token, object{}},

			row{200, "", post, path("ban"), alice.Token, doTo(bob)},
			row{200, "", post, path("ban"), alice.Token, doTo(bob)},
			row{403, "M_FORBIDDEN", post, path("invite"), alice.Token, doTo(bob)},
			row{403, "M_FORBIDDEN", post, path("join"), bob.Token, object{}},
			row{403, "M_FORBIDDEN", post, path("leave"), bob.Token, object{}},
			row{403, "M_FORBIDDEN", post, path("kick"), alice.Token, doTo(bob)},
			row{200, "", post, path("unban"), alice.Token, doTo(bob)},
			row{403, "M_BAD_STATE", post, path("unban"), alice.Token, doTo(bob)},
			row{200, "", post, path("forget"), bob.Token, nil},
			row{200, "", post, path("forget"), bob.Token, nil},
			row{404, "M_NOT_FOUND", post, hstest.RoomPath("!none:example.org", "join"), bob.Token, object{}},
			row{400, "M_INVALID_PARAM", post, v3 + "join/room", bob.Token, object{}},
			row{404, "M_NOT_FOUND", post, v3 + "join/" + url.PathEscape("#none:example.org"), bob.Token, object{}},
			row{400, "M_INVALID_PARAM", post, v3 + "knock/" + url.PathEscape("#none"), bob.Token, object{}},
		)
	})
}

func TestWhoIsInStaysInWithoutAnotherEvent(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		other := s.CreateRoom(alice.Token, nil)
		s.Want(200, "", put, v3+"profile/"+url.PathEscape(alice.UserID)+"/displayname", alice.Token, object{"displayname": "Al"})
		s.Eventually("the name is in the room", func() bool { return memberOf(s, alice, room, alice)["displayname"] == "Al" })
		before := memberOf(s, alice, room, alice)
		a := s.Want(200, "", post, v3+"join/"+url.PathEscape(room)+"?via=example.org&server_name=a", alice.Token, object{"reason": "x"})
		if a.String("room_id") != room {
			t.Errorf("joined %s", a.Raw)
		}
		if diff := cmp.Diff(before, memberOf(s, alice, room, alice)); diff != "" {
			t.Errorf("joining again changed the membership: %s", diff)
		}
		rooms, _ := s.Want(200, "", get, v3+"joined_rooms", alice.Token, nil).Get("joined_rooms").([]any)
		if len(rooms) != 2 {
			t.Errorf("joined rooms %v", rooms)
		}
		s.Leave(alice.Token, room)
		rooms, _ = s.Want(200, "", get, v3+"joined_rooms", alice.Token, nil).Get("joined_rooms").([]any)
		if diff := cmp.Diff([]any{other}, rooms); diff != "" {
			t.Errorf("joined rooms after leaving one: %s", diff)
		}
	})
}

func TestKnocking(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		s.Want(200, "", put, v3+"profile/"+url.PathEscape(bob.UserID)+"/displayname", bob.Token, object{"displayname": "Bob"})
		for rule, version := range map[string]string{"knock": "7", "knock_restricted": "12"} {
			room := s.CreateRoom(alice.Token, object{"room_version": version})
			path := func(what string) string { return hstest.RoomPath(room, what) }
			knock := v3 + "knock/" + url.PathEscape(room)
			check(t, s, row{403, "M_FORBIDDEN", post, knock, bob.Token, object{}})
			s.SetState(alice.Token, room, "m.room.join_rules", "", object{"join_rule": rule})
			check(t, s,
				row{200, "", post, knock, bob.Token, object{"reason": "please"}},
				row{200, "", post, knock, bob.Token, object{"reason": "please!"}},
				row{403, "M_FORBIDDEN", post, path("join"), bob.Token, object{}},
			)
			if m := memberOf(s, alice, room, bob); m["membership"] != "knock" || m["reason"] != "please" || m["displayname"] != "Bob" {
				t.Errorf("%s: the knock is %v", rule, m)
			}
			check(t, s,
				row{200, "", post, path("leave"), bob.Token, object{}}, // withdrawn
				row{200, "", post, knock, bob.Token, nil},
				row{200, "", post, path("kick"), alice.Token, doTo(bob)}, // refused
				row{200, "", post, knock, bob.Token, nil},
				row{200, "", post, path("invite"), alice.Token, doTo(bob)}, // accepted
				row{403, "M_FORBIDDEN", post, knock, bob.Token, nil},
				row{200, "", post, path("join"), bob.Token, object{}},
				row{403, "M_FORBIDDEN", post, knock, bob.Token, nil},
				row{200, "", post, path("ban"), alice.Token, doTo(carol)},
				row{403, "M_FORBIDDEN", post, knock, carol.Token, nil},
			)
		}
		check(t, s, row{404, "M_NOT_FOUND", post, v3 + "knock/" + url.PathEscape("!none:example.org"), bob.Token, object{}})
	})
}

func TestARestrictedRoomLetsInTheMembersOfOthers(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		for _, version := range []string{"8", "10", "12"} {
			space := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
			room := s.CreateRoom(alice.Token, object{"room_version": version, "initial_state": []object{{
				"type": "m.room.join_rules", "content": object{"join_rule": "restricted", "allow": []any{
					"nonsense", object{"type": "m.other", "room_id": space}, object{"type": "m.room_membership", "room_id": space},
				}},
			}}})
			join := hstest.RoomPath(room, "join")
			forged := hstest.RoomPath(room, "state", "m.room.member", bob.UserID)
			check(t, s,
				row{403, "M_FORBIDDEN", post, join, bob.Token, object{}},
				// Whose server lets them in is not for them to say.
				row{403, "M_FORBIDDEN", put, forged, bob.Token, object{
					"membership": "join", "join_authorised_via_users_server": alice.UserID,
				}},
			)
			s.Join(bob.Token, space)
			s.Join(bob.Token, room)
			if m := memberOf(s, alice, room, bob); m["join_authorised_via_users_server"] != alice.UserID {
				t.Errorf("version %s: the join is %v", version, m)
			}
			s.Leave(bob.Token, space) // they need not stay
			check(t, s, row{200, "", put, forged, bob.Token, object{
				"membership": "join", "displayname": "B", "join_authorised_via_users_server": bob.UserID,
			}})
			if m := memberOf(s, alice, room, bob); m["displayname"] != "B" || m["join_authorised_via_users_server"] != nil {
				t.Errorf("version %s: after a change of name it is %v", version, m)
			}
			s.Invite(alice.Token, room, carol.UserID)
			s.Join(carol.Token, room)
			if m := memberOf(s, alice, room, carol); m["join_authorised_via_users_server"] != nil {
				t.Errorf("version %s: the join by invite is %v", version, m)
			}
		}
	})
}

func TestNobodyIsLeftWhoMayLetPeopleIn(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		space := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		for _, user := range []hstest.Session{bob, carol} {
			s.Join(user.Token, space)
		}
		room := s.CreateRoom(alice.Token, object{
			"power_level_content_override": object{"invite": 50},
			"initial_state": []object{{"type": "m.room.join_rules", "content": object{
				"join_rule": "restricted", "allow": []any{object{"type": "m.room_membership", "room_id": space}},
			}}},
		})
		s.Join(bob.Token, room)
		s.Leave(alice.Token, room)
		check(t, s, row{400, "M_UNABLE_TO_GRANT_JOIN", post, hstest.RoomPath(room, "join"), carol.Token, object{}})

		everybody := s.CreateRoom(alice.Token, object{
			"initial_state": []object{{"type": "m.room.join_rules", "content": object{
				"join_rule": "restricted", "allow": []any{object{"type": "m.room_membership", "room_id": space}},
			}}},
		})
		s.Join(bob.Token, everybody)
		s.Leave(alice.Token, everybody)
		s.Join(carol.Token, everybody)
		if m := memberOf(s, carol, everybody, carol); m["join_authorised_via_users_server"] != bob.UserID {
			t.Errorf("where everybody may invite the join is %v", m)
		}
	})
}

func TestWhoWantsNoInvitesGetsNone(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		config := v3 + "user/" + url.PathEscape(bob.UserID) + "/account_data/m.invite_permission_config"
		room := s.CreateRoom(alice.Token, nil)
		member := hstest.RoomPath(room, "state", "m.room.member", bob.UserID)
		for _, q := range []row{
			{403, "M_INVITE_BLOCKED", post, hstest.RoomPath(room, "invite"), alice.Token, doTo(bob)},
			{403, "M_INVITE_BLOCKED", put, member, alice.Token, object{"membership": "invite"}},
			{403, "M_INVITE_BLOCKED", post, v3 + "createRoom", alice.Token, object{"invite": []string{bob.UserID}}},
		} {
			s.Want(200, "", put, config, bob.Token, object{"default_action": "block"})
			check(t, s, q)
			for _, setting := range []object{{}, {"default_action": "other"}, {"default_action": 1}} {
				s.Want(200, "", put, config, bob.Token, setting)
				check(t, s, row{200, "", q.method, q.path, q.token, q.body})
			}
			s.Do(post, hstest.RoomPath(room, "leave"), bob.Token, object{})
		}
		rooms, _ := s.Want(200, "", get, v3+"joined_rooms", alice.Token, nil).Get("joined_rooms").([]any)
		if len(rooms) != 4 {
			t.Errorf("alice is in %d rooms, not 4: a creation that was refused left one", len(rooms))
		}
	})
}

func TestGuestsComeInOnlyWhereTheyMay(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		guest := guest(s)
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat"})
		path := func(what string) string { return hstest.RoomPath(room, what) }
		member := hstest.RoomPath(room, "state", "m.room.member", guest.UserID)
		access := func(value string) {
			s.SetState(alice.Token, room, "m.room.guest_access", "", object{"guest_access": value})
		}
		check(t, s,
			row{403, "M_GUEST_ACCESS_FORBIDDEN", post, path("join"), guest.Token, object{}},
			row{403, "M_GUEST_ACCESS_FORBIDDEN", put, member, guest.Token, object{"membership": "join"}},
			row{403, "M_GUEST_ACCESS_FORBIDDEN", put, member, guest.Token, object{"membership": "knock"}},
			row{403, "M_GUEST_ACCESS_FORBIDDEN", post, v3 + "createRoom", guest.Token, object{}},
			row{403, "M_GUEST_ACCESS_FORBIDDEN", post, v3 + "knock/" + url.PathEscape(room), guest.Token, object{}},
			row{403, "M_GUEST_ACCESS_FORBIDDEN", post, path("invite"), guest.Token, doTo(alice)},
		)
		access("can_join")
		check(t, s,
			row{200, "", post, path("join"), guest.Token, object{}},
			row{200, "", put, hstest.RoomPath(room, "send", "m.room.message", "1"), guest.Token, object{"body": "x"}},
			row{200, "", put, member, guest.Token, object{"membership": "join", "displayname": "G"}},
			row{403, "M_FORBIDDEN", put, hstest.RoomPath(room, "state", "m.room.name"), guest.Token, object{"name": "x"}},
		)
		access("forbidden")
		s.Eventually("the guest has left", func() bool {
			return memberOf(s, alice, room, guest)["membership"] == "leave"
		})
		if m := memberOf(s, alice, room, alice); m["membership"] != "join" {
			t.Errorf("alice, who is no guest, is %v", m)
		}
		check(t, s, row{403, "M_GUEST_ACCESS_FORBIDDEN", post, path("join"), guest.Token, object{}})
		access("can_join")
		s.Join(guest.Token, room)
		s.Leave(guest.Token, room)
	}, hstest.Set(func(c *config.Settings) { c.Guests = true }))
}

func TestASuspendedAccountCanOnlyWithdraw(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room, other := s.CreateRoom(alice.Token, object{"preset": "public_chat"}), s.CreateRoom(alice.Token, nil)
		s.Invite(alice.Token, other, bob.UserID)
		s.Join(bob.Token, room)
		own := s.SendText(bob.Token, room, "own")
		foreign := s.SendText(alice.Token, room, "other")
		s.SetState(alice.Token, room, "m.room.power_levels", "", object{"redact": 0, "users_default": 50})
		boss := admin(t, s, "boss")
		s.Want(200, "", put, v1+"admin/suspend/"+bob.UserID, boss.Token, object{"suspended": true})
		const refused = "M_USER_SUSPENDED"
		check(t, s,
			row{403, refused, post, hstest.RoomPath(other, "join"), bob.Token, object{}},
			row{403, refused, post, v3 + "knock/" + url.PathEscape(other), bob.Token, object{}},
			row{403, refused, post, v3 + "createRoom", bob.Token, object{}},
			row{403, refused, post, hstest.RoomPath(room, "invite"), bob.Token, doTo(alice)},
			row{403, refused, post, hstest.RoomPath(room, "kick"), bob.Token, doTo(alice)},
			row{403, refused, put, hstest.RoomPath(room, "send", "m.room.message", "1"), bob.Token, object{}},
			row{403, refused, put, hstest.RoomPath(room, "state", "m.room.topic"), bob.Token, object{}},
			row{403, refused, put, hstest.RoomPath(room, "redact", foreign, "1"), bob.Token, object{}},
			row{200, "", put, hstest.RoomPath(room, "redact", own, "2"), bob.Token, object{}},
			row{200, "", get, hstest.RoomPath(room, "messages") + "?dir=b", bob.Token, nil},
			row{200, "", get, v3 + "joined_rooms", bob.Token, nil},
			row{200, "", post, hstest.RoomPath(other, "leave"), bob.Token, object{}},
			row{200, "", post, hstest.RoomPath(room, "leave"), bob.Token, object{}},
			row{200, "", post, hstest.RoomPath(room, "forget"), bob.Token, object{}},
		)
	})
}

func TestInvitesAndJoinsAreLimited(t *testing.T) {
	s := hstest.New(t, "sqlite", hstest.Set(func(c *config.Settings) {
		c.RateLimits = "on"
		c.RateInvite.Burst, c.RateJoin.Burst = 3, 1
	}))
	alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
	room := s.CreateRoom(alice.Token, object{"invite": []string{bob.UserID, carol.UserID}})
	check(t, s,
		row{200, "", post, hstest.RoomPath(room, "invite"), alice.Token, object{"user_id": bob.UserID, "reason": "x"}},
		row{429, "M_LIMIT_EXCEEDED", post, hstest.RoomPath(room, "invite"), alice.Token, doTo(bob)},
		row{429, "M_LIMIT_EXCEEDED", post, v3 + "createRoom", alice.Token, object{"invite": []string{bob.UserID}}},
		row{200, "", post, hstest.RoomPath(room, "join"), bob.Token, object{}},
		row{429, "M_LIMIT_EXCEEDED", post, hstest.RoomPath(room, "join"), bob.Token, object{}},
		row{429, "M_LIMIT_EXCEEDED", post, v3 + "knock/" + url.PathEscape(room), bob.Token, object{}},
	)
}
