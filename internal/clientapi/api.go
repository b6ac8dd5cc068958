package clientapi

import (
	"slices"
	"strings"

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
		a.adminRoutes(),
		a.deactivateRoutes(),
	)
	for i, r := range routes {
		r.Handle = challenged(r.Handle)
		routes[i] = r
		if rest, ok := strings.CutPrefix(r.Path, "/_matrix/client/v3/"); ok {
			r.Path = "/_matrix/client/r0/" + rest
			routes = append(routes, r)
		}
	}
	return routes
}
