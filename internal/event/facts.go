package event

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// More types of events that this package knows by name.
const (
	typeThirdPartyInvite = "m.room.third_party_invite"
	typeGuestAccess      = "m.room.guest_access"
)

// facts are what the rules read out of an event's content, read once: the same
// state events are asked again for every event of their room.
type facts struct {
	word   string // membership, join_rule, history_visibility, guest_access
	has    bool   // whether there is such a member, of whatever kind
	create *creation
	levels *levels
}

// creation is what m.room.create says.
type creation struct {
	// creators are the creator and, where they are privileged, the additional
	// ones (rooms/v12). The first may be missing before rooms/v11.
	creators []matrix.UserID
	federate bool
	// Of the rules for the event itself.
	hasCreator, badCreators, badVersion bool
}

// read is what the content says that the event's type is asked for. Two
// goroutines may both read it.
func (e *Event) read() *facts {
	if f := e.facts.Load(); f != nil {
		return f
	}
	f := &facts{}
	switch e.typ {
	case typeCreate:
		f.create = readCreation(e)
	case typePowerLevels:
		f.levels = readLevels(e.version, e.content)
	case typeMember:
		f.readWord(e.content, "membership")
	case typeJoinRules:
		f.readWord(e.content, "join_rule")
	case typeHistoryVisibility:
		f.readWord(e.content, "history_visibility")
	case typeGuestAccess:
		f.readWord(e.content, "guest_access")
	}
	e.facts.Store(f)
	return f
}

// words are those that most events say: they need no memory of their own.
var words = []string{
	"join", "leave", "invite", "ban", "knock", "public", "restricted", "knock_restricted", "private",
	"shared", "invited", "joined", "world_readable", "can_join", "forbidden",
}

func (f *facts) readWord(content []byte, name string) {
	value := find(content, name)
	s, _ := text(value)
	f.has = value != nil
	if i := slices.IndexFunc(words, func(w string) bool { return w == string(s) }); i >= 0 {
		f.word = words[i]
	} else {
		f.word = string(s)
	}
}

func readCreation(e *Event) *creation {
	c := &creation{federate: true}
	var creator string
	var additional []matrix.UserID
	content := newCursor(e.content)
	for m, ok := content.next(); ok; m, ok = content.next() {
		switch string(m.key) {
		case "creator":
			s, _ := text(m.value)
			creator, c.hasCreator = string(s), true
		case "m.federate":
			c.federate = string(m.value) != "false"
		case "room_version":
			s, isText := text(m.value)
			_, known := VersionOf(string(s))
			c.badVersion = !isText || !known
		case "additional_creators":
			additional, ok = readUserIDs(m.value)
			c.badCreators = !ok
		}
	}
	if e.version.SenderIsCreator {
		creator = e.sender
	}
	c.creators = append(c.creators, matrix.UserID(creator))
	if e.version.PrivilegedCreators {
		c.creators = append(c.creators, additional...)
	}
	return c
}

// readUserIDs reads a list of user ids; ok tells whether it is one.
func readUserIDs(list []byte) (ids []matrix.UserID, ok bool) {
	items, ok := readList(list)
	for _, item := range items {
		s, isText := text(item)
		id, err := matrix.ParseUserID(string(s))
		ok = ok && isText && err == nil
		ids = append(ids, id)
	}
	return ids, ok
}

// readList reads a list; ok tells whether it is one.
func readList(list []byte) (items []jsontext.Value, ok bool) {
	if len(list) == 0 || list[0] != '[' {
		return nil, false
	}
	err := json.Unmarshal(list, &items)
	return items, err == nil
}

// MembershipOf is the membership that an m.room.member event gives, and "" if
// there is no event, or no text in it.
func MembershipOf(e *Event) string {
	if e == nil || e.typ != typeMember {
		return ""
	}
	return e.read().word
}

// JoinRule is the join rule of a room whose m.room.join_rules event is e, which
// may be nil: `invite` unless it says another. It is "" for what is no text.
func JoinRule(e *Event) string {
	if e == nil || e.typ != typeJoinRules || !e.read().has {
		return "invite"
	}
	return e.read().word
}

// HistoryVisibility is that of a room whose m.room.history_visibility event is e,
// which may be nil. What is not set or not understood is `shared` (Client-Server
// API, Room history visibility).
func HistoryVisibility(e *Event) string {
	if e != nil && e.typ == typeHistoryVisibility {
		switch word := e.read().word; word {
		case "invited", "joined", "world_readable":
			return word
		}
	}
	return "shared"
}

// GuestAccess is that of a room whose m.room.guest_access event is e, which may
// be nil: `forbidden` unless it says `can_join` (Client-Server API, Guest access).
func GuestAccess(e *Event) string {
	if e != nil && e.typ == typeGuestAccess && e.read().word == "can_join" {
		return "can_join"
	}
	return "forbidden"
}

// Federates tells whether users of other servers may be in the room that create
// made.
func Federates(create *Event) bool {
	return create == nil || create.typ != typeCreate || create.read().create.federate
}

// Creators are the creator of a room, and the additional ones where they are
// privileged (rooms/v12).
func Creators(create *Event) []matrix.UserID {
	if create == nil || create.typ != typeCreate {
		return nil
	}
	return slices.Clone(create.read().create.creators)
}

// AuthorisedVia is the user whose server must have signed a join by a restricted
// rule, `join_authorised_via_users_server`; ok tells whether the content has it.
// The caller, who has the keys, checks the signature: that is auth rule 4.2.1
// from rooms/v8 on.
func AuthorisedVia(e *Event) (id matrix.UserID, ok bool) {
	if !e.version.Restricted || !e.IsState(typeMember) {
		return "", false
	}
	value := find(e.content, "join_authorised_via_users_server")
	s, _ := text(value)
	return matrix.UserID(s), value != nil
}
