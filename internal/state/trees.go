package state

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"

	"lethe/internal/cache"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Root names a state of a room: the root of its tree. The zero Root is the state
// with nothing in it.
type Root = storage.NodeID

const (
	// cacheBytes bounds the memory of the nodes that are kept, of all rooms.
	cacheBytes = 32 << 20
	// nodeBytes is what a node takes in the cache besides its body.
	nodeBytes = 160
)

// Trees reads and writes the states of rooms. It is safe for concurrent use; its
// methods run in the transaction they are given.
//
// It keeps nodes in memory across transactions, also those of one that is rolled
// back: a node is what its id says wherever it is. What is in memory is no sign
// that it is in the database, and is never taken for one.
type Trees struct {
	cache   *cache.Cache[Root, node]
	hits    atomic.Int64
	reads   atomic.Int64
	batches atomic.Int64
}

// New makes Trees with an empty cache.
func New() *Trees { return newTrees(cacheBytes) }

func newTrees(size int64) *Trees {
	return &Trees{cache: cache.New(cache.Options[Root, node]{
		Weight: size,
		Weigh:  func(_ Root, n node) int { return len(n.body) + nodeBytes },
	})}
}

// Stats counts where nodes have come from.
type Stats struct {
	Hits    int64 // nodes that were in memory
	Reads   int64 // nodes that were read from the database
	Batches int64 // how often some were
}

// Stats returns the counts.
func (t *Trees) Stats() Stats {
	return Stats{Hits: t.hits.Load(), Reads: t.reads.Load(), Batches: t.batches.Load()}
}

// Get returns the event id at key k, if there is one.
func (t *Trees) Get(tx *storage.Tx, room matrix.RoomID, r Root, k event.Key) (id string, ok bool, err error) {
	rd := reader{t, tx, room}
	way := pathOf(k)
	for depth := 0; r != (Root{}); depth++ {
		n, err := rd.node(r)
		if err != nil {
			return "", false, err
		}
		if n.inner {
			r = n.child(way.slot(depth))
			continue
		}
		id, ok := n.find(k)
		return strings.Clone(id), ok, nil // not a part of a leaf, which would stay in memory with it
	}
	return "", false, nil
}

// GetMany returns the event ids at those of the keys that have one, with as many
// statements as the tree has levels.
func (t *Trees) GetMany(tx *storage.Tx, room matrix.RoomID, r Root, keys []event.Key) (map[event.Key]string, error) {
	found := make(map[event.Key]string, len(keys))
	if r == (Root{}) {
		return found, nil
	}
	type search struct {
		key event.Key
		way path
	}
	searches := make([]search, len(keys))
	at := make([]Root, len(keys))
	for i, k := range keys {
		searches[i], at[i] = search{k, pathOf(k)}, r
	}
	rd := reader{t, tx, room}
	for depth := 0; len(at) > 0; depth++ {
		nodes, err := rd.nodes(at)
		if err != nil {
			return nil, err
		}
		left := 0
		for i, n := range nodes {
			s := searches[i]
			if !n.inner {
				if id, ok := n.find(s.key); ok {
					found[s.key] = strings.Clone(id)
				}
			} else if child := n.child(s.way.slot(depth)); child != (Root{}) {
				searches[left], at[left] = s, child
				left++
			}
		}
		searches, at = searches[:left], at[:left]
	}
	return found, nil
}

// Count returns how many entries a state has.
func (t *Trees) Count(tx *storage.Tx, room matrix.RoomID, r Root) (int, error) {
	if r == (Root{}) {
		return 0, nil
	}
	n, err := reader{t, tx, room}.node(r)
	return n.count, err
}

// reader reads nodes of a room in a transaction.
type reader struct {
	trees *Trees
	tx    *storage.Tx
	room  matrix.RoomID
}

// node returns the node with an id, which has to be there.
func (r reader) node(id Root) (node, error) {
	if n, ok := r.trees.cache.Get(id); ok {
		r.trees.hits.Add(1)
		return n, nil
	}
	nodes, err := r.nodes([]Root{id})
	if err != nil {
		return node{}, err
	}
	return nodes[0], nil
}

// nodes returns the nodes with these ids, in their order. Those that are not in
// memory are read at once. All of them have to be there.
func (r reader) nodes(ids []Root) ([]node, error) {
	nodes := make([]node, len(ids))
	var missing []Root
	for i, id := range ids {
		n, ok := r.trees.cache.Get(id)
		if !ok {
			missing = append(missing, id)
		}
		nodes[i] = n
	}
	r.trees.hits.Add(int64(len(ids) - len(missing)))
	if len(missing) == 0 {
		return nodes, nil
	}
	bodies, err := r.tx.StateNodes(r.room, missing)
	if err != nil {
		return nil, err
	}
	r.trees.reads.Add(int64(len(bodies)))
	r.trees.batches.Add(1)
	for i, id := range ids {
		if nodes[i].body != "" {
			continue
		}
		if nodes[i], err = r.load(id, bodies); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// load makes a node of its body, and remembers it.
func (r reader) load(id Root, bodies map[Root]string) (node, error) {
	body, ok := bodies[id]
	if !ok {
		return node{}, fmt.Errorf("the state of %s has lost its node %x", r.room, id)
	}
	if idOf(body) != id {
		return node{}, fmt.Errorf("the state of %s is damaged: node %x is not what it was", r.room, id)
	}
	n, err := decode(body)
	if err != nil {
		return node{}, fmt.Errorf("the state of %s is damaged: node %x: %w", r.room, id, err)
	}
	r.trees.cache.Set(id, n)
	return n, nil
}

// idOf is the id of the node with this body.
func idOf(body string) Root {
	sum := sha256.Sum256([]byte(body))
	return Root(sum[:len(Root{})])
}
