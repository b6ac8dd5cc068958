package storage

import "lethe/internal/matrix"

// The types of receipts (CS API, Receipts).
const (
	ReceiptRead        = "m.read"
	ReceiptReadPrivate = "m.read.private"
)

// ThreadMain is the thread of a receipt for what is in no thread (CS API,
// Threaded read receipts).
const ThreadMain = "main"

// Receipt is a row of receipts: up to which event somebody has read.
type Receipt struct {
	Room      matrix.RoomID
	User      matrix.UserID
	Type      string // ReceiptRead or ReceiptReadPrivate
	Thread    string // ThreadMain, a root, or "" for all of the room
	EventID   string
	EventPos  int64 // the event's place in the timeline
	Timestamp matrix.Timestamp
	Pos       int64 // of the receipt
}

const receiptColumns = `room_id, user_id, type, thread_id, event_id, event_pos, ts, pos`

func scanReceipt(s scanner) (r Receipt, err error) {
	err = s.Scan(&r.Room, &r.User, &r.Type, &r.Thread, &r.EventID, &r.EventPos, &r.Timestamp, &r.Pos)
	return r, err
}

// Receipt returns the receipt of a user for a thread, or [ErrNotFound].
func (tx *Tx) Receipt(room matrix.RoomID, user matrix.UserID, typ, thread string) (Receipt, error) {
	return first(tx, scanReceipt, `SELECT `+receiptColumns+` FROM receipts
		WHERE room_id = $1 AND user_id = $2 AND type = $3 AND thread_id = $4`, room, user, typ, thread)
}

// PutReceipt stores a receipt in the place of the one before it.
func (tx *Tx) PutReceipt(r Receipt) error {
	return tx.run(`INSERT INTO receipts (`+receiptColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (room_id, user_id, type, thread_id) DO UPDATE SET event_id = excluded.event_id,
			event_pos = excluded.event_pos, ts = excluded.ts, pos = excluded.pos`,
		r.Room, r.User, r.Type, r.Thread, r.EventID, r.EventPos, r.Timestamp, r.Pos)
}

// ReceiptsOf returns all receipts of a user in a room.
func (tx *Tx) ReceiptsOf(room matrix.RoomID, user matrix.UserID) ([]Receipt, error) {
	return all(tx, scanReceipt, `SELECT `+receiptColumns+` FROM receipts WHERE room_id = $1 AND user_id = $2`, room, user)
}

// AllReceipts returns all receipts of a user, by room.
func (tx *Tx) AllReceipts(user matrix.UserID) ([]Receipt, error) {
	return all(tx, scanReceipt, `SELECT `+receiptColumns+` FROM receipts WHERE user_id = $1
		ORDER BY room_id, type, thread_id`, user)
}

// ReceiptsAfter returns the receipts in rooms that were set above a position and
// not above another, in their order: the public ones, and of the private ones the
// reader's own.
func (tx *Tx) ReceiptsAfter(reader matrix.UserID, rooms []matrix.RoomID, after, upTo int64) ([]Receipt, error) {
	return all(tx, scanReceipt, `SELECT `+receiptColumns+` FROM receipts
		WHERE room_id `+tx.in(1)+` AND pos > $2 AND pos <= $3 AND (type = '`+ReceiptRead+`' OR user_id = $4) ORDER BY pos`,
		texts(tx, rooms), after, upTo, reader)
}

// RoomHead is a room and the position of an event of its timeline.
type RoomHead struct {
	Room matrix.RoomID
	Pos  int64
}

// Heads returns for each room that user is in the position of the newest event of
// its timeline that is not above a position, where there is one.
func (tx *Tx) Heads(user matrix.UserID, upTo int64) ([]RoomHead, error) {
	return all(tx, func(s scanner) (h RoomHead, err error) { return h, s.Scan(&h.Room, &h.Pos) },
		`SELECT room_id, head FROM (SELECT m.room_id, (SELECT e.pos FROM events e
				WHERE e.room_id = m.room_id AND e.pos <= $2 AND e.kind = 0 ORDER BY e.pos DESC LIMIT 1) AS head
			FROM memberships m WHERE m.user_id = $1 AND m.membership = 'join') heads
		WHERE head IS NOT NULL`, user, upTo)
}

// NewestBy returns up to limit of the newest events that sender has put into the
// timeline of a room, newest first.
func (tx *Tx) NewestBy(room matrix.RoomID, sender matrix.UserID, limit int) ([]*Event, error) {
	return all(tx, scanEvent, `SELECT `+eventColumns+fromEvents+`
		WHERE e.sender = $2 AND e.room_id = $1 AND e.kind = 0 ORDER BY e.pos DESC LIMIT $3`, room, sender, limit)
}
