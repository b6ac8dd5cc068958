package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matrix-org/gomatrixserverlib"
	"pgregory.net/rapid"

	"lethe/internal/event"
)

func (r *room) resolve(sets []stateMap) stateMap {
	resolved, err := event.Resolve(r.v, sets, func(ids []string) (map[string]*event.Event, error) {
		found := map[string]*event.Event{}
		for _, id := range ids {
			found[id] = r.events[id]
		}
		return found, nil
	}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return resolved
}

// resolveGmsl resolves with gomatrixserverlib, which takes all auth events there
// are.
func (r *room) resolveGmsl(sets []stateMap) (resolved stateMap, err error) {
	defer func() {
		if crash := recover(); crash != nil {
			err = fmt.Errorf("crash: %v", crash)
		}
	}()
	var all []gomatrixserverlib.PDU
	for _, id := range slices.Sorted(maps.Keys(r.gmsl)) {
		all = append(all, r.gmsl[id])
	}
	var states [][]gomatrixserverlib.PDU
	for _, set := range sets {
		var state []gomatrixserverlib.PDU
		for _, id := range set {
			state = append(state, r.gmsl[id])
		}
		states = append(states, state)
	}
	if r.v.StateRes == 1 {
		return r.resolveGmslV1(sets), nil
	}
	events, err := gomatrixserverlib.ResolveConflictsNew(gomatrixserverlib.RoomVersion(r.v.ID), states, all, userOf,
		func(string) bool { return false })
	resolved = stateMap{}
	for _, e := range events {
		resolved[event.Key{Type: e.Type(), StateKey: *e.StateKey()}] = e.EventID()
	}
	return resolved, err
}

// resolveGmslV1 gives gomatrixserverlib what it calls auth events: the state that
// the sets agree on.
func (r *room) resolveGmslV1(sets []stateMap) stateMap {
	resolved := stateMap{}
	var conflicted, agreed []gomatrixserverlib.PDU
	for key, id := range sets[0] {
		if other, ok := sets[1][key]; ok && other != id {
			conflicted = append(conflicted, r.gmsl[id], r.gmsl[other])
		} else {
			resolved[key] = id
		}
	}
	for key, id := range sets[1] {
		if _, ok := sets[0][key]; !ok {
			resolved[key] = id
		}
	}
	for _, id := range resolved {
		agreed = append(agreed, r.gmsl[id])
	}
	for _, e := range gomatrixserverlib.ResolveStateConflicts(conflicted, agreed, userOf) {
		resolved[event.Key{Type: e.Type(), StateKey: *e.StateKey()}] = e.EventID()
	}
	return resolved
}

// TestResolvedStatesAreTheSame is of forks of a room that has levels, rules and
// all its users: what the library gets wrong has its case in
// TestKnownDifferencesOfStateResolution.
func TestResolvedStatesAreTheSame(t *testing.T) {
	for _, version := range event.Versions()[:11] {
		t.Run(version, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				r := newRoom(t, version)
				base := r.beginWithAll(t)
				sets := []stateMap{base, base}
				// The library orders from the end; with levels and bans it comes out elsewhere.
				without := rapid.SampledFrom([]string{"m.room.member", "m.room.power_levels"}).Draw(t, "without")
				for i := range sets {
					for range rapid.IntRange(1, 5).Draw(t, "tries") {
						w := r.draw(t)
						if w.key == nil || w.typ == without || w.typ == "m.room.aliases" || w.typ == "m.room.member" && w.sender == *w.key {
							continue
						}
						if w.typ == "m.room.power_levels" {
							topic := rapid.IntRange(0, 100).Draw(t, "level of topic")
							w.sender, w.content = users[0], someLevels(topic)
						}
						if e := r.send(sets[i], w); r.ours(sets[i], e) == nil {
							sets[i] = after(sets[i], e)
							break
						}
					}
				}
				state := r.resolve(sets)
				theirs, err := r.resolveGmsl(sets)
				if diff := cmp.Diff(theirs, state); diff != "" || err != nil {
					t.Fatalf("%v\n-theirs +ours\n%s\n%s\n\n%s", err, diff, r.list(sets[0]), r.list(sets[1]))
				}
			})
		})
	}
}

// someLevels are power levels that differ in one thing.
func someLevels(topic int) map[string]any {
	return map[string]any{"users": map[string]int{users[0]: 100, users[1]: 50}, "events": map[string]int{"m.room.topic": topic}}
}

// beginWithAll makes a public room that all users have joined.
func (r *room) beginWithAll(t *rapid.T) stateMap {
	state := r.begin(map[string]any{})
	then := func(w what) {
		w.prev = []string{r.create.ID()}
		e := r.send(state, w)
		if err := r.ours(state, e); err != nil {
			t.Fatal(err)
		}
		state = after(state, e)
	}
	then(what{typ: "m.room.power_levels", sender: users[0], key: text(""), content: someLevels(50)})
	then(what{typ: "m.room.join_rules", sender: users[0], key: text(""), content: map[string]any{"join_rule": "public"}})
	for _, user := range users[1:] {
		then(what{typ: "m.room.member", sender: user, key: text(user), content: map[string]any{"membership": "join"}})
	}
	return state
}

// list is a state for people.
func (r *room) list(state stateMap) string {
	var lines []string
	for key, id := range state {
		e := r.events[id]
		lines = append(lines, fmt.Sprintf("%s %s: %s by %s %s auth %v ts %d", key.Type, key.StateKey, id, e.Sender(), e.Content(),
			e.AuthEvents(), e.Timestamp()))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
