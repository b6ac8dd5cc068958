package clientapi

import (
	"net/http"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) adminRoutes() []wire.Route {
	routes := []wire.Route{
		{Method: http.MethodGet, Path: "/_matrix/client/v3/admin/whois/{userId}", Handle: a.member(a.whois)},
	}
	for path, kind := range map[string]account.Restriction{"lock": account.Locked, "suspend": account.Suspended} {
		full := "/_matrix/client/v1/admin/" + path + "/{userId}"
		routes = append(routes,
			wire.Route{Method: http.MethodGet, Path: full, Handle: a.authed(a.restricted(kind))},
			wire.Route{Method: http.MethodPut, Path: full, Handle: a.authed(a.restrict(kind))})
	}
	return routes
}

// whois is GET /admin/whois/{userId}, for administrators, and for everybody
// about themselves.
func (a *API) whois(r *wire.Request, who account.Requester) (any, error) {
	user := matrix.UserID(r.PathValue("userId"))
	if user != who.UserID && !who.Admin {
		return nil, matrix.Errorf(matrix.CodeForbidden, "Only server administrators may do this.")
	}
	if _, err := a.Accounts.Account(r.Context(), user); err != nil {
		return nil, err
	}
	seen, err := a.Accounts.Connections(r.Context(), user)
	if err != nil {
		return nil, err
	}
	type connection struct {
		IP        string           `json:"ip"`
		LastSeen  matrix.Timestamp `json:"last_seen"`
		UserAgent string           `json:"user_agent"`
	}
	type session struct {
		Connections []connection `json:"connections"`
	}
	type device struct {
		Sessions []session `json:"sessions"`
	}
	devices := map[string]device{}
	for _, c := range seen {
		d, ok := devices[c.DeviceID]
		if !ok {
			d = device{Sessions: []session{{}}}
		}
		s := &d.Sessions[0]
		s.Connections = append(s.Connections, connection{c.IP, c.LastSeenAt, c.UserAgent})
		devices[c.DeviceID] = d
	}
	return map[string]any{"user_id": user, "devices": devices}, nil
}

func (a *API) restricted(kind account.Restriction) authedHandler {
	return func(r *wire.Request, who account.Requester) (any, error) {
		on, err := a.Accounts.Restricted(r.Context(), who, matrix.UserID(r.PathValue("userId")), kind)
		return map[string]bool{string(kind): on}, err
	}
}

func (a *API) restrict(kind account.Restriction) authedHandler {
	return func(r *wire.Request, who account.Requester) (any, error) {
		if !who.Admin {
			return nil, matrix.Errorf(matrix.CodeForbidden, "Only server administrators may do this.")
		}
		var q struct {
			Locked    *bool `json:"locked"`
			Suspended *bool `json:"suspended"`
		}
		if err := r.Decode(&q); err != nil {
			return nil, err
		}
		on := q.Locked
		if kind == account.Suspended {
			on = q.Suspended
		}
		if on == nil {
			return nil, matrix.Errorf(matrix.CodeMissingParam, "The request does not say %s: true or false.", kind)
		}
		err := a.Accounts.Restrict(r.Context(), who, matrix.UserID(r.PathValue("userId")), kind, *on)
		return map[string]bool{string(kind): *on}, err
	}
}
