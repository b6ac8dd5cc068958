package storage

import (
	"database/sql"

	"lethe/internal/matrix"
)

// DeactivationState is how far an ending is.
type DeactivationState string

// The states of an ending: locked out but reversible; under way; everything done;
// taken back.
const (
	InGrace DeactivationState = "grace"
	Running DeactivationState = "running"
	Done    DeactivationState = "done"
	Undone  DeactivationState = "undone"
)

// Deactivation is a row of deactivations.
type Deactivation struct {
	ID           string
	UserID       matrix.UserID
	Erase        bool
	IDServer     matrix.ServerName // "": those that are remembered
	RequestedBy  string
	State        DeactivationState
	CreatedAt    matrix.Timestamp
	GraceUntil   matrix.Timestamp // 0: no grace period
	UndoHash     []byte
	KeptPassword string
	FinishedAt   matrix.Timestamp // 0: not yet
	Receipt      []byte           // the final one, nil before
}

const deactivationColumns = `id, user_id, erase, id_server, requested_by, state, created_at, grace_until, undo_hash,
	kept_password, finished_at, receipt`

func scanDeactivation(s scanner) (Deactivation, error) {
	var d Deactivation
	var server, password sql.NullString
	var grace, finished sql.NullInt64
	err := s.Scan(&d.ID, &d.UserID, &d.Erase, &server, &d.RequestedBy, &d.State, &d.CreatedAt, &grace, &d.UndoHash,
		&password, &finished, &d.Receipt)
	d.IDServer, d.KeptPassword = matrix.ServerName(server.String), password.String
	d.GraceUntil, d.FinishedAt = matrix.Timestamp(grace.Int64), matrix.Timestamp(finished.Int64)
	return d, err
}

// AddDeactivation stores the row of an ending that has begun.
func (tx *Tx) AddDeactivation(d Deactivation) error {
	return tx.run(`INSERT INTO deactivations (`+deactivationColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		d.ID, d.UserID, d.Erase, null(string(d.IDServer)), d.RequestedBy, d.State, d.CreatedAt,
		nullInt(d.GraceUntil), d.UndoHash, null(d.KeptPassword), nullInt(d.FinishedAt), d.Receipt)
}

// Deactivation returns an ending, or [ErrNotFound].
func (tx *Tx) Deactivation(id string) (Deactivation, error) {
	return first(tx, scanDeactivation, `SELECT `+deactivationColumns+` FROM deactivations WHERE id = $1`, id)
}

// LockDeactivation is [Tx.Deactivation], and keeps the row as it is until the
// transaction ends: of the steps of an ending one finishes at a time.
func (tx *Tx) LockDeactivation(id string) (Deactivation, error) {
	return first(tx, scanDeactivation,
		`SELECT `+deactivationColumns+` FROM deactivations WHERE id = $1`+tx.dialect.forUpdate, id)
}

// DeactivationByUndo returns the ending that a one-time link can take back, or
// [ErrNotFound].
func (tx *Tx) DeactivationByUndo(hash Hash) (Deactivation, error) {
	return first(tx, scanDeactivation,
		`SELECT `+deactivationColumns+` FROM deactivations WHERE undo_hash = $1`+tx.dialect.forUpdate, hash[:])
}

// Deactivations lists endings, latest first: those of user ("": anybody's) in
// state ("": any), up to limit of them, after the one with the id after ("":
// from the start).
func (tx *Tx) Deactivations(user matrix.UserID, state DeactivationState, after string, limit int) ([]Deactivation, error) {
	return all(tx, scanDeactivation, `SELECT `+deactivationColumns+` FROM deactivations
		WHERE ($1 = '' OR user_id = $1) AND ($2 = '' OR state = $2)
			AND ($3 = '' OR (created_at, id) < (SELECT created_at, id FROM deactivations WHERE id = $3))
		ORDER BY created_at DESC, id DESC LIMIT $4`, user, state, after, limit)
}

// StartDeactivation moves an ending out of its grace period. The kept password
// goes. It returns false if it was not in one.
func (tx *Tx) StartDeactivation(id string) (bool, error) {
	n, err := tx.exec(`UPDATE deactivations SET state = 'running', kept_password = NULL, undo_hash = NULL
		WHERE id = $1 AND state = 'grace'`, id)
	return n == 1, err
}

// FinishDeactivation stores the final receipt of an ending.
func (tx *Tx) FinishDeactivation(id string, at matrix.Timestamp, receipt []byte) error {
	return tx.run(`UPDATE deactivations SET state = 'done', finished_at = $2, receipt = $3
		WHERE id = $1 AND state = 'running'`, id, at, string(receipt))
}

// UndoDeactivation marks an ending as taken back.
func (tx *Tx) UndoDeactivation(id string, at matrix.Timestamp) error {
	return tx.run(`UPDATE deactivations SET state = 'undone', finished_at = $2, kept_password = NULL, undo_hash = NULL
		WHERE id = $1`, id, at)
}

// AddCount adds to what an ending has removed of a category.
func (tx *Tx) AddCount(id, category string, gone int64) error {
	if gone == 0 {
		return nil
	}
	return tx.run(`INSERT INTO deactivation_counts (deactivation_id, category, gone) VALUES ($1, $2, $3)
		ON CONFLICT (deactivation_id, category) DO UPDATE SET gone = deactivation_counts.gone + excluded.gone`,
		id, category, gone)
}

// Counts is what an ending has removed so far, by category.
func (tx *Tx) Counts(id string) (map[string]int64, error) {
	type count struct {
		category string
		gone     int64
	}
	list, err := all(tx, func(s scanner) (count, error) {
		var c count
		err := s.Scan(&c.category, &c.gone)
		return c, err
	}, `SELECT category, gone FROM deactivation_counts WHERE deactivation_id = $1`, id)
	counts := make(map[string]int64, len(list))
	for _, c := range list {
		counts[c.category] = c.gone
	}
	return counts, err
}
