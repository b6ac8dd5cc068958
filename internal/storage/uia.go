package storage

import (
	"database/sql"

	"lethe/internal/matrix"
)

// UIASession is a row of uia_sessions. Completed, Stored and Offer are JSON
// objects.
type UIASession struct {
	Hash              Hash
	Endpoint          string
	UserID            matrix.UserID // of the access token; "": none was sent
	DeviceID          string
	Subject           matrix.UserID // whom a stage proved; "": nobody yet
	Completed         []byte
	Stored            []byte
	Offer             []byte
	RegistrationToken string
	CreatedAt         matrix.Timestamp
	ExpiresAt         matrix.Timestamp
}

const uiaColumns = `session_hash, endpoint, user_id, device_id, subject, completed, stored, offer,
	registration_token, created_at, expires_at`

func scanUIA(s scanner) (UIASession, error) {
	var v UIASession
	var hash []byte
	var user, device, subject, token sql.NullString
	err := s.Scan(&hash, &v.Endpoint, &user, &device, &subject, &v.Completed, &v.Stored, &v.Offer,
		&token, &v.CreatedAt, &v.ExpiresAt)
	copy(v.Hash[:], hash)
	v.UserID, v.Subject = matrix.UserID(user.String), matrix.UserID(subject.String)
	v.DeviceID, v.RegistrationToken = device.String, token.String
	return v, err
}

// UIASession returns a session, or [ErrNotFound].
func (tx *Tx) UIASession(session Hash) (UIASession, error) {
	return first(tx, scanUIA, `SELECT `+uiaColumns+` FROM uia_sessions WHERE session_hash = $1`, session[:])
}

// LockUIASession is [Tx.UIASession], and keeps the row as it is until the
// transaction ends.
func (tx *Tx) LockUIASession(session Hash) (UIASession, error) {
	return first(tx, scanUIA,
		`SELECT `+uiaColumns+` FROM uia_sessions WHERE session_hash = $1`+tx.dialect.forUpdate, session[:])
}

// PutUIASession stores a session, or its new state.
func (tx *Tx) PutUIASession(v UIASession) error {
	return tx.run(`INSERT INTO uia_sessions (`+uiaColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (session_hash) DO UPDATE SET subject = excluded.subject, completed = excluded.completed,
			stored = excluded.stored, offer = excluded.offer, registration_token = excluded.registration_token`,
		v.Hash[:], v.Endpoint, null(string(v.UserID)), null(v.DeviceID), null(string(v.Subject)),
		string(v.Completed), string(v.Stored), string(v.Offer), null(v.RegistrationToken), v.CreatedAt, v.ExpiresAt)
}

// TakeUIASession deletes a session. It returns false if it was used already.
func (tx *Tx) TakeUIASession(session Hash) (bool, error) {
	n, err := tx.exec(`DELETE FROM uia_sessions WHERE session_hash = $1`, session[:])
	return n == 1, err
}

// TrimUIASessions leaves the newest sessions of a user; for user "" it does
// nothing.
func (tx *Tx) TrimUIASessions(user matrix.UserID, keep int) error {
	return tx.run(`DELETE FROM uia_sessions WHERE user_id = $1 AND session_hash NOT IN (
		SELECT session_hash FROM uia_sessions WHERE user_id = $1 ORDER BY created_at DESC, session_hash LIMIT $2)`,
		null(string(user)), keep)
}
