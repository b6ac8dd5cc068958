package event

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// AuthKeys are the pieces of state that allow an event that is to be made: those
// of them that the room has go into its auth_events (Server-Server API, Auth
// events selection).
func AuthKeys(v *Version, p Proto) []Key {
	var stateKey string
	if p.StateKey != nil {
		stateKey = *p.StateKey
	}
	return authKeys(v, p.Type, stateKey, p.StateKey != nil, string(p.Sender), p.Content)
}

// AuthKeysOf are the same of an event that is there.
func AuthKeysOf(e *Event) []Key {
	return authKeys(e.version, e.typ, e.stateKey, e.isState, e.sender, e.content)
}

func authKeys(v *Version, typ, stateKey string, isState bool, sender string, content jsontext.Value) []Key {
	if typ == typeCreate {
		return nil
	}
	keys := make([]Key, 0, 7)
	add := func(typ, stateKey string) {
		if key := (Key{Type: typ, StateKey: stateKey}); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if !v.RoomIDFromCreate {
		add(typeCreate, "")
	}
	add(typePowerLevels, "")
	add(typeMember, sender)
	if typ != typeMember || !isState {
		return keys
	}
	add(typeMember, stateKey)
	switch findText(content, "membership") {
	case "join":
		add(typeJoinRules, "")
		if via := find(content, "join_authorised_via_users_server"); via != nil && v.Restricted {
			if id, ok := text(via); ok {
				add(typeMember, string(id))
			}
		}
	case "invite":
		add(typeJoinRules, "")
		if token, ok := text(find(find(find(content, "third_party_invite"), "signed"), "token")); ok {
			add(typeThirdPartyInvite, string(token))
		}
	case "knock":
		add(typeJoinRules, "")
	}
	return keys
}

// CheckAuthEvents checks an event's auth_events, which the caller has found all
// of: rule 2, or 3 from rooms/v12 on. rejected tells which of them were; it may
// be nil. The error is an [*AuthError].
func CheckAuthEvents(e *Event, auth []*Event, rejected func(id string) bool) error {
	if e.typ == typeCreate {
		return nil // rule 1 asks for no more
	}
	seen := map[Key]bool{}
	for _, other := range auth {
		key, _ := other.Key()
		if seen[key] {
			return refuse(e, authDuplicate, "two of its auth events are %s %q", key.Type, key.StateKey)
		}
		seen[key] = true
	}
	selected := AuthKeysOf(e)
	for _, other := range auth {
		if key, isState := other.Key(); !isState || !slices.Contains(selected, key) {
			return refuse(e, authSelection, "its auth event %s, a %s, is not one that allows it", other.id, other.typ)
		}
	}
	for _, other := range auth {
		if rejected != nil && rejected(other.id) {
			return refuse(e, authRejected, "its auth event %s was rejected", other.id)
		}
	}
	if !e.version.RoomIDFromCreate && !seen[Key{Type: typeCreate}] {
		return refuse(e, authNoCreate, "m.room.create is not among its auth events")
	}
	for _, other := range auth {
		if other.RoomID() != e.RoomID() {
			return refuse(e, authRoom, "its auth event %s is of the room %s", other.id, other.RoomID())
		}
	}
	return nil
}
