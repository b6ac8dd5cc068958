package storage

import (
	"database/sql"
	"math"

	"lethe/internal/matrix"
)

// Device is a row of devices.
type Device struct {
	UserID      matrix.UserID
	DeviceID    string
	DisplayName string // "": none
	CreatedAt   matrix.Timestamp
	LastSeenAt  matrix.Timestamp // 0: not yet
	LastSeenIP  string
}

const deviceColumns = `user_id, device_id, display_name, created_at, last_seen_at, last_seen_ip`

func scanDevice(s scanner) (Device, error) {
	var d Device
	var name, ip sql.NullString
	var seen sql.NullInt64
	err := s.Scan(&d.UserID, &d.DeviceID, &name, &d.CreatedAt, &seen, &ip)
	d.DisplayName, d.LastSeenIP, d.LastSeenAt = name.String, ip.String, matrix.Timestamp(seen.Int64)
	return d, err
}

// EnsureDevice creates a device, or leaves the one that is there as it is: its
// name was the user's choice (CS API, POST /login, initial_device_display_name).
func (tx *Tx) EnsureDevice(d Device) error {
	return tx.run(`INSERT INTO devices (user_id, device_id, display_name, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, device_id) DO NOTHING`, d.UserID, d.DeviceID, null(d.DisplayName), d.CreatedAt)
}

// Device returns one device, or [ErrNotFound].
func (tx *Tx) Device(user matrix.UserID, device string) (Device, error) {
	return first(tx, scanDevice, `SELECT `+deviceColumns+` FROM devices WHERE user_id = $1 AND device_id = $2`, user, device)
}

// Devices lists the devices of user, oldest first.
func (tx *Tx) Devices(user matrix.UserID) ([]Device, error) {
	return all(tx, scanDevice, `SELECT `+deviceColumns+` FROM devices WHERE user_id = $1 ORDER BY created_at, device_id`, user)
}

// RenameDevice sets a display name, or returns [ErrNotFound].
func (tx *Tx) RenameDevice(user matrix.UserID, device, name string) error {
	n, err := tx.exec(`UPDATE devices SET display_name = $3 WHERE user_id = $1 AND device_id = $2`, user, device, null(name))
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// DropDevice deletes a device with its sessions, if it is there.
func (tx *Tx) DropDevice(user matrix.UserID, device string) error {
	return tx.run(`DELETE FROM devices WHERE user_id = $1 AND device_id = $2`, user, device)
}

// DropDevices deletes all devices of user with their sessions, but keep ("":
// none).
func (tx *Tx) DropDevices(user matrix.UserID, keep string) error {
	return tx.run(`DELETE FROM devices WHERE user_id = $1 AND device_id <> $2`, user, keep)
}

// Connection is a row of the address log.
type Connection struct {
	UserID     matrix.UserID
	DeviceID   string
	IP         string
	UserAgent  string
	LastSeenAt matrix.Timestamp
}

// maxConnections is how many entries of the address log a device has at most;
// the oldest give way. A client makes up what it calls itself.
const maxConnections = 100

// Seen records that a device was used, unless it is gone by now.
func (tx *Tx) Seen(c Connection) error {
	n, err := tx.exec(`UPDATE devices SET last_seen_at = $3, last_seen_ip = $4 WHERE user_id = $1 AND device_id = $2
		AND EXISTS (SELECT 1 FROM accounts WHERE user_id = $1 AND deactivated_at IS NULL)`,
		c.UserID, c.DeviceID, c.LastSeenAt, c.IP)
	if err != nil || n == 0 {
		return err
	}
	err = tx.run(`INSERT INTO connections (user_id, device_id, ip, user_agent, last_seen_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, device_id, ip, user_agent) DO UPDATE SET last_seen_at = excluded.last_seen_at`,
		c.UserID, c.DeviceID, c.IP, c.UserAgent, c.LastSeenAt)
	if err != nil {
		return err
	}
	return tx.run(`DELETE FROM connections WHERE user_id = $1 AND device_id = $2 AND (ip, user_agent) IN (
		SELECT ip, user_agent FROM connections WHERE user_id = $1 AND device_id = $2
		ORDER BY last_seen_at DESC, ip, user_agent LIMIT $4 OFFSET $3)`, c.UserID, c.DeviceID, maxConnections, math.MaxInt32)
}

// Connections lists the address log of user, latest first.
func (tx *Tx) Connections(user matrix.UserID) ([]Connection, error) {
	return all(tx, func(s scanner) (Connection, error) {
		var c Connection
		err := s.Scan(&c.UserID, &c.DeviceID, &c.IP, &c.UserAgent, &c.LastSeenAt)
		return c, err
	}, `SELECT user_id, device_id, ip, user_agent, last_seen_at FROM connections WHERE user_id = $1
		ORDER BY last_seen_at DESC, device_id, ip, user_agent`, user)
}
