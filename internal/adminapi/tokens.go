package adminapi

import (
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

// tokenBody is a registration token; null is any number of uses, and no end.
type tokenBody struct {
	Token       string            `json:"token"`
	UsesAllowed *int64            `json:"uses_allowed"`
	Pending     int64             `json:"pending"`
	Completed   int64             `json:"completed"`
	ExpiryTime  *matrix.Timestamp `json:"expiry_time"`
}

func tokenOf(t storage.RegistrationToken) tokenBody {
	body := tokenBody{Token: t.Token, Pending: t.Pending, Completed: t.Completed}
	if t.UsesAllowed >= 0 {
		body.UsesAllowed = &t.UsesAllowed
	}
	if t.ExpiresAt != 0 {
		body.ExpiryTime = &t.ExpiresAt
	}
	return body
}

// limits are the values of a request, in storage's terms.
func (t tokenBody) limits() (uses int64, expires matrix.Timestamp, err error) {
	uses = -1
	if t.UsesAllowed != nil {
		if uses = *t.UsesAllowed; uses < 0 {
			return 0, 0, matrix.Errorf(matrix.CodeInvalidParam, "A token cannot be used less than 0 times.")
		}
	}
	if t.ExpiryTime != nil {
		expires = *t.ExpiryTime
	}
	return uses, expires, nil
}

func (a *API) tokens(r *wire.Request, _ deactivation.Actor) (any, error) {
	tokens, err := a.Accounts.RegistrationTokens(r.Context())
	list := make([]tokenBody, 0, len(tokens))
	for _, t := range tokens {
		list = append(list, tokenOf(t))
	}
	return map[string]any{"registration_tokens": list}, err
}

func (a *API) createToken(r *wire.Request, _ deactivation.Actor) (any, error) {
	var q tokenBody
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	uses, expires, err := q.limits()
	if err != nil {
		return nil, err
	}
	t, err := a.Accounts.CreateRegistrationToken(r.Context(), storage.RegistrationToken{
		Token: q.Token, UsesAllowed: uses, ExpiresAt: expires,
	})
	return tokenOf(t), err
}

func (a *API) token(r *wire.Request, _ deactivation.Actor) (any, error) {
	t, err := a.Accounts.RegistrationToken(r.Context(), r.PathValue("token"))
	return tokenOf(t), err
}

func (a *API) updateToken(r *wire.Request, by deactivation.Actor) (any, error) {
	var q tokenBody
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	uses, expires, err := q.limits()
	if err != nil {
		return nil, err
	}
	if err := a.Accounts.UpdateRegistrationToken(r.Context(), r.PathValue("token"), uses, expires); err != nil {
		return nil, err
	}
	return a.token(r, by)
}

func (a *API) deleteToken(r *wire.Request, _ deactivation.Actor) (any, error) {
	return nil, a.Accounts.DeleteRegistrationToken(r.Context(), r.PathValue("token"))
}
