package storage

import (
	"database/sql"

	"lethe/internal/matrix"
)

// AccountKind says who an account is for.
type AccountKind string

// The kinds of accounts.
const (
	KindUser       AccountKind = "user"
	KindGuest      AccountKind = "guest"
	KindAppservice AccountKind = "appservice"
)

// Account is a row of accounts. Times are 0 for "not so".
type Account struct {
	UserID        matrix.UserID
	Kind          AccountKind
	AppserviceID  string
	Admin         bool
	PasswordHash  string // argon2id or bcrypt in PHC or crypt form, "" for none
	CreatedAt     matrix.Timestamp
	LockedAt      matrix.Timestamp
	SuspendedAt   matrix.Timestamp
	DeactivatedAt matrix.Timestamp
	ErasedPos     int64
}

const accountColumns = `user_id, kind, appservice_id, is_admin, password_hash, created_at,
	locked_at, suspended_at, deactivated_at, erased_pos`

func scanAccount(s scanner) (Account, error) {
	var a Account
	var appservice, hash sql.NullString
	var locked, suspended, deactivated, erased sql.NullInt64
	err := s.Scan(&a.UserID, &a.Kind, &appservice, &a.Admin, &hash, &a.CreatedAt,
		&locked, &suspended, &deactivated, &erased)
	a.AppserviceID, a.PasswordHash, a.ErasedPos = appservice.String, hash.String, erased.Int64
	a.LockedAt, a.SuspendedAt = matrix.Timestamp(locked.Int64), matrix.Timestamp(suspended.Int64)
	a.DeactivatedAt = matrix.Timestamp(deactivated.Int64)
	return a, err
}

// Account returns the account of user, or [ErrNotFound].
func (tx *Tx) Account(user matrix.UserID) (Account, error) {
	return first(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts WHERE user_id = $1`, user)
}

// LockAccount is [Tx.Account], and keeps the row as it is until the
// transaction ends. Whatever creates a credential calls it first and refuses a
// deactivated account, so that no credential survives an ending.
func (tx *Tx) LockAccount(user matrix.UserID) (Account, error) {
	return first(tx, scanAccount,
		`SELECT `+accountColumns+` FROM accounts WHERE user_id = $1`+tx.dialect.forUpdate, user)
}

// CreateAccount stores a new account, or returns [ErrExists]; a user id that
// was ever taken stays taken.
func (tx *Tx) CreateAccount(a Account) error {
	n, err := tx.exec(`INSERT INTO accounts (user_id, kind, appservice_id, is_admin, password_hash, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id) DO NOTHING`,
		a.UserID, a.Kind, null(a.AppserviceID), a.Admin, null(a.PasswordHash), a.CreatedAt)
	if err == nil && n == 0 {
		return ErrExists
	}
	return err
}

// SetPasswordHash replaces the password hash; "" removes it.
func (tx *Tx) SetPasswordHash(user matrix.UserID, hash string) error {
	return tx.run(`UPDATE accounts SET password_hash = $2 WHERE user_id = $1`, user, null(hash))
}

// SetAdmin makes user a server administrator, or an ordinary user again.
func (tx *Tx) SetAdmin(user matrix.UserID, admin bool) error {
	return tx.run(`UPDATE accounts SET is_admin = $2 WHERE user_id = $1`, user, admin)
}

// SetLocked locks the account since at, or unlocks it with 0.
func (tx *Tx) SetLocked(user matrix.UserID, at matrix.Timestamp) error {
	return tx.run(`UPDATE accounts SET locked_at = $2 WHERE user_id = $1`, user, nullInt(at))
}

// SetSuspended suspends the account since at, or lifts that with 0.
func (tx *Tx) SetSuspended(user matrix.UserID, at matrix.Timestamp) error {
	return tx.run(`UPDATE accounts SET suspended_at = $2 WHERE user_id = $1`, user, nullInt(at))
}

// MarkDeactivated marks the account as ended at, with its password gone and, if
// erasedPos is not 0, its erasure position. It returns false if the account had
// ended already (or never was): of many callers one gets true.
func (tx *Tx) MarkDeactivated(user matrix.UserID, at matrix.Timestamp, erasedPos int64) (bool, error) {
	n, err := tx.exec(`UPDATE accounts SET deactivated_at = $2, erased_pos = $3, password_hash = NULL
		WHERE user_id = $1 AND deactivated_at IS NULL`, user, at, nullInt(erasedPos))
	return n == 1, err
}

// MarkReactivated takes back [Tx.MarkDeactivated], with the given password
// hash. It returns false if the account had not ended.
func (tx *Tx) MarkReactivated(user matrix.UserID, passwordHash string) (bool, error) {
	n, err := tx.exec(`UPDATE accounts SET deactivated_at = NULL, erased_pos = NULL, password_hash = $2
		WHERE user_id = $1 AND deactivated_at IS NOT NULL`, user, null(passwordHash))
	return n == 1, err
}
