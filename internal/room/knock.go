package room

import (
	"context"

	"lethe/internal/matrix"
)

// Knock asks to be let into a room (CS API, POST /knock/{roomIdOrAlias}). Whoever
// knocks already goes on, without another event.
func (s *Service) Knock(ctx context.Context, who Actor, room matrix.RoomID, reason string) error {
	return s.change(ctx, who, room, func(w *writer) error {
		now, err := w.membership(who.User)
		if err != nil || now == knock {
			return err
		}
		return w.setMember(who, who.User, knock, withReason(reason))
	})
}
