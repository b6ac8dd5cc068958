package event

import (
	"fmt"
	"strings"

	"lethe/internal/matrix"
)

// AuthError is the refusal of an event by an auth rule.
type AuthError struct {
	// Rule is the rule's number in the page of the room version, such as `4.3.2`.
	Rule string
	// Version is the room version.
	Version string
	// Message says what was wrong.
	Message string
}

// Error names the rule and says what was wrong.
func (e *AuthError) Error() string {
	return fmt.Sprintf("auth rule %s of room version %s: %s", e.Rule, e.Version, e.Message)
}

// StateFn is a state of a room: the event of a key, or nil.
type StateFn = func(Key) *Event

// StateOf is the state that these events make; nil is none, and of two events
// for one key the last counts.
func StateOf(events ...*Event) StateFn {
	state := make(map[Key]*Event, len(events))
	for _, e := range events {
		if e == nil {
			continue
		}
		if key, ok := e.Key(); ok {
			state[key] = e
		}
	}
	return func(key Key) *Event { return state[key] }
}

// authorizer checks one event against one state.
type authorizer struct {
	e      *Event
	state  StateFn
	create *Event
}

// Authorize checks an event against the auth rules of its room version, in the
// given state. The error is an [*AuthError].
//
// The state must have m.room.create also where it is in no auth_events
// (rooms/v12), and must not have a rejected one. It is the caller who checks the
// event's auth_events ([CheckAuthEvents]), and the signatures, also that of
// [AuthorisedVia].
func Authorize(e *Event, state StateFn) error {
	if e.typ == typeCreate {
		return authorizeCreate(e)
	}
	a := authorizer{e: e, state: state, create: state(Key{Type: typeCreate})}
	switch {
	case e.version.RoomIDFromCreate && (a.create == nil || RoomIDOf(a.create) != e.RoomID()):
		return a.refuse(roomCreate, "the room %s is not named after its m.room.create event", e.RoomID())
	case a.create == nil:
		return a.refuse(authNoCreate, "the room has no m.room.create event")
	case !Federates(a.create) && e.Sender().Server() != a.create.Sender().Server():
		return a.refuse(federate, "the room is only for users of %s", a.create.Sender().Server())
	case e.typ == typeAliases && e.version.AliasesRule:
		return a.aliases()
	case e.typ == typeMember:
		return a.member()
	}
	return a.other()
}

func (a *authorizer) refuse(r rule, format string, args ...any) error {
	return refuse(a.e, r, format, args...)
}

func refuse(e *Event, r rule, format string, args ...any) error {
	return &AuthError{Rule: numbers[e.version.ID][r], Version: e.version.ID, Message: fmt.Sprintf(format, args...)}
}

// authorizeCreate is rule 1.
func authorizeCreate(e *Event) error {
	c := e.read().create
	switch v := e.version; {
	case len(e.PrevEvents()) > 0:
		return refuse(e, createPrev, "m.room.create has previous events")
	case v.RoomIDFromCreate && e.HasRoomID():
		return refuse(e, createRoom, "m.room.create has a room_id")
	case !v.RoomIDFromCreate && domain(e.room) != domain(e.sender):
		return refuse(e, createRoom, "the room %s is not of the server of its creator %s", e.room, e.sender)
	case c.badVersion:
		return refuse(e, createVersion, "the room version is not one that this server knows")
	case !v.SenderIsCreator && !c.hasCreator:
		return refuse(e, createCreator, "m.room.create has no creator")
	case v.PrivilegedCreators && c.badCreators:
		return refuse(e, createAdditional, "additional_creators is not a list of user ids")
	}
	return nil
}

// domain is what is behind the first colon of an identifier.
func domain(id string) string {
	_, server, _ := strings.Cut(id, ":")
	return server
}

// aliases is rule 4 of rooms/v1.
func (a *authorizer) aliases() error {
	switch {
	case !a.e.isState:
		return a.refuse(aliasesKey, "m.room.aliases has no state key")
	case domain(a.e.sender) != a.e.stateKey:
		return a.refuse(aliasesDomain, "%s sets the aliases of %s", a.e.sender, a.e.stateKey)
	}
	return nil
}

// other are the rules for all events that are neither m.room.create nor
// m.room.member.
func (a *authorizer) other() error {
	e := a.e
	if m := a.membership(e.sender); m != "join" {
		return a.refuse(senderJoined, "%s is not in the room (%s)", e.sender, orNone(m))
	}
	levels := a.levels()
	sender := levels.User(e.Sender())
	if e.typ == typeThirdPartyInvite {
		if sender < levels.Invite() {
			return a.refuse(thirdPartyLevel, "%s has the power level %d, and inviting needs %d", e.sender, sender,
				levels.Invite())
		}
		return nil
	}
	if needed := levels.EventLevel(e.typ, e.isState); sender < needed {
		return a.refuse(eventLevel, "%s has the power level %d, and %s needs %d", e.sender, sender, e.typ, needed)
	}
	if e.isState && strings.HasPrefix(e.stateKey, "@") && e.stateKey != e.sender {
		return a.refuse(ownStateKey, "%s sets the state of %s", e.sender, e.stateKey)
	}
	switch {
	case e.typ == typePowerLevels:
		return a.powerLevels(sender)
	case e.typ == typeRedaction && e.version.RedactionRule:
		if sender < levels.Redact() && domain(e.Redacts()) != domain(e.id) {
			return a.refuse(redactionOther, "%s has the power level %d, and redacting an event of another server needs %d",
				e.sender, sender, levels.Redact())
		}
	}
	return nil
}

func (a *authorizer) levels() PowerLevels {
	return NewPowerLevels(a.create, a.state(Key{Type: typePowerLevels}))
}

func (a *authorizer) membership(user string) string {
	return MembershipOf(a.state(Key{Type: typeMember, StateKey: user}))
}

// orNone is a membership for an error.
func orNone(membership string) string {
	if membership == "" {
		return "no membership"
	}
	return membership
}

// canInvite tells whether a user is in the room and has the level to invite.
func (a *authorizer) canInvite(user matrix.UserID) bool {
	levels := a.levels()
	return a.membership(string(user)) == "join" && levels.User(user) >= levels.Invite()
}
