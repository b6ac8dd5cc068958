package storage

import (
	"database/sql"

	"lethe/internal/matrix"
)

// ServerName returns the name that this database belongs to, or [ErrNotFound]
// while it belongs to none.
func (tx *Tx) ServerName() (matrix.ServerName, error) {
	var name matrix.ServerName
	err := tx.one(`SELECT server_name FROM server WHERE id = 1`, nil, &name)
	return name, err
}

// SetServerName says whose database this is, unless another process has said so
// just now: it waits for that one's transaction. The caller reads what it is.
func (tx *Tx) SetServerName(name matrix.ServerName, at matrix.Timestamp) error {
	return tx.run(`INSERT INTO server (id, server_name, created_at) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING`, name, at)
}

// ServerKey returns the newest signing key, or [ErrNotFound].
func (tx *Tx) ServerKey() (id string, seed []byte, err error) {
	err = tx.one(`SELECT key_id, seed FROM server_keys ORDER BY created_at DESC, key_id LIMIT 1`, nil, &id, &seed)
	return id, seed, err
}

// AddServerKey stores a signing key.
func (tx *Tx) AddServerKey(id string, seed []byte, at matrix.Timestamp) error {
	return tx.run(`INSERT INTO server_keys (key_id, seed, created_at) VALUES ($1, $2, $3)`, id, seed, at)
}

// UserFilter narrows [Tx.Users].
type UserFilter struct {
	Search      string // part of the user id, in upper or lower case
	Kind        AccountKind
	Deactivated *bool
	Admin       *bool
	After       matrix.UserID // the page after this user
	Limit       int
}

// Users lists accounts by user id.
func (tx *Tx) Users(f UserFilter) ([]Account, error) {
	return all(tx, scanAccount, `SELECT `+accountColumns+` FROM accounts
		WHERE user_id > $1 AND ($2 = '' OR LOWER(user_id) LIKE LOWER($2) ESCAPE '!') AND ($3 = '' OR kind = $3)
			AND ($4 = -1 OR (deactivated_at IS NOT NULL) = ($4 = 1))
			AND ($5 = -1 OR is_admin = ($5 = 1))
		ORDER BY user_id LIMIT $6`,
		f.After, likePattern(f.Search), f.Kind, tristate(f.Deactivated), tristate(f.Admin), f.Limit)
}

func tristate(b *bool) int64 {
	switch {
	case b == nil:
		return -1
	case *b:
		return 1
	}
	return 0
}

// likePattern finds text anywhere, with its special characters as they are.
func likePattern(text string) sql.NullString {
	if text == "" {
		return sql.NullString{Valid: true}
	}
	var out []rune
	for _, c := range text {
		if c == '!' || c == '%' || c == '_' {
			out = append(out, '!')
		}
		out = append(out, c)
	}
	return sql.NullString{String: "%" + string(out) + "%", Valid: true}
}
