package clientapi

import (
	"net/http"
	"time"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/presence"
	"lethe/internal/wire"
)

func (a *API) presenceRoutes() []wire.Route {
	const v3 = "/_matrix/client/v3/"
	return []wire.Route{
		{Method: http.MethodPut, Path: v3 + "rooms/{roomId}/typing/{userId}", Handle: a.working(own(a.setTyping))},
		{Method: http.MethodGet, Path: v3 + "presence/{userId}/status", Handle: a.authed(a.presence)},
		{Method: http.MethodPut, Path: v3 + "presence/{userId}/status", Handle: a.authed(own(a.setPresence))},
	}
}

// isActive notes that somebody does something.
func (a *API) isActive(who account.Requester) {
	if a.Presence != nil {
		a.Presence.Active(who.UserID, who.DeviceID)
	}
}

// setTyping is PUT /rooms/{roomId}/typing/{userId}.
func (a *API) setTyping(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Typing  *bool  `json:"typing"`
		Timeout *int64 `json:"timeout"`
	}
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Typing == nil {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request does not say whether they are typing.")
	}
	var d time.Duration
	if q.Timeout != nil {
		if *q.Timeout < 0 {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "The timeout is negative.")
		}
		d = time.Duration(min(*q.Timeout, time.Hour.Milliseconds())) * time.Millisecond
	}
	a.isActive(who)
	return nil, a.Rooms.Type(r.Context(), act, id, *q.Typing, d)
}

// presence is GET /presence/{userId}/status.
func (a *API) presence(r *wire.Request, who account.Requester) (any, error) {
	user, err := matrix.ParseUserID(r.PathValue("userId"))
	if err != nil {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "The path has no valid user id: %v.", err)
	}
	if a.Presence == nil {
		return nil, matrix.Errorf(matrix.CodeNotFound, "This server does not tell who is there.")
	}
	return a.Presence.Of(r.Context(), who.UserID, user)
}

// maxStatus is the longest status_msg, in bytes.
const maxStatus = 1000

// setPresence is PUT /presence/{userId}/status. Where presence is off it changes
// nothing: clients that set it need not know.
func (a *API) setPresence(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Presence string  `json:"presence"`
		Status   *string `json:"status_msg"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	switch q.Presence {
	case presence.Online, presence.Unavailable, presence.Offline:
	case "":
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no presence.")
	default:
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "The presence is online, unavailable or offline.")
	}
	status := ""
	if q.Status != nil {
		status = *q.Status
	}
	if len(status) > maxStatus {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "A status_msg has at most %d bytes.", maxStatus)
	}
	if a.Presence == nil {
		return struct{}{}, nil
	}
	return nil, a.Presence.Set(r.Context(), who.UserID, who.DeviceID, q.Presence, status)
}
