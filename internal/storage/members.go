package storage

import (
	"errors"

	"lethe/internal/matrix"
)

func scanUser(s scanner) (user matrix.UserID, err error) { return user, s.Scan(&user) }

// JoinedAny tells whether user is in any of the rooms.
func (tx *Tx) JoinedAny(user matrix.UserID, rooms []matrix.RoomID) (in bool, err error) {
	if len(rooms) == 0 {
		return false, nil
	}
	err = tx.one(`SELECT EXISTS (SELECT 1 FROM memberships
		WHERE user_id = $1 AND membership = 'join' AND room_id `+tx.in(2)+`)`, []any{user, texts(tx, rooms)}, &in)
	return in, err
}

// Inhabited returns those of the rooms that a user of this server is in.
func (tx *Tx) Inhabited(rooms []matrix.RoomID) ([]matrix.RoomID, error) {
	return all(tx, func(s scanner) (room matrix.RoomID, err error) { return room, s.Scan(&room) },
		`SELECT DISTINCT m.room_id FROM memberships m JOIN accounts a ON a.user_id = m.user_id
		WHERE m.membership = 'join' AND m.room_id `+tx.in(1), texts(tx, rooms))
}

// JoinedAccounts returns those of the users who are in a room and have an
// account here that has not ended.
func (tx *Tx) JoinedAccounts(room matrix.RoomID, among []matrix.UserID) ([]matrix.UserID, error) {
	return all(tx, scanUser, `SELECT m.user_id FROM memberships m JOIN accounts a ON a.user_id = m.user_id
		WHERE m.room_id = $1 AND m.membership = 'join' AND a.deactivated_at IS NULL AND m.user_id `+tx.in(2),
		room, texts(tx, among))
}

// JoinedAccountBut returns a user who is in a room, has an account here that has
// not ended, and is none of those given; ok is false if there is none.
func (tx *Tx) JoinedAccountBut(room matrix.RoomID, but []matrix.UserID) (user matrix.UserID, ok bool, err error) {
	user, err = first(tx, scanUser, `SELECT m.user_id FROM memberships m JOIN accounts a ON a.user_id = m.user_id
		WHERE m.room_id = $1 AND m.membership = 'join' AND a.deactivated_at IS NULL AND NOT (m.user_id `+tx.in(2)+`)
		LIMIT 1`, room, texts(tx, but))
	if errors.Is(err, ErrNotFound) {
		return "", false, nil
	}
	return user, err == nil, err
}

// JoinedGuests returns up to limit guests of this server who are in a room.
func (tx *Tx) JoinedGuests(room matrix.RoomID, limit int) ([]matrix.UserID, error) {
	return all(tx, scanUser, `SELECT m.user_id FROM memberships m JOIN accounts a ON a.user_id = m.user_id
		WHERE m.room_id = $1 AND m.membership = 'join' AND a.kind = 'guest' ORDER BY m.user_id LIMIT $2`, room, limit)
}
