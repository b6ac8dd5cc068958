package storage

import (
	"errors"

	"lethe/internal/matrix"
)

// What only /sync asks for.

// RoomOf is what somebody is to a room, with the position of the newest event of
// its timeline: 0 where this server does not know the room.
type RoomOf struct {
	Membership
	LastPos int64
}

// RoomsOf returns what user is to all rooms that are not forgotten.
func (tx *Tx) RoomsOf(user matrix.UserID) ([]RoomOf, error) {
	return all(tx, func(s scanner) (r RoomOf, err error) {
		m := &r.Membership
		err = s.Scan(&m.Room, &m.User, &m.Membership, &m.Pos, &m.EventID, &m.Sender, &m.Forgotten, &m.Stripped, &r.LastPos)
		return r, err
	}, `SELECT m.room_id, m.user_id, m.membership, m.pos, m.event_id, m.sender, m.forgotten, m.stripped,
			COALESCE(r.last_pos, 0)
		FROM memberships m LEFT JOIN rooms r ON r.room_id = m.room_id
		WHERE m.user_id = $1 AND NOT m.forgotten ORDER BY m.pos`, user)
}

// StateAfter is the root of the state of a room after a position: that before
// the next event of its timeline. It is not ok where there is no later event;
// then it is the room's current state.
func (tx *Tx) StateAfter(room matrix.RoomID, pos int64) (root NodeID, ok bool, err error) {
	var raw []byte
	err = tx.one(`SELECT state FROM events WHERE room_id = $1 AND pos > $2 AND kind = 0 ORDER BY pos LIMIT 1`,
		[]any{room, pos}, &raw)
	if errors.Is(err, ErrNotFound) {
		return root, false, nil
	}
	copy(root[:], raw)
	return root, err == nil, err
}

// FirstMembers returns up to limit of those who are one of kinds to a room, those
// first whose membership has not changed for longest.
func (tx *Tx) FirstMembers(room matrix.RoomID, limit int, kinds ...string) ([]matrix.UserID, error) {
	return all(tx, func(s scanner) (user matrix.UserID, err error) { err = s.Scan(&user); return user, err },
		`SELECT user_id FROM memberships WHERE room_id = $1 AND membership `+tx.in(2)+` ORDER BY pos, user_id LIMIT $3`,
		room, texts(tx, kinds), limit)
}

const accountDataColumns = `room_id, type, content`

func scanAccountData(s scanner) (d AccountData, err error) {
	err = s.Scan(&d.RoomID, &d.Type, &d.Content)
	return d, err
}

// AccountDataAfter lists the account data of user, of rooms and global, that was
// set above a position.
func (tx *Tx) AccountDataAfter(user matrix.UserID, pos int64) ([]AccountData, error) {
	return all(tx, scanAccountData, `SELECT `+accountDataColumns+` FROM account_data
		WHERE user_id = $1 AND pos > $2 ORDER BY pos, room_id, type`, user, pos)
}

// RoomAccountData lists the account data that user has set for a room.
func (tx *Tx) RoomAccountData(user matrix.UserID, room matrix.RoomID) ([]AccountData, error) {
	return all(tx, scanAccountData, `SELECT `+accountDataColumns+` FROM account_data
		WHERE user_id = $1 AND room_id = $2 ORDER BY type`, user, room)
}
