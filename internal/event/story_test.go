package event_test

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"slices"
	"testing"

	"lethe/internal/event"
)

// story makes the events of a room, one after the other, and forks of it.
type story struct {
	t        testing.TB
	v        *event.Version
	events   map[string]*event.Event
	rejected map[string]bool
	fetched  map[string]int
	now      int64
}

// statemap is a state of the room.
type statemap = map[event.Key]string

func newStory(t testing.TB, id string) *story {
	return &story{
		t: t, v: version(t, id), events: map[string]*event.Event{}, rejected: map[string]bool{}, fetched: map[string]int{},
	}
}

// begin makes a room of @alice:a (100) with @bob:a (50), both joined.
func (s *story) begin(rule string) statemap {
	creator := `"@alice:a":100,`
	if s.v.PrivilegedCreators {
		creator = ""
	}
	state := s.then(nil, fields{id: "$create", typ: "m.room.create", sender: "@alice:a", content: `{"creator":"@alice:a"}`})
	state = s.then(state, fields{
		id: "$alice", typ: "m.room.member", key: "@alice:a", sender: "@alice:a", content: `{"membership":"join"}`,
		prev: []string{"$create"},
	})
	state = s.then(state, state100("$levels", `{"users":{`+creator+`"@bob:a":50}}`))
	state = s.then(state, joinRuleBy("$rules", rule))
	state = s.then(state, memberBy("$invitebob", "@alice:a", "@bob:a", "invite"))
	return s.then(state, memberBy("$bob", "@bob:a", "@bob:a", "join"))
}

func state100(id, content string) fields {
	return fields{id: id, typ: "m.room.power_levels", sender: "@alice:a", content: content}
}

func joinRuleBy(id, rule string) fields {
	return fields{id: id, typ: "m.room.join_rules", sender: "@alice:a", content: fmt.Sprintf(`{"join_rule":%q}`, rule)}
}

func memberBy(id, sender, user, m string) fields {
	f := membership(sender, user, m, "")
	f.id = id
	return f
}

func topicBy(id, sender string) fields {
	return fields{id: id, typ: "m.room.topic", sender: sender, content: `{}`}
}

// make makes an event in a state, without asking whether it may be. Each event is
// a moment later than the one before it, unless it says when it is.
func (s *story) make(state statemap, f fields) *event.Event {
	if s.now++; f.ts == 0 {
		f.ts = s.now
	}
	if f.depth == 0 {
		f.depth = s.now
	}
	if f.prev == nil && f.typ != "m.room.create" {
		f.prev = []string{"$x", "$y"}
	}
	if f.auth == nil {
		for _, key := range event.AuthKeysOf(load(s.t, s.v, f)) {
			if id, ok := state[key]; ok {
				f.auth = append(f.auth, id)
			}
		}
	}
	e := load(s.t, s.v, f)
	s.events[f.id] = e
	return e
}

// try makes an event, and returns the state after it if it may be.
func (s *story) try(state statemap, f fields) (statemap, error) {
	e := s.make(state, f)
	err := event.Authorize(e, func(key event.Key) *event.Event { return s.events[state[key]] })
	if err != nil {
		delete(s.events, f.id)
		return state, err
	}
	key, isState := e.Key()
	if !isState {
		return state, nil
	}
	after := maps.Clone(state)
	if after == nil {
		after = statemap{}
	}
	after[key] = e.ID()
	return after, nil
}

// then makes an event that may be.
func (s *story) then(state statemap, f fields) statemap {
	s.t.Helper()
	after, err := s.try(state, f)
	if err != nil {
		s.t.Fatalf("%s: %v", f.id, err)
	}
	return after
}

func (s *story) fetch(ids []string) (map[string]*event.Event, error) {
	found := map[string]*event.Event{}
	for _, id := range ids {
		s.fetched[id]++
		if e := s.events[id]; e != nil {
			found[id] = e
		}
	}
	if len(ids) > 1000 {
		return nil, fmt.Errorf("asked for %d events at once", len(ids))
	}
	return found, nil
}

// resolve resolves states in two orders, with one of them twice: it makes no
// difference.
func (s *story) resolve(sets ...statemap) statemap {
	s.t.Helper()
	backwards := slices.Clone(sets)
	slices.Reverse(backwards)
	var result statemap
	for i, order := range [][]statemap{sets, backwards, append(slices.Clone(sets), sets[0])} {
		state, err := event.Resolve(s.v, order, s.fetch, func(id string) bool { return s.rejected[id] })
		if err != nil {
			s.t.Fatal(err)
		}
		if i > 0 && !maps.Equal(state, result) {
			s.t.Fatalf("in another order: %v, not %v", state, result)
		}
		result = state
	}
	return result
}

// expect compares entries of a state, `type key` to event id; "" for none.
func (s *story) expect(state statemap, want map[string]string) {
	s.t.Helper()
	got := map[string]string{}
	for key, id := range state {
		got[key.Type+" "+key.StateKey] = id
	}
	for key, id := range want {
		if got[key] != id {
			s.t.Errorf("version %s: %s is %q, want %q", s.v.ID, key, got[key], id)
		}
	}
}

func sha1Of(id string) string {
	sum := sha1.Sum([]byte(id))
	return string(sum[:])
}
