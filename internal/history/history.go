// Package history is what people read in rooms: timelines, single events, what is
// around them, and state.
//
// Holds: [Service], with one file per way of reading.
//
// May import: door, event, filter, matrix, position, state, storage.
//
// Never: who may see what, which is the door's; a request.
package history

import (
	"context"
	"errors"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/state"
	"lethe/internal/storage"
)

const typeMember = "m.room.member"

// Service reads rooms. It is safe for concurrent use.
type Service struct {
	db    *storage.DB
	door  *door.Door
	trees *state.Trees
}

// New makes the service.
func New(db *storage.DB, d *door.Door, trees *state.Trees) *Service { return &Service{db, d, trees} }

// visit runs fn as a reader in a room which they may look at, or is M_FORBIDDEN.
func (s *Service) visit(
	ctx context.Context, who door.Reader, room matrix.RoomID, fn func(*storage.Tx, *door.Visit) error,
) error {
	return s.db.View(ctx, func(tx *storage.Tx) error {
		v, err := s.door.Enter(tx, who, room)
		if err != nil {
			return err
		}
		if err := v.CanLook(); err != nil {
			return err
		}
		return fn(tx, v)
	})
}

var errNoEvent = matrix.Errorf(matrix.CodeNotFound, "There is no such event, or you may not see it.")

// Event is one event as a reader sees it (CS API, GET
// /rooms/{roomId}/event/{eventId}), or M_NOT_FOUND.
func (s *Service) Event(ctx context.Context, who door.Reader, room matrix.RoomID, id string) (e door.Event, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		v, err := s.door.Enter(tx, who, room)
		if err != nil {
			return err
		}
		_, e, err = s.event(tx, v, room, id)
		return err
	})
	return e, err
}

// event reads one event of a visit's room.
func (s *Service) event(
	tx *storage.Tx, v *door.Visit, room matrix.RoomID, id string,
) (*storage.Event, door.Event, error) {
	stored, err := s.door.Event(tx, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, door.Event{}, errNoEvent
	case err != nil:
		return nil, door.Event{}, err
	case stored.RoomID() != room || stored.Kind != storage.InTimeline:
		return nil, door.Event{}, errNoEvent
	}
	served, err := v.Serve([]*storage.Event{stored}, door.Format{Bundle: true})
	if err == nil && len(served) == 0 {
		err = errNoEvent
	}
	if err != nil {
		return nil, door.Event{}, err
	}
	return stored, served[0], nil
}

// after is the root of the state of a room after a position of its timeline: the
// state before the next event, or the current one where there is none.
func (s *Service) after(tx *storage.Tx, v *door.Visit, pos int64) (state.Root, error) {
	if pos >= v.Room().LastPos {
		return v.Room().State, nil
	}
	next, err := tx.Timeline(v.Room().ID, pos, v.Room().LastPos, 1)
	if err != nil || len(next) == 0 {
		return v.Room().State, err
	}
	return next[0].State, nil
}

// members serves the member events of those who sent some events, for clients
// that load members lazily (CS API, Lazy-loading room members).
func members(v *door.Visit, root state.Root, events []door.Event) ([]door.Event, error) {
	var keys []event.Key
	seen := map[matrix.UserID]bool{}
	for _, e := range events {
		if !seen[e.Sender()] {
			seen[e.Sender()] = true
			keys = append(keys, event.Key{Type: typeMember, StateKey: string(e.Sender())})
		}
	}
	if keys == nil {
		return nil, nil
	}
	return v.ServeState(root, keys, door.Format{})
}

// start is the position that a token names, or another if there is none.
func start(token string, otherwise int64) (int64, error) {
	if token == "" {
		return otherwise, nil
	}
	return position.Parse(token)
}
