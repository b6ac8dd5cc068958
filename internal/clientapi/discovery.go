package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/wire"
)

func (a *API) discoveryRoutes() []wire.Route {
	const v1 = "/_matrix/client/v1/"
	// Cinny asks there, too (CLIENTS).
	const nheko = "/_matrix/client/unstable/im.nheko.summary/"
	get := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Method: http.MethodGet, Path: path, Handle: h}
	}
	return []wire.Route{
		get(v1+"room_summary/{roomIdOrAlias}", a.roomSummary),
		get(nheko+"summary/{roomIdOrAlias}", a.roomSummary),
		get(nheko+"rooms/{roomIdOrAlias}/summary", a.roomSummary),
		get(v1+"rooms/{roomId}/hierarchy", a.authed(a.hierarchy)),
		{
			Method: http.MethodPost, Path: "/_matrix/client/v3/rooms/{roomId}/upgrade", Handle: a.active(a.upgrade),
		},
	}
}

// roomSummary is GET /room_summary/{roomIdOrAlias}, with a token or without.
func (a *API) roomSummary(r *wire.Request) (any, error) {
	name := r.PathValue("roomIdOrAlias")
	if a.token(r) == "" {
		return a.open(func(r *wire.Request) (any, error) { return a.Rooms.Summary(r.Context(), "", name) })(r)
	}
	return a.authed(func(r *wire.Request, who account.Requester) (any, error) {
		return a.Rooms.Summary(r.Context(), who.UserID, name)
	})(r)
}

// hierarchy is GET /rooms/{roomId}/hierarchy.
func (a *API) hierarchy(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	q := room.TreeQuery{From: r.Query("from"), SuggestedOnly: r.Query("suggested_only") == "true"}
	if q.Limit, err = number(r, "limit", 0); err != nil {
		return nil, err
	}
	if q.Limit == 0 && r.Query("limit") != "" {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "limit is at least 1.")
	}
	if q.MaxDepth, err = number(r, "max_depth", -1); err != nil {
		return nil, err
	}
	return a.Rooms.Hierarchy(r.Context(), reader(who), id, q)
}

// upgrade is POST /rooms/{roomId}/upgrade.
func (a *API) upgrade(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Version  string          `json:"new_version"`
		Creators []matrix.UserID `json:"additional_creators"`
	}
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.Version == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no new_version.")
	}
	next, err := a.Rooms.Upgrade(r.Context(), act, id, room.Upgrading{Version: q.Version, Creators: q.Creators})
	return map[string]matrix.RoomID{"replacement_room": next}, err
}
