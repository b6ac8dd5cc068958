package clientapi_test

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lethe/internal/hstest"
)

// byAddress is the body of an invite by address.
func byAddress(ids *hstest.IdentityServer, address string) object {
	return object{"id_server": ids.Name, "id_access_token": "t", "medium": "email", "address": address}
}

// eachWithIdentity is [hstest.Each] with an identity server for each.
func eachWithIdentity(t *testing.T, test func(t *testing.T, s *hstest.Server, ids *hstest.IdentityServer)) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) { test(t, s, ids) }, hstest.Trust(t, ids))
}

func TestAnInviteByAddressIsOneOfTheUserWhoHasBoundIt(t *testing.T) {
	eachWithIdentity(t, func(t *testing.T, s *hstest.Server, ids *hstest.IdentityServer) {
		alice, bob := s.Register("alice"), s.Register("bob")
		ids.Associate("bob@example.org", bob.UserID)
		before := len(ids.Invites())
		room := s.CreateRoom(alice.Token, nil)
		check(t, s, row{200, "", post, hstest.RoomPath(room, "invite"), alice.Token, byAddress(ids, "Bob@Example.org")})
		other := s.CreateRoom(alice.Token, object{"invite_3pid": []object{byAddress(ids, "bob@example.org")}, "is_direct": true})
		for _, id := range []string{room, other} {
			if m := memberOf(s, alice, id, bob); m["membership"] != "invite" || m["third_party_invite"] != nil || (m["is_direct"] == true) != (id == other) {
				t.Errorf("the invite is %v", m)
			}
		}
		if n := len(ids.Invites()); n != before {
			t.Errorf("the identity server keeps %d invites more", n-before)
		}
	})
}

func TestAnInviteByAddressWaitsForWhoeverBindsIt(t *testing.T) {
	eachWithIdentity(t, func(t *testing.T, s *hstest.Server, ids *hstest.IdentityServer) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		s.Want(200, "", put, v3+"profile/"+url.PathEscape(alice.UserID)+"/displayname", alice.Token, object{"displayname": "Al"})
		room := s.CreateRoom(alice.Token, object{"name": "N"})
		join := v3 + "join/" + url.PathEscape(room)
		before := len(ids.Invites())
		check(t, s,
			row{403, "M_FORBIDDEN", post, hstest.RoomPath(room, "invite"), bob.Token, byAddress(ids, "x@example.org")},
			row{400, "M_INVALID_PARAM", post, hstest.RoomPath(room, "invite"), alice.Token, byAddress(ids, "x")},
		)
		if n := len(ids.Invites()); n != before {
			t.Fatal("the identity server was told of an invite that may not be")
		}
		check(t, s, row{200, "", post, hstest.RoomPath(room, "invite"), alice.Token, byAddress(ids, "x@example.org")})
		inv := ids.Invites()[before]
		want := map[string]any{
			"medium": "email", "address": "x@example.org", "room_id": room, "sender": alice.UserID,
			"room_name": "N", "room_join_rules": "invite", "sender_display_name": "Al",
		}
		if diff := cmp.Diff(want, inv.Body); diff != "" {
			t.Errorf("the identity server was told: %s", diff)
		}
		pending := stateOf(s, alice, room, "m.room.third_party_invite", inv.Token)
		if keys, _ := pending.Get("public_keys").([]any); len(keys) != 2 || pending.String("display_name") == "" {
			t.Errorf("the pending invite is %s", pending.Raw)
		}
		proof := ids.Sign(t, inv, bob.UserID)
		check(t, s,
			row{403, "M_FORBIDDEN", post, join, carol.Token, object{"third_party_signed": proof}}, // it is bob's
			row{400, "M_BAD_JSON", post, join, bob.Token, object{"third_party_signed": object{}}},
			row{403, "M_FORBIDDEN", post, join, bob.Token, object{"third_party_signed": object{
				"sender": alice.UserID, "mxid": bob.UserID, "token": inv.Token, "signatures": object{ids.Name: object{"ed25519:0": "x"}},
			}}},
			row{200, "", post, join, bob.Token, object{"third_party_signed": proof}},
			row{200, "", post, join, bob.Token, object{"third_party_signed": proof}},
		)
		if m := memberOf(s, alice, room, bob); m["membership"] != "join" {
			t.Errorf("bob is %v", m)
		}
	})
}

func TestANewRoomHasItsInvitesByAddress(t *testing.T) {
	eachWithIdentity(t, func(t *testing.T, s *hstest.Server, ids *hstest.IdentityServer) {
		alice, bob := s.Register("alice"), s.Register("bob")
		before := len(ids.Invites())
		body := object{"invite_3pid": []object{byAddress(ids, "a@example.org"), byAddress(ids, "b@example.org")}}
		bad := object{"invite_3pid": body["invite_3pid"], "power_level_content_override": object{"ban": "x"}}
		check(t, s, row{400, "M_INVALID_ROOM_STATE", post, createRoom, alice.Token, bad})
		ids.RefuseInvites("M_TERMS_NOT_SIGNED")
		check(t, s, row{400, "M_TERMS_NOT_SIGNED", post, createRoom, alice.Token, body})
		ids.RefuseInvites("")
		if n := len(ids.Invites()) - before; n != 0 {
			t.Fatalf("%d invites were stored for rooms that are not", n)
		}
		rooms, _ := s.Want(200, "", get, v3+"joined_rooms", alice.Token, nil).Get("joined_rooms").([]any)
		if len(rooms) != 0 {
			t.Fatalf("rooms %v are left", rooms)
		}
		room := s.CreateRoom(alice.Token, body)
		var got []string
		for _, inv := range ids.Invites()[before:] {
			got = append(got, inv.Body["address"].(string))
			if inv.Body["room_id"] != room {
				t.Errorf("the invite is to %v, and the room %s", inv.Body["room_id"], room)
			}
			stateOf(s, alice, room, "m.room.third_party_invite", inv.Token)
		}
		if diff := cmp.Diff([]string{"a@example.org", "b@example.org"}, got, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		inv := ids.Invites()[before]
		ids.RevokeKeys()
		defer ids.RestoreKeys()
		check(t, s, row{403, "M_FORBIDDEN", post, hstest.RoomPath(room, "join"), bob.Token, object{
			"third_party_signed": ids.Sign(t, inv, bob.UserID),
		}})
	})
}
