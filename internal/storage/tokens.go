package storage

import (
	"database/sql"

	"lethe/internal/matrix"
)

// Hash is the SHA-256 of a secret.
type Hash = [32]byte

// Session is what an access token stands for: the token's row with what its
// account allows.
type Session struct {
	UserID    matrix.UserID
	DeviceID  string
	ExpiresAt matrix.Timestamp // 0: never
	Retires   []byte           // see [Tx.RetireToken]; nil: nothing
	Account   Account
}

// Session returns the session of an access token of an account that has not
// ended, or [ErrNotFound].
func (tx *Tx) Session(token Hash) (Session, error) {
	return first(tx, scanSession, `SELECT t.device_id, t.expires_at, t.retires,
			a.user_id, a.kind, a.appservice_id, a.is_admin, a.password_hash, a.created_at,
			a.locked_at, a.suspended_at, a.deactivated_at, a.erased_pos
		FROM access_tokens t JOIN accounts a ON a.user_id = t.user_id
		WHERE t.token_hash = $1 AND a.deactivated_at IS NULL`, token[:])
}

func scanSession(s scanner) (Session, error) {
	var v Session
	var expires sql.NullInt64
	a, err := scanAccount(prefixed{s, []any{&v.DeviceID, &expires, &v.Retires}})
	v.UserID, v.Account, v.ExpiresAt = a.UserID, a, matrix.Timestamp(expires.Int64)
	return v, err
}

// prefixed scans columns that stand before those of another scan function.
type prefixed struct {
	scanner
	before []any
}

func (p prefixed) Scan(dest ...any) error { return p.scanner.Scan(append(p.before, dest...)...) }

// AccessToken is a row of access_tokens.
type AccessToken struct {
	Hash      Hash
	UserID    matrix.UserID
	DeviceID  string
	CreatedAt matrix.Timestamp
	ExpiresAt matrix.Timestamp // 0: never
	Retires   []byte
}

// CreateAccessToken stores a token. The caller holds [Tx.LockAccount] and has
// seen that the account has not ended.
func (tx *Tx) CreateAccessToken(t AccessToken) error {
	return tx.run(`INSERT INTO access_tokens (token_hash, user_id, device_id, created_at, expires_at, retires)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		t.Hash[:], t.UserID, t.DeviceID, t.CreatedAt, nullInt(t.ExpiresAt), t.Retires)
}

// RefreshToken is a row of refresh_tokens: the access token it came with, and
// the refresh token that replaced it, nil while none has.
type RefreshToken struct {
	Hash          Hash
	UserID        matrix.UserID
	DeviceID      string
	CreatedAt     matrix.Timestamp
	ExpiresAt     matrix.Timestamp // 0: never
	AccessHash    []byte
	SuccessorHash []byte
}

// CreateRefreshToken stores a token; see [Tx.CreateAccessToken].
func (tx *Tx) CreateRefreshToken(t RefreshToken) error {
	return tx.run(`INSERT INTO refresh_tokens (token_hash, user_id, device_id, created_at, expires_at, access_hash)
		VALUES ($1, $2, $3, $4, $5, $6)`,
		t.Hash[:], t.UserID, t.DeviceID, t.CreatedAt, nullInt(t.ExpiresAt), t.AccessHash)
}

// RefreshToken returns a refresh token, or [ErrNotFound].
func (tx *Tx) RefreshToken(token Hash) (RefreshToken, error) {
	t := RefreshToken{Hash: token}
	var expires sql.NullInt64
	err := tx.one(`SELECT user_id, device_id, created_at, expires_at, access_hash, successor_hash
		FROM refresh_tokens WHERE token_hash = $1`, []any{token[:]},
		&t.UserID, &t.DeviceID, &t.CreatedAt, &expires, &t.AccessHash, &t.SuccessorHash)
	t.ExpiresAt = matrix.Timestamp(expires.Int64)
	return t, err
}

// SetSuccessor records which refresh token replaces token.
func (tx *Tx) SetSuccessor(token, successor Hash) error {
	return tx.run(`UPDATE refresh_tokens SET successor_hash = $2 WHERE token_hash = $1`, token[:], successor[:])
}

// DropRefreshToken deletes a refresh token and the access token it came with.
func (tx *Tx) DropRefreshToken(token []byte) error {
	err := tx.run(`DELETE FROM access_tokens WHERE token_hash =
		(SELECT access_hash FROM refresh_tokens WHERE token_hash = $1)`, token)
	if err != nil {
		return err
	}
	return tx.run(`DELETE FROM refresh_tokens WHERE token_hash = $1`, token)
}

// RetireToken ends the refresh token that access token `token` replaced, once
// the latter is used: until then a client that lost the answer to its refresh
// can repeat it.
func (tx *Tx) RetireToken(token Hash, old []byte) error {
	if err := tx.DropRefreshToken(old); err != nil {
		return err
	}
	return tx.run(`UPDATE access_tokens SET retires = NULL WHERE token_hash = $1`, token[:])
}

// DropDeviceTokens ends the sessions of one device.
func (tx *Tx) DropDeviceTokens(user matrix.UserID, device string) error {
	if err := tx.run(`DELETE FROM access_tokens WHERE user_id = $1 AND device_id = $2`, user, device); err != nil {
		return err
	}
	return tx.run(`DELETE FROM refresh_tokens WHERE user_id = $1 AND device_id = $2`, user, device)
}

// CreateLoginToken stores a token for m.login.token; see [Tx.CreateAccessToken].
func (tx *Tx) CreateLoginToken(token Hash, user matrix.UserID, expires matrix.Timestamp) error {
	return tx.run(`INSERT INTO login_tokens (token_hash, user_id, expires_at) VALUES ($1, $2, $3)`,
		token[:], user, expires)
}

// LoginTokenUser is whose a login token is, or [ErrNotFound]. Whoever is about to
// take it locks the account first, as an ending does.
func (tx *Tx) LoginTokenUser(token Hash) (matrix.UserID, error) {
	var user matrix.UserID
	err := tx.one(`SELECT user_id FROM login_tokens WHERE token_hash = $1`, []any{token[:]}, &user)
	return user, err
}

// TakeLoginToken deletes a login token and returns its user, or [ErrNotFound]:
// it works once, and not after it has expired.
func (tx *Tx) TakeLoginToken(token Hash, now matrix.Timestamp) (matrix.UserID, error) {
	var user matrix.UserID
	err := tx.one(`DELETE FROM login_tokens WHERE token_hash = $1 AND expires_at > $2 RETURNING user_id`,
		[]any{token[:], now}, &user)
	return user, err
}

// CreateOpenIDToken stores an OpenID token; see [Tx.CreateAccessToken].
func (tx *Tx) CreateOpenIDToken(token Hash, user matrix.UserID, expires matrix.Timestamp) error {
	return tx.run(`INSERT INTO openid_tokens (token_hash, user_id, expires_at) VALUES ($1, $2, $3)`,
		token[:], user, expires)
}

// OpenIDUser returns whom an OpenID token names, or [ErrNotFound].
func (tx *Tx) OpenIDUser(token Hash, now matrix.Timestamp) (matrix.UserID, error) {
	var user matrix.UserID
	err := tx.one(`SELECT user_id FROM openid_tokens WHERE token_hash = $1 AND expires_at > $2`,
		[]any{token[:], now}, &user)
	return user, err
}

// DropExpired deletes what time has ended, and the address log before logSince.
// Access and refresh tokens stay as long as their device does: that they have
// expired is what tells its client to keep its keys (CS API, Soft logout).
func (tx *Tx) DropExpired(now, logSince matrix.Timestamp) error {
	for _, stmt := range []string{
		`DELETE FROM login_tokens WHERE expires_at <= $1`,
		`DELETE FROM openid_tokens WHERE expires_at <= $1`,
		`DELETE FROM uia_sessions WHERE expires_at <= $1`,
		`DELETE FROM validation_sessions WHERE expires_at <= $1`,
	} {
		if err := tx.run(stmt, now); err != nil {
			return err
		}
	}
	return tx.run(`DELETE FROM connections WHERE last_seen_at < $1`, logSince)
}
