package history

import (
	"context"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// root is the state of the room that a reader may see: the current one, or that
// of when they left.
func (s *Service) root(tx *storage.Tx, v *door.Visit) (state.Root, error) {
	return s.after(tx, v, v.Until())
}

// State is all state of a room (CS API, GET /rooms/{roomId}/state).
func (s *Service) State(ctx context.Context, who door.Reader, room matrix.RoomID) (events []door.Event, err error) {
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		root, err := s.root(tx, v)
		if err == nil {
			events, err = v.ServeState(root, nil, door.Format{})
		}
		return err
	})
	return events, err
}

// StateContent is the content of one piece of state (CS API, GET
// /rooms/{roomId}/state/{eventType}/{stateKey}), or M_NOT_FOUND.
func (s *Service) StateContent(
	ctx context.Context, who door.Reader, room matrix.RoomID, key event.Key,
) (c door.Content, err error) {
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		root, err := s.root(tx, v)
		if err == nil {
			c, err = v.StateContent(root, key)
		}
		return err
	})
	return c, err
}

// StateEvent is StateContent for the whole event (format=event).
func (s *Service) StateEvent(
	ctx context.Context, who door.Reader, room matrix.RoomID, key event.Key,
) (e door.Event, err error) {
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		root, err := s.root(tx, v)
		if err != nil {
			return err
		}
		list, err := v.ServeState(root, []event.Key{key}, door.Format{})
		if err == nil && len(list) == 0 {
			err = matrix.Errorf(matrix.CodeNotFound, "The room has no such state.")
		}
		if err == nil {
			e = list[0]
		}
		return err
	})
	return e, err
}

// MembersQuery says which members of a room are wanted; "" for any.
type MembersQuery struct{ At, Is, IsNot string }

// Members are the member events of a room (CS API, GET
// /rooms/{roomId}/members).
func (s *Service) Members(
	ctx context.Context, who door.Reader, room matrix.RoomID, q MembersQuery,
) (events []door.Event, err error) {
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		at, err := start(q.At, v.Until())
		if err != nil {
			return err
		}
		root, err := s.after(tx, v, min(at, v.Until()))
		if err != nil {
			return err
		}
		keys, err := s.memberKeys(tx, room, root, q)
		if err != nil {
			return err
		}
		events, err = v.ServeState(root, keys, door.Format{})
		return err
	})
	return events, err
}

// memberKeys are the keys of those member events of a state that a query asks
// for; never nil.
func (s *Service) memberKeys(tx *storage.Tx, room matrix.RoomID, root state.Root, q MembersQuery) ([]event.Key, error) {
	members, err := s.trees.OfType(tx, room, root, typeMember)
	if err != nil {
		return nil, err
	}
	keys := []event.Key{}
	var ids []string
	for user, id := range members {
		keys, ids = append(keys, event.Key{Type: typeMember, StateKey: user}), append(ids, id)
	}
	if q.Is == "" && q.IsNot == "" {
		return keys, nil
	}
	events, err := s.door.Events(tx, ids)
	if err != nil {
		return nil, err
	}
	wanted := keys[:0]
	for i, key := range keys {
		e := events[ids[i]]
		if e == nil {
			continue
		}
		membership := event.MembershipOf(e.Event)
		if (q.Is == "" || membership == q.Is) && (q.IsNot == "" || membership != q.IsNot) {
			wanted = append(wanted, key)
		}
	}
	return wanted, nil
}

// JoinedMembers are the members of a room with their names (CS API, GET
// /rooms/{roomId}/joined_members): for those who are in it, and nobody else.
func (s *Service) JoinedMembers(
	ctx context.Context, who door.Reader, room matrix.RoomID,
) (names map[matrix.UserID]door.Content, err error) {
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		if v.Membership() != "join" {
			return matrix.Errorf(matrix.CodeForbidden, "You are not in this room.")
		}
		members, err := tx.Members(room, "join")
		if err == nil {
			names, err = v.Names(members)
		}
		return err
	})
	return names, err
}
