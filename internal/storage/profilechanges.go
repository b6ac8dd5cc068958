package storage

import "lethe/internal/matrix"

// ProfileChange is a row of profile_changes: a change of a profile that has gone
// into the rooms of its user up to one, in the order of ids.
type ProfileChange struct {
	Seq  int64 // how many changes there were since all was done
	Room matrix.RoomID
}

// AddProfileChange notes a change, which takes the place of the one before it.
func (tx *Tx) AddProfileChange(user matrix.UserID) error {
	return tx.run(`INSERT INTO profile_changes (user_id, seq, room_id) VALUES ($1, 1, '')
		ON CONFLICT (user_id) DO UPDATE SET seq = profile_changes.seq + 1, room_id = ''`, user)
}

// ProfileChange returns the change of a user's profile that is under way, or
// [ErrNotFound].
func (tx *Tx) ProfileChange(user matrix.UserID) (ProfileChange, error) {
	return first(tx, func(s scanner) (c ProfileChange, err error) { return c, s.Scan(&c.Seq, &c.Room) },
		`SELECT seq, room_id FROM profile_changes WHERE user_id = $1`, user)
}

// MoveProfileChange notes up to which room a change has gone, unless another has
// taken its place: then it returns false.
func (tx *Tx) MoveProfileChange(user matrix.UserID, c ProfileChange) (bool, error) {
	n, err := tx.exec(`UPDATE profile_changes SET room_id = $3 WHERE user_id = $1 AND seq = $2`, user, c.Seq, c.Room)
	return n == 1, err
}

// FinishProfileChange deletes a change, unless another has taken its place.
func (tx *Tx) FinishProfileChange(user matrix.UserID, seq int64) error {
	return tx.run(`DELETE FROM profile_changes WHERE user_id = $1 AND seq = $2`, user, seq)
}

// ChangedProfiles returns up to limit of the users whose changes are under way.
func (tx *Tx) ChangedProfiles(limit int) ([]matrix.UserID, error) {
	return all(tx, scanUser, `SELECT user_id FROM profile_changes ORDER BY user_id LIMIT $1`, limit)
}

// DropProfileChange deletes the change of a user's profile that is under way.
func (tx *Tx) DropProfileChange(user matrix.UserID) error {
	return tx.run(`DELETE FROM profile_changes WHERE user_id = $1`, user)
}

// JoinedAfter returns up to limit of the rooms that user is in whose ids come
// after one.
func (tx *Tx) JoinedAfter(user matrix.UserID, after matrix.RoomID, limit int) ([]matrix.RoomID, error) {
	return all(tx, func(s scanner) (room matrix.RoomID, err error) { return room, s.Scan(&room) },
		`SELECT room_id FROM memberships WHERE user_id = $1 AND membership = 'join' AND room_id > $2
		ORDER BY room_id LIMIT $3`, user, after, limit)
}
