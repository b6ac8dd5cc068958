package clientapi

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) accountDataRoutes() []wire.Route {
	const user = "/_matrix/client/v3/user/{userId}/"
	routes := []wire.Route{
		{Method: http.MethodPost, Path: user + "filter", Handle: a.authed(own(a.createFilter))},
		{Method: http.MethodGet, Path: user + "filter/{filterId}", Handle: a.authed(own(a.filter))},
		{Method: http.MethodPost, Path: user + "openid/request_token", Handle: a.member(own(a.openIDToken))},
	}
	for _, path := range []string{user + "account_data/{type}", user + "rooms/{roomId}/account_data/{type}"} {
		routes = append(routes,
			wire.Route{Method: http.MethodGet, Path: path, Handle: a.member(own(a.accountData))},
			wire.Route{Method: http.MethodPut, Path: path, Handle: a.member(own(a.setAccountData))})
	}
	return routes
}

// roomOf is the path's room, "" for global account data.
func roomOf(r *wire.Request) (string, error) {
	room := r.PathValue("roomId")
	if room != "" && (!strings.HasPrefix(room, "!") || len(room) > matrix.MaxIDLength) {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "The path has no valid room id.")
	}
	return room, nil
}

func (a *API) accountData(r *wire.Request, who account.Requester) (any, error) {
	room, err := roomOf(r)
	if err != nil {
		return nil, err
	}
	return a.Accounts.AccountData(r.Context(), who.UserID, room, r.PathValue("type"))
}

func (a *API) setAccountData(r *wire.Request, who account.Requester) (any, error) {
	room, err := roomOf(r)
	if err != nil {
		return nil, err
	}
	var content jsontext.Value
	if err := r.Decode(&content); err != nil {
		return nil, err
	}
	return nil, a.Accounts.SetAccountData(r.Context(), who.UserID, room, r.PathValue("type"), content)
}

// filterBody is the part of a filter that has types to check (CS API, Filtering).
type filterBody struct {
	EventFields []string    `json:"event_fields"`
	EventFormat string      `json:"event_format"`
	Presence    *listFilter `json:"presence"`
	AccountData *listFilter `json:"account_data"`
	Room        *struct {
		Rooms        []string    `json:"rooms"`
		NotRooms     []string    `json:"not_rooms"`
		IncludeLeave bool        `json:"include_leave"`
		AccountData  *listFilter `json:"account_data"`
		Ephemeral    *listFilter `json:"ephemeral"`
		State        *listFilter `json:"state"`
		Timeline     *listFilter `json:"timeline"`
	} `json:"room"`
}

type listFilter struct {
	Limit                   int64    `json:"limit"`
	Types                   []string `json:"types"`
	NotTypes                []string `json:"not_types"`
	Senders                 []string `json:"senders"`
	NotSenders              []string `json:"not_senders"`
	Rooms                   []string `json:"rooms"`
	NotRooms                []string `json:"not_rooms"`
	ContainsURL             *bool    `json:"contains_url"`
	LazyLoadMembers         bool     `json:"lazy_load_members"`
	IncludeRedundantMembers bool     `json:"include_redundant_members"`
	UnreadThreads           bool     `json:"unread_thread_notifications"`
}

// createFilter is POST /user/{userId}/filter.
func (a *API) createFilter(r *wire.Request, who account.Requester) (any, error) {
	var q filterBody
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if q.EventFormat != "" && q.EventFormat != "client" && q.EventFormat != "federation" {
		return nil, matrix.Errorf(matrix.CodeBadJSON, "The event_format of a filter is client or federation.")
	}
	body, err := r.Body()
	if err != nil {
		return nil, err
	}
	id, err := a.Accounts.CreateFilter(r.Context(), who.UserID, body)
	return map[string]string{"filter_id": id}, err
}

func (a *API) filter(r *wire.Request, who account.Requester) (any, error) {
	return a.Accounts.Filter(r.Context(), who.UserID, r.PathValue("filterId"))
}

// openIDToken is POST /user/{userId}/openid/request_token.
func (a *API) openIDToken(r *wire.Request, who account.Requester) (any, error) {
	token, lifetime, err := a.Accounts.CreateOpenIDToken(r.Context(), who.UserID)
	return map[string]any{
		"access_token": token, "token_type": "Bearer", "matrix_server_name": a.Options.ServerName,
		"expires_in": int64(lifetime.Seconds()),
	}, err
}
