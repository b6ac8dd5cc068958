package event

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// The types of events that this package knows by name.
const (
	typeCreate            = "m.room.create"
	typeMember            = "m.room.member"
	typeJoinRules         = "m.room.join_rules"
	typePowerLevels       = "m.room.power_levels"
	typeHistoryVisibility = "m.room.history_visibility"
	typeAliases           = "m.room.aliases"
	typeRedaction         = "m.room.redaction"
)

// Key says which piece of a room's state an event is.
type Key struct{ Type, StateKey string }

// Event is a persistent data unit (Server-Server API, PDUs). It never changes,
// and may be used from several goroutines; what its methods return must not be
// written to.
type Event struct {
	version  *Version
	id       string
	raw      []byte // canonical, without unsigned
	room     string
	typ      string
	sender   string
	stateKey string
	isState  bool
	hasRoom  bool
	mismatch bool
	depth    int64
	ts       int64
	// Parts of raw.
	content, redacts, prev, auth, hashes, signatures []byte

	links atomic.Pointer[links] // prev and auth, read when first asked for
	facts atomic.Pointer[facts] // of content, the same
}

// links are the events that an event refers to.
type links struct{ prev, auth []string }

// Load is for events that this server keeps: it trusts raw to be what
// [Event.JSON] gave, and id to be the event's id. The event keeps raw, which must
// not be written to any more.
func Load(v *Version, id string, raw []byte) (*Event, error) {
	e := &Event{version: v, id: id, raw: raw}
	var room, typ, sender, stateKey []byte
	good := true
	get := func(value []byte) []byte {
		s, ok := text(value)
		good = good && ok
		return s
	}
	c := newCursor(raw)
	for m, ok := c.next(); ok; m, ok = c.next() {
		switch string(m.key) {
		case "auth_events":
			e.auth = m.value
		case "content":
			e.content = m.value
		case "depth":
			e.depth = integer(m.value, &good)
		case "hashes":
			e.hashes = m.value
		case "origin_server_ts":
			e.ts = integer(m.value, &good)
		case "prev_events":
			e.prev = m.value
		case "redacts":
			e.redacts = m.value
		case "room_id":
			room, e.hasRoom = get(m.value), true
		case "sender":
			sender = get(m.value)
		case "signatures":
			e.signatures = m.value
		case "state_key":
			stateKey, e.isState = get(m.value), true
		case "type":
			typ = get(m.value)
		}
	}
	if c.failed || !good {
		return nil, fmt.Errorf("event %s: %w", id, errSyntax)
	}
	e.setTexts(room, typ, sender, stateKey)
	return e, nil
}

// setTexts keeps the short fields in one piece of memory.
func (e *Event) setTexts(room, typ, sender, stateKey []byte) {
	var b strings.Builder
	b.Grow(len(room) + len(typ) + len(sender) + len(stateKey))
	b.Write(room)
	b.Write(typ)
	b.Write(sender)
	b.Write(stateKey)
	rest := b.String()
	cut := func(n int) (s string) {
		s, rest = rest[:n], rest[n:]
		return s
	}
	e.room, e.typ, e.sender, e.stateKey = cut(len(room)), cut(len(typ)), cut(len(sender)), cut(len(stateKey))
}

func integer(value []byte, good *bool) int64 {
	n, err := strconv.ParseInt(string(value), 10, 64)
	*good = *good && err == nil
	return n
}

// Version is the version of the event's room.
func (e *Event) Version() *Version { return e.version }

// ID is the event's id.
func (e *Event) ID() string { return e.id }

// RoomID is the room's id. Of a create event that has no room_id it is made of
// the event's id (rooms/v12, Room IDs).
func (e *Event) RoomID() matrix.RoomID {
	if !e.hasRoom && e.version.RoomIDFromCreate && e.typ == typeCreate {
		return RoomIDOf(e)
	}
	return matrix.RoomID(e.room)
}

// HasRoomID tells whether the event says which room it is of: create events must
// not, from rooms/v12 on (auth rule 1.2).
func (e *Event) HasRoomID() bool { return e.hasRoom }

// RoomIDOf is the id of the room that a create event makes: the event's id with
// another sigil (rooms/v12).
func RoomIDOf(create *Event) matrix.RoomID {
	return matrix.RoomID("!" + strings.TrimPrefix(create.id, "$"))
}

// Type is the event's type.
func (e *Event) Type() string { return e.typ }

// Sender is who sent the event.
func (e *Event) Sender() matrix.UserID { return matrix.UserID(e.sender) }

// StateKey is the state key, if the event is a state event.
func (e *Event) StateKey() (string, bool) { return e.stateKey, e.isState }

// Key is the piece of state that the event is, if it is one.
func (e *Event) Key() (Key, bool) { return Key{Type: e.typ, StateKey: e.stateKey}, e.isState }

// IsState tells whether the event is a state event of a type.
func (e *Event) IsState(typ string) bool { return e.isState && e.typ == typ }

// Content is the event's content, a JSON object.
func (e *Event) Content() jsontext.Value { return e.content }

// PrevEvents are the ids of the events before this one.
func (e *Event) PrevEvents() []string { return e.readLinks().prev }

// AuthEvents are the ids of the events that allow this one.
func (e *Event) AuthEvents() []string { return e.readLinks().auth }

// readLinks reads both lists, once; two goroutines may both do it.
func (e *Event) readLinks() *links {
	if l := e.links.Load(); l != nil {
		return l
	}
	l := &links{prev: readIDs(e.prev), auth: readIDs(e.auth)}
	e.links.Store(l)
	return l
}

// readIDs reads a list of event ids, or, as in rooms/v1, of pairs of an id and a
// hash. The ids share one piece of memory.
func readIDs(list []byte) []string {
	var b strings.Builder
	b.Grow(len(list))
	ids := make([]string, 0, len(list)/40+1)
	c := newList(list)
	for item, ok := c.item(); ok; item, ok = c.item() {
		if item[0] == '[' {
			pair := newList(item)
			item, _ = pair.item()
		}
		id, _ := text(item)
		start := b.Len()
		b.Write(id)
		ids = append(ids, b.String()[start:])
	}
	return ids
}

// Depth is how far the event is from the beginning of the room, as its origin
// has it.
func (e *Event) Depth() int64 { return e.depth }

// Timestamp is when the event was made, as its origin has it.
func (e *Event) Timestamp() matrix.Timestamp { return matrix.Timestamp(e.ts) }

// Redacts is the id of the event that this one redacts, if it is a redaction. It
// is in the content from rooms/v11 on.
func (e *Event) Redacts() string {
	if e.typ != typeRedaction {
		return ""
	}
	if e.version.UpdatedRedaction {
		return findText(e.content, "redacts")
	}
	id, _ := text(e.redacts)
	return string(id)
}

// JSON is the event as canonical JSON, with its hashes and signatures, without
// unsigned.
func (e *Event) JSON() []byte { return e.raw }

// HashMismatch tells whether the event came with a content that is not the one
// its hash is of. Such an event is in its redacted form (Server-Server API,
// Validating hashes and signatures on received events).
func (e *Event) HashMismatch() bool { return e.mismatch }
