// Package adminapi is the API for operators: for server administrators over
// HTTP, and for the command line over a socket that only the server's own user
// can open.
//
// Holds: one file per noun, the OpenAPI document of the API, and the
// registration endpoint that existing tools speak.
//
// May import: matrix, wire and the domain packages.
//
// Never: SQL, a rule of the domain, another API package.
package adminapi

import (
	_ "embed"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lethe/internal/account"
	"lethe/internal/appservice"
	"lethe/internal/deactivation"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/wire"
)

// Prefix is the path of the API.
const Prefix = "/_lethe/admin/v1"

// API serves the API for operators. Fill in all fields before [API.Routes].
type API struct {
	Accounts      *account.Service
	Appservices   *appservice.Registry
	Deactivations *deactivation.Service
	Jobs          *job.Runner
	Rooms         *room.Service
	ServerName    matrix.ServerName
	Now           func() time.Time
	// Trusted serves everybody, as the operator: for the socket.
	Trusted bool
	// SharedSecret is what registration by existing tools needs; "" is off.
	SharedSecret string
}

//go:embed openapi.yaml
var document []byte

// Routes lists every operation.
func (a *API) Routes() []wire.Route {
	routes := []wire.Route{{
		Method: http.MethodGet, Path: Prefix + "/openapi.yaml",
		Handle: func(*wire.Request) (any, error) {
			return &wire.Response{ContentType: "application/yaml", Body: document}, nil
		},
	}}
	add := func(method, path string, h handler) {
		routes = append(routes, wire.Route{Method: method, Path: Prefix + path, Handle: a.operator(h)})
	}
	add(http.MethodGet, "/users", a.users)
	add(http.MethodPost, "/users", a.createUser)
	add(http.MethodGet, "/users/{userId}", a.user)
	add(http.MethodPost, "/users/{userId}/password", a.resetPassword)
	add(http.MethodPost, "/users/{userId}/deactivate", a.deactivate)
	add(http.MethodPost, "/users/{userId}/reactivate", a.reactivate)
	add(http.MethodGet, "/users/{userId}/export", a.export)
	add(http.MethodGet, "/deactivations", a.deactivations)
	add(http.MethodGet, "/deactivations/{id}", a.deactivation)
	add(http.MethodPost, "/deactivations/{id}/retry", a.retry)
	add(http.MethodPost, "/deactivations/{id}/undo", a.undo)
	add(http.MethodGet, "/deactivations/{id}/receipt", a.receipt)
	add(http.MethodGet, "/registration_tokens", a.tokens)
	add(http.MethodPost, "/registration_tokens", a.createToken)
	add(http.MethodGet, "/registration_tokens/{token}", a.token)
	add(http.MethodPut, "/registration_tokens/{token}", a.updateToken)
	add(http.MethodDelete, "/registration_tokens/{token}", a.deleteToken)
	add(http.MethodGet, "/reports", a.reports)
	add(http.MethodPost, "/notices", a.notify)
	add(http.MethodGet, "/audit", a.audit)
	add(http.MethodGet, "/work", a.work)
	return append(routes, a.sharedSecretRoutes()...)
}

// handler is a handler that knows who acts.
type handler func(r *wire.Request, by deactivation.Actor) (any, error)

// operator lets only operators through: everybody on the socket, and server
// administrators elsewhere.
func (a *API) operator(h handler) wire.Handler {
	return func(r *wire.Request) (any, error) {
		if a.Trusted {
			return h(r, deactivation.Operator)
		}
		token := r.Bearer()
		if token == "" {
			return nil, matrix.Errorf(matrix.CodeMissingToken, "This endpoint needs the access token of a server administrator.")
		}
		who, err := a.Accounts.Authenticate(r.Context(), token)
		if err != nil {
			return nil, err
		}
		if !who.Admin || who.Locked || who.Suspended {
			return nil, matrix.Errorf(matrix.CodeForbidden, "Only server administrators may do this.")
		}
		return h(r, deactivation.Admin(who.UserID))
	}
}

// userOf is the path's user: a user id of this server, or a localpart.
func (a *API) userOf(r *wire.Request) (matrix.UserID, error) {
	name := r.PathValue("userId")
	if name != "" && name[0] != '@' {
		name = string(matrix.NewUserID(name, a.ServerName))
	}
	user, err := matrix.ParseUserID(name)
	if err != nil {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "The path has no valid user id: %v.", err)
	}
	if user.Server() != a.ServerName {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "This is not a user of this server.")
	}
	return user, nil
}

// checkLocalpart refuses a localpart that nobody can have, or that belongs to an
// application service: it would act as that person, too.
func (a *API) checkLocalpart(r *wire.Request, localpart string) error {
	if a.Appservices.Exclusive(matrix.NewUserID(localpart, a.ServerName), nil) {
		return matrix.Errorf(matrix.CodeExclusive, "This username belongs to an application service.")
	}
	return a.Accounts.CheckLocalpart(r.Context(), localpart)
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// limitOf is how many items the request asks for.
func limitOf(r *wire.Request) (int, error) {
	text := r.Query("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, matrix.Errorf(matrix.CodeInvalidParam, "The limit is not a positive number.")
	}
	return min(n, maxPage), nil
}

// flagOf is a parameter that is true, false or not given.
func flagOf(r *wire.Request, name string) (*bool, error) {
	switch r.Query(name) {
	case "":
		return nil, nil //nolint:nilnil // not given is no error
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, matrix.Errorf(matrix.CodeInvalidParam, "The parameter %s is true or false.", name)
}

// oneOf is a parameter that has one of a few values, or "" where it is not given.
func oneOf[T ~string](r *wire.Request, name string, values ...T) (T, error) {
	value := T(r.Query(name))
	if value == "" || slices.Contains(values, value) {
		return value, nil
	}
	return "", matrix.Errorf(matrix.CodeInvalidParam, "The parameter %s is one of %v.", name, values)
}
