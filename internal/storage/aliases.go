package storage

import "lethe/internal/matrix"

func scanAlias(s scanner) (alias matrix.RoomAlias, err error) { return alias, s.Scan(&alias) }

// Alias returns the room that an alias of this server stands for, or
// [ErrNotFound].
func (tx *Tx) Alias(alias matrix.RoomAlias) (matrix.RoomID, error) {
	return first(tx, func(s scanner) (room matrix.RoomID, err error) { return room, s.Scan(&room) },
		`SELECT room_id FROM aliases WHERE alias = $1`, alias)
}

// AliasesAmong returns those of the aliases that stand for a room.
func (tx *Tx) AliasesAmong(room matrix.RoomID, aliases []matrix.RoomAlias) ([]matrix.RoomAlias, error) {
	return all(tx, scanAlias,
		`SELECT alias FROM aliases WHERE room_id = $1 AND alias `+tx.in(2), room, texts(tx, aliases))
}

// AliasesOf returns the aliases of a room, in their order.
func (tx *Tx) AliasesOf(room matrix.RoomID) ([]matrix.RoomAlias, error) {
	return all(tx, scanAlias, `SELECT alias FROM aliases WHERE room_id = $1 ORDER BY alias`, room)
}

// AddAlias stores an alias and who made it, or returns [ErrExists].
func (tx *Tx) AddAlias(alias matrix.RoomAlias, room matrix.RoomID, creator matrix.UserID, at matrix.Timestamp) error {
	n, err := tx.exec(`INSERT INTO aliases (alias, room_id, created_at) VALUES ($1, $2, $3)
		ON CONFLICT (alias) DO NOTHING`, alias, room, at)
	if err == nil && n == 0 {
		err = ErrExists
	}
	if err != nil {
		return err
	}
	return tx.SetAliasCreator(alias, creator)
}

// SetAliasCreator stores who made an alias.
func (tx *Tx) SetAliasCreator(alias matrix.RoomAlias, creator matrix.UserID) error {
	return tx.run(`INSERT INTO alias_creators (alias, user_id) VALUES ($1, $2)
		ON CONFLICT (alias) DO UPDATE SET user_id = excluded.user_id`, alias, creator)
}

// MadeAlias tells whether user has made an alias.
func (tx *Tx) MadeAlias(user matrix.UserID, alias matrix.RoomAlias) (made bool, err error) {
	err = tx.one(`SELECT EXISTS (SELECT 1 FROM alias_creators WHERE alias = $1 AND user_id = $2)`,
		[]any{alias, user}, &made)
	return made, err
}

// AliasesBy returns the aliases that user has made.
func (tx *Tx) AliasesBy(user matrix.UserID) ([]matrix.RoomAlias, error) {
	return all(tx, scanAlias, `SELECT alias FROM alias_creators WHERE user_id = $1 ORDER BY alias`, user)
}

// DeleteAlias deletes an alias.
func (tx *Tx) DeleteAlias(alias matrix.RoomAlias) error {
	if err := tx.run(`DELETE FROM alias_creators WHERE alias = $1`, alias); err != nil {
		return err
	}
	return tx.run(`DELETE FROM aliases WHERE alias = $1`, alias)
}

// MoveAliases makes the aliases of one room those of another.
func (tx *Tx) MoveAliases(from, to matrix.RoomID) error {
	return tx.run(`UPDATE aliases SET room_id = $2 WHERE room_id = $1`, from, to)
}
