package storage

import (
	"bytes"
	"database/sql"
	"maps"
	"slices"

	"lethe/internal/matrix"
)

// NodeID names a node of a tree of room state: the start of the SHA-256 of its
// body.
type NodeID [16]byte

// nodesAtOnce bounds how many nodes one statement reads or writes, and with that
// the memory it takes.
const nodesAtOnce = 4096

// StateNodes returns the bodies of nodes of a room. Those that are not there are
// missing in the result.
func (tx *Tx) StateNodes(room matrix.RoomID, ids []NodeID) (map[NodeID]string, error) {
	nodes := make(map[NodeID]string, len(ids))
	for some := range slices.Chunk(ids, nodesAtOnce) {
		if err := tx.stateNodes(nodes, room, some); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func (tx *Tx) stateNodes(nodes map[NodeID]string, room matrix.RoomID, ids []NodeID) error {
	list := make([][]byte, len(ids))
	for i := range ids {
		list[i] = ids[i][:]
	}
	rows, err := tx.query(`SELECT id, body FROM state_nodes WHERE room_id = $1 AND id `+tx.inBytes(2),
		[]any{room, tx.bytes(list)})
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var raw sql.RawBytes
		var body string
		if err := rows.Scan(&raw, &body); err != nil {
			return err
		}
		var id NodeID
		copy(id[:], raw)
		nodes[id] = body
	}
	return tx.check(rows.Err())
}

// AddStateNodes stores nodes of a room; those that are there already stay as
// they are, since a node with the same id is the same. They are written in the
// order of their ids, so that two transactions do not wait for each other.
func (tx *Tx) AddStateNodes(room matrix.RoomID, nodes map[NodeID]string) error {
	ids := slices.SortedFunc(maps.Keys(nodes), func(a, b NodeID) int { return bytes.Compare(a[:], b[:]) })
	for some := range slices.Chunk(ids, nodesAtOnce) {
		list := make([][]byte, len(some))
		for i, id := range some {
			list[i] = append(id[:], nodes[id]...)
		}
		err := tx.run(`INSERT INTO state_nodes (room_id, id, body)
			SELECT $1, substr(list.v, 1, 16), substr(list.v, 17) FROM `+tx.fromBytes(2)+`
			WHERE TRUE ON CONFLICT (room_id, id) DO NOTHING`, room, tx.bytes(list))
		if err != nil {
			return err
		}
	}
	return nil
}
