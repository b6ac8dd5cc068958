package state

import (
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// LeafMax is leafMax.
const LeafMax = leafMax

// NewSized is New with a cache of that many bytes.
func NewSized(size int64) *Trees { return newTrees(size) }

// Kept is how many bytes the cache has, by its own account.
func (t *Trees) Kept() uint64 {
	_, weight := t.cache.Len()
	return weight
}

// IDOf is idOf.
func IDOf(body string) Root { return idOf(body) }

// Made returns the bodies of the nodes that a Put would write.
func (t *Trees) Made(tx *storage.Tx, room matrix.RoomID, r Root, changes map[event.Key]string) (map[Root]string, error) {
	p, _, err := t.apply(tx, room, r, changes)
	bodies := map[Root]string{}
	for id, n := range p.made {
		bodies[id] = n.body
	}
	return bodies, err
}

// Nodes returns the bodies of all nodes of a tree, and how many levels it has.
func (t *Trees) Nodes(tx *storage.Tx, room matrix.RoomID, r Root) (map[Root]string, int, error) {
	bodies := map[Root]string{}
	depth := 0
	for level := []Root{r}; len(level) > 0; depth++ {
		nodes, err := reader{t, tx, room}.pairs(level)
		if err != nil {
			return nil, 0, err
		}
		var below []Root
		for i, n := range nodes {
			if n.body != "" {
				bodies[level[i]] = n.body
			}
			for _, child := range n.children() {
				if child != (Root{}) {
					below = append(below, child)
				}
			}
		}
		level = below
	}
	return bodies, depth, nil
}

// Recode reads a body and writes it again.
func Recode(body string) (again string, count int, err error) {
	n, err := decode(body)
	if err != nil {
		return "", 0, err
	}
	if n.inner {
		return inner(n.children(), n.count).body, n.count, nil
	}
	list := appendEntries(nil, n)
	for _, e := range list {
		if id, ok := n.find(e.key); !ok || id != e.id {
			return "", 0, errBody
		}
	}
	return leaf(list).body, len(list), nil
}
