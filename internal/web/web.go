// Package web is what people see in a browser: the account page, where they see
// what there is of them, take a copy, end the account and read the receipt; the
// pages that links in mail lead to; and the fallback pages of user-interactive
// authentication.
//
// Holds: the pages and their handlers. None needs a script, a cookie of others or
// anything from another host.
//
// May import: matrix, wire, ratelimit and the domain packages.
//
// Never: SQL, a rule of the domain, another API package.
package web

import (
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"lethe/internal/account"
	"lethe/internal/cache"
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/ratelimit"
	"lethe/internal/wire"
)

// API serves the pages. Fill in all fields before [API.Routes].
type API struct {
	Accounts      *account.Service
	Deactivations *deactivation.Service
	ServerName    matrix.ServerName
	// BaseURL is where people reach this server, without a slash at its end.
	BaseURL string
	// SelfDeactivation lets people end their own accounts.
	SelfDeactivation bool
	// Grace is how long they can take that back; 0: not at all.
	Grace   time.Duration
	Support Support
	Limits  Limits

	// endings makes one of the same form sent twice, and ended has the id of its
	// ending: see end.
	endings singleflight.Group
	ended   *cache.Cache[endingKey, string]
}

// Support is whom people are told to ask; empty where the operator says nothing.
type Support struct {
	MatrixID, Email, Page string
}

// Limits are the rate limits, shared with the client-server API; nil for none.
type Limits struct {
	Address    *ratelimit.Limiter // requests, by address
	Account    *ratelimit.Limiter // requests of somebody signed in, by user
	Login      *ratelimit.Limiter // logins and proofs, by address
	Mail       *ratelimit.Limiter // validation messages, by address
	Deactivate *ratelimit.Limiter // requests to deactivate, by account
}

// accountPath is the account page, and the path of its cookie.
const accountPath = "/_lethe/account"

// Routes lists every page. Call it once.
func (a *API) Routes() []wire.Route {
	a.ended = newEnded()
	get := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Method: http.MethodGet, Path: path, Handle: a.page(h)}
	}
	post := func(path string, h wire.Handler) wire.Route {
		return wire.Route{Method: http.MethodPost, Path: path, Handle: a.page(h)}
	}
	own := func(h wire.Handler) wire.Handler { return a.sameOrigin(h) }
	routes := []wire.Route{
		get("/{$}", a.home),
		get(accountPath, a.overview),
		get(accountPath+"/sign-in", a.askSignIn),
		post(accountPath+"/sign-in", own(a.signIn)),
		post(accountPath+"/sign-out", own(a.signOut)),
		get(accountPath+"/export", a.signedIn(a.export)),
		get(accountPath+"/end", a.signedIn(a.askEnd)),
		post(accountPath+"/end", own(a.end)),
		get(accountPath+"/receipt/{id}", a.receipt),
		get(accountPath+"/receipt/{id}/download", a.downloadReceipt),
		get("/_lethe/validate", a.askValidate),
		post("/_lethe/validate", a.validate),
		get("/_lethe/undo", a.askUndo),
		post("/_lethe/undo", a.undo),
	}
	for _, v := range []string{"v3", "r0"} {
		path := "/_matrix/client/" + v + "/auth/{stage}/fallback/web"
		routes = append(routes, get(path, a.fallback), post(path, a.fallbackSubmit))
	}
	return routes
}

// home is what people find who open the server's address.
func (a *API) home(*wire.Request) (any, error) {
	return a.form(0, formPage{
		base: a.base("This is a Matrix server"),
		Text: []string{"To write and read messages, sign in with a Matrix client of your choice. An account here can really end."},
		Links: []link{
			{accountPath, "Your account: see what this server holds about you, take a copy, or end it"},
		},
	})
}
