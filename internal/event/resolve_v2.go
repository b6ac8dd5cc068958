package event

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// resolveV2 is the algorithm of rooms/v2 and, with what rooms/v12 changed, that
// which is called 2.1.
func (r *resolver) resolveV2(sets []map[Key]string) (map[Key]string, error) {
	full, err := r.fullConflictedSet(sets)
	if err != nil {
		return nil, err
	}
	base := r.agreed
	if r.version.StateRes == 21 {
		base = nil // rooms/v12, Algorithm, step 2
	}
	c := &checks{resolver: r, base: base, partial: map[Key]*Event{}}
	if r.version.RoomIDFromCreate {
		if err := c.findCreate(); err != nil {
			return nil, err
		}
	}
	power := r.powerSet(full)
	if err := c.apply(c.powerOrder(power)); err != nil {
		return nil, err
	}
	var rest []*Event
	for id, e := range full {
		if power[id] == nil {
			rest = append(rest, e)
		}
	}
	if err := c.mainlineOrder(rest); err != nil {
		return nil, err
	}
	if err := c.apply(rest); err != nil {
		return nil, err
	}
	result := maps.Clone(r.agreed)
	for key, e := range c.partial {
		if _, ok := result[key]; !ok {
			result[key] = e.id
		}
	}
	return result, nil
}

// isPower tells whether an event may take from somebody what they could do.
func isPower(e *Event) bool {
	switch {
	case !e.isState:
		return false
	case e.typ == typePowerLevels, e.typ == typeJoinRules:
		return true
	case e.typ != typeMember || e.sender == e.stateKey:
		return false
	}
	m := MembershipOf(e)
	return m == "leave" || m == "ban"
}

// powerSet are the power events of the full conflicted set, with those of their
// auth chains that are in the set too. The chains are followed inside of the set:
// so do the other servers, with whom a room must stay in one piece; one can only
// leave the set and come back to it in rooms before v12, over an event that all
// states agree on.
func (r *resolver) powerSet(full map[string]*Event) map[string]*Event {
	set := map[string]*Event{}
	var todo []*Event
	for id, e := range full {
		if isPower(e) {
			set[id] = e
			todo = append(todo, e)
		}
	}
	for len(todo) > 0 {
		e := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, id := range e.AuthEvents() {
			if auth := full[id]; auth != nil && set[id] == nil {
				set[id] = auth
				todo = append(todo, auth)
			}
		}
	}
	return set
}

// checks are the iterative auth checks.
type checks struct {
	*resolver
	base    map[Key]string // what the state is at the beginning
	partial map[Key]*Event // what has been applied to it
	create  *Event         // from rooms/v12 on
}

// findCreate finds the create event by the room's id: it is in nobody's
// auth_events. A rejected one makes no room.
func (c *checks) findCreate() error {
	id := ""
	for _, ids := range c.conflicts {
		room := string(c.events[ids[0]].RoomID())
		id = "$" + room[min(1, len(room)):]
		break
	}
	if err := c.load([]string{id}); err != nil {
		return err
	}
	if !c.isRejected(id) {
		c.create = c.events[id]
	}
	return nil
}

// apply takes those events into the state that it allows, one after the other.
func (c *checks) apply(events []*Event) error {
	if len(c.base) > 0 {
		if err := c.loadForAuth(events); err != nil {
			return err
		}
	}
	for _, e := range events {
		err := Authorize(e, func(key Key) *Event { return c.stateFor(e, key) })
		if err == nil {
			c.partial[Key{Type: e.typ, StateKey: e.stateKey}] = e
		}
	}
	return nil
}

// stateFor is the state that an event is checked against. What the state does not
// have is taken from the event's own auth_events.
func (c *checks) stateFor(e *Event, key Key) *Event {
	if found := c.partial[key]; found != nil {
		return found
	}
	if id, ok := c.base[key]; ok {
		return c.events[id]
	}
	if key.Type == typeCreate && c.create != nil {
		return c.create
	}
	if found := c.authEvent(e, key); found != nil && !c.isRejected(found.id) {
		return found
	}
	return nil
}

// authEvent is the auth event of e that is for a key, if it is at hand.
func (r *resolver) authEvent(e *Event, key Key) *Event {
	for _, id := range e.AuthEvents() {
		if auth := r.events[id]; auth != nil && auth.isState && auth.typ == key.Type && auth.stateKey == key.StateKey {
			return auth
		}
	}
	return nil
}

// powerOrder is the reverse topological power ordering of a set of events.
func (c *checks) powerOrder(set map[string]*Event) []*Event {
	var g graph
	for _, e := range set {
		create := c.create
		if create == nil {
			create = c.authEvent(e, Key{Type: typeCreate})
		}
		level := NewPowerLevels(create, c.authEvent(e, Key{Type: typePowerLevels})).User(e.Sender())
		g.nodes = append(g.nodes, &node{event: e, level: level})
	}
	return g.order()
}

// mainlineOrder sorts events by the mainline of the power levels in the state.
func (c *checks) mainlineOrder(events []*Event) error {
	levels := Key{Type: typePowerLevels}
	head := c.partial[levels]
	if id, ok := c.base[levels]; ok && head == nil {
		if err := c.load([]string{id}); err != nil {
			return err
		}
		head = c.events[id]
	}
	line := &mainline{resolver: c.resolver, positions: map[string]int{}, next: head}
	positions := make(map[*Event]int, len(events))
	for _, e := range events {
		i, err := line.position(e)
		if err != nil {
			return err
		}
		positions[e] = i
	}
	slices.SortFunc(events, func(x, y *Event) int {
		return cmp.Or(cmp.Compare(positions[y], positions[x]), cmp.Compare(x.ts, y.ts), cmp.Compare(x.id, y.id))
	})
	return nil
}

// mainline is the list of the power levels events from one back to the first. It
// is fetched as far as somebody asks.
type mainline struct {
	*resolver
	positions map[string]int
	next      *Event
}

// at is the position of an event in the mainline, if it is in it.
func (m *mainline) at(id string) (int, bool, error) {
	for {
		if i, ok := m.positions[id]; ok {
			return i, true, nil
		}
		if m.next == nil {
			return 0, false, nil
		}
		e := m.next
		m.positions[e.id] = len(m.positions)
		if err := m.load(e.AuthEvents()); err != nil {
			return 0, false, err
		}
		m.next = m.authEvent(e, Key{Type: typePowerLevels})
		if m.next != nil {
			if _, again := m.positions[m.next.id]; again {
				m.next = nil // ids that servers gave can go round in rooms/v2
			}
		}
	}
}

// position is the mainline position of an event.
func (m *mainline) position(e *Event) (int, error) {
	seen := map[string]bool{}
	for {
		if err := m.load(e.AuthEvents()); err != nil {
			return 0, err
		}
		e = m.authEvent(e, Key{Type: typePowerLevels})
		if e == nil || seen[e.id] {
			return math.MaxInt, nil
		}
		seen[e.id] = true
		if i, ok, err := m.at(e.id); ok || err != nil {
			return i, err
		}
	}
}
