// Package state keeps the state of rooms, at every event, in trees that share
// what they have in common.
//
// The state of a room, a map from (type, state key) to event id, is a hash trie
// of nodes that never change. A leaf has up to 16 entries; what is more is below
// an inner node, by the next four bits of the hash of the key. Members are below
// slot 0 of the root and all else below the other slots, so that neither is in
// the way of the other. A node's id is the hash of its body, and the shape of a
// tree follows from what is in it: the same state has the same root, whichever
// way it came about. A change writes the few nodes from the root to a leaf; two
// states are compared without a look at what they share.
//
// Holds: [Trees].
//
// May import: event, matrix, storage.
//
// Never: what an event says, or which state is right. Nodes that no event refers
// to any more are storage's to delete.
package state
