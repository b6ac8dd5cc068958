package clientapi

import (
	"net/http"
	"slices"
	"strings"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// Routes lists every operation of the client-server API that this server has,
// `r0` aliases of the `v3` paths included (CLIENTS: several clients use only
// those).
func (a *API) Routes() []wire.Route {
	routes := slices.Concat(
		a.versionRoutes(),
		a.registerRoutes(),
		a.loginRoutes(),
		a.sessionRoutes(),
		a.deviceRoutes(),
		a.passwordRoutes(),
		a.threepidRoutes(),
		a.profileRoutes(),
		a.accountDataRoutes(),
		a.openIDRoutes(),
		a.adminRoutes(),
		a.deactivateRoutes(),
	)
	for _, r := range routes {
		if rest, ok := strings.CutPrefix(r.Path, "/_matrix/client/v3/"); ok {
			r.Path = "/_matrix/client/r0/" + rest
			routes = append(routes, r)
		}
	}
	return routes
}

// authed makes a handler of one that needs an access token.
func (a *API) authed(h func(*wire.Request, account.Requester) (any, error)) wire.Handler {
	return func(r *wire.Request) (any, error) {
		who, err := a.requester(r)
		if err != nil {
			return nil, err
		}
		if who == nil {
			return nil, matrix.Errorf(matrix.CodeMissingToken, "This endpoint needs an access token.")
		}
		return h(r, *who)
	}
}

// member is authed for what guests may not do.
func (a *API) member(h func(*wire.Request, account.Requester) (any, error)) wire.Handler {
	return a.authed(func(r *wire.Request, who account.Requester) (any, error) {
		if who.Guest {
			return nil, matrix.Errorf(matrix.CodeGuestAccessForbidden, "Guests cannot do this.").
				WithStatus(http.StatusForbidden)
		}
		return h(r, who)
	})
}
