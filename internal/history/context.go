package history

import (
	"context"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/filter"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Surroundings are an event and what is around it.
type Surroundings struct {
	Event         door.Event
	Before, After []door.Event // before: newest first
	State         []door.Event // at the last event
	Start, End    string       // tokens to go on with
}

// Context reads an event and what is around it (CS API, GET
// /rooms/{roomId}/context/{eventId}), up to limit events in all besides it.
func (s *Service) Context(
	ctx context.Context, who door.Reader, room matrix.RoomID, id string, limit int, f filter.Events,
) (c Surroundings, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		v, err := s.door.Enter(tx, who, room)
		if err != nil {
			return err
		}
		stored, served, err := s.event(tx, v, room, id)
		if err != nil {
			return err
		}
		c, err = s.around(tx, v, stored, min(max(limit, 0), maxPage), f)
		c.Event = served
		return err
	})
	return c, err
}

// around reads what is around an event of a visit's room.
func (s *Service) around(
	tx *storage.Tx, v *door.Visit, e *storage.Event, limit int, f filter.Events,
) (c Surroundings, err error) {
	before, err := newWalk(tx, v, Page{From: position.InRoom(e.Pos - 1), Back: true, Filter: f})
	if err != nil {
		return c, err
	}
	after, err := newWalk(tx, v, Page{From: position.InRoom(e.Pos), Filter: f})
	if err != nil {
		return c, err
	}
	if c.Before, err = before.events(limit - limit/2); err != nil {
		return c, err
	}
	if c.After, err = after.events(limit / 2); err != nil {
		return c, err
	}
	c.Start, c.End = position.InRoom(before.pos), position.InRoom(after.pos)
	root, err := s.after(tx, v, after.pos)
	if err != nil {
		return c, err
	}
	c.State, err = s.stateFor(tx, v, root, c, e, f)
	return c, err
}

// stateFor is the state of the room at root, as the filter wants it: with lazy
// loading of the members alone who sent what is there.
func (s *Service) stateFor(
	tx *storage.Tx, v *door.Visit, root state.Root, c Surroundings, e *storage.Event, f filter.Events,
) ([]door.Event, error) {
	if !f.LazyLoadMembers {
		return v.ServeState(root, nil, door.Format{})
	}
	entries, err := s.trees.NotMembers(tx, v.Room().ID, root)
	if err != nil {
		return nil, err
	}
	keys := []event.Key{{Type: typeMember, StateKey: string(e.Sender())}}
	seen := map[matrix.UserID]bool{e.Sender(): true}
	for _, list := range [][]door.Event{c.Before, c.After} {
		for _, other := range list {
			if !seen[other.Sender()] {
				seen[other.Sender()] = true
				keys = append(keys, event.Key{Type: typeMember, StateKey: string(other.Sender())})
			}
		}
	}
	for key := range entries {
		keys = append(keys, key)
	}
	return v.ServeState(root, keys, door.Format{})
}
