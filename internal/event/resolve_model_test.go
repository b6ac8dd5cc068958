package event_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/internal/event"
)

// model is state resolution v2 and v2.1 as the specification tells it, sentence by
// sentence, without a thought for what it costs.
type model struct {
	v        *event.Version
	events   map[string]*event.Event
	rejected map[string]bool
	create   *event.Event
}

type ids map[string]bool

// chain is an event with its auth chain.
func (m *model) chain(id string) ids {
	all := ids{id: true}
	for _, auth := range m.events[id].AuthEvents() {
		maps.Copy(all, m.chain(auth))
	}
	return all
}

func (m *model) resolve(sets []statemap) statemap {
	agreed, conflicted := statemap{}, ids{}
	for _, set := range sets {
		for key, id := range set {
			if slices.ContainsFunc(sets, func(other statemap) bool { return other[key] != id }) {
				conflicted[id] = true
			} else {
				agreed[key] = id
			}
		}
	}
	full := maps.Clone(conflicted)
	union, common := ids{}, ids(nil)
	for _, set := range sets {
		chain := ids{}
		for _, id := range set {
			maps.Copy(chain, m.chain(id))
		}
		maps.Copy(union, chain)
		if common == nil {
			common = maps.Clone(chain)
		}
		maps.DeleteFunc(common, func(id string, _ bool) bool { return !chain[id] })
	}
	for id := range union {
		between := func() bool {
			before, behind := false, false
			for c := range conflicted {
				before = before || m.chain(c)[id]
				behind = behind || m.chain(id)[c]
			}
			return before && behind
		}
		if !common[id] || m.v.StateRes == 21 && between() {
			full[id] = true
		}
	}
	state := map[event.Key]*event.Event{}
	if m.v.StateRes == 2 {
		for key, id := range agreed {
			state[key] = m.events[id]
		}
	}
	power := m.power(full)
	m.apply(state, m.topological(power))
	rest := ids{}
	for id := range full {
		rest[id] = !power[id]
	}
	maps.DeleteFunc(rest, func(_ string, in bool) bool { return !in })
	m.apply(state, m.byMainline(rest, state[event.Key{Type: "m.room.power_levels"}]))
	result := statemap{}
	for key, e := range state {
		result[key] = e.ID()
	}
	maps.Copy(result, agreed)
	return result
}

func (m *model) power(full ids) ids {
	set := ids{}
	var add func(id string)
	add = func(id string) {
		if full[id] {
			set[id] = true
			for _, auth := range m.events[id].AuthEvents() {
				add(auth)
			}
		}
	}
	for id := range full {
		e := m.events[id]
		key, _ := e.Key()
		membership := event.MembershipOf(e)
		if key.Type == "m.room.power_levels" || key.Type == "m.room.join_rules" ||
			(membership == "leave" || membership == "ban") && string(e.Sender()) != key.StateKey {
			add(id)
		}
	}
	return set
}

func (m *model) auth(e *event.Event, typ string) *event.Event {
	for _, id := range e.AuthEvents() {
		if m.events[id].Type() == typ {
			return m.events[id]
		}
	}
	return nil
}

func (m *model) topological(set ids) []string {
	var order []string
	left := maps.Clone(set)
	for len(left) > 0 {
		var ready []string
		for id := range left {
			if !slices.ContainsFunc(m.events[id].AuthEvents(), func(auth string) bool { return left[auth] }) {
				ready = append(ready, id)
			}
		}
		next := slices.MinFunc(ready, func(x, y string) int {
			return cmp.Or(cmp.Compare(m.senderLevel(y), m.senderLevel(x)),
				cmp.Compare(m.events[x].Timestamp(), m.events[y].Timestamp()), cmp.Compare(x, y))
		})
		order = append(order, next)
		delete(left, next)
	}
	return order
}

func (m *model) senderLevel(id string) int64 {
	e := m.events[id]
	create := m.auth(e, "m.room.create")
	if m.v.RoomIDFromCreate {
		create = m.create
	}
	return event.NewPowerLevels(create, m.auth(e, "m.room.power_levels")).User(e.Sender())
}

func (m *model) apply(state map[event.Key]*event.Event, order []string) {
	for _, id := range order {
		e := m.events[id]
		err := event.Authorize(e, func(key event.Key) *event.Event {
			if state[key] != nil {
				return state[key]
			}
			if m.v.RoomIDFromCreate && key.Type == "m.room.create" {
				return m.create
			}
			for _, auth := range e.AuthEvents() {
				if k, _ := m.events[auth].Key(); k == key && !m.rejected[auth] {
					return m.events[auth]
				}
			}
			return nil
		})
		if err == nil {
			key, _ := e.Key()
			state[key] = e
		}
	}
}

func (m *model) byMainline(set ids, levels *event.Event) []string {
	mainline := map[string]int{}
	for ; levels != nil; levels = m.auth(levels, "m.room.power_levels") {
		mainline[levels.ID()] = len(mainline)
	}
	position := func(id string) int {
		for e := m.auth(m.events[id], "m.room.power_levels"); e != nil; e = m.auth(e, "m.room.power_levels") {
			if i, ok := mainline[e.ID()]; ok {
				return i
			}
		}
		return 1 << 30
	}
	return slices.SortedFunc(maps.Keys(set), func(x, y string) int {
		return cmp.Or(cmp.Compare(position(y), position(x)),
			cmp.Compare(m.events[x].Timestamp(), m.events[y].Timestamp()), cmp.Compare(x, y))
	})
}

// drawEvent draws what some user tries to do.
func drawEvent(t *rapid.T, v *event.Version, i int) fields {
	users := []string{"@alice:a", "@bob:a", "@carol:b", "@dave:b"}
	user := rapid.SampledFrom(users).Draw(t, "user")
	other := rapid.SampledFrom(users).Draw(t, "other")
	f := topicBy("", user)
	switch rapid.SampledFrom([]string{"topic", "join", "join", "leave", "other", "levels", "rules"}).Draw(t, "what") {
	case "join":
		f = memberBy("", user, user, "join")
	case "leave":
		f = memberBy("", user, user, "leave")
	case "other":
		f = memberBy("", user, other, rapid.SampledFrom([]string{"invite", "leave", "ban"}).Draw(t, "membership"))
	case "levels":
		n := rapid.SampledFrom([]int{0, 50, 100})
		levels := fmt.Sprintf(`"@bob:a":%d,"@carol:b":%d,"@dave:b":%d`, n.Draw(t, "bob"), n.Draw(t, "carol"), n.Draw(t, "dave"))
		f = state100("", withAlice(v, levels, fmt.Sprintf(`"m.room.topic":%d`, n.Draw(t, "topic"))))
		f.sender = user
	case "rules":
		f = joinRuleBy("", rapid.SampledFrom([]string{"public", "invite"}).Draw(t, "rule"))
		f.sender = user
	}
	f.id = fmt.Sprintf("$%d-%d", rapid.IntRange(0, 9).Draw(t, "id"), i)
	f.ts = int64(rapid.IntRange(1, 8).Draw(t, "ts"))
	return f
}

// TestResolutionIsThatOfTheModel draws the histories of rooms that fork and merge,
// with states that have been forgotten in part, as a server that is wrong would
// send them.
func TestResolutionIsThatOfTheModel(t *testing.T) {
	for _, id := range modern {
		t.Run(id, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				s := newStory(t, id)
				states := []statemap{s.begin(rapid.SampledFrom([]string{"public", "invite"}).Draw(rt, "rule"))}
				m := &model{v: s.v, events: s.events, rejected: s.rejected, create: s.events["$create"]}
				for i := range rapid.IntRange(3, 20).Draw(rt, "events") {
					before := drawStates(rt, states)
					resolved := s.resolve(before...)
					if diff := gocmp.Diff(m.resolve(before), resolved); diff != "" {
						rt.Fatal(diff)
					}
					f := drawEvent(rt, s.v, i)
					if after, err := s.try(resolved, f); err == nil {
						states = append(states, after)
						s.rejected[f.id] = rapid.IntRange(0, 9).Draw(rt, "rejected") == 0
					}
				}
			})
		})
	}
}

// drawStates draws up to three of the latest states, and what is missing in them.
func drawStates(t *rapid.T, states []statemap) []statemap {
	var drawn []statemap
	for range rapid.IntRange(1, 3).Draw(t, "states") {
		state := states[max(0, len(states)-1-rapid.IntRange(0, 5).Draw(t, "ago"))]
		if rapid.IntRange(0, 5).Draw(t, "forgets") == 0 {
			state = maps.Clone(state)
			keys := slices.SortedFunc(maps.Keys(state), func(a, b event.Key) int {
				return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.StateKey, b.StateKey))
			})
			delete(state, rapid.SampledFrom(keys).Draw(t, "key"))
		}
		drawn = append(drawn, state)
	}
	return drawn
}

// TestVersion1ResolvesInAnyOrder: the model is not of rooms/v1.
func TestVersion1ResolvesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStory(t, "1")
		states := []statemap{s.begin("public")}
		for i := range rapid.IntRange(3, 20).Draw(rt, "events") {
			resolved := s.resolve(drawStates(rt, states)...)
			if after, err := s.try(resolved, drawEvent(rt, s.v, i)); err == nil {
				states = append(states, after)
			}
		}
	})
}
