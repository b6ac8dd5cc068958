package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/door"
	"lethe/internal/history"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) relationRoutes() []wire.Route {
	const path = "/_matrix/client/v1/rooms/{roomId}"
	return []wire.Route{
		{Method: http.MethodGet, Path: path + "/relations/{eventId}", Handle: a.authed(a.relations)},
		{Method: http.MethodGet, Path: path + "/relations/{eventId}/{relType}", Handle: a.authed(a.relations)},
		{Method: http.MethodGet, Path: path + "/relations/{eventId}/{relType}/{eventType}", Handle: a.authed(a.relations)},
		{Method: http.MethodGet, Path: path + "/threads", Handle: a.authed(a.threads)},
		{Method: http.MethodGet, Path: path + "/timestamp_to_event", Handle: a.authed(a.timestampToEvent)},
	}
}

// relations is GET /rooms/{roomId}/relations/{eventId}[/{relType}[/{eventType}]].
func (a *API) relations(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	q := history.RelationsQuery{
		Parent: r.PathValue("eventId"), RelType: r.PathValue("relType"), Type: r.PathValue("eventType"),
		Page: history.Page{From: r.Query("from"), To: r.Query("to"), Back: r.Query("dir") != "f"},
	}
	if dir := r.Query("dir"); dir != "" && dir != "b" && dir != "f" {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "dir is b, for back, or f, for forward.")
	}
	if q.Page.Limit, err = number(r, "limit", 20); err != nil {
		return nil, err
	}
	if q.Recurse, err = boolean(r, "recurse"); err != nil {
		return nil, err
	}
	found, err := a.History.Relations(r.Context(), reader(who), id, q)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Events    []door.Event `json:"chunk"`
		NextBatch string       `json:"next_batch,omitzero"`
		PrevBatch string       `json:"prev_batch,omitzero"`
		Depth     *int         `json:"recursion_depth,omitzero"`
	}{found.Events, found.NextBatch, found.PrevBatch, nil}
	if r.Query("recurse") != "" { // mandatory where the parameter is there, whatever it says
		answer.Depth = &found.Depth
	}
	return answer, nil
}

// threads is GET /rooms/{roomId}/threads.
func (a *API) threads(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	include := r.Query("include")
	if include != "" && include != "all" && include != "participated" {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "include is all or participated.")
	}
	limit, err := number(r, "limit", 20)
	if err == nil && limit == 0 {
		err = matrix.Errorf(matrix.CodeInvalidParam, "limit is greater than 0.")
	}
	if err != nil {
		return nil, err
	}
	roots, next, err := a.History.Threads(r.Context(), reader(who), id, r.Query("from"), limit, include == "participated")
	return struct {
		Events    []door.Event `json:"chunk"`
		NextBatch string       `json:"next_batch,omitzero"`
	}{roots, next}, err
}

// timestampToEvent is GET /rooms/{roomId}/timestamp_to_event.
func (a *API) timestampToEvent(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	dir := r.Query("dir")
	if dir != "b" && dir != "f" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "dir is b, for back, or f, for forward.")
	}
	if r.Query("ts") == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "ts is missing: a time in milliseconds.")
	}
	ts, err := number(r, "ts", 0)
	if err != nil {
		return nil, err
	}
	e, err := a.History.At(r.Context(), reader(who), id, matrix.Timestamp(ts), dir == "b")
	if err != nil {
		return nil, err
	}
	return struct {
		ID        string           `json:"event_id"`
		Timestamp matrix.Timestamp `json:"origin_server_ts"`
	}{e.ID(), e.Timestamp()}, nil
}
