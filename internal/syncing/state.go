package syncing

import (
	"maps"
	"slices"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

const typeMember = "m.room.member"

// roots are the states of a room that matter to an answer.
type roots struct {
	since state.Root // what the client knows; of a fresh room the state without anything
	start state.Root // before the first event that it is shown
	end   state.Root // after the last
}

// findRoots finds them with as few questions as possible.
func (b *builder) findRoots(room storage.Room, v visit, p *part) (r roots, err error) {
	if v.upTo >= room.LastPos {
		r.end = room.State
	} else if r.end, err = b.stateAfter(room, v.upTo); err != nil {
		return r, err
	}
	r.start, r.since = r.end, r.end
	if e, ok := p.first(); ok {
		r.start = e.State
	}
	switch {
	case v.fresh:
		r.since = state.Root{}
	case p.whole && len(p.scanned) > 0:
		r.since = p.scanned[0].State
	case v.events && !p.whole:
		r.since, err = b.stateAfter(room, v.after)
	}
	return r, err
}

func (b *builder) stateAfter(room storage.Room, pos int64) (state.Root, error) {
	root, ok, err := b.tx.StateAfter(room.ID, pos)
	if err == nil && !ok {
		root = room.State
	}
	return root, err
}

// stateOf returns the state events of a room that the reader has to hear of, and
// whether its members have changed.
func (b *builder) stateOf(d *door.Visit, v visit, p *part, heroes []matrix.UserID) ([]door.Event, error) {
	r, err := b.findRoots(d.Room(), v, p)
	if err != nil {
		return nil, err
	}
	root := r.start
	if b.r.StateAfter {
		root = r.end
	}
	ids := map[event.Key]string{}
	all := v.fresh || b.r.FullState && !v.left
	switch {
	case all:
		err = b.wholeState(v.room, root, ids)
	case r.since != root:
		if ids, _, err = b.s.trees.Diff(b.tx, v.room, r.since, root); err == nil && !b.lazy() {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if b.lazy() {
		if err := b.lazyMembers(v.room, root, p, heroes, all, ids); err != nil {
			return nil, err
		}
	}
	events, err := b.serveState(d, v.room, root, ids)
	if err != nil || b.r.StateAfter || all && len(p.scanned) == 0 {
		return events, err
	}
	return b.addDropped(d, v.room, r.end, p, events)
}

func (b *builder) lazy() bool { return b.r.Filter.Room.State.LazyLoadMembers }

// wholeState adds all of a room's state, but members where they are loaded
// lazily.
func (b *builder) wholeState(room matrix.RoomID, root state.Root, ids map[event.Key]string) error {
	all := b.s.trees.All
	if b.lazy() {
		all = b.s.trees.NotMembers
	}
	entries, err := all(b.tx, room, root)
	if err != nil {
		return err
	}
	maps.Insert(ids, entries)
	return nil
}

// lazyMembers adds the members that the client needs to show the timeline (CS
// API, Lazy-loading room members), and, with all of the state, the reader: those
// it has been told of only with that.
func (b *builder) lazyMembers(
	room matrix.RoomID, root state.Root, p *part, heroes []matrix.UserID, all bool, ids map[event.Key]string,
) error {
	keys := make([]event.Key, 0, len(p.events)+len(heroes)+1)
	add := func(user matrix.UserID) {
		key := event.Key{Type: typeMember, StateKey: string(user)}
		if _, there := ids[key]; !there && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, e := range p.events {
		add(e.Sender())
	}
	for _, user := range heroes {
		add(user)
	}
	if all {
		add(b.r.User)
	}
	found, err := b.s.trees.GetMany(b.tx, room, root, keys)
	if err != nil {
		return err
	}
	for key, id := range found {
		if all || !b.sent.knows(room, key.StateKey, id) {
			ids[key] = id
		}
	}
	if b.sent == nil {
		return nil
	}
	for key, id := range ids {
		if key.Type == typeMember {
			b.sent.add(room, key.StateKey, id, b.pos)
		}
	}
	for _, e := range p.events {
		if key, ok := e.StateKey(); ok && e.Type() == typeMember {
			b.sent.add(room, key, e.ID(), b.pos)
		}
	}
	return nil
}

// serveState takes state that the filter wants through the door.
func (b *builder) serveState(
	d *door.Visit, room matrix.RoomID, root state.Root, ids map[event.Key]string,
) ([]door.Event, error) {
	f := &b.r.Filter.Room.State
	if len(ids) == 0 || f.WantsNothing() || !f.WantsRoom(room) {
		return nil, nil
	}
	keys := make([]event.Key, 0, len(ids))
	for key := range ids {
		if f.WantsType(key.Type) {
			keys = append(keys, key)
		}
	}
	if f.Senders != nil || len(f.NotSenders) > 0 || f.ContainsURL != nil {
		var err error
		if keys, err = b.wanted(keys, ids); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	events, err := d.ServeState(root, keys, b.format())
	// Oldest first, as clients of old expect it of the create event.
	slices.SortFunc(events, func(x, y door.Event) int { return int(x.Pos() - y.Pos()) })
	return events, err
}

// wanted are those of the keys whose events the filter wants.
func (b *builder) wanted(keys []event.Key, ids map[event.Key]string) ([]event.Key, error) {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = ids[key]
	}
	events, err := b.s.door.Events(b.tx, list)
	return slices.DeleteFunc(keys, func(key event.Key) bool {
		e := events[ids[key]]
		return e == nil || !b.r.Filter.Room.State.Wants(e.Event)
	}), err
}

// addDropped adds the state of [part.dropped].
func (b *builder) addDropped(
	d *door.Visit, room matrix.RoomID, end state.Root, p *part, events []door.Event,
) ([]door.Event, error) {
	if b.r.Filter.Room.Timeline.WantsAll() {
		return events, nil
	}
	keys := p.dropped()
	ids, err := b.s.trees.GetMany(b.tx, room, end, keys)
	if err != nil {
		return nil, err
	}
	more, err := b.serveState(d, room, end, ids)
	if len(more) == 0 {
		return events, err
	}
	newer := map[event.Key]bool{}
	for _, e := range more {
		newer[keyOf(e)] = true
	}
	events = slices.DeleteFunc(events, func(e door.Event) bool { return newer[keyOf(e)] })
	return append(events, more...), nil
}

func keyOf(e door.Event) event.Key {
	key, _ := e.StateKey()
	return event.Key{Type: e.Type(), StateKey: key}
}
