package room

import (
	"context"
	"errors"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Forget hides a room that someone has left from them (CS API, POST
// /rooms/{roomId}/forget). Who has not left it is M_UNKNOWN; a room that they
// never had to do with is M_NOT_FOUND, whether it is there or not.
func (s *Service) Forget(ctx context.Context, who Actor, room matrix.RoomID) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		if err := s.live(tx, who); err != nil {
			return err
		}
		m, err := tx.Membership(room, who.User)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return errNoRoom
		case err != nil:
			return err
		case m.Membership != leave && m.Membership != ban:
			return matrix.Errorf(matrix.CodeUnknown, "You have not left this room: leave it first.")
		}
		// It asks for the membership again: someone may have invited them meanwhile.
		forgot, err := tx.Forget(room, who.User)
		if err != nil || !forgot {
			return err
		}
		_, err = tx.NextPos(storage.Change{Kind: storage.ChangePrivate, Room: room, User: who.User})
		return err
	})
}
