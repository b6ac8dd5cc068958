package state

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// All returns all entries of a state, in no particular order. It reads them
// with as many statements as the tree has levels; what it returns may be used
// after the transaction.
func (t *Trees) All(tx *storage.Tx, room matrix.RoomID, r Root) (iter.Seq2[event.Key, string], error) {
	leaves, err := reader{t, tx, room}.leaves(r, func(byte) bool { return true })
	return entriesOf(leaves), err
}

// OfType is All for one type: state keys and event ids. Members and other types
// are apart, so that it does not read the former for the latter.
func (t *Trees) OfType(tx *storage.Tx, room matrix.RoomID, r Root, typ string) (iter.Seq2[string, string], error) {
	leaves, err := reader{t, tx, room}.leaves(r, func(slot byte) bool { return slot == typeSlot(typ) })
	return func(yield func(string, string) bool) {
		for k, id := range entriesOf(leaves) {
			if k.Type == typ && !yield(k.StateKey, id) {
				return
			}
		}
	}, err
}

// NotMembers is All without m.room.member, which it does not read.
func (t *Trees) NotMembers(tx *storage.Tx, room matrix.RoomID, r Root) (iter.Seq2[event.Key, string], error) {
	leaves, err := reader{t, tx, room}.leaves(r, func(slot byte) bool { return slot != members })
	return func(yield func(event.Key, string) bool) {
		for k, id := range entriesOf(leaves) {
			if k.Type != memberType && !yield(k, id) {
				return
			}
		}
	}, err
}

func entriesOf(leaves []node) iter.Seq2[event.Key, string] {
	return func(yield func(event.Key, string) bool) {
		for _, n := range leaves {
			for k, id := range n.entries() {
				if !yield(k, id) {
					return
				}
			}
		}
	}
}

// leaves returns the leaves of a tree that are below wanted slots of the root.
// If the root is a leaf, it is that.
func (r reader) leaves(root Root, wanted func(slot byte) bool) (leaves []node, err error) {
	var level []Root
	if root != (Root{}) {
		level = []Root{root}
	}
	for depth := 0; len(level) > 0; depth++ {
		nodes, err := r.nodes(level)
		if err != nil {
			return nil, err
		}
		level = nil
		for _, n := range nodes {
			if !n.inner {
				leaves = append(leaves, n)
				continue
			}
			for slot, child := range n.children() {
				if child != (Root{}) && (depth > 0 || wanted(byte(slot))) {
					level = append(level, child)
				}
			}
		}
	}
	return leaves, nil
}

// Diff returns what is different in the state to: the entries that from does not
// have or has with another event, and the keys that only from has. It reads
// nothing of what both share.
func (t *Trees) Diff(
	tx *storage.Tx, room matrix.RoomID, from, to Root,
) (changed map[event.Key]string, removed []event.Key, err error) {
	r := reader{t, tx, room}
	before := map[event.Key]string{}
	changed = map[event.Key]string{}
	for level := appendPair(nil, from, to); len(level) > 0; {
		// The two sides of a pair are next to each other.
		nodes, err := r.pairs(level)
		if err != nil {
			return nil, nil, err
		}
		level = nil
		for pair := range slices.Chunk(nodes, 2) {
			maps.Insert(before, pair[0].entries())
			maps.Insert(changed, pair[1].entries())
			a, b := pair[0].children(), pair[1].children()
			for slot := range a {
				level = appendPair(level, a[slot], b[slot])
			}
		}
	}
	for k, id := range before {
		if now, ok := changed[k]; !ok {
			removed = append(removed, k)
		} else if now == id {
			delete(changed, k)
		}
	}
	slices.SortFunc(removed, func(a, b event.Key) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.StateKey, b.StateKey))
	})
	return changed, removed, nil
}

// appendPair appends two roots that are to be compared, if they differ.
func appendPair(level []Root, a, b Root) []Root {
	if a == b {
		return level
	}
	return append(level, a, b)
}

// pairs is nodes where the zero Root is a node with nothing in it.
func (r reader) pairs(ids []Root) ([]node, error) {
	nodes, err := r.nodes(slices.DeleteFunc(slices.Clone(ids), func(id Root) bool { return id == Root{} }))
	if err != nil {
		return nil, err
	}
	all := make([]node, len(ids))
	for i, id := range ids {
		if id != (Root{}) {
			all[i], nodes = nodes[0], nodes[1:]
		}
	}
	return all, nil
}
