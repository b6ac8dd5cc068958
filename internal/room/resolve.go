package room

import (
	"context"
	"strings"

	"lethe/internal/matrix"
)

// Resolve is the room that name, an id or an alias, stands for.
func (s *Service) Resolve(ctx context.Context, name string) (matrix.RoomID, error) {
	if strings.HasPrefix(name, "#") {
		r, err := s.Alias(ctx, name)
		return r.Room, err
	}
	id, err := matrix.ParseRoomID(name)
	if err != nil {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "This is neither a room id nor an alias: %v.", err)
	}
	return id, nil
}
