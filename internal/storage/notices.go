package storage

import "lethe/internal/matrix"

// NoticeRoom is the room in which a user gets the server's notices, or
// [ErrNotFound].
func (tx *Tx) NoticeRoom(user matrix.UserID) (room matrix.RoomID, err error) {
	err = tx.one(`SELECT room_id FROM notice_rooms WHERE user_id = $1`, []any{user}, &room)
	return room, err
}

// AddNoticeRoom stores it, unless there is one.
func (tx *Tx) AddNoticeRoom(user matrix.UserID, room matrix.RoomID) (bool, error) {
	n, err := tx.exec(`INSERT INTO notice_rooms (user_id, room_id) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING`,
		user, room)
	return n == 1, err
}
