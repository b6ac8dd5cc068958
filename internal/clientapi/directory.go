package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/wire"
)

func (a *API) directoryRoutes() []wire.Route {
	const v3 = "/_matrix/client/v3/"
	const alias = v3 + "directory/room/{roomAlias}"
	const list = v3 + "directory/list/"
	return []wire.Route{
		{Method: http.MethodPut, Path: alias, Handle: a.active(a.setAlias)},
		{Method: http.MethodGet, Path: alias, Handle: a.open(a.alias)},
		{Method: http.MethodDelete, Path: alias, Handle: a.active(a.deleteAlias)},
		{Method: http.MethodGet, Path: v3 + "rooms/{roomId}/aliases", Handle: a.authed(a.aliases)},
		{Method: http.MethodGet, Path: list + "room/{roomId}", Handle: a.open(a.published)},
		{Method: http.MethodPut, Path: list + "room/{roomId}", Handle: a.active(a.publish)},
		{Method: http.MethodPut, Path: list + "appservice/{networkId}/{roomId}", Handle: a.active(a.publishFor)},
		{Method: http.MethodGet, Path: v3 + "publicRooms", Handle: a.open(a.publicRooms)},
		{Method: http.MethodPost, Path: v3 + "publicRooms", Handle: a.authed(a.queryPublicRooms)},
	}
}

// setAlias is PUT /directory/room/{roomAlias}.
func (a *API) setAlias(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		RoomID string `json:"room_id"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	id, err := matrix.ParseRoomID(q.RoomID)
	if err != nil {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "room_id is no room id: %v.", err)
	}
	return struct{}{}, a.Rooms.SetAlias(r.Context(), actor(who), r.PathValue("roomAlias"), id)
}

// alias is GET /directory/room/{roomAlias}.
func (a *API) alias(r *wire.Request) (any, error) {
	found, err := a.Rooms.Alias(r.Context(), r.PathValue("roomAlias"))
	return struct {
		Room    matrix.RoomID       `json:"room_id"`
		Servers []matrix.ServerName `json:"servers"`
	}(found), err
}

// deleteAlias is DELETE /directory/room/{roomAlias}.
func (a *API) deleteAlias(r *wire.Request, who account.Requester) (any, error) {
	return struct{}{}, a.Rooms.DeleteAlias(r.Context(), actor(who), r.PathValue("roomAlias"))
}

// aliases is GET /rooms/{roomId}/aliases.
func (a *API) aliases(r *wire.Request, who account.Requester) (any, error) {
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	list, err := a.Rooms.Aliases(r.Context(), act, id)
	return map[string][]matrix.RoomAlias{"aliases": list}, err
}

// The visibilities of rooms in the directory.
const (
	visiblePublic  = "public"
	visiblePrivate = "private"
)

// visibility is a body that says whether a room is in the directory.
type visibility struct {
	Visibility string `json:"visibility"`
}

func (q *visibility) public(otherwise string) (bool, error) {
	if q.Visibility == "" {
		q.Visibility = otherwise
	}
	if q.Visibility != visiblePublic && q.Visibility != visiblePrivate {
		return false, matrix.Errorf(matrix.CodeInvalidParam, "The visibility of a room is public or private.")
	}
	return q.Visibility == visiblePublic, nil
}

// published is GET /directory/list/room/{roomId}.
func (a *API) published(r *wire.Request) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	public, err := a.Rooms.Published(r.Context(), id)
	if public {
		return visibility{visiblePublic}, err
	}
	return visibility{visiblePrivate}, err
}

// publish is PUT /directory/list/room/{roomId}.
func (a *API) publish(r *wire.Request, who account.Requester) (any, error) {
	var q visibility
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	public, err := q.public(visiblePublic)
	if err != nil {
		return nil, err
	}
	return struct{}{}, a.Rooms.Publish(r.Context(), act, id, public)
}

// publishFor is PUT /directory/list/appservice/{networkId}/{roomId}.
func (a *API) publishFor(r *wire.Request, who account.Requester) (any, error) {
	var q visibility
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	public, err := q.public("")
	if err != nil {
		return nil, err
	}
	return struct{}{}, a.Rooms.PublishFor(r.Context(), act, r.PathValue("networkId"), id, public)
}

// server is the query's server, whose directory is asked for; "" for none.
func server(r *wire.Request) (matrix.ServerName, error) {
	text := r.Query("server")
	if text == "" {
		return "", nil
	}
	name, err := matrix.ParseServerName(text)
	if err != nil {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "server is no server name: %v.", err)
	}
	return name, nil
}

// publicRooms is GET /publicRooms.
func (a *API) publicRooms(r *wire.Request) (any, error) {
	q := room.PublicQuery{Since: r.Query("since")}
	var err error
	if q.Server, err = server(r); err != nil {
		return nil, err
	}
	if q.Limit, err = number(r, "limit", 0); err != nil {
		return nil, err
	}
	return a.Rooms.Public(r.Context(), q)
}

// queryPublicRooms is POST /publicRooms.
func (a *API) queryPublicRooms(r *wire.Request, _ account.Requester) (any, error) {
	var q struct {
		Limit  int    `json:"limit"`
		Since  string `json:"since"`
		Filter struct {
			Text  string    `json:"generic_search_term"`
			Types []*string `json:"room_types"`
		} `json:"filter"`
		All     bool   `json:"include_all_networks"`
		Network string `json:"third_party_instance_id"`
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	if q.Limit < 0 {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "limit is below 0.")
	}
	if q.All && q.Network != "" {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "third_party_instance_id is for one network, include_all_networks for all.")
	}
	find := room.PublicQuery{Limit: q.Limit, Since: q.Since, Text: q.Filter.Text, AllNetworks: q.All, Network: q.Network}
	for _, typ := range q.Filter.Types {
		if typ == nil {
			typ = new(string)
		}
		find.Types = append(find.Types, *typ)
	}
	var err error
	if find.Server, err = server(r); err != nil {
		return nil, err
	}
	return a.Rooms.Public(r.Context(), find)
}
