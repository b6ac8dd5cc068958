package clientapi

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/wire"
)

func (a *API) roomRoutes() []wire.Route {
	const path = "/_matrix/client/v3/rooms/{roomId}"
	return []wire.Route{
		{Method: http.MethodPost, Path: "/_matrix/client/v3/createRoom", Handle: a.active(a.createRoom)},
		{Method: http.MethodPut, Path: path + "/send/{eventType}/{txnId}", Handle: a.working(a.send)},
		{Method: http.MethodPut, Path: path + "/redact/{eventId}/{txnId}", Handle: a.authed(a.redact)},
		{Method: http.MethodPut, Path: path + "/state/{eventType}", Handle: a.working(a.setState)},
		{Method: http.MethodPut, Path: path + "/state/{eventType}/{stateKey}", Handle: a.working(a.setState)},
		// The key may be empty, and its slash there (CS API, PUT …/state).
		{Method: http.MethodPut, Path: path + "/state/{eventType}/{$}", Handle: a.working(a.setState)},
	}
}

// pathRoom is the path's room id.
func pathRoom(r *wire.Request) (matrix.RoomID, error) {
	id, err := matrix.ParseRoomID(r.PathValue("roomId"))
	if err != nil {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "The path has no valid room id: %v.", err)
	}
	return id, nil
}

// actor is the requester as somebody who does something in rooms.
func actor(who account.Requester) room.Actor {
	return room.Actor{
		User: who.UserID, Device: who.DeviceID, Guest: who.Guest, Suspended: who.Suspended, Appservice: who.Appservice,
	}
}

// inRoom is the actor and the room of a request.
func inRoom(r *wire.Request, who account.Requester) (room.Actor, matrix.RoomID, error) {
	id, err := pathRoom(r)
	return actor(who), id, err
}

// datedInRoom is inRoom for the two endpoints where an application service says
// with ts when it was (Application Service API, Timestamp massaging).
func datedInRoom(r *wire.Request, who account.Requester) (room.Actor, matrix.RoomID, error) {
	act, id, err := inRoom(r, who)
	ts := r.Query("ts")
	if err != nil || who.Appservice == "" || ts == "" {
		return act, id, err
	}
	at, err := strconv.ParseInt(ts, 10, 64)
	if err != nil || at < 0 {
		return act, id, matrix.Errorf(matrix.CodeInvalidParam, "ts is not a time in milliseconds.")
	}
	act.Timestamp = matrix.Timestamp(at)
	return act, id, nil
}

// content is the request's body, a JSON object, as an event's content.
func content(r *wire.Request) (jsontext.Value, error) {
	var fields map[string]jsontext.Value
	if err := r.Decode(&fields); err != nil {
		return nil, err
	}
	return r.Body()
}

// creation is the body of POST /createRoom.
type creation struct {
	Visibility      string                    `json:"visibility"`
	RoomAliasName   string                    `json:"room_alias_name"`
	Name            *string                   `json:"name"`
	Topic           *string                   `json:"topic"`
	Invite          []matrix.UserID           `json:"invite"`
	Invite3PID      []invite3PID              `json:"invite_3pid"`
	RoomVersion     string                    `json:"room_version"`
	CreationContent map[string]jsontext.Value `json:"creation_content"`
	InitialState    []struct {
		Type     string         `json:"type"`
		StateKey string         `json:"state_key"`
		Content  jsontext.Value `json:"content"`
	} `json:"initial_state"`
	Preset      string                    `json:"preset"`
	IsDirect    bool                      `json:"is_direct"`
	PowerLevels map[string]jsontext.Value `json:"power_level_content_override"`
}

// createRoom is POST /createRoom.
func (a *API) createRoom(r *wire.Request, who account.Requester) (any, error) {
	var q creation
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	c, err := q.creation()
	if err != nil {
		return nil, err
	}
	if err := a.allowInvites(who, len(c.Invite)+len(c.Invite3PID)); err != nil {
		return nil, err
	}
	id, err := a.Rooms.Create(r.Context(), actor(who), c)
	return map[string]matrix.RoomID{"room_id": id}, err
}

// creation checks the request.
func (q *creation) creation() (room.Creation, error) {
	c := room.Creation{
		Version: q.RoomVersion, Preset: q.Preset, Public: q.Visibility == "public", AliasName: q.RoomAliasName,
		Name: q.Name, Topic: q.Topic, Invite: q.Invite, Direct: q.IsDirect,
		Content: q.CreationContent, Levels: q.PowerLevels,
	}
	if q.Visibility != "" && q.Visibility != "public" && q.Visibility != "private" {
		return c, matrix.Errorf(matrix.CodeInvalidParam, "The visibility of a room is public or private.")
	}
	for _, user := range q.Invite {
		if _, err := matrix.ParseUserID(string(user)); err != nil {
			return c, matrix.Errorf(matrix.CodeInvalidParam, "invite has something that is no user id: %v.", err)
		}
	}
	for _, p := range q.Invite3PID {
		inv, err := p.invite()
		if err != nil {
			return c, err
		}
		c.Invite3PID = append(c.Invite3PID, inv)
	}
	for _, st := range q.InitialState {
		if st.Type == "" || st.Content.Kind() != '{' {
			return c, matrix.Errorf(matrix.CodeBadJSON, "Each event of initial_state has a type and a content.")
		}
		c.Initial = append(c.Initial, room.State{Type: st.Type, Key: st.StateKey, Content: st.Content})
	}
	return c, nil
}

// send is PUT /rooms/{roomId}/send/{eventType}/{txnId}.
func (a *API) send(r *wire.Request, who account.Requester) (any, error) {
	act, id, err := datedInRoom(r, who)
	if err != nil {
		return nil, err
	}
	body, err := content(r)
	if err != nil {
		return nil, err
	}
	a.isActive(who)
	event, err := a.Rooms.Send(r.Context(), act, id, r.PathValue("eventType"), body, r.PathValue("txnId"))
	return map[string]string{"event_id": event}, err
}

// setState is PUT /rooms/{roomId}/state/{eventType}/{stateKey}.
func (a *API) setState(r *wire.Request, who account.Requester) (any, error) {
	act, id, err := datedInRoom(r, who)
	if err != nil {
		return nil, err
	}
	body, err := content(r)
	if err != nil {
		return nil, err
	}
	event, err := a.Rooms.SetState(r.Context(), act, id, r.PathValue("eventType"), r.PathValue("stateKey"), body)
	return map[string]string{"event_id": event}, err
}

// redact is PUT /rooms/{roomId}/redact/{eventId}/{txnId}. A suspended account may
// redact what is its own (CS API, Account suspension).
func (a *API) redact(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Reason string `json:"reason"`
	}
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	event, err := a.Rooms.Redact(r.Context(), act, id, r.PathValue("eventId"), q.Reason, r.PathValue("txnId"))
	return map[string]string{"event_id": event}, err
}
