// Package federationapi is the server-server API: what other servers, and
// identity servers, ask of this one.
//
// Holds: one file per noun of the API.
//
// May import: matrix, event, wire and the domain packages.
//
// Never: SQL, a rule of the domain, another API package.
package federationapi

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// API serves the server-server API. Fill in all fields before [API.Routes].
type API struct {
	Accounts   *account.Service
	ServerName matrix.ServerName
	Key        event.SigningKey
	Now        func() time.Time
	Version    string
}

// Routes lists every operation that this server has.
func (a *API) Routes() []wire.Route {
	get := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Method: http.MethodGet, Path: path, Handle: h}
	}
	return []wire.Route{
		get("/_matrix/key/v2/server", a.keys),
		// Sydent asks with a slash at the end; before v1.6 a key's id could follow.
		get("/_matrix/key/v2/server/{keyId...}", a.keys),
		get("/_matrix/federation/v1/version", a.version),
		get("/_matrix/federation/v1/openid/userinfo", a.userinfo),
	}
}

// keyLifetime is how long others may use the published key without asking again
// (Server-Server API, Publishing Keys).
const keyLifetime = 24 * time.Hour

// keys is GET /_matrix/key/v2/server.
func (a *API) keys(*wire.Request) (any, error) {
	raw, err := json.Marshal(map[string]any{
		"server_name": a.ServerName,
		"verify_keys": map[string]any{
			a.Key.ID: map[string]string{"key": event.EncodeBase64(a.Key.Public())},
		},
		"old_verify_keys": map[string]any{},
		"valid_until_ts":  matrix.TimestampOf(a.Now().Add(keyLifetime)),
	})
	if err != nil {
		return nil, err
	}
	signed, err := event.SignJSON(raw, string(a.ServerName), a.Key)
	return jsontext.Value(signed), err
}

// version is GET /_matrix/federation/v1/version.
func (a *API) version(*wire.Request) (any, error) {
	return map[string]any{"server": map[string]string{"name": "Lethe", "version": a.Version}}, nil
}

// userinfo is GET /_matrix/federation/v1/openid/userinfo (Server-Server API,
// OpenID).
func (a *API) userinfo(r *wire.Request) (any, error) {
	token := r.Query("access_token")
	if token == "" {
		return nil, matrix.Errorf(matrix.CodeMissingToken, "The request has no access_token.")
	}
	user, err := a.Accounts.OpenIDUser(r.Context(), token)
	return map[string]matrix.UserID{"sub": user}, err
}
