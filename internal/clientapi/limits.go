package clientapi

import (
	"time"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/ratelimit"
	"lethe/internal/wire"
)

// Limits are the rate limits; nil for none.
type Limits struct {
	Address      *ratelimit.Limiter // requests without a token, by address
	Account      *ratelimit.Limiter // requests with one, by user
	Login        *ratelimit.Limiter // logins, by address
	Register     *ratelimit.Limiter // registrations, by address
	Mail         *ratelimit.Limiter // validation messages, by address
	UnknownToken *ratelimit.Limiter // requests with dead tokens, by address
	Deactivate   *ratelimit.Limiter // requests to deactivate, by account or address
	Invite       *ratelimit.Limiter // people invited, by who invites
	Join         *ratelimit.Limiter // joins and knocks, by account
}

// tooMany is 429 M_LIMIT_EXCEEDED (CS API, Rate limiting).
func tooMany(wait time.Duration) error {
	e := matrix.Errorf(matrix.CodeLimitExceeded, "Too many requests. Wait a moment.")
	e.RetryAfter = wait
	return e
}

func allow(l *ratelimit.Limiter, key string) error {
	if wait, ok := l.Allow(key); !ok {
		return tooMany(wait)
	}
	return nil
}

// allowInvites counts n invites, but for application services, whose limit their
// operator sets.
func (a *API) allowInvites(who account.Requester, n int) error {
	if who.Appservice != "" || n == 0 {
		return nil
	}
	if wait, ok := a.Limits.Invite.AllowN(string(who.UserID), n); !ok {
		return tooMany(wait)
	}
	return nil
}

// allowJoin counts a join or a knock.
func (a *API) allowJoin(who account.Requester) error {
	if who.Appservice != "" {
		return nil
	}
	return allow(a.Limits.Join, string(who.UserID))
}

// limitDead limits requests with dead tokens: clients that were left open repeat
// theirs without a pause (CLIENTS, After an account has ended). A token that is
// good, of somebody else at the same address, goes on working; while it is not
// known which of the two a token is, it counts as a request without one.
func (a *API) limitDead(r *wire.Request, token string) error {
	wait, yes := a.Limits.UnknownToken.Exhausted(r.Network())
	if !yes {
		return nil
	}
	switch alive, known := a.Accounts.Remember(token); {
	case alive:
		return nil
	case known:
		return tooMany(wait)
	}
	return allow(a.Limits.Address, r.Network())
}
