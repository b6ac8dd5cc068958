package event

import (
	"fmt"
	"slices"
)

// maxFetch is how many events are asked for at once.
const maxFetch = 1000

// Resolve is the state that comes of several ones, by the algorithm of the room
// version (rooms/v1, v2 and v12, State resolution). It does not depend on the
// order of sets.
//
// fetch gives the events of these ids, also the rejected ones; that one is missing
// is an error. It is asked for all of a generation of the auth chains at once, for
// at most 1,000. rejected tells which events were rejected; it may be nil.
func Resolve(
	v *Version, sets []map[Key]string, fetch func(ids []string) (map[string]*Event, error), rejected func(id string) bool,
) (map[Key]string, error) {
	agreed, conflicts := separate(sets, v.StateRes == 1)
	if len(conflicts) == 0 {
		return agreed, nil
	}
	r := &resolver{
		version: v, fetch: fetch, rejected: rejected, events: map[string]*Event{}, agreed: agreed, conflicts: conflicts,
	}
	if err := r.load(r.conflicted()); err != nil {
		return nil, err
	}
	if v.StateRes == 1 {
		return r.resolveV1()
	}
	return r.resolveV2(sets)
}

// resolver is one resolution at work.
type resolver struct {
	version  *Version
	fetch    func(ids []string) (map[string]*Event, error)
	rejected func(id string) bool
	events   map[string]*Event // all that were fetched

	agreed    map[Key]string   // the unconflicted state map
	conflicts map[Key][]string // the conflicted state set, each list in order
}

// separate finds on what the sets agree. That a set does not have a key at all is
// a conflict, except in rooms/v1, where only two different events are one.
func separate(sets []map[Key]string, union bool) (agreed map[Key]string, conflicts map[Key][]string) {
	agreed, conflicts = map[Key]string{}, map[Key][]string{}
	for i, set := range sets {
		for key, id := range set {
			if i > 0 && seenBefore(sets[:i], key) {
				continue
			}
			ids, everywhere := []string{id}, i == 0
			for _, other := range sets[i+1:] {
				otherID, ok := other[key]
				everywhere = everywhere && ok
				if ok && !slices.Contains(ids, otherID) {
					ids = append(ids, otherID)
				}
			}
			if len(ids) == 1 && (everywhere || union) {
				agreed[key] = id
			} else {
				slices.Sort(ids)
				conflicts[key] = ids
			}
		}
	}
	return agreed, conflicts
}

func seenBefore(sets []map[Key]string, key Key) bool {
	return slices.ContainsFunc(sets, func(set map[Key]string) bool {
		_, ok := set[key]
		return ok
	})
}

// conflicted are the ids of the conflicted state set.
func (r *resolver) conflicted() []string {
	var ids []string
	for _, of := range r.conflicts {
		ids = append(ids, of...)
	}
	return ids
}

// load makes sure that the events of these ids are at hand.
func (r *resolver) load(ids []string) error {
	missing := make([]string, 0, len(ids))
	for _, id := range ids {
		if r.events[id] == nil {
			missing = append(missing, id)
		}
	}
	return r.get(missing, func(id string, e *Event) { r.events[id] = e })
}

// get fetches events in batches, in the order of their ids.
func (r *resolver) get(ids []string, each func(id string, e *Event)) error {
	slices.Sort(ids)
	for batch := range slices.Chunk(slices.Compact(ids), maxFetch) {
		found, err := r.fetch(batch)
		if err != nil {
			return err
		}
		for _, id := range batch {
			if found[id] == nil {
				return fmt.Errorf("state resolution: the event %s is not there", id)
			}
			each(id, found[id])
		}
	}
	return nil
}

// loadForAuth makes sure that the agreed events which the auth rules for these
// events ask for are at hand.
func (r *resolver) loadForAuth(events []*Event) error {
	var ids []string
	for _, e := range events {
		for _, key := range AuthKeysOf(e) {
			if id, ok := r.agreed[key]; ok {
				ids = append(ids, id)
			}
		}
	}
	return r.load(ids)
}

// agreedEvent is the event of the unconflicted state map for a key that
// loadForAuth knew of, or nil.
func (r *resolver) agreedEvent(key Key) *Event {
	if id, ok := r.agreed[key]; ok {
		return r.events[id]
	}
	return nil
}

func (r *resolver) isRejected(id string) bool { return r.rejected != nil && r.rejected(id) }
