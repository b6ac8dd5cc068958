package storage

import (
	"errors"

	"lethe/internal/matrix"
)

// PendingErasure is a row of erasures_pending: a room in which events of an
// erased user are still whole on disk.
type PendingErasure struct {
	Room  matrix.RoomID
	User  matrix.UserID
	Pos   int64 // of the erasure
	Looks int64 // changes when it is time to look again
	Kept  int64 // messages that were kept for somebody
}

const pendingColumns = `room_id, user_id, erased_pos, looks, kept`

func scanPending(s scanner) (PendingErasure, error) {
	var p PendingErasure
	err := s.Scan(&p.Room, &p.User, &p.Pos, &p.Looks, &p.Kept)
	return p, err
}

// AddPendingErasure notes that a room is to be looked at for events of an erased
// user. The caller enqueues a job that does, or does it.
func (tx *Tx) AddPendingErasure(room matrix.RoomID, user matrix.UserID, pos int64) error {
	return tx.run(`INSERT INTO erasures_pending (`+pendingColumns+`) VALUES ($1, $2, $3, 1, 0)
		ON CONFLICT (room_id, user_id) DO UPDATE SET looks = erasures_pending.looks + 1`, room, user, pos)
}

// LookAgain notes that somebody of whom it depends what is kept in a room has
// left it, and returns the erased users whose events are to be looked at: all but
// one, "" for all.
func (tx *Tx) LookAgain(room matrix.RoomID, but matrix.UserID) ([]matrix.UserID, error) {
	return all(tx, scanUser, `UPDATE erasures_pending SET looks = looks + 1
		WHERE room_id = $1 AND user_id <> $2 RETURNING user_id`, room, but)
}

// PendingErasure returns a row of a room and an erased user, or [ErrNotFound].
func (tx *Tx) PendingErasure(room matrix.RoomID, user matrix.UserID) (PendingErasure, error) {
	return first(tx, scanPending,
		`SELECT `+pendingColumns+` FROM erasures_pending WHERE room_id = $1 AND user_id = $2`, room, user)
}

// LockPendingErasure is [Tx.PendingErasure], and keeps the row as it is until the
// transaction ends.
func (tx *Tx) LockPendingErasure(room matrix.RoomID, user matrix.UserID) (PendingErasure, error) {
	return first(tx, scanPending, `SELECT `+pendingColumns+` FROM erasures_pending
		WHERE room_id = $1 AND user_id = $2`+tx.dialect.forUpdate, room, user)
}

// PendingErasures returns up to limit rows of an erased user, of rooms after one.
func (tx *Tx) PendingErasures(user matrix.UserID, after matrix.RoomID, limit int) ([]PendingErasure, error) {
	return all(tx, scanPending, `SELECT `+pendingColumns+` FROM erasures_pending
		WHERE user_id = $1 AND room_id > $2 ORDER BY room_id LIMIT $3`, user, after, limit)
}

// SetKept stores how many messages were kept at the last look.
func (tx *Tx) SetKept(room matrix.RoomID, user matrix.UserID, kept int64) error {
	return tx.run(`UPDATE erasures_pending SET kept = $3 WHERE room_id = $1 AND user_id = $2`, room, user, kept)
}

// DropPendingErasure is for a room in which nothing of the user is left to erase.
func (tx *Tx) DropPendingErasure(room matrix.RoomID, user matrix.UserID) error {
	return tx.run(`DELETE FROM erasures_pending WHERE room_id = $1 AND user_id = $2`, room, user)
}

// Kept counts the messages of an erased user that are kept for others, and the
// rooms that they are in.
func (tx *Tx) Kept(user matrix.UserID) (messages, rooms int64, err error) {
	err = tx.one(`SELECT COALESCE(SUM(kept), 0), COUNT(*) FROM erasures_pending WHERE user_id = $1 AND kept > 0`,
		[]any{user}, &messages, &rooms)
	return messages, rooms, err
}

// CoveredRoom returns the first room after one that has events by a user, or
// member events about them; [ErrNotFound] if there is none.
func (tx *Tx) CoveredRoom(user matrix.UserID, after matrix.RoomID) (room matrix.RoomID, err error) {
	err = tx.one(`SELECT room_id FROM (
			SELECT * FROM (SELECT room_id FROM events WHERE sender = $1 AND room_id > $2 ORDER BY room_id LIMIT 1) AS sent
			UNION ALL
			SELECT * FROM (SELECT room_id FROM events WHERE type = 'm.room.member' AND state_key = $1 AND room_id > $2
				ORDER BY room_id LIMIT 1) AS about
		) AS both_of_them ORDER BY room_id LIMIT 1`, []any{user, after}, &room)
	return room, err
}

// Covered returns up to limit events of a room that are covered by the erasure of
// a user and have their content, above a position, in the order of positions:
// those they have sent, or with about the member events of others about them.
func (tx *Tx) Covered(room matrix.RoomID, user matrix.UserID, about bool, after int64, limit int) ([]*Event, error) {
	which := `e.sender = $2`
	if about {
		which = `e.type = 'm.room.member' AND e.state_key = $2 AND e.sender <> $2`
	}
	return all(tx, scanEvent, `SELECT `+eventColumns+fromEvents+`
		WHERE `+which+` AND e.room_id = $1 AND e.pos > $3 AND NOT e.erased AND e.redacted_by IS NULL
		ORDER BY e.pos LIMIT $4`, room, user, after, limit)
}

// Keepers returns the users of this server who are in a room, have an account that
// has not ended, and had joined at or before a position: for whom events of
// somebody erased there may be kept. The one who joined first is the first.
func (tx *Tx) Keepers(room matrix.RoomID, cut int64) ([]matrix.UserID, error) {
	return all(tx, scanUser, `SELECT m.user_id FROM memberships m JOIN accounts a ON a.user_id = m.user_id
		JOIN membership_changes c ON c.room_id = m.room_id AND c.user_id = m.user_id
		WHERE m.room_id = $1 AND m.membership = 'join' AND a.deactivated_at IS NULL
			AND c.membership = 'join' AND c.pos <= $2
		GROUP BY m.user_id ORDER BY MIN(c.pos)`, room, cut)
}

// CountMemberships counts the rooms of a user by what they are to them.
func (tx *Tx) CountMemberships(user matrix.UserID) (map[string]int64, error) {
	type count struct {
		membership string
		n          int64
	}
	list, err := all(tx, func(s scanner) (c count, err error) { return c, s.Scan(&c.membership, &c.n) },
		`SELECT membership, COUNT(*) FROM memberships WHERE user_id = $1 GROUP BY membership`, user)
	counts := make(map[string]int64, len(list))
	for _, c := range list {
		counts[c.membership] = c.n
	}
	return counts, err
}

// AllMembershipsOf returns what user is to all rooms, those that are forgotten
// among them.
func (tx *Tx) AllMembershipsOf(user matrix.UserID) ([]Membership, error) {
	return all(tx, scanMembership, `SELECT `+membershipColumns+` FROM memberships WHERE user_id = $1 ORDER BY room_id`, user)
}

// UnforgottenRooms returns up to limit rooms after one that a user has something to
// do with, or has not forgotten.
func (tx *Tx) UnforgottenRooms(user matrix.UserID, after matrix.RoomID, limit int) ([]matrix.RoomID, error) {
	return all(tx, func(s scanner) (room matrix.RoomID, err error) { return room, s.Scan(&room) },
		`SELECT room_id FROM memberships WHERE user_id = $1 AND NOT forgotten AND room_id > $2
		ORDER BY room_id LIMIT $3`, user, after, limit)
}

// Erased is the position at which a user was erased, 0 for one who was not, or is
// nobody here.
func (tx *Tx) Erased(user matrix.UserID) (int64, error) {
	a, err := tx.Account(user)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return a.ErasedPos, err
}
