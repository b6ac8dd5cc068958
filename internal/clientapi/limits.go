package clientapi

import (
	"time"

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
