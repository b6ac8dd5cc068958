package room

import (
	"context"
	"strings"

	"lethe/internal/matrix"
)

// Resolve is the room that name, an id or an alias, stands for.
func (s *Service) Resolve(_ context.Context, name string) (matrix.RoomID, error) {
	if strings.HasPrefix(name, "#") {
		if _, err := matrix.ParseRoomAlias(name); err != nil {
			return "", matrix.Errorf(matrix.CodeInvalidParam, "The alias is not valid: %v.", err)
		}
		return "", matrix.Errorf(matrix.CodeNotFound, "There is no room %s.", name)
	}
	id, err := matrix.ParseRoomID(name)
	if err != nil {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "This is neither a room id nor an alias: %v.", err)
	}
	return id, nil
}
