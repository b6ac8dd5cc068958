package clientapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/wire"
)

// uia is what an endpoint gives to user-interactive authentication.
type uia struct {
	who    *account.Requester
	flows  []account.Flow
	terms  []account.Policy
	auth   jsontext.Value
	stored map[string]jsontext.Value
}

// passwordFlow is the flow of people who are signed in.
var passwordFlow = []account.Flow{{Stages: []string{account.StagePassword}}}

// authorize takes a round of user-interactive authentication.
func (a *API) authorize(r *wire.Request, u uia) (*account.Authorized, error) {
	return a.Accounts.Authorize(r.Context(), account.UIARequest{
		Endpoint: endpoint(r), Requester: u.who, Flows: u.flows, Terms: u.terms, Auth: u.auth, Stored: u.stored,
	})
}

// endpoint names what a request is for, as a session of user-interactive
// authentication is bound to it: the same for v3 and r0.
func endpoint(r *wire.Request) string {
	return r.Method + " " + strings.Replace(r.URL.EscapedPath(), "/client/r0/", "/client/v3/", 1)
}

// challenged makes the 401 of user-interactive authentication of the error that
// asks for it.
func challenged(h wire.Handler) wire.Handler {
	return func(r *wire.Request) (any, error) {
		result, err := h(r)
		if challenge, ok := errors.AsType[*account.Challenge](err); ok {
			return &wire.Response{Status: http.StatusUnauthorized, JSON: challenge}, nil
		}
		return result, err
	}
}
