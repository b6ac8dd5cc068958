package hub

import "lethe/internal/storage"

// Changed hands changes over as the store does.
func (h *Hub) Changed(changes ...storage.Change) { h.changed(changes) }

// Held is the weight of the events in memory.
func (h *Hub) Held() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}
