package state

import (
	"slices"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Put stores the state that r becomes with changes, and returns its root. An
// empty event id takes the key out. It writes every node that it makes, in one
// statement.
func (t *Trees) Put(tx *storage.Tx, room matrix.RoomID, r Root, changes map[event.Key]string) (Root, error) {
	p, root, err := t.apply(tx, room, r, changes)
	if err != nil || len(p.made) == 0 {
		return root, err
	}
	bodies := make(map[Root]string, len(p.made))
	for id, n := range p.made {
		bodies[id] = n.body
	}
	if err := tx.AddStateNodes(room, bodies); err != nil {
		return Root{}, err
	}
	for id, n := range p.made {
		t.cache.Set(id, n)
	}
	return root, nil
}

// apply makes the nodes of a Put, and returns the root.
func (t *Trees) apply(tx *storage.Tx, room matrix.RoomID, r Root, changes map[event.Key]string) (*put, Root, error) {
	list := make([]entry, 0, len(changes))
	for k, id := range changes {
		list = append(list, entry{pathOf(k), k, id})
	}
	p := &put{reader: reader{t, tx, room}, old: map[Root]node{}, made: map[Root]node{}}
	if err := p.fetch(r, list); err != nil {
		return p, Root{}, err
	}
	root, _, err := p.apply(r, 0, list)
	return p, root, err
}

// put is a Put under way.
type put struct {
	reader
	old  map[Root]node // those that changes lead through
	made map[Root]node
}

// split deals entries to the slots of an inner node at a depth.
func split(list []entry, depth int) (parts [slots][]entry) {
	for _, e := range list {
		slot := e.way.slot(depth)
		parts[slot] = append(parts[slot], e)
	}
	return parts
}

// fetch reads the nodes that changes lead through, level by level.
func (p *put) fetch(r Root, changes []entry) error {
	if r == (Root{}) || len(changes) == 0 {
		return nil
	}
	at, todo := []Root{r}, [][]entry{changes}
	for depth := 0; len(at) > 0; depth++ {
		nodes, err := p.nodes(at)
		if err != nil {
			return err
		}
		var below []Root
		var left [][]entry
		for i, n := range nodes {
			p.old[at[i]] = n
			if !n.inner {
				continue
			}
			for slot, part := range split(todo[i], depth) {
				if child := n.child(byte(slot)); len(part) > 0 && child != (Root{}) {
					below, left = append(below, child), append(left, part)
				}
			}
		}
		at, todo = below, left
	}
	return nil
}

// apply makes what is below r, at a depth, with the changes, and returns its
// root and by how many entries it grew.
func (p *put) apply(r Root, depth int, changes []entry) (Root, int, error) {
	if len(changes) == 0 {
		return r, 0, nil
	}
	n := p.old[r]
	if !n.inner {
		list, changed := merge(n, changes)
		if !changed {
			return r, 0, nil
		}
		return p.build(list, depth), len(list) - n.count, nil
	}
	children := n.children()
	grown := 0
	for slot, part := range split(changes, depth) {
		child, more, err := p.apply(children[slot], depth+1, part)
		if err != nil {
			return Root{}, 0, err
		}
		children[slot] = child
		grown += more
	}
	if children == n.children() {
		return r, 0, nil
	}
	if n.count+grown > leafMax {
		return p.make(inner(children, n.count+grown)), grown, nil
	}
	list, err := p.gather(children)
	if err != nil {
		return Root{}, 0, err
	}
	return p.build(list, depth), grown, nil
}

// merge returns the entries of a leaf with the changes, and whether they differ.
func merge(n node, changes []entry) (list []entry, changed bool) {
	list = appendEntries(make([]entry, 0, n.count+len(changes)), n)
	for _, c := range changes {
		i := slices.IndexFunc(list[:n.count], func(e entry) bool { return e.key == c.key })
		switch {
		case i >= 0:
			changed = changed || list[i].id != c.id
			list[i] = c
		case c.id != "":
			changed = true
			list = append(list, c)
		}
	}
	return slices.DeleteFunc(list, func(e entry) bool { return e.id == "" }), changed
}

func appendEntries(list []entry, n node) []entry {
	for k, id := range n.entries() {
		list = append(list, entry{pathOf(k), k, id})
	}
	return list
}

// build makes a tree of entries, to be at a depth.
func (p *put) build(list []entry, depth int) Root {
	if len(list) == 0 {
		return Root{}
	}
	if len(list) <= leafMax {
		return p.make(leaf(list))
	}
	var children [slots]Root
	for slot, part := range split(list, depth) {
		children[slot] = p.build(part, depth+1)
	}
	return p.make(inner(children, len(list)))
}

func (p *put) make(n node) Root {
	id := idOf(n.body)
	p.made[id] = n
	return id
}

// gather takes the entries out of children that are to be one leaf, and so are
// leaves. Those of them that were made on the way are not needed any more.
func (p *put) gather(children [slots]Root) (list []entry, err error) {
	var stored []Root
	for _, id := range children {
		if n, ok := p.made[id]; ok {
			delete(p.made, id)
			list = appendEntries(list, n)
		} else if id != (Root{}) {
			stored = append(stored, id)
		}
	}
	nodes, err := p.nodes(stored)
	for _, n := range nodes {
		list = appendEntries(list, n)
	}
	return list, err
}
