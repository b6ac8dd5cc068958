package storage

import (
	"cmp"
	"errors"
	"slices"

	"lethe/internal/matrix"
)

// ChangeKind says what happened at a position of the stream.
type ChangeKind int8

// The kinds of changes, and whom Room and User name.
const (
	ChangeEvent       ChangeKind = iota + 1 // an event in the timeline of Room, by User
	ChangeMember                            // an m.room.member event in Room, whose state key is User
	ChangeHidden                            // an event that is in no timeline
	ChangeRedacted                          // events of Room have become their redacted forms on disk
	ChangeReceipt                           // a receipt of User in Room
	ChangeTyping                            // who is typing in Room
	ChangeAccountData                       // account data of User, in Room or global
	ChangePresence                          // the presence of User
	ChangeErased                            // User was erased
	ChangeToDevice                          // messages for devices of User
	ChangeDeviceList                        // the devices or keys of User
	ChangePrivate                           // something that only User sees, in Room: forgotten, a private receipt
)

// ChangesLost tells the listener of [DB.OnCommit] that it missed changes, of any
// kind, up to its position: what it keeps may be wrong. It is in no table.
const ChangesLost ChangeKind = -1

// Change is what happened at one position. Every position has exactly one, and
// there are no gaps: positions of transactions that were rolled back are given
// again.
type Change struct {
	Pos  int64
	Kind ChangeKind
	Room matrix.RoomID
	User matrix.UserID
	// Event is the event of ChangeEvent and ChangeMember, where this process wrote
	// it; nil where it has to be read.
	Event *Event
	// Row is the row of the room as it is after this change, where this process has
	// written it; nil where it has to be read.
	Row *Room
}

// changeBuckets is over how many places of the index of changes the newest are
// spread.
const changeBuckets = 8

// NextPos moves the server's stream position by one, for a change, and returns
// it. Positions become visible in their order: the row stays locked until the
// commit, so what can wait on other rows comes first. After the commit the
// listener of [DB.OnCommit] gets the change.
func (tx *Tx) NextPos(c Change) (int64, error) {
	if tx.reserved == 0 {
		if err := tx.ReservePos(1); err != nil {
			return 0, err
		}
	}
	c.Pos = tx.pos - tx.reserved + 1
	tx.reserved--
	tx.changes = append(tx.changes, c)
	if tx.dialect.name != postgresDialect.name {
		return c.Pos, nil
	}
	return c.Pos, tx.run(`INSERT INTO changes (bucket, pos, kind, room_id, user_id) VALUES ($1, $2, $3, $4, $5)`,
		c.Pos%changeBuckets, c.Pos, c.Kind, c.Room, c.User)
}

// ReservePos takes the next n positions in one statement. The caller takes all of
// them with [Tx.NextPos] in the same transaction.
func (tx *Tx) ReservePos(n int64) error {
	if tx.reserved != 0 {
		return errors.New("positions are reserved already")
	}
	err := tx.one(`UPDATE stream SET pos = pos + $1 WHERE id = 1 RETURNING pos`, []any{n}, &tx.pos)
	if err == nil {
		tx.reserved = n
	}
	return err
}

// noteEvent adds the event to the change that [Tx.NextPos] has noted for its
// position, so that this process need not read it.
func (tx *Tx) noteEvent(e *Event) {
	for i := len(tx.changes) - 1; i >= 0; i-- {
		if tx.changes[i].Pos == e.Pos || tx.changes[i].Pos == -e.Pos {
			tx.changes[i].Event = e
			return
		}
	}
}

// noteRoom adds the row of a room to the last of its events of this transaction,
// so that this process need not read it.
func (tx *Tx) noteRoom(r Room) {
	for i := len(tx.changes) - 1; i >= 0; i-- {
		if c := &tx.changes[i]; c.Room == r.ID && (c.Kind == ChangeEvent || c.Kind == ChangeMember || c.Kind == ChangeHidden) {
			c.Row = &r
			return
		}
	}
}

// Pos is the position of the newest change that this transaction sees.
func (tx *Tx) Pos() (pos int64, err error) {
	if tx.seen != 0 {
		return tx.seen, nil
	}
	err = tx.one(`SELECT pos FROM stream WHERE id = 1`, nil, &pos)
	if tx.view && err == nil {
		tx.seen = pos
	}
	return pos, err
}

// AsOf is the position that [Tx.Pos] has told of a [DB.View], and whether it was
// asked.
func (tx *Tx) AsOf() (pos int64, asked bool) { return tx.seen, tx.seen != 0 }

// ReadOnly tells whether the transaction is that of a [DB.View]: it sees what is
// committed and nothing else, as it was at [Tx.Pos].
func (tx *Tx) ReadOnly() bool { return tx.view }

// ChangesAfter returns the changes after a position, oldest first, up to limit of
// them. Only PostgreSQL keeps them, and for a while only.
func (tx *Tx) ChangesAfter(pos int64, limit int) ([]Change, error) {
	var list []Change
	for bucket := range changeBuckets {
		part, err := all(tx, scanChange, `SELECT pos, kind, room_id, user_id FROM changes
			WHERE bucket = $1 AND pos > $2 AND pos <= $3`, bucket, pos, pos+int64(limit))
		if err != nil {
			return nil, err
		}
		list = append(list, part...)
	}
	sortChanges(list)
	return list, nil
}

// PruneChanges deletes the changes up to a position.
func (tx *Tx) PruneChanges(upTo int64) error {
	for bucket := range changeBuckets {
		if err := tx.run(`DELETE FROM changes WHERE bucket = $1 AND pos <= $2`, bucket, upTo); err != nil {
			return err
		}
	}
	return nil
}

func scanChange(s scanner) (Change, error) {
	var c Change
	err := s.Scan(&c.Pos, &c.Kind, &c.Room, &c.User)
	return c, err
}

func sortChanges(list []Change) {
	slices.SortFunc(list, func(a, b Change) int { return cmp.Compare(a.Pos, b.Pos) })
}
