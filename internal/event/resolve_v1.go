package event

import (
	"bytes"
	"cmp"
	"crypto/sha1" //nolint:gosec // the algorithm names it, and only orders by it
	"maps"
	"slices"
)

// resolveV1 is the algorithm of rooms/v1.
func (r *resolver) resolveV1() (map[Key]string, error) {
	var all []*Event
	for _, id := range r.conflicted() {
		all = append(all, r.events[id])
	}
	if err := r.loadForAuth(all); err != nil {
		return nil, err
	}
	resolved := map[Key]*Event{} // of the conflicts
	state := func(key Key) *Event {
		if e := resolved[key]; e != nil {
			return e
		}
		return r.agreedEvent(key)
	}
	// Each pass sees what the passes before it have resolved, not what it resolves
	// itself: so the order of the keys does not matter.
	passes := []func(Key) bool{
		func(key Key) bool { return key == Key{Type: typePowerLevels} },
		func(key Key) bool { return key.Type == typeJoinRules },
		func(key Key) bool { return key.Type == typeMember },
	}
	for _, in := range passes {
		of := map[Key]*Event{}
		for key := range r.conflicts {
			if in(key) {
				of[key] = lastInLine(r.byDepth(key), key, state)
			}
		}
		maps.Copy(resolved, of)
	}
	rest := map[Key]*Event{}
	for key := range r.conflicts {
		if resolved[key] == nil {
			rest[key] = newestAllowed(r.byDepth(key), state)
		}
	}
	result := maps.Clone(r.agreed)
	for _, of := range []map[Key]*Event{resolved, rest} {
		for key, e := range of {
			result[key] = e.id
		}
	}
	return result, nil
}

// byDepth are the events in conflict for a key, by ascending depth and then
// descending SHA-1 of their id.
func (r *resolver) byDepth(key Key) []*Event {
	type entry struct {
		e    *Event
		hash [sha1.Size]byte
	}
	entries := make([]entry, 0, len(r.conflicts[key]))
	for _, id := range r.conflicts[key] {
		entries = append(entries, entry{r.events[id], sha1.Sum([]byte(id))}) //nolint:gosec // as above
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.e.depth, b.e.depth), bytes.Compare(b.hash[:], a.hash[:]))
	})
	events := make([]*Event, len(entries))
	for i, entry := range entries {
		events[i] = entry.e
	}
	return events
}

// lastInLine takes the first event, and then each next one as long as the one
// before allows it.
func lastInLine(events []*Event, key Key, state StateFn) *Event {
	current := events[0]
	own := func(k Key) *Event {
		if k == key {
			return current
		}
		return state(k)
	}
	for _, e := range events[1:] {
		if Authorize(e, own) != nil {
			break
		}
		current = e
	}
	return current
}

// newestAllowed takes the last event that the state allows. If it allows none,
// the specification is silent; the servers that made these rooms take the first.
func newestAllowed(events []*Event, state StateFn) *Event {
	for _, e := range slices.Backward(events) {
		if Authorize(e, state) == nil {
			return e
		}
	}
	return events[0]
}
