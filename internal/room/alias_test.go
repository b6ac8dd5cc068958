package room_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

const (
	get  = http.MethodGet
	put  = http.MethodPut
	post = http.MethodPost
	drop = http.MethodDelete
	v3   = "/_matrix/client/v3/"
	v1   = "/_matrix/client/v1/"
)

type object = map[string]any

func aliasPath(alias string) string { return v3 + "directory/room/" + url.PathEscape(alias) }

func TestAnAliasStandsForOneRoom(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{"room_alias_name": "pub", "preset": "public_chat"})
		canonical := s.Want(200, "", get, hstest.RoomPath(room, "state", "m.room.canonical_alias", ""), alice.Token, nil)
		if canonical.String("alias") != "#pub:example.org" {
			t.Errorf("the new room says its alias is %s", canonical.Raw)
		}
		s.Want(400, "M_ROOM_IN_USE", post, v3+"createRoom", bob.Token, object{"room_alias_name": "pub"})
		s.Want(400, "M_INVALID_PARAM", post, v3+"createRoom", bob.Token, object{"room_alias_name": "a:b"})

		found := s.Want(200, "", get, aliasPath("#pub:example.org"), "", nil)
		if diff := cmp.Diff(object{"room_id": room, "servers": []any{"example.org"}}, found.Body); diff != "" {
			t.Errorf("what the alias stands for (-want +got):\n%s", diff)
		}
		s.Want(404, "M_NOT_FOUND", get, aliasPath("#none:example.org"), "", nil)
		s.Want(400, "M_INVALID_PARAM", get, aliasPath("pub"), "", nil)

		body := object{"room_id": room}
		s.Want(409, "M_UNKNOWN", put, aliasPath("#pub:example.org"), alice.Token, body)
		s.Want(400, "M_INVALID_PARAM", put, aliasPath("#pub:elsewhere.example"), alice.Token, body)
		s.Want(403, "M_FORBIDDEN", put, aliasPath("#bobs:example.org"), bob.Token, body)
		s.Want(403, "M_FORBIDDEN", get, hstest.RoomPath(room, "aliases"), bob.Token, nil)
		joined := s.Want(200, "", post, v3+"join/"+url.PathEscape("#pub:example.org"), bob.Token, object{})
		if joined.String("room_id") != room {
			t.Errorf("by its alias bob joined %s", joined.Raw)
		}
		s.Want(200, "", put, aliasPath("#bobs:example.org"), bob.Token, body)
		list := s.Want(200, "", get, hstest.RoomPath(room, "aliases"), bob.Token, nil)
		if diff := cmp.Diff([]any{"#bobs:example.org", "#pub:example.org"}, list.Get("aliases")); diff != "" {
			t.Errorf("the room's aliases (-want +got):\n%s", diff)
		}
	})
}

func TestAnAliasIsDeletedByWhoMadeItOrHasThePower(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		room := s.CreateRoom(alice.Token, object{"room_alias_name": "pub", "preset": "public_chat"})
		s.Join(bob.Token, room)
		s.Join(carol.Token, room)
		for _, alias := range []string{"#one:example.org", "#two:example.org"} {
			s.Want(200, "", put, aliasPath(alias), bob.Token, object{"room_id": room})
		}
		s.SetState(alice.Token, room, "m.room.canonical_alias", "", object{
			"alias": "#pub:example.org", "alt_aliases": []string{"#one:example.org", "#two:example.org"},
		})
		s.Want(403, "M_FORBIDDEN", drop, aliasPath("#one:example.org"), carol.Token, nil)
		// Bob made it, and may not say which alias is the room's: it goes all the same.
		s.Want(200, "", drop, aliasPath("#one:example.org"), bob.Token, nil)
		s.Want(404, "M_NOT_FOUND", drop, aliasPath("#one:example.org"), bob.Token, nil)
		s.Want(200, "", drop, aliasPath("#two:example.org"), alice.Token, nil)
		s.Want(200, "", drop, aliasPath("#pub:example.org"), alice.Token, nil)
		canonical := s.Want(200, "", get, hstest.RoomPath(room, "state", "m.room.canonical_alias", ""), alice.Token, nil)
		if diff := cmp.Diff(object{"alt_aliases": []any{"#one:example.org"}}, canonical.Body); diff != "" {
			t.Errorf("what the room says of its aliases (-want +got):\n%s", diff)
		}
	})
}

func TestARoomNamesOnlyAliasesThatStandForIt(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, object{"room_alias_name": "mine"})
		s.CreateRoom(alice.Token, object{"room_alias_name": "other"})
		for _, c := range []struct {
			code    string
			content object
		}{
			{"M_INVALID_PARAM", object{"alias": "mine"}},
			{"M_INVALID_PARAM", object{"alias": 7}},
			{"M_INVALID_PARAM", object{"alt_aliases": "#mine:example.org"}},
			{"M_INVALID_PARAM", object{"alt_aliases": []string{"#mine"}}},
			{"M_BAD_ALIAS", object{"alias": "#other:example.org"}},
			{"M_BAD_ALIAS", object{"alias": "#mine:example.org", "alt_aliases": []string{"#none:example.org"}}},
			{"", object{"alt_aliases": []string{"#mine:example.org"}}},
			{"", object{"alias": nil}},
			{"", object{}},
		} {
			path := hstest.RoomPath(room, "state", "m.room.canonical_alias", "")
			if a := s.Do(put, path, alice.Token, c.content); a.Code() != c.code {
				t.Errorf("%v: %d %s; want %q", c.content, a.Status, a.Raw, c.code)
			}
		}
	})
}

const bridge = `
id: bridge
url: null
as_token: secret
hs_token: other
sender_localpart: _bridge
namespaces:
  users: []
  aliases: [{exclusive: true, regex: "#_b_.*:example\\.org"}, {exclusive: false, regex: "#shared.*:example\\.org"}]
  rooms: []
`

func TestAnApplicationServiceHasItsAliasesAndLists(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(file, []byte(bridge), 0o600); err != nil {
		t.Fatal(err)
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, object{"name": "Bridged"})
		body := object{"room_id": room}
		s.Want(400, "M_EXCLUSIVE", put, aliasPath("#_b_1:example.org"), alice.Token, body)
		s.Want(400, "M_EXCLUSIVE", post, v3+"createRoom", alice.Token, object{"room_alias_name": "_b_1"})
		s.Want(200, "", put, aliasPath("#shared1:example.org"), alice.Token, body)
		s.Want(400, "M_EXCLUSIVE", put, aliasPath("#free:example.org"), "secret", body)
		s.Want(200, "", put, aliasPath("#_b_1:example.org"), "secret", body)
		s.Want(200, "", put, aliasPath("#shared2:example.org"), "secret", body)
		s.Want(400, "M_EXCLUSIVE", drop, aliasPath("#_b_1:example.org"), alice.Token, nil)
		s.Want(200, "", drop, aliasPath("#_b_1:example.org"), "secret", nil)

		list := v3 + "directory/list/appservice/irc/" + url.PathEscape(room)
		s.Want(403, "M_FORBIDDEN", put, list, alice.Token, object{"visibility": "public"})
		s.Want(400, "M_INVALID_PARAM", put, list, "secret", object{})
		s.Want(200, "", put, list, "secret", object{"visibility": "public"})
		for _, c := range []struct {
			query object
			names []string
		}{
			{object{}, nil},
			{object{"include_all_networks": true}, []string{"Bridged"}},
			{object{"third_party_instance_id": "bridge|irc"}, []string{"Bridged"}},
			{object{"third_party_instance_id": "bridge|xmpp"}, nil},
		} {
			if diff := cmp.Diff(c.names, names(s.Want(200, "", post, v3+"publicRooms", alice.Token, c.query))); diff != "" {
				t.Errorf("%v (-want +got):\n%s", c.query, diff)
			}
		}
		s.Want(200, "", put, list, "secret", object{"visibility": "private"})
		all := object{"include_all_networks": true}
		if got := names(s.Want(200, "", post, v3+"publicRooms", alice.Token, all)); got != nil {
			t.Errorf("a room that is in no list any more: %v", got)
		}
	}, hstest.Set(func(set *config.Settings) { set.Appservices = []string{file} }))
}
