package hub

import (
	"slices"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// heroes are the first of those who are in a room, by whom rooms without a name
// are called.
type heroes struct {
	known bool
	users []matrix.UserID
	// more tells that others come after them. Whoever changes comes last, so that
	// one who is not among these does not become one of them.
	more bool
}

func (h *heroes) changed(user matrix.UserID) {
	if !h.more || slices.Contains(h.users, user) {
		*h = heroes{}
	}
}

// Heroes returns the first of those who are in a room, if they are known.
func (h *Hub) Heroes(id matrix.RoomID) ([]matrix.UserID, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[id]
	if r == nil || !r.heroes.known {
		return nil, false
	}
	return r.heroes.users, true
}

// SetHeroes says who they are, and whether there are more, as read at a position.
func (h *Hub) SetHeroes(id matrix.RoomID, users []matrix.UserID, more bool, at int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.rooms[id]; r != nil && r.last[storage.ChangeMember] <= at {
		r.heroes = heroes{known: true, users: users, more: more}
	}
}
