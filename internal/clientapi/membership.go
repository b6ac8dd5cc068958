package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) membershipRoutes() []wire.Route {
	const path = "/_matrix/client/v3/rooms/{roomId}"
	return []wire.Route{
		{Method: http.MethodPost, Path: path + "/join", Handle: a.authed(a.join)},
		{Method: http.MethodPost, Path: path + "/invite", Handle: a.active(a.invite)},
		{Method: http.MethodPost, Path: path + "/leave", Handle: a.authed(a.leave)},
	}
}

type reason struct {
	Reason string `json:"reason"`
}

// join is POST /rooms/{roomId}/join.
func (a *API) join(r *wire.Request, who account.Requester) (any, error) {
	var q reason
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	return map[string]matrix.RoomID{"room_id": id}, a.Rooms.Join(r.Context(), act, id, q.Reason)
}

// invite is POST /rooms/{roomId}/invite.
func (a *API) invite(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		UserID matrix.UserID `json:"user_id"`
		Reason string        `json:"reason"`
	}
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if _, err := matrix.ParseUserID(string(q.UserID)); err != nil {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "user_id is no user id: %v.", err)
	}
	return struct{}{}, a.Rooms.Invite(r.Context(), act, id, q.UserID, q.Reason)
}

// leave is POST /rooms/{roomId}/leave.
func (a *API) leave(r *wire.Request, who account.Requester) (any, error) {
	var q reason
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	return struct{}{}, a.Rooms.Leave(r.Context(), act, id, q.Reason)
}
