package clientapi_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

func TestJoinedMembersAreForThoseWhoAreIn(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
		s.Want(http.StatusOK, "", http.MethodPut, "/_matrix/client/v3/profile/"+alice.UserID+"/displayname", alice.Token,
			map[string]any{"displayname": "Alice"})
		room := s.CreateRoom(alice.Token, map[string]any{"preset": "public_chat"})
		s.Join(bob.Token, room)
		s.Invite(alice.Token, room, carol.UserID)
		a := s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(room, "joined_members"), bob.Token, nil)
		want := map[string]any{
			alice.UserID: map[string]any{"display_name": "Alice"}, bob.UserID: map[string]any{"display_name": ""},
		}
		if diff := cmp.Diff(want, a.Get("joined")); diff != "" {
			t.Error(diff)
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodGet, hstest.RoomPath(room, "joined_members"), carol.Token, nil)
		s.Leave(bob.Token, room)
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodGet, hstest.RoomPath(room, "joined_members"), bob.Token, nil)
	})
}
