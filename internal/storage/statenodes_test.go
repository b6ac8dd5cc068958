package storage_test

import (
	"bytes"
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func nodes(pairs ...string) map[storage.NodeID]string {
	m := map[storage.NodeID]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[nodeID(pairs[i])] = pairs[i+1]
	}
	return m
}

func nodeID(name string) (id storage.NodeID) {
	copy(id[:], name)
	return id
}

func addNodes(room matrix.RoomID, pairs ...string) func(*storage.Tx) error {
	return step2((*storage.Tx).AddStateNodes, room, nodes(pairs...))
}

func readNodes(room matrix.RoomID, names ...string) func(*storage.Tx) (map[storage.NodeID]string, error) {
	var ids []storage.NodeID
	for _, name := range names {
		ids = append(ids, nodeID(name))
	}
	return bind2((*storage.Tx).StateNodes, room, ids)
}

func TestStateNodesAreOfTheirRoom(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, addNodes("!r:x", "a", "1", "b", "\x00\xff"), addNodes("!other:x", "a", "2"), addNodes("!r:x"))
		want(t, db, nodes("a", "1", "b", "\x00\xff"), readNodes("!r:x", "a", "b", "c"))
		want(t, db, nodes("a", "2"), readNodes("!other:x", "a", "b"))
		want(t, db, nodes(), readNodes("!none:x", "a"))
		want(t, db, nodes(), readNodes("!r:x"))
	})
}

func TestAStateNodeThatIsThereStaysAsItIs(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, addNodes("!r:x", "b", "1"))
		do(t, db, addNodes("!r:x", "a", "1", "b", "2", "c", "3"))
		want(t, db, nodes("a", "1", "b", "1", "c", "3"), readNodes("!r:x", "a", "b", "c"))
	})
}

func TestMoreStateNodesThanOneStatementTakes(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		many := map[storage.NodeID]string{}
		var ids []storage.NodeID
		for i := range 5000 {
			id := storage.NodeID{byte(i >> 8), byte(i)}
			many[id] = string(bytes.Repeat([]byte{byte(i)}, i%100))
			ids = append(ids, id)
		}
		do(t, db, step2((*storage.Tx).AddStateNodes, matrix.RoomID("!r:x"), many))
		want(t, db, many, bind2((*storage.Tx).StateNodes, matrix.RoomID("!r:x"), ids))
	})
}
