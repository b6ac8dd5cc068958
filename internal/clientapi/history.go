package clientapi

import (
	"net/http"
	"slices"
	"strconv"

	"lethe/internal/account"
	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/filter"
	"lethe/internal/history"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) historyRoutes() []wire.Route {
	const path = "/_matrix/client/v3/rooms/{roomId}"
	return slices.Concat(a.relationRoutes(), a.searchRoutes(), a.legacyRoutes(), []wire.Route{
		{Method: http.MethodGet, Path: path + "/event/{eventId}", Handle: a.authed(a.event)},
		{Method: http.MethodGet, Path: path + "/context/{eventId}", Handle: a.authed(a.context)},
		{Method: http.MethodGet, Path: path + "/messages", Handle: a.authed(a.messages)},
		{Method: http.MethodGet, Path: path + "/members", Handle: a.authed(a.members)},
		{Method: http.MethodGet, Path: path + "/joined_members", Handle: a.authed(a.joinedMembers)},
		{Method: http.MethodGet, Path: path + "/state", Handle: a.authed(a.allState)},
		{Method: http.MethodGet, Path: path + "/state/{eventType}", Handle: a.authed(a.state)},
		{Method: http.MethodGet, Path: path + "/state/{eventType}/{stateKey}", Handle: a.authed(a.state)},
		{Method: http.MethodGet, Path: path + "/state/{eventType}/{$}", Handle: a.authed(a.state)},
	})
}

// reader is the requester as somebody who reads.
func reader(who account.Requester) door.Reader {
	return door.Reader{User: who.UserID, Device: who.DeviceID}
}

// number is a parameter of the query, or another value where there is none.
func number(r *wire.Request, name string, otherwise int) (int, error) {
	text := r.Query(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, matrix.Errorf(matrix.CodeInvalidParam, "%s is not a number, or below 0.", name)
	}
	return n, nil
}

// eventFilter is the filter in the query, a RoomEventFilter as JSON.
func eventFilter(r *wire.Request) (f filter.Events, err error) {
	text := r.Query("filter")
	if text == "" {
		return f, nil
	}
	if err := wire.DecodeJSON([]byte(text), &f); err != nil {
		return f, matrix.Errorf(matrix.CodeInvalidParam, "The filter is not a JSON object with what filters have.").Because(err)
	}
	return f, f.Check()
}

// event is GET /rooms/{roomId}/event/{eventId}.
func (a *API) event(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	return a.History.Event(r.Context(), reader(who), id, r.PathValue("eventId"))
}

// surroundings is the answer of GET /context.
type surroundings struct {
	Event  door.Event   `json:"event"`
	Before []door.Event `json:"events_before"`
	After  []door.Event `json:"events_after"`
	State  []door.Event `json:"state"`
	Start  string       `json:"start"`
	End    string       `json:"end"`
}

// context is GET /rooms/{roomId}/context/{eventId}.
func (a *API) context(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 10)
	if err != nil {
		return nil, err
	}
	f, err := eventFilter(r)
	if err != nil {
		return nil, err
	}
	c, err := a.History.Context(r.Context(), reader(who), id, r.PathValue("eventId"), limit, f)
	return surroundings(c), err
}

// chunk is the answer of GET /messages.
type chunk struct {
	Start  string       `json:"start"`
	End    string       `json:"end,omitzero"`
	Events []door.Event `json:"chunk"`
	State  []door.Event `json:"state,omitempty"`
}

// messages is GET /rooms/{roomId}/messages.
func (a *API) messages(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	p := history.Page{From: r.Query("from"), To: r.Query("to"), Back: r.Query("dir") == "b"}
	if dir := r.Query("dir"); dir != "b" && dir != "f" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "dir is b, for back, or f, for forward.")
	}
	if p.Limit, err = number(r, "limit", 10); err != nil {
		return nil, err
	}
	if p.Filter, err = eventFilter(r); err != nil {
		return nil, err
	}
	c, err := a.History.Messages(r.Context(), reader(who), id, p)
	return chunk(c), err
}

// members is GET /rooms/{roomId}/members.
func (a *API) members(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	q := history.MembersQuery{At: r.Query("at"), Is: r.Query("membership"), IsNot: r.Query("not_membership")}
	events, err := a.History.Members(r.Context(), reader(who), id, q)
	return map[string][]door.Event{"chunk": events}, err
}

// joinedMembers is GET /rooms/{roomId}/joined_members.
func (a *API) joinedMembers(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	names, err := a.History.JoinedMembers(r.Context(), reader(who), id)
	return map[string]map[matrix.UserID]door.Content{"joined": names}, err
}

// allState is GET /rooms/{roomId}/state.
func (a *API) allState(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	return a.History.State(r.Context(), reader(who), id)
}

// state is GET /rooms/{roomId}/state/{eventType}/{stateKey}.
func (a *API) state(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	key := event.Key{Type: r.PathValue("eventType"), StateKey: r.PathValue("stateKey")}
	switch r.Query("format") {
	case "", "content":
		return a.History.StateContent(r.Context(), reader(who), id, key)
	case "event":
		return a.History.StateEvent(r.Context(), reader(who), id, key)
	}
	return nil, matrix.Errorf(matrix.CodeInvalidParam, "The format is content or event.")
}
