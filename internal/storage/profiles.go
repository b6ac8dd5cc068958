package storage

import "lethe/internal/matrix"

// Named is a name with a JSON value: a profile field, or a filter under its id.
type Named struct {
	Name  string
	Value []byte
}

func scanNamed(s scanner) (Named, error) {
	var f Named
	err := s.Scan(&f.Name, &f.Value)
	return f, err
}

// Profile lists the profile fields of user, by name.
func (tx *Tx) Profile(user matrix.UserID) ([]Named, error) {
	return all(tx, scanNamed, `SELECT name, value FROM profile_fields WHERE user_id = $1 ORDER BY name`, user)
}

// SetProfileField stores a field.
func (tx *Tx) SetProfileField(user matrix.UserID, name string, value []byte) error {
	return tx.run(`INSERT INTO profile_fields (user_id, name, value) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, name) DO UPDATE SET value = excluded.value`, user, name, string(value))
}

// DropProfileField deletes a field, if it is there.
func (tx *Tx) DropProfileField(user matrix.UserID, name string) error {
	return tx.run(`DELETE FROM profile_fields WHERE user_id = $1 AND name = $2`, user, name)
}

// AccountData is a row of account_data; RoomID is "" for global data, Content
// is JSON.
type AccountData struct {
	RoomID  string
	Type    string
	Content []byte
}

// AccountData returns what user stored under a type, or [ErrNotFound].
func (tx *Tx) AccountData(user matrix.UserID, room, kind string) (content []byte, err error) {
	err = tx.one(`SELECT content FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3`,
		[]any{user, room, kind}, &content)
	return content, err
}

// AllAccountData lists all account data of user.
func (tx *Tx) AllAccountData(user matrix.UserID) ([]AccountData, error) {
	return all(tx, func(s scanner) (AccountData, error) {
		var d AccountData
		err := s.Scan(&d.RoomID, &d.Type, &d.Content)
		return d, err
	}, `SELECT room_id, type, content FROM account_data WHERE user_id = $1 ORDER BY room_id, type`, user)
}

// SetAccountData stores content at the stream position pos.
func (tx *Tx) SetAccountData(user matrix.UserID, d AccountData, pos int64) error {
	return tx.run(`INSERT INTO account_data (user_id, room_id, type, content, pos) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, room_id, type) DO UPDATE SET content = excluded.content, pos = excluded.pos`,
		user, d.RoomID, d.Type, string(d.Content), pos)
}

// AccountDataSize is how many bytes the account data of user has, but what is
// stored under d's room and type, which is about to be replaced.
func (tx *Tx) AccountDataSize(user matrix.UserID, d AccountData) (size int64, err error) {
	err = tx.one(`SELECT COALESCE(SUM(OCTET_LENGTH(content)), 0) FROM account_data
		WHERE user_id = $1 AND NOT (room_id = $2 AND type = $3)`, []any{user, d.RoomID, d.Type}, &size)
	return size, err
}

// Filter returns a stored filter, or [ErrNotFound].
func (tx *Tx) Filter(user matrix.UserID, id string) (content []byte, err error) {
	err = tx.one(`SELECT content FROM filters WHERE user_id = $1 AND filter_id = $2`, []any{user, id}, &content)
	return content, err
}

// Filters lists the filters of user, with their ids as names.
func (tx *Tx) Filters(user matrix.UserID) ([]Named, error) {
	return all(tx, scanNamed, `SELECT filter_id, content FROM filters WHERE user_id = $1 ORDER BY filter_id`, user)
}

// FiltersSize is how many bytes the filters of user have.
func (tx *Tx) FiltersSize(user matrix.UserID) (size int64, err error) {
	err = tx.one(`SELECT COALESCE(SUM(OCTET_LENGTH(content)), 0) FROM filters WHERE user_id = $1`, []any{user}, &size)
	return size, err
}

// CreateFilter stores a filter; one that is there already stays.
func (tx *Tx) CreateFilter(user matrix.UserID, id string, content []byte) error {
	return tx.run(`INSERT INTO filters (user_id, filter_id, content) VALUES ($1, $2, $3)
		ON CONFLICT (user_id, filter_id) DO NOTHING`, user, id, string(content))
}
