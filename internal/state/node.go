package state

import (
	"cmp"
	"encoding/binary"
	"errors"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strings"

	"lethe/internal/event"
)

// leafMax is how many entries a leaf has at most, and an inner node more than.
const leafMax = 16

// The first byte of a body says how the rest is to be read. A change of the
// format takes a new one.
//
//	leaf:  for each type in order: type, number of entries, and for each entry in
//	       the order of state keys: state key, event id
//	inner: which slots have children, as 16 bits, the lowest for slot 0; how many
//	       entries there are below; the ids of the children in the order of slots
//
// Numbers are uvarints, texts their length and their bytes.
const (
	leafForm  = 1
	innerForm = 2
)

// node is a node of a tree, as it is stored: a state of many entries would take
// several times the memory in any other form. body has been checked. The zero
// node has nothing in it and is stored nowhere.
type node struct {
	body  string
	count int // entries in it or below it
	inner bool
}

// entry is an entry on its way into a tree. An empty id takes the key out.
type entry struct {
	way path
	key event.Key
	id  string
}

// leaf makes a leaf of entries, which it sorts.
func leaf(list []entry) node {
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.key.Type, b.key.Type), strings.Compare(a.key.StateKey, b.key.StateKey))
	})
	body := append(make([]byte, 0, 2048), leafForm)
	for i := 0; i < len(list); {
		typ, end := list[i].key.Type, i
		for end < len(list) && list[end].key.Type == typ {
			end++
		}
		body = appendText(body, typ)
		body = binary.AppendUvarint(body, uint64(end-i))
		for ; i < end; i++ {
			body = appendText(body, list[i].key.StateKey)
			body = appendText(body, list[i].id)
		}
	}
	return node{body: string(body), count: len(list)}
}

// inner makes an inner node of its children, with count entries below them.
func inner(children [slots]Root, count int) node {
	body := append(make([]byte, 0, 512), innerForm, 0, 0)
	body = binary.AppendUvarint(body, uint64(count)) //nolint:gosec // it is never negative
	var used uint16
	for slot, child := range children {
		if child != (Root{}) {
			used |= 1 << slot
			body = append(body, child[:]...)
		}
	}
	binary.BigEndian.PutUint16(body[1:], used)
	return node{body: string(body), count: count, inner: true}
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

var errBody = errors.New("its body cannot be read")

// decode reads a body, which may be damaged.
func decode(body string) (node, error) {
	if body == "" {
		return node{}, errBody
	}
	n := node{body: body, inner: body[0] == innerForm}
	switch body[0] {
	case leafForm:
		last := event.Key{}
		ok := n.walk(func(key event.Key, id string) bool {
			order := cmp.Or(strings.Compare(last.Type, key.Type), strings.Compare(last.StateKey, key.StateKey))
			inOrder := n.count == 0 || order < 0
			last = key
			n.count++
			return inOrder && id != ""
		})
		if !ok || n.count == 0 || n.count > leafMax {
			return node{}, errBody
		}
	case innerForm:
		if len(body) < 3 {
			return node{}, errBody
		}
		rest := scan{text: body[3:]}
		n.count = rest.number()
		if rest.failed || n.count <= leafMax || n.used() == 0 || len(rest.text) != bits.OnesCount16(n.used())*len(Root{}) {
			return node{}, errBody
		}
	default:
		return node{}, errBody
	}
	return n, nil
}

// used has a bit for each slot of an inner node with a child.
func (n node) used() uint16 { return uint16(n.body[1])<<8 | uint16(n.body[2]) }

// child is the child of a node in a slot, the zero Root if there is none.
func (n node) child(slot byte) (id Root) {
	if !n.inner {
		return Root{}
	}
	rest := n.used() >> slot
	if rest&1 == 1 {
		copy(id[:], n.body[len(n.body)-bits.OnesCount16(rest)*len(id):])
	}
	return id
}

// children are all children of a node; a leaf has none.
func (n node) children() (list [slots]Root) {
	for slot := range list {
		list[slot] = n.child(byte(slot))
	}
	return list
}

// find returns the event id at a key of a leaf.
func (n node) find(key event.Key) (id string, ok bool) {
	n.walk(func(k event.Key, at string) bool {
		if k == key {
			id, ok = at, true
		}
		return !ok
	})
	return id, ok
}

// entries are the entries of a node itself; an inner one has none.
func (n node) entries() iter.Seq2[event.Key, string] {
	return func(yield func(event.Key, string) bool) {
		if !n.inner {
			n.walk(yield)
		}
	}
}

// walk calls yield with each entry of a leaf, and tells whether it came to the
// end: whether yield always returned true and, for a body that has not been
// checked, it could be read.
func (n node) walk(yield func(event.Key, string) bool) bool {
	if n.body == "" {
		return true
	}
	rest := scan{text: n.body[1:]}
	last := ""
	for first := true; rest.text != ""; first = false {
		typ := rest.string()
		count := rest.number()
		if rest.failed || count == 0 || !first && typ == last {
			return false
		}
		for range count {
			stateKey, id := rest.string(), rest.string()
			if rest.failed || !yield(event.Key{Type: typ, StateKey: stateKey}, id) {
				return false
			}
		}
		last = typ
	}
	return true
}

// scan reads numbers and texts from the front of a text, until it fails.
type scan struct {
	text   string
	failed bool
}

// number reads a uvarint that is no longer than it has to be.
func (s *scan) number() int {
	n := uint64(0)
	for i := 0; i < len(s.text) && i < binary.MaxVarintLen32; i++ {
		b := s.text[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 && i > 0 || n > math.MaxInt32 {
				break
			}
			s.text = s.text[i+1:]
			return int(n)
		}
	}
	s.failed = true
	return 0
}

// string reads a text. It is a part of the whole and takes no memory.
func (s *scan) string() string {
	n := s.number()
	if s.failed || n > len(s.text) {
		s.failed = true
		return ""
	}
	text := s.text[:n]
	s.text = s.text[n:]
	return text
}
