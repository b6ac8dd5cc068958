package storage

import (
	"errors"

	"lethe/internal/matrix"
)

// Presence is a row of presence.
type Presence struct {
	User     matrix.UserID
	State    string // online, unavailable or offline
	Status   string // "" for none
	ActiveAt matrix.Timestamp
	Pos      int64
	// DisplayName and AvatarURL are those of the profile, as JSON; nil for none. They
	// are not stored with it.
	DisplayName, AvatarURL []byte
}

const presenceColumns = `p.user_id, p.state, p.status_msg, p.active_at, p.pos`

func scanPresence(s scanner) (p Presence, err error) {
	err = s.Scan(&p.User, &p.State, &p.Status, &p.ActiveAt, &p.Pos)
	return p, err
}

// Presence returns the presence of a user, or [ErrNotFound].
func (tx *Tx) Presence(user matrix.UserID) (Presence, error) {
	return first(tx, scanPresence, `SELECT `+presenceColumns+` FROM presence p WHERE p.user_id = $1`, user)
}

// PutPresence stores a presence.
func (tx *Tx) PutPresence(p Presence) error {
	return tx.run(`INSERT INTO presence (user_id, state, status_msg, active_at, pos) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id) DO UPDATE SET state = excluded.state, status_msg = excluded.status_msg,
			active_at = excluded.active_at, pos = excluded.pos`, p.User, p.State, p.Status, p.ActiveAt, p.Pos)
}

// Present returns everybody who is not offline.
func (tx *Tx) Present() ([]Presence, error) {
	return all(tx, scanPresence, `SELECT `+presenceColumns+` FROM presence p WHERE p.state <> 'offline'`)
}

// PresenceAfter returns the presence of the reader, and of those in a room with
// them, that has changed above a position and not above another. away: those who
// are offline, too.
func (tx *Tx) PresenceAfter(reader matrix.UserID, after, upTo int64, away bool) ([]Presence, error) {
	return all(tx, func(s scanner) (p Presence, err error) {
		err = s.Scan(&p.User, &p.State, &p.Status, &p.ActiveAt, &p.Pos, &p.DisplayName, &p.AvatarURL)
		return p, err
	}, `SELECT `+presenceColumns+`, n.value, a.value FROM presence p
		LEFT JOIN profile_fields n ON n.user_id = p.user_id AND n.name = 'displayname'
		LEFT JOIN profile_fields a ON a.user_id = p.user_id AND a.name = 'avatar_url'
		WHERE p.pos > $2 AND p.pos <= $3 AND ($4 OR p.state <> 'offline') AND (p.user_id = $1 OR EXISTS (`+sharing+`))
		ORDER BY p.pos`, reader, after, upTo, away)
}

// sharing finds a room that the user $1 and the user of p are in.
const sharing = `SELECT 1 FROM memberships theirs JOIN memberships own ON own.room_id = theirs.room_id
	WHERE theirs.user_id = p.user_id AND theirs.membership = 'join' AND own.user_id = $1 AND own.membership = 'join'`

// ShareRoom tells whether two users are in a room together.
func (tx *Tx) ShareRoom(one, other matrix.UserID) (bool, error) {
	var n int
	err := tx.one(`SELECT 1 FROM memberships theirs JOIN memberships own ON own.room_id = theirs.room_id
		WHERE theirs.user_id = $2 AND theirs.membership = 'join' AND own.user_id = $1 AND own.membership = 'join' LIMIT 1`,
		[]any{one, other}, &n)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
