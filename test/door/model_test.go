package door_test

import "slices"

// happening is one thing that came to pass in a room, in order: an event, or the
// erasure of a user.
type happening struct {
	id, typ, sender string
	state           bool
	key             string // of state
	membership      string // of m.room.member
	visibility      string // of m.room.history_visibility
	redacted        bool   // by a redaction

	erases string // the user whose erasure this is, and then nothing of the above
}

// past is all that happened in a room. Everything asked of it is answered by going
// through it from the start: this is what the door is compared with, written from
// DESIGN §5 and the specification's "Room history visibility", and from nothing else.
type past []happening

// visibility is the setting in force before the i-th thing happened.
func (p past) visibility(i int) string {
	now := "shared" // "if no history_visibility is set"
	for _, h := range p[:i] {
		if h.typ == "m.room.history_visibility" && h.state && h.key == "" {
			now = h.visibility
			if !slices.Contains([]string{"shared", "joined", "invited", "world_readable"}, now) {
				now = "shared" // "or if the value is not understood"
			}
		}
	}
	return now
}

// membership is a user's before the i-th thing happened.
func (p past) membership(user string, i int) string {
	now := "leave"
	for _, h := range p[:i] {
		if h.isMember(user) {
			now = h.membership
		}
	}
	return now
}

func (h happening) isMember(user string) bool {
	return h.typ == "m.room.member" && h.state && h.key == user
}

// joins tells whether a user joins from the i-th thing on.
func (p past) joins(user string, i int) bool {
	return slices.ContainsFunc(p[i:], func(h happening) bool { return h.isMember(user) && h.membership == "join" })
}

// sees is the specification's rule, by its numbers. It has no word for the end of
// an invite, which the one it was for has to hear of.
func (p past) sees(user string, i int) bool {
	over := p[i].isMember(user) && p.membership(user, i) == "invite" && slices.Contains([]string{"leave", "ban"}, p[i].membership)
	return over || p.rule(user, i, false)
}

// rule is the same; members counts world_readable as shared.
func (p past) rule(user string, i int, members bool) bool {
	e := p[i]
	settings := []string{p.visibility(i)}
	if e.typ == "m.room.history_visibility" && e.state && e.key == "" {
		settings = append(settings, p.visibility(i+1)) // "before or after the event"
	}
	memberships := []string{p.membership(user, i)}
	if e.isMember(user) {
		memberships = append(memberships, e.membership)
	}
	for _, setting := range settings {
		for _, membership := range memberships {
			switch {
			case setting == "world_readable" && !members: // 1
				return true
			case membership == "join": // 2
				return true
			case (setting == "shared" || setting == "world_readable") && p.joins(user, i+1): // 3
				return true
			case setting == "invited" && membership == "invite" && p.joins(user, i+1): // 4
				// "A user needs to join a room to view events in that room": those of the time
				// from the invite on, once they have.
				return true
			}
		}
	}
	return false // 5
}

// protocol is the state that a room cannot do without, whoever has set it.
var protocol = []string{
	"m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.history_visibility", "m.room.encryption",
	"m.room.server_acl", "m.room.guest_access", "m.room.tombstone", "m.room.canonical_alias", "m.space.child",
	"m.space.parent", "m.room.third_party_invite", "m.policy.rule.user", "m.policy.rule.room", "m.policy.rule.server",
}

// stays tells whether an event is the room's, and not its sender's.
func (p past) stays(i int) bool {
	e := p[i]
	if !e.state || e.typ == "m.room.member" {
		return false
	}
	return slices.Contains(protocol, e.typ) || p.current(i)
}

func (p past) current(i int) bool {
	e := p[i]
	return !slices.ContainsFunc(p[i+1:], func(h happening) bool { return h.state && h.typ == e.typ && h.key == e.key })
}

// covers tells whether the erasure of a user covers an event.
func (h happening) covers(user string) bool {
	return h.sender == user || h.isMember(user)
}

// whole tells whether a user may have what an event says, if they may have the
// event.
func (p past) whole(user string, i int) bool {
	return !p[i].redacted && (p.stays(i) || p.entitled(user, i))
}

// entitled tells whether every erasure that covers an event leaves it to a user:
// they were a member by then, and saw it in the history up to then.
func (p past) entitled(user string, i int) bool {
	for cut, h := range p {
		if h.erases == "" || !p[i].covers(h.erases) {
			continue
		}
		before := p[:cut]
		if i >= cut || !before.joins(user, 0) || !before.rule(user, i, true) {
			return false
		}
	}
	return true
}

// kept tells whether there is somebody for whom an event must be on disk, without
// a break since the first erasure: a member who is entitled to it.
func (p past) kept(i int) bool {
	if p.stays(i) {
		return true
	}
	for now, h := range p {
		if h.erases != "" && p[i].covers(h.erases) && !p.somebody(i, now+1) {
			return false
		}
		if h.typ == "m.room.member" && p.erasedBy(i, now) && !p.somebody(i, now+1) {
			return false
		}
		if h.erases != "" && p.erasedBy(i, now) && !p.somebody(i, now+1) {
			return false
		}
	}
	return true
}

// erasedBy tells whether an erasure before a time covers an event.
func (p past) erasedBy(i, now int) bool {
	return slices.ContainsFunc(p[:now], func(h happening) bool { return h.erases != "" && p[i].covers(h.erases) })
}

// somebody tells whether there is a member with an account, before the time-th
// thing, who is entitled to an event by all that happened.
func (p past) somebody(i, time int) bool {
	for _, h := range p[:time] {
		if h.typ != "m.room.member" || p.membership(h.key, time) != "join" {
			continue
		}
		ended := slices.ContainsFunc(p[:time], func(o happening) bool { return o.erases == h.key })
		if !ended && p.entitled(h.key, i) {
			return true
		}
	}
	return false
}
