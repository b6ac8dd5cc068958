package clientapi

import (
	"slices"
	"strings"
	"unicode/utf8"

	"lethe/internal/account"
	"lethe/internal/appservice"
	"lethe/internal/cache"
	"lethe/internal/deactivation"
	"lethe/internal/filter"
	"lethe/internal/history"
	"lethe/internal/matrix"
	"lethe/internal/presence"
	"lethe/internal/push"
	"lethe/internal/room"
	"lethe/internal/syncing"
	"lethe/internal/wire"
)

// API serves the client-server API. Fill in all fields before [API.Routes].
type API struct {
	Accounts      *account.Service
	Deactivations *deactivation.Service
	Appservices   *appservice.Registry
	Rooms         *room.Service
	History       *history.Service
	Push          *push.Service
	Unread        *push.Unread
	Syncing       *syncing.Service
	Presence      *presence.Service // nil where it is off
	Limits        Limits
	Options       Options

	filters *cache.Cache[filterKey, *filter.Filter] // those stored, as they are
}

// filterCache bounds how many filters are kept that were used lately.
const filterCache = 5000

// Options are settings that only this API has.
type Options struct {
	ServerName matrix.ServerName
	// QueryToken takes access tokens from the query, too (deprecated).
	QueryToken bool
	// Registration is "open", "token" or "closed".
	Registration string
	Guests       bool
	RequireEmail bool
	// Terms are the policies to accept at registration.
	Terms []account.Policy
	// SelfDeactivation lets people end their own accounts.
	SelfDeactivation bool
	// ClientBaseURL and FederationName are for /.well-known; "" for not there.
	ClientBaseURL  string
	FederationName string
	Support        Support
}

// Support is for /.well-known/matrix/support; empty for not there.
type Support struct {
	MatrixID, Email, Page string
}

// Routes lists every operation of the client-server API that this server has,
// `r0` aliases of the `v3` paths included (CLIENTS: several clients use only
// those).
func (a *API) Routes() []wire.Route {
	a.filters = cache.New(cache.Options[filterKey, *filter.Filter]{Size: filterCache})
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
		a.pushRuleRoutes(),
		a.adminRoutes(),
		a.deactivateRoutes(),
		a.roomRoutes(),
		a.membershipRoutes(),
		a.directoryRoutes(),
		a.discoveryRoutes(),
		a.historyRoutes(),
		a.syncRoutes(),
		a.receiptRoutes(),
		a.notificationRoutes(),
		a.presenceRoutes(),
		a.reportRoutes(),
	)
	for i, r := range routes {
		r.Handle = readable(challenged(r.Handle))
		routes[i] = r
		if rest, ok := strings.CutPrefix(r.Path, "/_matrix/client/v3/"); ok {
			r.Path = "/_matrix/client/r0/" + rest
			routes = append(routes, r)
		}
	}
	return routes
}

// readable refuses paths that are not text: no identifier in one has NUL or bytes
// that are not UTF-8 (Appendices, Conventions for Matrix APIs), and PostgreSQL
// takes neither.
func readable(h wire.Handler) wire.Handler {
	return func(r *wire.Request) (any, error) {
		if strings.ContainsRune(r.URL.Path, 0) || !utf8.ValidString(r.URL.Path) {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "The path is not valid UTF-8, or has NUL in it.")
		}
		return h(r)
	}
}
