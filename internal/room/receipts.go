package room

import (
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// typeFullyRead is the account data that has the fully read marker.
const typeFullyRead = "m.fully_read"

// Reading is up to which events somebody says they have read a room; "" where
// they say nothing.
type Reading struct {
	// Read and Private are the events of receipts: the one that all in the room see,
	// and the one that nobody else does (CS API, Receipts).
	Read, Private string
	// Thread is what Read and Private are for: a root, "main", or "" for the room
	// with all its threads.
	Thread string
	// FullyRead is the event of the marker (CS API, Fully read markers).
	FullyRead string
}

var errNoReadEvent = matrix.Errorf(matrix.CodeNotFound, "There is no such event in this room.")

// Read notes up to where somebody has read a room that they are in. Nothing goes
// back: what is behind that of the same thread changes nothing.
func (s *Service) Read(ctx context.Context, who Actor, room matrix.RoomID, r Reading) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		// Nobody else changes what this user has read as long as the row is locked.
		a, err := tx.LockAccount(who.User)
		if err := liveness(who.User, a, err); err != nil {
			return err
		}
		m, err := tx.Membership(room, who.User)
		if errors.Is(err, storage.ErrNotFound) || err == nil && m.Membership != join {
			return errNotIn
		}
		if err != nil {
			return err
		}
		for _, receipt := range []storage.Receipt{
			{Type: storage.ReceiptRead, EventID: r.Read}, {Type: storage.ReceiptReadPrivate, EventID: r.Private},
		} {
			receipt.Room, receipt.User, receipt.Thread = room, who.User, r.Thread
			if err := s.putReceipt(tx, receipt); err != nil {
				return err
			}
		}
		return s.putFullyRead(tx, room, who.User, r.FullyRead)
	})
}

// putReceipt stores a receipt, if it has an event that is ahead of the last.
func (s *Service) putReceipt(tx *storage.Tx, r storage.Receipt) error {
	if r.EventID == "" {
		return nil
	}
	e, err := s.readEvent(tx, r.Room, r.EventID)
	if err != nil {
		return err
	}
	if err := s.checkThread(tx, e, r.Thread); err != nil {
		return err
	}
	old, err := tx.Receipt(r.Room, r.User, r.Type, r.Thread)
	if err == nil && old.EventPos >= e.Pos {
		return nil
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	change := storage.Change{Kind: storage.ChangeReceipt, Room: r.Room, User: r.User}
	if r.Type == storage.ReceiptReadPrivate {
		change.Kind = storage.ChangePrivate
	}
	r.EventPos, r.Timestamp = e.Pos, s.now()
	if r.Pos, err = tx.NextPos(change); err != nil {
		return err
	}
	return tx.PutReceipt(r)
}

// readEvent is an event that somebody says they have read.
func (s *Service) readEvent(tx *storage.Tx, room matrix.RoomID, id string) (*storage.Event, error) {
	found, err := s.events.Events(tx, []string{id})
	if err != nil {
		return nil, err
	}
	e := found[id]
	if e == nil || e.RoomID() != room || e.Kind != storage.InTimeline {
		return nil, errNoReadEvent
	}
	return e, nil
}

// checkThread refuses a receipt for a thread that the event has nothing to do
// with (CS API, POST /rooms/{roomId}/receipt/{receiptType}/{eventId}). The root of
// a thread, and what relates to it, stand in the main timeline; a receipt for the
// thread may name them, too, since clients show them there.
func (s *Service) checkThread(tx *storage.Tx, e *storage.Event, thread string) error {
	if thread == "" {
		return nil
	}
	in, err := s.events.ThreadOf(tx, e)
	if err != nil {
		return err
	}
	if thread == storage.ThreadMain && in.Root == "" ||
		thread == in.Root || thread == e.ID() || in.Root == "" && slices.Contains(in.Above, thread) {
		return nil
	}
	return matrix.Errorf(matrix.CodeInvalidParam, "The event is not in the thread that thread_id names.")
}

// putFullyRead moves the fully read marker to an event, if there is one and it is
// ahead of where the marker is.
func (s *Service) putFullyRead(tx *storage.Tx, room matrix.RoomID, user matrix.UserID, id string) error {
	if id == "" {
		return nil
	}
	e, err := s.readEvent(tx, room, id)
	if err != nil {
		return err
	}
	stored, err := tx.AccountData(user, string(room), typeFullyRead)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	var was, is struct {
		EventID string `json:"event_id"`
	}
	if err == nil && json.Unmarshal(stored, &was) == nil {
		old, err := s.readEvent(tx, room, was.EventID)
		if err == nil && old.Pos >= e.Pos {
			return nil
		}
		if err != nil && !errors.Is(err, errNoReadEvent) {
			return err
		}
	}
	is.EventID = id
	content, err := json.Marshal(is)
	if err != nil {
		return err
	}
	pos, err := tx.NextPos(storage.Change{Kind: storage.ChangeAccountData, Room: room, User: user})
	if err != nil {
		return err
	}
	return tx.SetAccountData(user, storage.AccountData{RoomID: string(room), Type: typeFullyRead, Content: content}, pos)
}
