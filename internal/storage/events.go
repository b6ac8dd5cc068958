package storage

import (
	"database/sql"
	"errors"
	"fmt"
	"math"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

// EventKind says which part an event has in its room.
type EventKind int8

// The kinds of events (Server-Server API, Checks performed on receipt of a PDU).
const (
	InTimeline EventKind = iota
	SoftFailed           // passed its own auth events and not the current state: in no timeline
	Rejected             // failed the auth rules: takes no part in anything
	Outlier              // known because others refer to it; where it stands is not known
)

// Event is a row of events: a PDU, and what this server knows of it. It is shared
// between goroutines and never changed.
type Event struct {
	*event.Event
	// Pos is its place in the timeline; see the schema.
	Pos  int64
	Kind EventKind
	// State is the root of the state before it (package state), zero where it is
	// empty or not known.
	State [16]byte
	// RedactedBy is the id of the redaction that made the PDU its redacted form.
	RedactedBy string
	// Erased tells that the PDU was made its redacted form because nobody is left
	// who may see it whole.
	Erased bool
}

const eventColumns = `e.room_id, e.pos, e.event_id, e.kind, e.state, e.json, e.redacted_by, e.erased, r.version`

const fromEvents = ` FROM events e JOIN rooms r ON r.room_id = e.room_id `

func scanEvent(s scanner) (*Event, error) {
	var e Event
	var room matrix.RoomID
	var id, version string
	var state, raw []byte
	var redactedBy sql.NullString
	if err := s.Scan(&room, &e.Pos, &id, &e.Kind, &state, &raw, &redactedBy, &e.Erased, &version); err != nil {
		return nil, err
	}
	copy(e.State[:], state)
	e.RedactedBy = redactedBy.String
	v, ok := event.VersionOf(version)
	if !ok {
		return nil, fmt.Errorf("room %s has the unknown version %s", room, version)
	}
	var err error
	if e.Event, err = event.Load(v, id, raw); err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	return &e, nil
}

// rootBytes is how a root is stored: the empty state's is empty.
func rootBytes(root [16]byte) []byte {
	if root == ([16]byte{}) {
		return []byte{}
	}
	return root[:]
}

// AddEvent stores an event under a position that [Tx.NextPos] gave, or minus
// that. An event that is there already is [ErrExists].
func (tx *Tx) AddEvent(e *Event) error {
	n, err := tx.exec(`INSERT INTO event_ids (event_id, room_id, pos) VALUES ($1, $2, $3)
		ON CONFLICT (event_id) DO NOTHING`, e.ID(), e.RoomID(), e.Pos)
	if err == nil && n == 0 {
		err = ErrExists
	}
	if err != nil {
		return err
	}
	var stateKey sql.NullString
	if key, ok := e.StateKey(); ok {
		stateKey = sql.NullString{String: key, Valid: true}
	}
	tx.noteEvent(e)
	return tx.run(`INSERT INTO events (room_id, pos, event_id, kind, sender, type, state_key, ts, state, json)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		e.RoomID(), e.Pos, e.ID(), e.Kind, e.Sender(), e.Type(), stateKey, e.Timestamp(), rootBytes(e.State), e.JSON())
}

// Event returns an event by its id, or [ErrNotFound].
func (tx *Tx) Event(id string) (*Event, error) {
	return first(tx, scanEvent, `SELECT `+eventColumns+`
		FROM event_ids i JOIN events e ON e.room_id = i.room_id AND e.pos = i.pos
		JOIN rooms r ON r.room_id = i.room_id WHERE i.event_id = $1`, id)
}

// Events returns those of the events that are there, by id.
func (tx *Tx) Events(ids []string) (map[string]*Event, error) {
	found := make(map[string]*Event, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	list, err := all(tx, scanEvent, `SELECT `+eventColumns+`
		FROM event_ids i JOIN events e ON e.room_id = i.room_id AND e.pos = i.pos
		JOIN rooms r ON r.room_id = i.room_id WHERE i.event_id `+tx.in(1), texts(tx, ids))
	for _, e := range list {
		found[e.ID()] = e
	}
	return found, err
}

// Timeline returns up to limit events of the timeline of a room whose positions
// are above from and not above to, oldest first.
func (tx *Tx) Timeline(room matrix.RoomID, from, to int64, limit int) ([]*Event, error) {
	return all(tx, scanEvent, `SELECT `+eventColumns+fromEvents+`
		WHERE e.room_id = $1 AND e.pos > $2 AND e.pos <= $3 AND e.kind = 0 ORDER BY e.pos LIMIT $4`, room, from, to, limit)
}

// TimelineBack returns up to limit events of the timeline of a room whose
// positions are not above from and above to, newest first.
func (tx *Tx) TimelineBack(room matrix.RoomID, from, to int64, limit int) ([]*Event, error) {
	return all(tx, scanEvent, `SELECT `+eventColumns+fromEvents+`
		WHERE e.room_id = $1 AND e.pos <= $2 AND e.pos > $3 AND e.kind = 0 ORDER BY e.pos DESC LIMIT $4`, room, from, to, limit)
}

// PlaceOf is the position behind which the timestamps of a room's timeline are at
// or after a time, going by those up to last, as if they were in order.
func (tx *Tx) PlaceOf(room matrix.RoomID, at matrix.Timestamp, last int64) (int64, error) {
	const first = `SELECT pos, ts FROM events WHERE room_id = $1 AND pos > $2 AND pos <= $3 AND kind = 0 ORDER BY pos LIMIT 1`
	var pos int64
	var ts matrix.Timestamp
	err := tx.one(first, []any{room, int64(math.MinInt64), last}, &pos, &ts)
	if errors.Is(err, ErrNotFound) {
		return last, nil
	}
	low, high := pos-1, last // all up to low are before, all behind high are not
	for err == nil && low < high {
		middle := low + (high-low)/2
		err = tx.one(first, []any{room, middle, high}, &pos, &ts)
		switch {
		case errors.Is(err, ErrNotFound):
			high, err = middle, nil
		case ts < at:
			low = pos
		default:
			high = middle
		}
	}
	return low, err
}

// ReplaceEvent puts the redacted form of an event in its place on disk:
// redactedBy is the redaction, "" where it is because of an erasure. The caller
// takes a position for it, as ChangeRedacted. What has no content relates to
// nothing, and is not found by its text.
func (tx *Tx) ReplaceEvent(e *Event, redacted *event.Event, redactedBy string) error {
	if err := tx.DropRelation(e); err != nil {
		return err
	}
	if err := tx.DropSearch(e); err != nil {
		return err
	}
	return tx.run(`UPDATE events SET json = $3, redacted_by = COALESCE($4, redacted_by), erased = erased OR $5
		WHERE room_id = $1 AND pos = $2`, e.RoomID(), e.Pos, redacted.JSON(), null(redactedBy), redactedBy == "")
}

// EventsOf returns up to limit events that a user has sent, in order of room and
// position, after a room and a position.
func (tx *Tx) EventsOf(user matrix.UserID, afterRoom matrix.RoomID, afterPos int64, limit int) ([]*Event, error) {
	return all(tx, scanEvent, `SELECT `+eventColumns+fromEvents+`
		WHERE e.sender = $1 AND (e.room_id > $2 OR (e.room_id = $2 AND e.pos > $3))
		ORDER BY e.sender, e.room_id, e.pos LIMIT $4`, user, afterRoom, afterPos, limit)
}

// Transaction names a request of a client that is done once, however often it is
// sent (CS API, Transaction identifiers).
type Transaction struct {
	User   matrix.UserID
	Device string
	Scope  string // the endpoint, with its path parameters
	TxnID  string
}

// Transacted returns the id of the event that a transaction has made, or
// [ErrNotFound].
func (tx *Tx) Transacted(t Transaction) (event string, err error) {
	err = tx.one(`SELECT event_id FROM transactions WHERE user_id = $1 AND device_id = $2 AND scope = $3 AND txn_id = $4`,
		[]any{t.User, t.Device, t.Scope, t.TxnID}, &event)
	return event, err
}

// AddTransaction notes what event a transaction has made.
func (tx *Tx) AddTransaction(t Transaction, event string, at matrix.Timestamp) error {
	return tx.run(`INSERT INTO transactions (user_id, device_id, scope, txn_id, event_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, t.User, t.Device, t.Scope, t.TxnID, event, at)
}

// TransactionsOf returns the transaction ids with which a device has made
// events, by the ids of those among them that it has made.
func (tx *Tx) TransactionsOf(user matrix.UserID, device string, events []string) (map[string]string, error) {
	type pair struct{ event, txn string }
	list, err := all(tx, func(s scanner) (p pair, err error) { return p, s.Scan(&p.event, &p.txn) },
		`SELECT event_id, txn_id FROM transactions WHERE user_id = $1 AND device_id = $2 AND event_id `+tx.in(3),
		user, device, texts(tx, events))
	found := make(map[string]string, len(list))
	for _, p := range list {
		found[p.event] = p.txn
	}
	return found, err
}
