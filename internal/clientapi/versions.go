package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) versionRoutes() []wire.Route {
	get := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Method: http.MethodGet, Path: path, Handle: h}
	}
	return []wire.Route{
		get("/_matrix/client/versions", a.versions),
		get("/_matrix/client/v3/capabilities", a.authed(a.capabilities)),
		get("/.well-known/matrix/client", a.wellKnownClient),
		get("/.well-known/matrix/server", a.wellKnownServer),
		get("/.well-known/matrix/support", a.wellKnownSupport),
	}
}

// versions is GET /versions. Clients refuse a server without v1.1; what of the
// newer ones is still to come is in docs/divergences.md.
func (a *API) versions(*wire.Request) (any, error) {
	return map[string]any{
		"versions": []string{
			"r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9",
			"v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18", "v1.19",
		},
		"unstable_features": map[string]bool{},
	}, nil
}

// capabilities is GET /capabilities.
func (a *API) capabilities(_ *wire.Request, who account.Requester) (any, error) {
	enabled := func(on bool) map[string]bool { return map[string]bool{"enabled": on} }
	fields := map[string]any{"enabled": !who.Suspended}
	if who.Guest {
		fields["allowed"] = []string{account.FieldDisplayName}
	}
	capabilities := map[string]any{
		"m.change_password": enabled(!who.Guest), "m.set_displayname": enabled(!who.Suspended),
		"m.set_avatar_url": enabled(!who.Guest && !who.Suspended), "m.profile_fields": fields,
		"m.3pid_changes": enabled(!who.Guest), "m.get_login_token": enabled(!who.Guest),
		"m.room_versions": a.roomVersions(),
	}
	if who.Admin {
		capabilities["m.account_moderation"] = map[string]bool{"lock": true, "suspend": true}
	}
	return map[string]any{"capabilities": capabilities}, nil
}

// roomVersions is the capability m.room_versions: those the specification has are
// stable.
func (a *API) roomVersions() any {
	standard, all := a.Rooms.Versions()
	available := map[string]string{}
	for _, id := range all {
		available[id] = "stable"
	}
	return map[string]any{"default": standard, "available": available}
}

var errNotSet = matrix.Errorf(matrix.CodeNotFound, "This server does not publish that.")

func (a *API) clientWellKnown() any {
	return map[string]any{"m.homeserver": map[string]string{"base_url": a.Options.ClientBaseURL}}
}

// wellKnownClient is GET /.well-known/matrix/client.
func (a *API) wellKnownClient(*wire.Request) (any, error) {
	if a.Options.ClientBaseURL == "" {
		return nil, errNotSet
	}
	return a.clientWellKnown(), nil
}

// wellKnownServer is GET /.well-known/matrix/server (Server-Server API, Server
// discovery).
func (a *API) wellKnownServer(*wire.Request) (any, error) {
	if a.Options.FederationName == "" {
		return nil, errNotSet
	}
	return map[string]string{"m.server": a.Options.FederationName}, nil
}

// wellKnownSupport is GET /.well-known/matrix/support.
func (a *API) wellKnownSupport(*wire.Request) (any, error) {
	s := a.Options.Support
	if s == (Support{}) {
		return nil, errNotSet
	}
	body := map[string]any{}
	if s.Page != "" {
		body["support_page"] = s.Page
	}
	if s.MatrixID != "" || s.Email != "" {
		contact := map[string]string{"role": "m.role.admin"}
		if s.MatrixID != "" {
			contact["matrix_id"] = s.MatrixID
		}
		if s.Email != "" {
			contact["email_address"] = s.Email
		}
		body["contacts"] = []map[string]string{contact}
	}
	return body, nil
}
