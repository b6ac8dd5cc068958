package room

import (
	"cmp"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

var (
	errNotAllowed = matrix.Errorf(matrix.CodeForbidden, "You are not invited, and not in a room whose members may join this one.")
	// The errors of servers that are asked to let somebody in (Server-Server API,
	// Restricted rooms).
	errCannotTell = matrix.Errorf(matrix.CodeUnableToAuthorise,
		"This server does not see the rooms whose members may join this one.")
	errCannotGrant = matrix.Errorf(matrix.CodeUnableToGrantJoin,
		"Nobody on this server may invite people to this room, so it cannot let anybody in.")
)

// authoriser is the user of this server in whose name it lets user in, whose
// membership is now (CS API, Restricted rooms). It is "" where the join rule asks
// for none, or the auth rules have the last word anyway.
func (w *writer) authoriser(user matrix.UserID, now string) (matrix.UserID, error) {
	if now == invite || now == ban || !w.version.Restricted {
		return "", nil
	}
	key := event.Key{Type: typeJoinRules}
	state, err := w.current(key)
	if err != nil {
		return "", err
	}
	rules := pdu(state[key])
	switch event.JoinRule(rules) {
	case ruleRestricted:
	case ruleKnockRestricted:
		if !w.version.KnockRestricted {
			return "", nil
		}
	default:
		return "", nil
	}
	if err := w.meetsConditions(user, rules.Content()); err != nil {
		return "", err
	}
	return w.whoMayInvite()
}

// meetsConditions checks that user is in a room that the join rules allow, by
// what this server knows: everything of its own users, and of others what goes on
// in rooms that it is in.
func (w *writer) meetsConditions(user matrix.UserID, joinRules jsontext.Value) error {
	rooms := allowed(joinRules)
	in, err := w.tx.JoinedAny(user, rooms)
	if err != nil || in {
		return err
	}
	if !w.s.local(user) {
		seen, err := w.tx.Inhabited(rooms)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(rooms, func(room matrix.RoomID) bool { return !slices.Contains(seen, room) }) {
			return errCannotTell
		}
	}
	return errNotAllowed
}

// allowed are the rooms whose members join rules allow in.
func allowed(joinRules jsontext.Value) (rooms []matrix.RoomID) {
	var rules struct {
		Allow []jsontext.Value `json:"allow"`
	}
	_ = json.Unmarshal(joinRules, &rules) // another form allows nobody
	for _, raw := range rules.Allow {
		var condition struct {
			Type   string        `json:"type"`
			RoomID matrix.RoomID `json:"room_id"`
		}
		if err := json.Unmarshal(raw, &condition); err == nil && condition.Type == "m.room_membership" {
			rooms = append(rooms, condition.RoomID)
		}
	}
	return rooms
}

// whoMayInvite is a user of this server who is in the room and may invite: the
// one with the most power, of several the first by name.
func (w *writer) whoMayInvite() (matrix.UserID, error) {
	create, power := event.Key{Type: typeCreate}, event.Key{Type: typePowerLevels}
	state, err := w.current(create, power)
	if err != nil {
		return "", err
	}
	levels := event.NewPowerLevels(pdu(state[create]), pdu(state[power]))
	known := w.withLevels(pdu(state[create]), pdu(state[power]))
	able, err := w.tx.JoinedAccounts(w.room.ID, slices.DeleteFunc(slices.Clone(known), func(user matrix.UserID) bool {
		return levels.User(user) < levels.Invite()
	}))
	if err != nil {
		return "", err
	}
	if len(able) > 0 {
		return slices.MinFunc(able, func(a, b matrix.UserID) int {
			return cmp.Or(cmp.Compare(levels.User(b), levels.User(a)), cmp.Compare(a, b))
		}), nil
	}
	if levels.UsersDefault() < levels.Invite() {
		return "", errCannotGrant
	}
	user, ok, err := w.tx.JoinedAccountBut(w.room.ID, known)
	if err == nil && !ok {
		err = errCannotGrant
	}
	return user, err
}

// withLevels are the users of this server who have a power level of their own.
func (w *writer) withLevels(create, levels *event.Event) []matrix.UserID {
	users := event.Creators(create)
	if levels != nil {
		var content struct {
			Users map[matrix.UserID]jsontext.Value `json:"users"`
		}
		_ = json.Unmarshal(levels.Content(), &content) // the auth rules saw to its form
		users = slices.AppendSeq(users, maps.Keys(content.Users))
	}
	return slices.DeleteFunc(users, func(user matrix.UserID) bool { return !w.s.local(user) })
}
