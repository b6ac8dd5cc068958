package hstest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

const clientAPI = "/_matrix/client/v3/"

// txn makes transaction ids that are new in this process.
var txn atomic.Int64

// CreateRoom makes a room with the body of POST /createRoom, which may be nil,
// and returns its id.
func (s *Server) CreateRoom(token string, body map[string]any) string {
	s.t.Helper()
	if body == nil {
		body = map[string]any{}
	}
	return s.Want(http.StatusOK, "", http.MethodPost, clientAPI+"createRoom", token, body).String("room_id")
}

// Invite asks a user into a room.
func (s *Server) Invite(token, room, user string) {
	s.t.Helper()
	s.Want(http.StatusOK, "", http.MethodPost, RoomPath(room, "invite"), token, map[string]any{"user_id": user})
}

// Join joins a room.
func (s *Server) Join(token, room string) {
	s.t.Helper()
	s.Want(http.StatusOK, "", http.MethodPost, RoomPath(room, "join"), token, map[string]any{})
}

// Leave leaves a room.
func (s *Server) Leave(token, room string) {
	s.t.Helper()
	s.Want(http.StatusOK, "", http.MethodPost, RoomPath(room, "leave"), token, map[string]any{})
}

// SendEvent sends an event with the given content and returns its id.
func (s *Server) SendEvent(token, room, typ string, content any) string {
	s.t.Helper()
	path := RoomPath(room, "send", typ, fmt.Sprintf("t%d", txn.Add(1)))
	return s.Want(http.StatusOK, "", http.MethodPut, path, token, content).String("event_id")
}

// SendText sends a text message and returns its event id.
func (s *Server) SendText(token, room, text string) string {
	s.t.Helper()
	return s.SendEvent(token, room, "m.room.message", map[string]any{"msgtype": "m.text", "body": text})
}

// SetState sets state of a room and returns the event's id.
func (s *Server) SetState(token, room, typ, key string, content any) string {
	s.t.Helper()
	return s.Want(http.StatusOK, "", http.MethodPut, RoomPath(room, "state", typ, key), token, content).String("event_id")
}

// RoomPath is the path of a room's resource, each part escaped.
func RoomPath(room string, parts ...string) string {
	var path strings.Builder
	path.WriteString(clientAPI + "rooms/" + url.PathEscape(room))
	for _, part := range parts {
		path.WriteString("/" + url.PathEscape(part))
	}
	return path.String()
}
