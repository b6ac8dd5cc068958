package clientapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/door"
	"lethe/internal/filter"
	"lethe/internal/history"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
	"lethe/internal/syncing"
	"lethe/internal/wire"
)

// legacyRoutes are the endpoints from before /sync.
func (a *API) legacyRoutes() []wire.Route {
	const v3 = "/_matrix/client/v3/"
	return []wire.Route{
		{Method: http.MethodGet, Path: v3 + "initialSync", Handle: a.member(a.initialSync)},
		{Method: http.MethodGet, Path: v3 + "rooms/{roomId}/initialSync", Handle: a.authed(a.initialRoom)},
		{Method: http.MethodGet, Path: v3 + "events", Handle: a.authed(a.events)},
		{Method: http.MethodGet, Path: v3 + "events/{eventId}", Handle: a.authed(a.anyEvent)},
	}
}

// maxEventsWait is how long GET /events waits at most.
const maxEventsWait = 5 * time.Minute

// roomInfo is a room in the answers of the two initialSync.
type roomInfo struct {
	Room        matrix.RoomID  `json:"room_id"`
	Membership  string         `json:"membership,omitzero"`
	Invite      *door.Event    `json:"invite,omitzero"`
	Messages    *oldChunk      `json:"messages,omitzero"`
	State       []door.Event   `json:"state,omitempty"`
	AccountData []accountEvent `json:"account_data"`
}

type oldChunk struct {
	Start  string       `json:"start,omitzero"`
	End    string       `json:"end"`
	Events []door.Event `json:"chunk"`
}

type accountEvent struct {
	Type    string         `json:"type"`
	Content jsontext.Value `json:"content"`
}

func accountEvents(list []storage.AccountData) []accountEvent {
	events := make([]accountEvent, 0, len(list))
	for _, d := range list {
		events = append(events, accountEvent{d.Type, d.Content})
	}
	return events
}

func roomInfoOf(i history.RoomInfo) roomInfo {
	info := roomInfo{
		Room: i.Room, Membership: i.Membership, Invite: i.Invite, State: i.State, AccountData: accountEvents(i.AccountData),
	}
	if i.Messages != nil {
		info.Messages = &oldChunk{i.Messages.Start, i.Messages.End, i.Messages.Events}
	}
	return info
}

// initialSync is GET /initialSync.
func (a *API) initialSync(r *wire.Request, who account.Requester) (any, error) {
	limit, err := number(r, "limit", 10)
	if err != nil {
		return nil, err
	}
	archived, err := boolean(r, "archived")
	if err != nil {
		return nil, err
	}
	all, err := a.History.Initial(r.Context(), reader(who), limit, archived)
	if err != nil {
		return nil, err
	}
	rooms := make([]roomInfo, 0, len(all.Rooms))
	for _, i := range all.Rooms {
		rooms = append(rooms, roomInfoOf(i))
	}
	return struct {
		End         string         `json:"end"`
		Presence    []string       `json:"presence"` // who wants it syncs
		Rooms       []roomInfo     `json:"rooms"`
		AccountData []accountEvent `json:"account_data"`
	}{all.End, nil, rooms, accountEvents(all.AccountData)}, nil
}

// initialRoom is GET /rooms/{roomId}/initialSync.
func (a *API) initialRoom(r *wire.Request, who account.Requester) (any, error) {
	id, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 10)
	if err != nil {
		return nil, err
	}
	info, err := a.History.InitialRoom(r.Context(), reader(who), id, limit)
	return roomInfoOf(info), err
}

// anyEvent is GET /events/{eventId}.
func (a *API) anyEvent(r *wire.Request, who account.Requester) (any, error) {
	return a.History.AnyEvent(r.Context(), reader(who), r.PathValue("eventId"))
}

// events is GET /events, in both forms: of all rooms that the requester is in,
// and of one, with room_id, which they may peek into.
func (a *API) events(r *wire.Request, who account.Requester) (any, error) {
	wait, err := number(r, "timeout", 0)
	if err != nil {
		return nil, err
	}
	timeout := min(time.Duration(min(wait, int(time.Hour/time.Millisecond)))*time.Millisecond, maxEventsWait)
	r.Patient()
	if text := r.Query("room_id"); text != "" {
		room, err := matrix.ParseRoomID(text)
		if err != nil {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "room_id is no room id: %v.", err)
		}
		waiting, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		c, err := a.History.Peek(r.Context(), waiting, reader(who), room, r.Query("from"))
		return a.streamed(r, c, err)
	}
	if who.Guest {
		return nil, errGuest
	}
	c, err := a.History.Stream(r.Context(), reader(who), "", r.Query("from"))
	if err != nil || len(c.Events) > 0 || timeout == 0 {
		return a.streamed(r, c, err)
	}
	since, err := position.Parse(c.End)
	if err != nil {
		return nil, err
	}
	// It waits as /sync does, but for no device: those who sync with this one get
	// what is for it.
	_, err = a.Syncing.Sync(r.Context(), syncing.Request{
		User: who.UserID, Since: since, Timeout: timeout, SetPresence: "offline", Filter: &filter.Filter{},
		Alive: func() error { return a.alive(r) },
	})
	if err != nil {
		return nil, err
	}
	c, err = a.History.Stream(r.Context(), reader(who), "", c.End)
	return a.streamed(r, c, err)
}

// streamed is the answer of GET /events, if the session has not ended meanwhile.
func (a *API) streamed(r *wire.Request, c history.Chunk, err error) (any, error) {
	if err == nil {
		err = a.alive(r)
	}
	return oldChunk{c.Start, c.End, c.Events}, err
}
