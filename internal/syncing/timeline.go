package syncing

import (
	"cmp"
	"math"
	"slices"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/filter"
	"lethe/internal/storage"
)

const (
	// scanFirst and scanMore are how many events are read at once, of a timeline of
	// which some may not be wanted or seen.
	scanFirst, scanMore = 10, 100
	// scanMax bounds how many are looked at for one timeline. What is before them is
	// a gap, though there may be nothing in it.
	scanMax = 2000
)

// part is a part of a timeline on its way to the reader.
type part struct {
	events  []door.Event // those to show, oldest first
	limited bool
	// start is the position of the first event that is shown, or of the first that
	// was looked at where the gap is before that; 0 for neither.
	start int64
	// scanned are all events that were looked at, oldest first; whole tells that
	// these are all there are.
	scanned []*storage.Event
	whole   bool
}

// first is the first event that is shown, if there is one.
func (p *part) first() (*storage.Event, bool) {
	if len(p.events) == 0 {
		return nil, false
	}
	pos := p.events[0].Pos()
	i, ok := slices.BinarySearchFunc(p.scanned, pos, func(e *storage.Event, pos int64) int { return cmp.Compare(e.Pos, pos) })
	if !ok {
		return nil, false
	}
	return p.scanned[i], true
}

// timeline returns the newest events of a room's timeline, as many as the filter
// wants.
func (b *builder) timeline(door *door.Visit, v visit) (part, error) {
	f := &b.r.Filter.Room.Timeline
	limit := f.LimitOr(filter.DefaultLimit)
	var p part
	if !v.events {
		p.whole = true
		return p, nil
	}
	if !v.fresh {
		if events, ok := b.s.hub.Timeline(v.room, v.after, v.upTo); ok {
			p.scanned, p.whole = events, true
			served, err := b.show(door, events, f)
			p.cut(served, limit)
			return p, err
		}
	}
	after := v.after
	if v.fresh {
		after = math.MinInt64
	}
	served, err := b.scan(door, v, &p, after, limit)
	p.cut(served, limit)
	return p, err
}

// scan reads a timeline from its end until there is one event more than the
// limit.
func (b *builder) scan(door *door.Visit, v visit, p *part, after int64, limit int) (served []door.Event, err error) {
	f := &b.r.Filter.Room.Timeline
	if f.WantsNothing() || !f.WantsRoom(v.room) {
		return nil, nil
	}
	from, size := v.upTo, max(limit+1, scanFirst)
	for len(served) <= limit && len(p.scanned) < scanMax {
		back, err := b.tx.TimelineBack(v.room, from, after, size)
		if err != nil {
			return nil, err
		}
		p.whole = len(back) < size
		slices.Reverse(back)
		shown, err := b.show(door, back, f)
		if err != nil {
			return nil, err
		}
		served, p.scanned = append(shown, served...), append(back, p.scanned...)
		if p.whole {
			return served, nil
		}
		from, size = p.scanned[0].Pos-1, scanMore
	}
	return served, nil
}

// cut leaves the newest of what could be shown.
func (p *part) cut(served []door.Event, limit int) {
	more := len(served) - limit
	p.events = served[max(more, 0):]
	p.limited = more > 0 || !p.whole && len(p.scanned) > 0
	switch {
	case len(p.events) > 0 && (p.whole || more > 0):
		p.start = p.events[0].Pos()
	case more > 0: // the limit is 0
		p.start = served[len(served)-1].Pos() + 1
	case p.limited:
		p.start = p.scanned[0].Pos
	}
}

// show takes what the filter wants through the door.
func (b *builder) show(v *door.Visit, events []*storage.Event, f *filter.Events) ([]door.Event, error) {
	if !f.WantsAll() {
		events = slices.DeleteFunc(slices.Clone(events), func(e *storage.Event) bool { return !f.Wants(e.Event) })
	}
	if len(events) == 0 {
		return nil, nil
	}
	format := b.format()
	format.Bundle = true
	return v.Serve(events, format)
}

func (b *builder) format() door.Format {
	f := door.Format{Kind: door.Sync, Fields: b.r.Filter.EventFields}
	if b.r.Filter.EventFormat == "federation" {
		f.Kind = door.Federation
	}
	return f
}

// dropped are the keys of state that has changed after the first event that is
// shown, by events that the filter has left out: clients that ask for messages
// alone hear of it as state.
func (p *part) dropped() (keys []event.Key) {
	shown := make(map[int64]bool, len(p.events))
	for _, e := range p.events {
		shown[e.Pos()] = true
	}
	last := map[event.Key]bool{}
	for _, e := range p.scanned {
		if len(shown) == 0 {
			break // then it is in what has changed up to the end
		}
		if key, ok := e.Key(); ok && e.Pos >= p.start {
			last[key] = shown[e.Pos]
		}
	}
	for key, ok := range last {
		if !ok {
			keys = append(keys, key)
		}
	}
	return keys
}
