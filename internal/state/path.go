package state

import (
	"crypto/sha256"
	"encoding/binary"

	"lethe/internal/event"
)

const (
	// slots is how many children an inner node can have.
	slots = 16
	// memberType is the type of which a room may have very many, and members the
	// slot of the root that has all of those and nothing else.
	memberType = "m.room.member"
	members    = 0
)

// path is the way from the root to a key: the slot of the root, by the type, and
// then those of the hash of the key, four bits each. The hash is a cryptographic
// one: strangers cannot choose keys that make the tree deep, and no two keys have
// the same path.
type path [sha256.Size]byte

func pathOf(k event.Key) path {
	text := make([]byte, 0, 128)
	text = binary.AppendUvarint(text, uint64(len(k.Type)))
	text = append(text, k.Type...)
	text = append(text, k.StateKey...)
	p := path(sha256.Sum256(text))
	p[0] = typeSlot(k.Type)<<4 | p[0]&0x0f
	return p
}

// typeSlot is the slot of the root that has the entries of a type.
func typeSlot(typ string) byte {
	if typ == memberType {
		return members
	}
	return 1 + sha256.Sum256([]byte(typ))[0]%(slots-1)
}

// slot is the slot to go to from an inner node at a depth.
func (p path) slot(depth int) byte {
	if depth%2 == 0 {
		return p[depth/2] >> 4
	}
	return p[depth/2] & 0x0f
}
