package room_test

import (
	"net/http"
	"testing"

	"lethe/internal/hstest"
)

func TestARoomIsMadeAndSentTo(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/createRoom", alice.Token, map[string]any{}).String("room_id")
		send := "/_matrix/client/v3/rooms/" + room + "/send/m.room.message/1"
		body := map[string]any{"msgtype": "m.text", "body": "hello"}
		first := s.Want(http.StatusOK, "", http.MethodPut, send, alice.Token, body).String("event_id")
		again := s.Want(http.StatusOK, "", http.MethodPut, send, alice.Token, body).String("event_id")
		if first != again || first == "" {
			t.Errorf("the same transaction made %q and %q", first, again)
		}
		bob := s.Register("bob")
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPut, send, bob.Token, body)
	})
}
