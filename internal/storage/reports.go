package storage

import (
	"crypto/rand"
	"fmt"

	"lethe/internal/matrix"
)

// Report is a row of reports: what somebody has told the operators about an event
// of a room, a room, or a user.
type Report struct {
	ID        string // set by [Tx.AddReport]
	CreatedAt matrix.Timestamp
	Reporter  matrix.UserID
	Room      matrix.RoomID
	EventID   string
	User      matrix.UserID
	Reason    string
}

const reportColumns = `id, created_at, reporter, room_id, event_id, user_id, reason`

func scanReport(s scanner) (r Report, err error) {
	err = s.Scan(&r.ID, &r.CreatedAt, &r.Reporter, &r.Room, &r.EventID, &r.User, &r.Reason)
	return r, err
}

// AddReport adds a row.
func (tx *Tx) AddReport(r Report) error {
	id := fmt.Sprintf("%012x%s", int64(r.CreatedAt), rand.Text()[:8])
	return tx.run(`INSERT INTO reports (`+reportColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, r.CreatedAt, r.Reporter, r.Room, r.EventID, r.User, r.Reason)
}

// Reports returns up to limit reports that are older than one ("": than none),
// latest first.
func (tx *Tx) Reports(before string, limit int) ([]Report, error) {
	return all(tx, scanReport, `SELECT `+reportColumns+` FROM reports
		WHERE $1 = '' OR id < $1 ORDER BY id DESC LIMIT $2`, before, limit)
}

// ReportsBy returns what a user has reported, oldest first.
func (tx *Tx) ReportsBy(user matrix.UserID) ([]Report, error) {
	return all(tx, scanReport, `SELECT `+reportColumns+` FROM reports WHERE reporter = $1 ORDER BY id`, user)
}
