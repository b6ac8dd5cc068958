package history

import (
	"context"
	"math"
	"slices"

	"lethe/internal/door"
	"lethe/internal/filter"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
)

// Page says which part of a timeline is wanted.
type Page struct {
	From, To string // tokens, "" for none
	Back     bool   // towards older events
	Limit    int
	Filter   filter.Events
}

// Chunk is a part of a timeline.
type Chunk struct {
	Start  string
	End    string // "" where there is no more
	Events []door.Event
	State  []door.Event // members who sent the events, if the filter asks for them
}

const (
	// maxPage bounds the events of a page, maxScan how many are looked at for it:
	// who may see few of many gets a short page with a token to go on.
	maxPage = 1000
	maxScan = 5000
)

// Messages reads a page of a room's timeline (CS API, GET
// /rooms/{roomId}/messages).
func (s *Service) Messages(ctx context.Context, who door.Reader, room matrix.RoomID, p Page) (c Chunk, err error) {
	p.Limit = max(min(p.Limit, p.Filter.LimitOr(maxPage), maxPage), 1)
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		w, err := newWalk(tx, v, p)
		if err != nil {
			return err
		}
		c = Chunk{Start: position.InRoom(w.pos)}
		if p.From != "" {
			c.Start = p.From
		}
		if c.Events, err = w.events(p.Limit); err != nil {
			return err
		}
		if !w.done {
			c.End = position.InRoom(w.pos)
		}
		if !p.Filter.LazyLoadMembers || len(c.Events) == 0 {
			return nil
		}
		root, err := s.after(tx, v, c.Events[len(c.Events)-1].Pos())
		if err != nil {
			return err
		}
		c.State, err = members(v, root, c.Events)
		return err
	})
	return c, err
}

// walk goes along the timeline of a room, from a place between two events.
type walk struct {
	tx     *storage.Tx
	v      *door.Visit
	filter filter.Events
	of     *related // of a timeline; nil for all
	back   bool
	pos    int64 // everything up to here is on the one side, the rest on the other
	end    int64 // where it ends
	done   bool  // nothing is left
}

func newWalk(tx *storage.Tx, v *door.Visit, p Page) (*walk, error) {
	last := min(v.Room().LastPos, v.Until())
	w := &walk{tx: tx, v: v, filter: p.Filter, back: p.Back}
	first, otherEnd := int64(math.MinInt64), last
	if p.Back {
		first, otherEnd = last, math.MinInt64
	}
	var err error
	if w.pos, err = start(p.From, first); err != nil {
		return nil, err
	}
	if w.end, err = start(p.To, otherEnd); err != nil {
		return nil, err
	}
	if p.Back {
		w.pos = min(w.pos, last)
	} else {
		w.end = min(w.end, last)
	}
	return w, nil
}

// events takes the next events, up to limit of those that the reader sees and
// the filter lets through.
func (w *walk) events(limit int) (served []door.Event, err error) {
	for scanned := 0; len(served) < limit && !w.done && scanned < maxScan; {
		want := limit - len(served)
		list, err := w.read(want + 1) // one more tells whether there is more
		if err != nil {
			return nil, err
		}
		if w.done = len(list) <= want; !w.done {
			list = list[:want]
		}
		scanned += len(list)
		if len(list) > 0 {
			w.pass(list[len(list)-1].Pos)
		}
		if list, err = w.choose(list); err != nil {
			return nil, err
		}
		part, err := w.v.Serve(list, door.Format{Bundle: true})
		if err != nil {
			return nil, err
		}
		served = append(served, part...)
	}
	return served, nil
}

// choose keeps those of the events that are wanted.
func (w *walk) choose(list []*storage.Event) ([]*storage.Event, error) {
	kept := list[:0]
	var ids []string
	for _, e := range list {
		if !w.filter.Wants(e.Event) {
			continue
		}
		if w.of != nil {
			// What is covered relates to nothing any more, as what is redacted.
			if whole, err := w.v.Whole(e); err != nil {
				return nil, err
			} else if !whole {
				continue
			}
		}
		kept, ids = append(kept, e), append(ids, e.ID())
	}
	types, senders := w.filter.RelatedByTypes, w.filter.RelatedBySenders
	if len(kept) == 0 || len(types)+len(senders) == 0 {
		return kept, nil
	}
	users := make([]matrix.UserID, 0, len(senders))
	for _, sender := range senders {
		users = append(users, matrix.UserID(sender))
	}
	related, err := w.tx.RelatedBy(w.v.Room().ID, ids, types, users)
	return slices.DeleteFunc(kept, func(e *storage.Event) bool { return !related[e.ID()] }), err
}

func (w *walk) read(n int) ([]*storage.Event, error) {
	room := w.v.Room().ID
	switch {
	case w.of != nil:
		q := storage.RelatedQuery{
			Room: room, Parents: w.of.parents, RelType: w.of.relType, Type: w.of.typ, From: w.pos, To: w.end, Limit: n, Forward: true,
		}
		if w.back {
			q.From, q.To, q.Forward = w.end, w.pos, false
		}
		return w.tx.Related(q)
	case w.back:
		return w.tx.TimelineBack(room, w.pos, w.end, n)
	}
	return w.tx.Timeline(room, w.pos, w.end, n)
}

// pass moves the place behind an event.
func (w *walk) pass(pos int64) {
	if w.back {
		pos--
	}
	w.pos = pos
}
