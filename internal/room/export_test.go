package room

import (
	"context"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// MeetsConditions asks as a server of another user does whether the join rules
// of a room let them in.
func (s *Service) MeetsConditions(ctx context.Context, room matrix.RoomID, user matrix.UserID) error {
	return s.db.View(ctx, func(tx *storage.Tx) error {
		r, err := tx.Room(room)
		if err != nil {
			return err
		}
		w := &writer{s: s, tx: tx, version: r.VersionOf(), room: r}
		key := event.Key{Type: typeJoinRules}
		state, err := w.current(key)
		if err != nil {
			return err
		}
		return w.meetsConditions(user, pdu(state[key]).Content())
	})
}

// Receive stores an event of another server, as one that has passed the rules.
func (s *Service) Receive(ctx context.Context, room matrix.RoomID, e *event.Event) error {
	return s.change(ctx, Actor{Ending: true}, room, func(w *writer) error {
		_, err := w.store(e)
		return err
	})
}
