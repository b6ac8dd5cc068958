package clientapi

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/wire"
)

func (a *API) membershipRoutes() []wire.Route {
	const v3 = "/_matrix/client/v3/"
	const path = v3 + "rooms/{roomId}"
	post := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Method: http.MethodPost, Path: path, Handle: h}
	}
	return []wire.Route{
		{Method: http.MethodGet, Path: v3 + "joined_rooms", Handle: a.member(a.joinedRooms)},
		post(v3+"join/{roomIdOrAlias}", a.working(a.join)),
		post(v3+"knock/{roomIdOrAlias}", a.active(a.knock)),
		post(path+"/join", a.working(a.join)),
		post(path+"/leave", a.authed(a.leave)),
		post(path+"/forget", a.member(a.forget)),
		post(path+"/invite", a.active(a.invite)),
		post(path+"/kick", a.active(a.target(a.Rooms.Kick))),
		post(path+"/ban", a.active(a.target(a.Rooms.Ban))),
		post(path+"/unban", a.active(a.target(a.Rooms.Unban))),
	}
}

// joinedRooms is GET /joined_rooms.
func (a *API) joinedRooms(r *wire.Request, who account.Requester) (any, error) {
	rooms, err := a.Rooms.Joined(r.Context(), who.UserID)
	return map[string][]matrix.RoomID{"joined_rooms": rooms}, err
}

// somewhere is the room that the path names by id or alias. The query's via and
// server_name name servers to reach it through; a room that this server is in
// needs none.
func (a *API) somewhere(r *wire.Request) (matrix.RoomID, error) {
	name := r.PathValue("roomIdOrAlias")
	if name == "" {
		return pathRoom(r)
	}
	return a.Rooms.Resolve(r.Context(), name)
}

// maxSigned is the largest third_party_signed, in bytes.
const maxSigned = 8 << 10

// joining is the body of a request to join.
type joining struct {
	Reason string         `json:"reason"`
	Signed jsontext.Value `json:"third_party_signed"`
}

// join is POST /join/{roomIdOrAlias} and POST /rooms/{roomId}/join.
func (a *API) join(r *wire.Request, who account.Requester) (any, error) {
	var q joining
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	j := room.Joining{Reason: q.Reason}
	var err error
	if j.ThirdParty, err = q.thirdParty(); err != nil {
		return nil, err
	}
	if err := a.allowJoin(who); err != nil {
		return nil, err
	}
	id, err := a.somewhere(r)
	if err != nil {
		return nil, err
	}
	return map[string]matrix.RoomID{"room_id": id}, a.Rooms.Join(r.Context(), actor(who), id, j)
}

// thirdParty reads third_party_signed; nil where it is not there.
func (q *joining) thirdParty() (*room.ThirdPartySigned, error) {
	if kind := q.Signed.Kind(); kind == 0 || kind == 'n' {
		return nil, nil //nolint:nilnil // most joins have none
	}
	if len(q.Signed) > maxSigned {
		return nil, matrix.Errorf(matrix.CodeTooLarge, "third_party_signed has more than %d bytes.", maxSigned)
	}
	var signed struct {
		Sender matrix.UserID `json:"sender"`
		MXID   matrix.UserID `json:"mxid"`
		Token  string        `json:"token"`
	}
	if err := json.Unmarshal(q.Signed, &signed); err != nil || signed.Sender == "" || signed.MXID == "" || signed.Token == "" {
		return nil, matrix.Errorf(matrix.CodeBadJSON, "third_party_signed needs sender, mxid, token and signatures.")
	}
	return &room.ThirdPartySigned{Sender: signed.Sender, MXID: signed.MXID, Token: signed.Token, JSON: q.Signed}, nil
}

type reason struct {
	Reason string `json:"reason"`
}

// knock is POST /knock/{roomIdOrAlias}.
func (a *API) knock(r *wire.Request, who account.Requester) (any, error) {
	var q reason
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	if err := a.allowJoin(who); err != nil {
		return nil, err
	}
	id, err := a.somewhere(r)
	if err != nil {
		return nil, err
	}
	return map[string]matrix.RoomID{"room_id": id}, a.Rooms.Knock(r.Context(), actor(who), id, q.Reason)
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

// forget is POST /rooms/{roomId}/forget.
func (a *API) forget(r *wire.Request, who account.Requester) (any, error) {
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	return struct{}{}, a.Rooms.Forget(r.Context(), act, id)
}

// targeted is the body of a request about another member.
type targeted struct {
	UserID matrix.UserID `json:"user_id"`
	Reason string        `json:"reason"`
}

func (q *targeted) check() error {
	if q.UserID == "" {
		return matrix.Errorf(matrix.CodeMissingParam, "The request has no user_id.")
	}
	if _, err := matrix.ParseUserID(string(q.UserID)); err != nil {
		return matrix.Errorf(matrix.CodeInvalidParam, "user_id is no user id: %v.", err)
	}
	return nil
}

// target is POST /rooms/{roomId}/kick, ban and unban, each of which does do to somebody.
func (a *API) target(
	do func(context.Context, room.Actor, matrix.RoomID, matrix.UserID, string) error,
) authedHandler {
	return func(r *wire.Request, who account.Requester) (any, error) {
		var q targeted
		act, id, err := inRoom(r, who)
		if err != nil {
			return nil, err
		}
		if err := r.Decode(&q); err != nil {
			return nil, err
		}
		if err := q.check(); err != nil {
			return nil, err
		}
		return struct{}{}, do(r.Context(), act, id, q.UserID, q.Reason)
	}
}

// invite3PID is an invite by address.
type invite3PID struct {
	IDServer      string `json:"id_server"`
	IDAccessToken string `json:"id_access_token"`
	Medium        string `json:"medium"`
	Address       string `json:"address"`
}

func (q *invite3PID) invite() (room.Invite3PID, error) {
	if q.IDServer == "" || q.IDAccessToken == "" || q.Medium == "" || q.Address == "" {
		return room.Invite3PID{}, matrix.Errorf(matrix.CodeMissingParam,
			"An invite by address needs id_server, id_access_token, medium and address.")
	}
	server, err := idServer(q.IDServer)
	if err != nil {
		return room.Invite3PID{}, err
	}
	pid, err := matrix.ParseThreepid(q.Medium, q.Address)
	if err != nil {
		return room.Invite3PID{}, matrix.Errorf(matrix.CodeInvalidParam, "The address is not valid: %v.", err)
	}
	return room.Invite3PID{IDServer: server, AccessToken: q.IDAccessToken, Threepid: pid}, nil
}

// invite is POST /rooms/{roomId}/invite in both forms: of a user, or by address.
func (a *API) invite(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		targeted
		invite3PID
	}
	act, id, err := inRoom(r, who)
	if err != nil {
		return nil, err
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	byAddress := q.UserID == "" && q.Medium != ""
	var inv room.Invite3PID
	if byAddress {
		inv, err = q.invite()
	} else {
		err = q.check()
	}
	if err != nil {
		return nil, err
	}
	if err := a.allowInvites(who, 1); err != nil {
		return nil, err
	}
	if byAddress {
		return struct{}{}, a.Rooms.InviteByAddress(r.Context(), act, id, inv)
	}
	return struct{}{}, a.Rooms.Invite(r.Context(), act, id, q.UserID, q.Reason)
}
