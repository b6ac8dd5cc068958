package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The stages that this package can do (Authentication types).
const (
	StagePassword          = "m.login.password"
	StageDummy             = "m.login.dummy"
	StageRegistrationToken = "m.login.registration_token"
	StageTerms             = "m.login.terms"
)

// Auth is what its bearer can prove: the stages of user-interactive
// authentication that they can do, by their type. A nil Auth can do none, and
// makes the server tell what it asks for: the error then has [Error.UIA].
type Auth map[string]StageFunc

// StageFunc does a stage. It gets what the server asks for, and returns the keys
// of the `auth` object that are the stage's own: type and session are added. An
// error of it ends the request.
//
// Where the server refused the last try at this stage, refused says why: a
// function that can do no better returns it.
//
// If it returns no keys, nil, only the session is sent: that is how a client asks
// whether its user has done the stage elsewhere, in a fallback page or by a link
// in a mail (Fallback). It is called again until they have, so it has to wait a
// while before it returns.
type StageFunc func(ctx context.Context, challenge *UIAChallenge, refused *Error) (map[string]any, error)

// PasswordAuth proves who somebody is by the password of an account; user is its
// id or localpart (Password-based).
func PasswordAuth(user, password string) Auth { return IdentifierAuth(User(user), password) }

// IdentifierAuth is [PasswordAuth] for an account that is named otherwise.
func IdentifierAuth(id Identifier, password string) Auth {
	return static(StagePassword, map[string]any{"identifier": id, "password": password})
}

// DummyAuth does the stage that always succeeds (Dummy Auth).
func DummyAuth() Auth { return static(StageDummy, map[string]any{}) }

// RegistrationTokenAuth shows a token that the server's operator gave out
// (Token-authenticated registration).
func RegistrationTokenAuth(token string) Auth {
	return static(StageRegistrationToken, map[string]any{"token": token})
}

// TermsAuth agrees to the policies of the server (Terms of service at
// registration): for callers whose user has read and accepted them.
func TermsAuth() Auth { return static(StageTerms, map[string]any{}) }

// Join is who can do the stages of all of them. Of two that do the same stage it
// takes the later.
func Join(auths ...Auth) Auth {
	all := Auth{}
	for _, a := range auths {
		maps.Copy(all, a)
	}
	return all
}

func static(stage string, keys map[string]any) Auth {
	return Auth{stage: func(_ context.Context, _ *UIAChallenge, refused *Error) (map[string]any, error) {
		if refused != nil {
			return nil, refused
		}
		return keys, nil
	}}
}

// maxTries is how often a stage is sent that the server neither takes nor
// refuses: some take more than one request, and none takes this many.
const maxTries = 5

// DoAuth is [Client.Do] for an endpoint that uses user-interactive
// authentication; in is a struct or map without `auth`. It asks without
// authentication first, chooses the shortest of the server's flows that auth can
// do, and sends its stages in their order (User-Interactive Authentication API).
//
// The stages that this package makes do not try again: a wrong password is an
// [*Error] with [CodeForbidden] and with [Error.UIA]. A rate limit ends it, too,
// with [Error.RetryAfter].
func (c *Client) DoAuth(ctx context.Context, method, path string, in, out any, auth Auth) error {
	body, err := object(in)
	if err != nil {
		return fmt.Errorf("encode the body of %s %s: %w", method, pathOf(path), err)
	}
	tries := map[string]int{}
	for last := ""; ; {
		err := c.Do(ctx, method, path, body, out)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.UIA == nil || len(auth) == 0 {
			return err
		}
		stage := auth.next(e.UIA)
		if stage == "" {
			return fmt.Errorf("nothing that was given completes the authentication: %w", err)
		}
		var refused *Error
		if e.Code != "" && stage == last {
			refused, tries[stage] = e, 0
		}
		keys, err := auth[stage](ctx, e.UIA, refused)
		if err != nil {
			return fmt.Errorf("%s: %w", stage, err)
		}
		if tries[stage]++; keys != nil && tries[stage] > maxTries {
			return fmt.Errorf("the server neither takes nor refuses %s: %w", stage, e)
		}
		if body["auth"], err = authObject(stage, e.UIA.Session, keys); err != nil {
			return fmt.Errorf("%s: %w", stage, err)
		}
		last = stage
	}
}

// next is the stage to do now: the first one left of the flow that has the
// fewest left, of those that can be done; "" if there is none.
func (a Auth) next(u *UIAChallenge) string {
	var best []string
	for _, flow := range u.Flows {
		left := slices.DeleteFunc(slices.Clone(flow), u.isDone)
		can := !slices.ContainsFunc(left, func(stage string) bool { return a[stage] == nil })
		if can && len(left) > 0 && (best == nil || len(left) < len(best)) {
			best = left
		}
	}
	if best == nil {
		return ""
	}
	return best[0]
}

// authObject is the `auth` of a request; nil keys ask how far a session is.
func authObject(stage, session string, keys map[string]any) (jsontext.Value, error) {
	auth := map[string]any{}
	if keys != nil {
		maps.Copy(auth, keys)
		auth["type"] = stage
	}
	if session != "" {
		auth["session"] = session
	}
	return json.Marshal(auth, json.Deterministic(true))
}

// object is a body as an object that `auth` can be added to.
func object(in any) (map[string]jsontext.Value, error) {
	body := map[string]jsontext.Value{}
	if in == nil {
		return body, nil
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return body, json.Unmarshal(raw, &body)
}

// post is a POST with user-interactive authentication.
func (c *Client) post(ctx context.Context, path string, in, out any, auth Auth) error {
	return c.DoAuth(ctx, http.MethodPost, path, in, out, auth)
}
