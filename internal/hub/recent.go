package hub

import (
	"context"
	"slices"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	// recentEvents bounds how many events of a room are kept.
	recentEvents = 128
	// recentBytes bounds the memory of the events of all rooms.
	recentBytes = 32 << 20
	// eventBytes is what an event takes besides its JSON.
	eventBytes = 600
)

// recent has the newest events of a room's timeline: all after from.
type recent struct {
	from   int64
	events []slot // oldest first
}

// slot has an event. It is nil where another process has written it and this one
// has not read it yet.
type slot struct {
	pos   int64
	event *storage.Event
}

func (s slot) weight() int {
	if s.event == nil {
		return eventBytes
	}
	return s.event.Size() + eventBytes
}

// keep adds an event to the newest of a room.
func (h *Hub) keep(r *room, c storage.Change) {
	s := slot{c.Pos, c.Event}
	if len(r.events) == recentEvents {
		cut := recentEvents / 4
		for _, old := range r.events[:cut] {
			h.held -= old.weight()
		}
		r.from = r.events[cut-1].pos
		r.events = slices.Delete(r.events, 0, cut)
	}
	r.events = append(r.events, s)
	h.held += s.weight()
	if h.held <= recentBytes {
		return
	}
	for _, other := range h.rooms { // in no order, so that no room is always the one
		if h.drop(other, h.pos); h.held <= recentBytes*3/4 {
			return
		}
	}
}

// drop forgets the newest events of a room, of which all up to a position are to
// be read from the database.
func (h *Hub) drop(r *room, pos int64) {
	for _, s := range r.events {
		h.held -= s.weight()
	}
	r.events, r.from = nil, pos
}

// Timeline returns the events of a room's timeline above a position and not
// above another, oldest first, or that it does not have them all.
func (h *Hub) Timeline(id matrix.RoomID, after, upTo int64) ([]*storage.Event, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[id]
	if r == nil || after < r.from || upTo > h.pos {
		return nil, false
	}
	var events []*storage.Event
	for _, s := range r.events {
		if s.pos <= after || s.pos > upTo {
			continue
		}
		if s.event == nil {
			return nil, false
		}
		events = append(events, s.event)
	}
	return events, true
}

// Run reads what other processes have written, once for all who wait for it,
// until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.fetch:
			h.catchUp(ctx)
		}
	}
}

// gap is a part of a room's timeline.
type gap struct {
	room        *room
	after, upTo int64
}

// catchUp reads the events that are missing, and wakes those who wait for them.
// If it cannot, those who wake read for themselves.
func (h *Hub) catchUp(ctx context.Context) {
	gaps := h.gaps()
	read := map[*room][]*storage.Event{}
	_ = h.db.View(ctx, func(tx *storage.Tx) error {
		clear(read)
		for _, g := range gaps {
			events, err := tx.Timeline(g.room.id, g.after, g.upTo, recentEvents)
			if err != nil {
				return err
			}
			read[g.room] = events
		}
		return nil
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range gaps {
		h.fill(g.room, read[g.room])
		g.room.rouse()
	}
}

// gaps takes the rooms that are behind, with what they miss.
func (h *Hub) gaps() (gaps []gap) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for r := range h.behind {
		g := gap{room: r}
		for _, s := range r.events {
			if s.event != nil {
				continue
			}
			if g.upTo == 0 {
				g.after = s.pos - 1
			}
			g.upTo = s.pos
		}
		gaps = append(gaps, g)
	}
	clear(h.behind)
	return gaps
}

// fill puts events into their places. What was dropped meanwhile has none.
func (h *Hub) fill(r *room, events []*storage.Event) {
	for _, e := range events {
		i, ok := slices.BinarySearchFunc(r.events, e.Pos, func(s slot, pos int64) int { return int(s.pos - pos) })
		if ok && r.events[i].event == nil {
			h.held -= r.events[i].weight()
			r.events[i].event = e
			h.held += r.events[i].weight()
		}
	}
}
