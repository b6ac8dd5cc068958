package storage

import (
	"database/sql"

	"lethe/internal/matrix"
)

// RegistrationToken is a row of registration_tokens.
type RegistrationToken struct {
	Token       string
	UsesAllowed int64 // -1: any number
	Pending     int64 // live sessions that have completed the stage and not yet registered
	Completed   int64
	ExpiresAt   matrix.Timestamp // 0: never
	CreatedAt   matrix.Timestamp
}

const regTokenColumns = `token, uses_allowed, completed, expires_at, created_at,
	(SELECT COUNT(*) FROM uia_sessions u WHERE u.registration_token = t.token AND u.expires_at > $1)`

func scanRegToken(s scanner) (RegistrationToken, error) {
	var t RegistrationToken
	var uses, expires sql.NullInt64
	err := s.Scan(&t.Token, &uses, &t.Completed, &expires, &t.CreatedAt, &t.Pending)
	t.UsesAllowed, t.ExpiresAt = -1, matrix.Timestamp(expires.Int64)
	if uses.Valid {
		t.UsesAllowed = uses.Int64
	}
	return t, err
}

// CreateRegistrationToken stores a token, or returns [ErrExists].
func (tx *Tx) CreateRegistrationToken(t RegistrationToken) error {
	n, err := tx.exec(`INSERT INTO registration_tokens (token, uses_allowed, expires_at, created_at)
		VALUES ($1, $2, $3, $4) ON CONFLICT (token) DO NOTHING`,
		t.Token, unlimited(t.UsesAllowed), nullInt(t.ExpiresAt), t.CreatedAt)
	if err == nil && n == 0 {
		return ErrExists
	}
	return err
}

func unlimited(uses int64) sql.NullInt64 { return sql.NullInt64{Int64: uses, Valid: uses >= 0} }

// UpdateRegistrationToken changes how often and how long a token can be used.
func (tx *Tx) UpdateRegistrationToken(token string, usesAllowed int64, expires matrix.Timestamp) error {
	n, err := tx.exec(`UPDATE registration_tokens SET uses_allowed = $2, expires_at = $3 WHERE token = $1`,
		token, unlimited(usesAllowed), nullInt(expires))
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// DropRegistrationToken deletes a token, or returns [ErrNotFound].
func (tx *Tx) DropRegistrationToken(token string) error {
	n, err := tx.exec(`DELETE FROM registration_tokens WHERE token = $1`, token)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// RegistrationTokens lists all tokens as they are at now, oldest first.
func (tx *Tx) RegistrationTokens(now matrix.Timestamp) ([]RegistrationToken, error) {
	return all(tx, scanRegToken, `SELECT `+regTokenColumns+` FROM registration_tokens t ORDER BY created_at, token`, now)
}

// RegistrationToken returns a token as it is at now, or [ErrNotFound].
func (tx *Tx) RegistrationToken(token string, now matrix.Timestamp) (RegistrationToken, error) {
	return first(tx, scanRegToken, `SELECT `+regTokenColumns+` FROM registration_tokens t WHERE token = $2`, now, token)
}

// LockRegistrationToken is [Tx.RegistrationToken], and keeps others from
// counting its uses until the transaction ends.
func (tx *Tx) LockRegistrationToken(token string, now matrix.Timestamp) (RegistrationToken, error) {
	err := tx.one(`SELECT token FROM registration_tokens WHERE token = $1`+tx.dialect.forUpdate, []any{token}, new(string))
	if err != nil {
		return RegistrationToken{}, err
	}
	return tx.RegistrationToken(token, now)
}

// UseRegistrationToken counts a registration that was made with a token.
func (tx *Tx) UseRegistrationToken(token string) error {
	return tx.run(`UPDATE registration_tokens SET completed = completed + 1 WHERE token = $1`, token)
}

// AcceptTerms records that user accepted a version of a policy.
func (tx *Tx) AcceptTerms(user matrix.UserID, policy, version string, at matrix.Timestamp) error {
	return tx.run(`INSERT INTO terms_accepted (user_id, policy, version, accepted_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, policy, version) DO NOTHING`, user, policy, version, at)
}

// AcceptedTerms is a row of terms_accepted.
type AcceptedTerms struct {
	Policy     string           `json:"policy"`
	Version    string           `json:"version"`
	AcceptedAt matrix.Timestamp `json:"accepted_at"`
}

// TermsOf lists what user has accepted.
func (tx *Tx) TermsOf(user matrix.UserID) ([]AcceptedTerms, error) {
	return all(tx, func(s scanner) (AcceptedTerms, error) {
		var t AcceptedTerms
		err := s.Scan(&t.Policy, &t.Version, &t.AcceptedAt)
		return t, err
	}, `SELECT policy, version, accepted_at FROM terms_accepted WHERE user_id = $1 ORDER BY accepted_at, policy`, user)
}
