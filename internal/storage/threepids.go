package storage

import (
	"database/sql"

	"lethe/internal/matrix"
)

// ThreepidRow is a row of threepids.
type ThreepidRow struct {
	matrix.Threepid
	UserID      matrix.UserID
	ValidatedAt matrix.Timestamp
	AddedAt     matrix.Timestamp
}

// ThreepidOwner returns whose identifier pid is, or [ErrNotFound].
func (tx *Tx) ThreepidOwner(pid matrix.Threepid) (matrix.UserID, error) {
	var user matrix.UserID
	err := tx.one(`SELECT user_id FROM threepids WHERE medium = $1 AND address = $2`,
		[]any{pid.Medium, pid.Address}, &user)
	return user, err
}

// Threepids lists the identifiers of user.
func (tx *Tx) Threepids(user matrix.UserID) ([]ThreepidRow, error) {
	return all(tx, func(s scanner) (ThreepidRow, error) {
		t := ThreepidRow{UserID: user}
		err := s.Scan(&t.Medium, &t.Address, &t.ValidatedAt, &t.AddedAt)
		return t, err
	}, `SELECT medium, address, validated_at, added_at FROM threepids WHERE user_id = $1
		ORDER BY added_at, medium, address`, user)
}

// AddThreepid stores an identifier. One that somebody has is [ErrExists], also
// if it is the same user.
func (tx *Tx) AddThreepid(t ThreepidRow) error {
	n, err := tx.exec(`INSERT INTO threepids (medium, address, user_id, validated_at, added_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT (medium, address) DO NOTHING`,
		t.Medium, t.Address, t.UserID, t.ValidatedAt, t.AddedAt)
	if err == nil && n == 0 {
		return ErrExists
	}
	return err
}

// DropThreepid deletes an identifier of user, if it is theirs.
func (tx *Tx) DropThreepid(user matrix.UserID, pid matrix.Threepid) error {
	return tx.run(`DELETE FROM threepids WHERE user_id = $1 AND medium = $2 AND address = $3`,
		user, pid.Medium, pid.Address)
}

// Binding is a row of threepid_bindings: an association that an identity server
// holds.
type Binding struct {
	matrix.Threepid
	UserID   matrix.UserID
	IDServer matrix.ServerName
	BoundAt  matrix.Timestamp // when the request to bind was made
	// SettledAt is when it had succeeded; 0 while it is under way, or if nobody
	// knows how it ended.
	SettledAt matrix.Timestamp
}

// PutBinding remembers where an identifier is bound, or is about to be.
func (tx *Tx) PutBinding(b Binding) error {
	return tx.run(`INSERT INTO threepid_bindings (user_id, medium, address, id_server, bound_at, settled_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id, medium, address, id_server)
		DO UPDATE SET bound_at = excluded.bound_at, settled_at = excluded.settled_at`,
		b.UserID, b.Medium, b.Address, b.IDServer, b.BoundAt, nullInt(b.SettledAt))
}

// SettleBinding records that b, as it was put, has succeeded. It returns false if
// it is not remembered any more: the account has ended meanwhile.
func (tx *Tx) SettleBinding(b Binding, at matrix.Timestamp) (bool, error) {
	n, err := tx.exec(`UPDATE threepid_bindings SET settled_at = $5
		WHERE user_id = $1 AND medium = $2 AND address = $3 AND id_server = $4`,
		b.UserID, b.Medium, b.Address, b.IDServer, at)
	return n == 1, err
}

// Bindings lists where identifiers of user are bound.
func (tx *Tx) Bindings(user matrix.UserID) ([]Binding, error) {
	return all(tx, func(s scanner) (Binding, error) {
		b := Binding{UserID: user}
		var settled sql.NullInt64
		err := s.Scan(&b.Medium, &b.Address, &b.IDServer, &b.BoundAt, &settled)
		b.SettledAt = matrix.Timestamp(settled.Int64)
		return b, err
	}, `SELECT medium, address, id_server, bound_at, settled_at FROM threepid_bindings WHERE user_id = $1
		ORDER BY bound_at, medium, address, id_server`, user)
}

// DropBinding forgets a binding that is no more.
func (tx *Tx) DropBinding(user matrix.UserID, pid matrix.Threepid, server matrix.ServerName) error {
	return tx.run(`DELETE FROM threepid_bindings
		WHERE user_id = $1 AND medium = $2 AND address = $3 AND id_server = $4`,
		user, pid.Medium, pid.Address, server)
}

// Validation is a row of validation_sessions: the proof, under way or done,
// that somebody reads the mail of an address.
type Validation struct {
	SID          string
	Purpose      ValidationPurpose
	UserID       matrix.UserID // "": nobody yet
	Threepid     matrix.Threepid
	ClientSecret Hash
	SendAttempt  int64
	Token        Hash
	Tries        int64
	NextLink     string
	ValidatedAt  matrix.Timestamp // 0: not yet
	CreatedAt    matrix.Timestamp
	ExpiresAt    matrix.Timestamp
}

// ValidationPurpose is what an address is validated for.
type ValidationPurpose string

// The purposes; a proof for one is none for another.
const (
	ForRegister ValidationPurpose = "register"
	ForAdd      ValidationPurpose = "add"
	ForPassword ValidationPurpose = "password"
)

const validationColumns = `sid, purpose, user_id, medium, address, client_secret, send_attempt, token_hash,
	tries, next_link, validated_at, created_at, expires_at`

func scanValidation(s scanner) (Validation, error) {
	var v Validation
	var user, link sql.NullString
	var validated sql.NullInt64
	var secret, token []byte
	err := s.Scan(&v.SID, &v.Purpose, &user, &v.Threepid.Medium, &v.Threepid.Address, &secret, &v.SendAttempt,
		&token, &v.Tries, &link, &validated, &v.CreatedAt, &v.ExpiresAt)
	if err != nil {
		return v, err
	}
	v.UserID, v.NextLink, v.ValidatedAt = matrix.UserID(user.String), link.String, matrix.Timestamp(validated.Int64)
	copy(v.ClientSecret[:], secret)
	copy(v.Token[:], token)
	return v, nil
}

// Validation returns a session, or [ErrNotFound].
func (tx *Tx) Validation(sid string) (Validation, error) {
	return first(tx, scanValidation,
		`SELECT `+validationColumns+` FROM validation_sessions WHERE sid = $1`+tx.dialect.forUpdate, sid)
}

// ValidationFor returns the session that an earlier request for the same
// purpose, address and secret began, or [ErrNotFound].
func (tx *Tx) ValidationFor(purpose ValidationPurpose, pid matrix.Threepid, secret Hash) (Validation, error) {
	return first(tx, scanValidation, `SELECT `+validationColumns+` FROM validation_sessions
		WHERE purpose = $1 AND medium = $2 AND address = $3 AND client_secret = $4`+tx.dialect.forUpdate,
		purpose, pid.Medium, pid.Address, secret[:])
}

// PutValidation stores a session, or its new state.
func (tx *Tx) PutValidation(v Validation) error {
	return tx.run(`INSERT INTO validation_sessions (`+validationColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (sid) DO UPDATE SET send_attempt = excluded.send_attempt, token_hash = excluded.token_hash,
			tries = excluded.tries, next_link = excluded.next_link, validated_at = excluded.validated_at,
			expires_at = excluded.expires_at`,
		v.SID, v.Purpose, null(string(v.UserID)), v.Threepid.Medium, v.Threepid.Address, v.ClientSecret[:],
		v.SendAttempt, v.Token[:], v.Tries, null(v.NextLink), nullInt(v.ValidatedAt), v.CreatedAt, v.ExpiresAt)
}

// DropValidation deletes a session: its proof was used.
func (tx *Tx) DropValidation(sid string) error {
	return tx.run(`DELETE FROM validation_sessions WHERE sid = $1`, sid)
}
