package storage

import (
	"github.com/go-json-experiment/json"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

// Room is a row of rooms.
type Room struct {
	ID        matrix.RoomID
	Version   string
	CreatedAt matrix.Timestamp
	// State is the root of its current state.
	State       [16]byte
	Extremities []string // forward extremities, event ids
	Depth       int64    // the greatest of theirs
	LastPos     int64    // of the newest event in the timeline
	Joined      int64    // members
	Invited     int64
}

const roomColumns = `room_id, version, created_at, state, extremities, depth, last_pos, joined, invited`

func scanRoom(s scanner) (Room, error) {
	var r Room
	var state []byte
	var extremities string
	err := s.Scan(&r.ID, &r.Version, &r.CreatedAt, &state, &extremities, &r.Depth, &r.LastPos, &r.Joined, &r.Invited)
	if err != nil {
		return r, err
	}
	copy(r.State[:], state)
	return r, json.Unmarshal([]byte(extremities), &r.Extremities)
}

// Room returns a room, or [ErrNotFound].
func (tx *Tx) Room(id matrix.RoomID) (Room, error) {
	return first(tx, scanRoom, `SELECT `+roomColumns+` FROM rooms WHERE room_id = $1`, id)
}

// LockRoom is [Tx.Room], and keeps the row as it is until the transaction ends:
// whatever adds an event calls it first.
func (tx *Tx) LockRoom(id matrix.RoomID) (Room, error) {
	return first(tx, scanRoom, `SELECT `+roomColumns+` FROM rooms WHERE room_id = $1`+tx.dialect.forUpdate, id)
}

// Rooms returns those of the rooms that are there.
func (tx *Tx) Rooms(ids []matrix.RoomID) ([]Room, error) {
	return all(tx, scanRoom, `SELECT `+roomColumns+` FROM rooms WHERE room_id `+tx.in(1), texts(tx, ids))
}

// AddRoom stores a new room, or returns [ErrExists].
func (tx *Tx) AddRoom(r Room) error {
	extremities, err := json.Marshal(r.Extremities)
	if err != nil {
		return err
	}
	n, err := tx.exec(`INSERT INTO rooms (`+roomColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (room_id) DO NOTHING`, r.ID, r.Version, r.CreatedAt, rootBytes(r.State), string(extremities), r.Depth,
		r.LastPos, r.Joined, r.Invited)
	if err == nil && n == 0 {
		err = ErrExists
	}
	return err
}

// SetRoom stores what events have changed of a room. The caller has locked it.
func (tx *Tx) SetRoom(r Room) error {
	extremities, err := json.Marshal(r.Extremities)
	if err != nil {
		return err
	}
	tx.noteRoom(r)
	return tx.run(`UPDATE rooms SET state = $2, extremities = $3, depth = $4, last_pos = $5, joined = $6, invited = $7
		WHERE room_id = $1`, r.ID, rootBytes(r.State), string(extremities), r.Depth, r.LastPos, r.Joined, r.Invited)
}

// Membership is a row of memberships: what someone is to a room.
type Membership struct {
	Room       matrix.RoomID
	User       matrix.UserID
	Membership string // join, invite, knock, leave or ban
	Pos        int64  // of the event
	EventID    string
	Sender     matrix.UserID
	Forgotten  bool
	Stripped   []byte // state that came with an invite from elsewhere, a JSON list; nil for none
}

const membershipColumns = `room_id, user_id, membership, pos, event_id, sender, forgotten, stripped`

func scanMembership(s scanner) (Membership, error) {
	var m Membership
	err := s.Scan(&m.Room, &m.User, &m.Membership, &m.Pos, &m.EventID, &m.Sender, &m.Forgotten, &m.Stripped)
	return m, err
}

// Membership returns what user is to a room, or [ErrNotFound] if nothing.
func (tx *Tx) Membership(room matrix.RoomID, user matrix.UserID) (Membership, error) {
	return first(tx, scanMembership,
		`SELECT `+membershipColumns+` FROM memberships WHERE room_id = $1 AND user_id = $2`, room, user)
}

// MembershipsOf returns what user is to all rooms that are not forgotten, or to
// those where it is one of kinds, if any are given.
func (tx *Tx) MembershipsOf(user matrix.UserID, kinds ...string) ([]Membership, error) {
	if len(kinds) == 0 {
		return all(tx, scanMembership,
			`SELECT `+membershipColumns+` FROM memberships WHERE user_id = $1 AND NOT forgotten`, user)
	}
	return all(tx, scanMembership, `SELECT `+membershipColumns+` FROM memberships
		WHERE user_id = $1 AND membership `+tx.in(2)+` AND NOT forgotten`, user, texts(tx, kinds))
}

// Members returns those who are one of kinds to a room.
func (tx *Tx) Members(room matrix.RoomID, kinds ...string) ([]Membership, error) {
	return all(tx, scanMembership, `SELECT `+membershipColumns+` FROM memberships
		WHERE room_id = $1 AND membership `+tx.in(2), room, texts(tx, kinds))
}

// SetMembership stores what someone has become to a room by a member event, and,
// for a user of this server (local), the change. It is not forgotten any more.
func (tx *Tx) SetMembership(m Membership, local bool) error {
	err := tx.run(`INSERT INTO memberships (`+membershipColumns+`) VALUES ($1, $2, $3, $4, $5, $6, FALSE, $7)
		ON CONFLICT (room_id, user_id) DO UPDATE SET membership = excluded.membership, pos = excluded.pos,
			event_id = excluded.event_id, sender = excluded.sender, forgotten = FALSE, stripped = excluded.stripped`,
		m.Room, m.User, m.Membership, m.Pos, m.EventID, m.Sender, m.Stripped)
	if err != nil || !local {
		return err
	}
	return tx.run(`INSERT INTO membership_changes (room_id, user_id, pos, membership) VALUES ($1, $2, $3, $4)
		ON CONFLICT (room_id, user_id, pos) DO UPDATE SET membership = excluded.membership`,
		m.Room, m.User, m.Pos, m.Membership)
}

// Forget hides a room that user has left from them, and tells whether it did.
func (tx *Tx) Forget(room matrix.RoomID, user matrix.UserID) (bool, error) {
	n, err := tx.exec(`UPDATE memberships SET forgotten = TRUE
		WHERE room_id = $1 AND user_id = $2 AND membership IN ('leave', 'ban') AND NOT forgotten`, room, user)
	return n == 1, err
}

// MembershipChange is a change of what a user of this server is to a room.
type MembershipChange struct {
	Pos        int64
	Membership string
}

// MembershipChanges returns all changes of what user is to a room, oldest first.
func (tx *Tx) MembershipChanges(room matrix.RoomID, user matrix.UserID) ([]MembershipChange, error) {
	return all(tx, func(s scanner) (c MembershipChange, err error) { return c, s.Scan(&c.Pos, &c.Membership) },
		`SELECT pos, membership FROM membership_changes WHERE room_id = $1 AND user_id = $2 ORDER BY pos`, room, user)
}

// Erasure is that a user's account ended with erase at a position.
type Erasure struct {
	User matrix.UserID
	Pos  int64
}

// ErasuresAfter returns the erasures above a position.
func (tx *Tx) ErasuresAfter(pos int64) ([]Erasure, error) {
	return all(tx, func(s scanner) (e Erasure, err error) { return e, s.Scan(&e.User, &e.Pos) },
		`SELECT user_id, erased_pos FROM accounts WHERE erased_pos > $1`, pos)
}

// LiveAccount is [Tx.Account] for what acts as its user: on PostgreSQL an ending
// waits until this transaction is over, or this one for it.
func (tx *Tx) LiveAccount(user matrix.UserID) (Account, error) {
	return first(tx, scanAccount,
		`SELECT `+accountColumns+` FROM accounts WHERE user_id = $1`+tx.dialect.forShare, user)
}

// VersionOf is the room version of a room row.
func (r Room) VersionOf() *event.Version {
	v, ok := event.VersionOf(r.Version)
	if !ok {
		panic("room " + string(r.ID) + " has the unknown version " + r.Version) // only known ones are stored
	}
	return v
}
