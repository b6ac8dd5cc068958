package history

import (
	"context"
	"math"

	"lethe/internal/door"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
)

const (
	// relationDepth is how many relations are followed, one after the other, where
	// indirect ones are asked for: the specification wants 3.
	relationDepth = 3
	// maxParents bounds the events of which the children are asked for.
	maxParents = 10_000
)

// related says which events of a timeline are wanted: the children of some.
type related struct {
	parents      []string
	relType, typ string // "" for any
}

// RelationsQuery asks for the children of an event.
type RelationsQuery struct {
	Parent        string
	RelType, Type string // "" for any
	Page          Page
	Recurse       bool
}

// Relations are children of an event.
type Relations struct {
	Events    []door.Event
	NextBatch string // "" where there is no more
	PrevBatch string // "" on the first page
	Depth     int    // how many relations were followed; 0 where that was not asked for
}

// Relations reads the children of an event (CS API, GET
// /rooms/{roomId}/relations/{eventId}); M_NOT_FOUND if the reader does not see
// the event.
func (s *Service) Relations(
	ctx context.Context, who door.Reader, room matrix.RoomID, q RelationsQuery,
) (r Relations, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		v, err := s.door.Enter(tx, who, room)
		if err != nil {
			return err
		}
		if _, _, err := s.event(tx, v, room, q.Parent); err != nil {
			return err
		}
		w, err := newWalk(tx, v, q.Page)
		if err != nil {
			return err
		}
		r = Relations{PrevBatch: q.Page.From}
		w.of = &related{[]string{q.Parent}, q.RelType, q.Type}
		if q.Recurse {
			r.Depth = relationDepth
			if w.of.parents, err = descendants(tx, room, q.Parent); err != nil {
				return err
			}
		}
		if r.Events, err = w.events(max(min(q.Page.Limit, maxPage), 1)); err != nil {
			return err
		}
		if !w.done {
			r.NextBatch = position.InRoom(w.pos)
		}
		return nil
	})
	return r, err
}

// descendants are an event and what relates to it, directly or by others, up to
// those whose children are as deep as is followed. Each is there once, so that
// relations in a circle end.
func descendants(tx *storage.Tx, room matrix.RoomID, parent string) ([]string, error) {
	parents, seen := []string{parent}, map[string]bool{parent: true}
	for level, depth := parents, 1; depth < relationDepth && len(level) > 0 && len(parents) < maxParents; depth++ {
		children, err := tx.ChildIDs(room, level)
		if err != nil {
			return nil, err
		}
		level = nil
		for _, id := range children {
			if !seen[id] && len(parents) < maxParents {
				seen[id] = true
				level, parents = append(level, id), append(parents, id)
			}
		}
	}
	return parents, nil
}

// Threads reads the roots of a room's threads, that with the newest reply first
// (CS API, GET /rooms/{roomId}/threads). participated: those alone in which the
// reader takes part. next is "" where there is no more.
func (s *Service) Threads(
	ctx context.Context, who door.Reader, room matrix.RoomID, from string, limit int, participated bool,
) (roots []door.Event, next string, err error) {
	limit = max(min(limit, maxPage), 1)
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		before, err := start(from, math.MaxInt64-1)
		if err != nil {
			return err
		}
		var participant matrix.UserID
		if participated {
			participant = who.User
		}
		roots, next = nil, ""
		for scanned := 0; len(roots) < limit; {
			want := limit - len(roots)
			threads, err := tx.Threads(room, before+1, want+1, participant)
			if err != nil {
				return err
			}
			more := len(threads) > want
			threads = threads[:min(len(threads), want)]
			part, err := s.roots(tx, v, threads)
			if err != nil {
				return err
			}
			roots = append(roots, part...)
			if !more {
				return nil
			}
			before = threads[len(threads)-1].LastPos - 1
			if scanned += len(threads); scanned >= maxScan {
				break
			}
		}
		next = position.InRoom(before)
		return nil
	})
	return roots, next, err
}

// roots serves the roots of threads of which the reader sees a reply. Those of
// ignored users are redacted, so that the thread is there (CS API, GET /threads).
func (s *Service) roots(tx *storage.Tx, v *door.Visit, threads []storage.Thread) ([]door.Event, error) {
	ids := make([]string, 0, len(threads))
	for _, t := range threads {
		ids = append(ids, t.Root)
	}
	found, err := s.door.Events(tx, ids)
	if err != nil {
		return nil, err
	}
	events := make([]*storage.Event, 0, len(ids))
	for _, id := range ids {
		if e := found[id]; e != nil {
			events = append(events, e)
		}
	}
	served, err := v.Serve(events, door.Format{Bundle: true, KeepIgnored: true})
	roots := served[:0]
	for _, e := range served {
		if e.HasThread() {
			roots = append(roots, e)
		}
	}
	return roots, err
}
