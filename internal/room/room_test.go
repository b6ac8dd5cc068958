package room_test

import (
	"net/http"
	"testing"

	"lethe/internal/hstest"
)

func TestTheSameTransactionMakesOneEvent(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, nil)
		path := hstest.RoomPath(room, "send", "m.room.message", "1")
		body := map[string]any{"msgtype": "m.text", "body": "hello"}
		first := s.Want(http.StatusOK, "", http.MethodPut, path, alice.Token, body).String("event_id")
		again := s.Want(http.StatusOK, "", http.MethodPut, path, alice.Token, body).String("event_id")
		if first != again || first == "" {
			t.Errorf("the same transaction made %q and %q", first, again)
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPut, path, bob.Token, body)
	})
}
