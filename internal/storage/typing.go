package storage

import "lethe/internal/matrix"

// TypingChange is a row of typing: that somebody is typing in a room, or has
// stopped, since a position.
type TypingChange struct {
	Room   matrix.RoomID
	User   matrix.UserID
	Typing bool
	Pos    int64
}

// StartTyping notes that a user is typing until a time, and tells whether they
// were already. If not the caller says with [Tx.SetTypingPos] since when.
func (tx *Tx) StartTyping(room matrix.RoomID, user matrix.UserID, until matrix.Timestamp) (was bool, err error) {
	n, err := tx.exec(`UPDATE typing SET expires_at = $3 WHERE room_id = $1 AND user_id = $2 AND expires_at > 0`,
		room, user, until)
	if err != nil || n > 0 {
		return n > 0, err
	}
	return false, tx.run(`INSERT INTO typing (room_id, user_id, expires_at, pos) VALUES ($1, $2, $3, 0)
		ON CONFLICT (room_id, user_id) DO UPDATE SET expires_at = excluded.expires_at`, room, user, until)
}

// StopTyping notes that a user types no more, and tells whether they did. If so
// the caller says with [Tx.SetTypingPos] since when.
func (tx *Tx) StopTyping(room matrix.RoomID, user matrix.UserID) (bool, error) {
	n, err := tx.exec(`UPDATE typing SET expires_at = 0 WHERE room_id = $1 AND user_id = $2 AND expires_at > 0`, room, user)
	return n > 0, err
}

// SetTypingPos notes the position of a change of who is typing.
func (tx *Tx) SetTypingPos(room matrix.RoomID, user matrix.UserID, pos int64) error {
	return tx.run(`UPDATE typing SET pos = $3 WHERE room_id = $1 AND user_id = $2`, room, user, pos)
}

// ExpireTyping stops up to limit of those whose time is over, and returns them.
// The caller says with [Tx.SetTypingPos] since when.
func (tx *Tx) ExpireTyping(now matrix.Timestamp, limit int) ([]TypingChange, error) {
	return all(tx, func(s scanner) (t TypingChange, err error) { return t, s.Scan(&t.Room, &t.User) },
		`UPDATE typing SET expires_at = 0 WHERE (room_id, user_id) IN (
			SELECT room_id, user_id FROM typing WHERE expires_at > 0 AND expires_at <= $1 LIMIT $2)
			AND expires_at > 0 AND expires_at <= $1
		RETURNING room_id, user_id`, now, limit)
}

// NextTyping is when the next of those who are typing stops, or [ErrNotFound].
func (tx *Tx) NextTyping() (at matrix.Timestamp, err error) {
	err = tx.one(`SELECT expires_at FROM typing WHERE expires_at > 0 ORDER BY expires_at LIMIT 1`, nil, &at)
	return at, err
}

// PruneTyping deletes what has ended before a position.
func (tx *Tx) PruneTyping(pos int64) error {
	return tx.run(`DELETE FROM typing WHERE expires_at = 0 AND pos < $1`, pos)
}

// Typing returns those who are typing in rooms, and those who have stopped above
// a position and not above another.
func (tx *Tx) Typing(rooms []matrix.RoomID, after, upTo int64) ([]TypingChange, error) {
	return all(tx, func(s scanner) (t TypingChange, err error) {
		err = s.Scan(&t.Room, &t.User, &t.Typing, &t.Pos)
		return t, err
	}, `SELECT room_id, user_id, expires_at > 0, pos FROM typing
		WHERE room_id `+tx.in(1)+` AND (expires_at > 0 OR pos > $2 AND pos <= $3) ORDER BY pos`,
		texts(tx, rooms), after, upTo)
}
