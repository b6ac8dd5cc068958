package event

import (
	"cmp"
	"container/heap"
	"slices"
)

// fullConflictedSet is the union of the conflicted state set, the auth difference
// and, from rooms/v12 on, the conflicted state subgraph.
//
// An event of a state counts as a part of that state's auth chain here. By the
// letter it does not; then an event that all states agree on would be replayed if
// only some of their chains lead to it. No server does that.
func (r *resolver) fullConflictedSet(sets []map[Key]string) (map[string]*Event, error) {
	conflicted := r.conflicted()
	if err := r.loadChains(conflicted); err != nil {
		return nil, err
	}
	full := map[string]*Event{}
	for _, id := range conflicted {
		full[id] = r.events[id]
	}
	difference, err := r.authDifference(sets, full)
	if err != nil {
		return nil, err
	}
	if r.version.StateRes == 21 {
		difference = append(difference, r.subgraph(conflicted)...)
	}
	for _, id := range difference {
		full[id] = r.events[id]
	}
	for id, e := range full {
		if !e.isState {
			delete(full, id) // what is no state event was never part of a state
		}
	}
	return full, nil
}

// loadChains loads the auth chains of events, one generation at a time.
func (r *resolver) loadChains(ids []string) error {
	seen := map[string]bool{}
	for len(ids) > 0 {
		if err := r.load(ids); err != nil {
			return err
		}
		var next []string
		for _, id := range ids {
			for _, auth := range r.events[id].AuthEvents() {
				if !seen[auth] {
					seen[auth] = true
					next = append(next, auth)
				}
			}
		}
		ids = next
	}
	return nil
}

// authDifference are the events that are in the auth chains of some states, but
// not of all. Those of the conflicted set, which are known, are left out, and the
// rest of what the states agree on is only walked if there is something to look
// for in it.
func (r *resolver) authDifference(sets []map[Key]string, conflicted map[string]*Event) ([]string, error) {
	count := map[string]int{}
	for _, set := range sets {
		for id := range r.reach(set) {
			count[id]++
		}
	}
	candidates := map[string]bool{}
	for id, n := range count {
		if n < len(sets) && conflicted[id] == nil {
			candidates[id] = true
		}
	}
	if err := r.withoutAgreed(candidates); err != nil {
		return nil, err
	}
	return sortedKeys(candidates), nil
}

// reach are the conflicted events of a set and their auth chains, which are
// loaded.
func (r *resolver) reach(set map[Key]string) map[string]bool {
	seen := map[string]bool{}
	var todo []string
	for key := range r.conflicts {
		if id, ok := set[key]; ok && !seen[id] {
			seen[id] = true
			todo = append(todo, id)
		}
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, auth := range r.events[id].AuthEvents() {
			if !seen[auth] {
				seen[auth] = true
				todo = append(todo, auth)
			}
		}
	}
	return seen
}

// withoutAgreed takes those out of ids that are in the auth chain of what the
// states agree on: these are in the chains of all. A room has many such events;
// they are looked at and let go.
func (r *resolver) withoutAgreed(ids map[string]bool) error {
	seen := make(map[string]bool, len(r.agreed))
	var todo []string
	visit := func(id string) {
		if !seen[id] {
			seen[id] = true
			delete(ids, id)
			todo = append(todo, id)
		}
	}
	for _, id := range r.agreed {
		visit(id)
	}
	for len(todo) > 0 && len(ids) > 0 {
		generation := todo
		todo = nil
		var missing []string
		for _, id := range generation {
			if e := r.events[id]; e != nil {
				for _, auth := range e.AuthEvents() {
					visit(auth)
				}
			} else {
				missing = append(missing, id)
			}
		}
		if err := r.get(missing, func(_ string, e *Event) {
			for _, auth := range e.AuthEvents() {
				visit(auth)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// subgraph is the conflicted state subgraph: what stands on a path of auth events
// from one conflicted event to another. All that has been loaded stands behind a
// conflicted event; the question is what stands before one.
func (r *resolver) subgraph(conflicted []string) []string {
	citedBy := map[string][]string{}
	for id, e := range r.events {
		for _, auth := range e.AuthEvents() {
			citedBy[auth] = append(citedBy[auth], id)
		}
	}
	seen := map[string]bool{}
	todo := slices.Clone(conflicted)
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[id] {
			continue
		}
		seen[id] = true
		todo = append(todo, citedBy[id]...)
	}
	return sortedKeys(seen)
}

// graph is a set of events and the auth events among them.
type graph struct {
	nodes []*node
	ready []*node // a heap
}

type node struct {
	event   *Event
	level   int64 // of the sender, by the event's own auth events
	waits   int   // for so many auth events
	waiting []*node
	done    bool
}

// before is the comparison of the reverse topological power ordering.
func (n *node) before(m *node) int {
	return cmp.Or(cmp.Compare(m.level, n.level), cmp.Compare(n.event.ts, m.event.ts), cmp.Compare(n.event.id, m.event.id))
}

// order sorts by Kahn's algorithm, from the earliest to the latest.
func (g *graph) order() []*Event {
	byID := make(map[string]*node, len(g.nodes))
	for _, n := range g.nodes {
		byID[n.event.id] = n
	}
	for _, n := range g.nodes {
		for _, id := range n.event.AuthEvents() {
			if auth := byID[id]; auth != nil {
				auth.waiting = append(auth.waiting, n)
				n.waits++
			}
		}
	}
	// The last of all is only there for events that go round in a circle, as ids
	// that servers gave can in rooms/v2: they come last, in the order of the rest.
	slices.SortFunc(g.nodes, (*node).before)
	ordered := make([]*Event, 0, len(g.nodes))
	for _, n := range g.nodes {
		if n.waits == 0 {
			heap.Push(g, n)
		}
	}
	for g.Len() > 0 {
		n := heap.Pop(g).(*node) //nolint:forcetypeassert // Push takes nothing else
		n.done = true
		ordered = append(ordered, n.event)
		for _, m := range n.waiting {
			if m.waits--; m.waits == 0 {
				heap.Push(g, m)
			}
		}
	}
	for _, n := range g.nodes {
		if !n.done {
			ordered = append(ordered, n.event)
		}
	}
	return ordered
}

// Len, Less, Swap, Push and Pop are of [heap.Interface].
func (g *graph) Len() int           { return len(g.ready) }
func (g *graph) Less(i, j int) bool { return g.ready[i].before(g.ready[j]) < 0 }
func (g *graph) Swap(i, j int)      { g.ready[i], g.ready[j] = g.ready[j], g.ready[i] }
func (g *graph) Push(n any)         { g.ready = append(g.ready, n.(*node)) } //nolint:forcetypeassert // order gives no other
func (g *graph) Pop() any {
	n := g.ready[len(g.ready)-1]
	g.ready = g.ready[:len(g.ready)-1]
	return n
}
