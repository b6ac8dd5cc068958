package clientapi

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/filter"
	"lethe/internal/matrix"
	"lethe/internal/push"
	"lethe/internal/wire"
)

func (a *API) accountDataRoutes() []wire.Route {
	const user = "/_matrix/client/v3/user/{userId}/"
	routes := []wire.Route{
		{Method: http.MethodPost, Path: user + "filter", Handle: a.authed(own(a.createFilter))},
		{Method: http.MethodGet, Path: user + "filter/{filterId}", Handle: a.authed(own(a.readFilter))},
		{Method: http.MethodPost, Path: user + "openid/request_token", Handle: a.member(own(a.openIDToken))},
	}
	const tags = user + "rooms/{roomId}/tags"
	routes = append(routes,
		wire.Route{Method: http.MethodGet, Path: tags, Handle: a.member(own(a.tags))},
		wire.Route{Method: http.MethodPut, Path: tags + "/{tag}", Handle: a.member(own(a.setTag))},
		wire.Route{Method: http.MethodDelete, Path: tags + "/{tag}", Handle: a.member(own(a.deleteTag))})
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
	if kind := r.PathValue("type"); room != "" || kind != push.DataType {
		return a.Accounts.AccountData(r.Context(), who.UserID, room, kind)
	}
	return a.pushRulesets(r, who)
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

// tags is GET /user/{userId}/rooms/{roomId}/tags.
func (a *API) tags(r *wire.Request, who account.Requester) (any, error) {
	room, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	tags, err := a.Accounts.Tags(r.Context(), who.UserID, room)
	return map[string]any{"tags": tags}, err
}

// setTag is PUT /user/{userId}/rooms/{roomId}/tags/{tag}.
func (a *API) setTag(r *wire.Request, who account.Requester) (any, error) {
	room, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	tag, err := content(r)
	if err != nil {
		return nil, err
	}
	return nil, a.Accounts.SetTag(r.Context(), who.UserID, room, r.PathValue("tag"), tag)
}

// deleteTag is DELETE /user/{userId}/rooms/{roomId}/tags/{tag}.
func (a *API) deleteTag(r *wire.Request, who account.Requester) (any, error) {
	room, err := pathRoom(r)
	if err != nil {
		return nil, err
	}
	return nil, a.Accounts.DeleteTag(r.Context(), who.UserID, room, r.PathValue("tag"))
}

// createFilter is POST /user/{userId}/filter.
func (a *API) createFilter(r *wire.Request, who account.Requester) (any, error) {
	var q filter.Filter
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if err := q.Check(); err != nil {
		return nil, err
	}
	body, err := r.Body()
	if err != nil {
		return nil, err
	}
	id, err := a.Accounts.CreateFilter(r.Context(), who.UserID, body)
	return map[string]string{"filter_id": id}, err
}

func (a *API) readFilter(r *wire.Request, who account.Requester) (any, error) {
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
