package app

import (
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// buildRooms makes what serves rooms.
func (s *Server) buildRooms() {
	trees := state.New()
	s.Rooms = room.New(s.DB, trees, stored{}, room.Options{
		ServerName: matrix.ServerName(s.settings.ServerName), Key: s.key, Now: s.opts.Now, Log: s.opts.Log,
	})
}

// stored reads events from the database each time.
type stored struct{}

func (stored) Events(tx *storage.Tx, ids []string) (map[string]*storage.Event, error) {
	return tx.Events(ids)
}
