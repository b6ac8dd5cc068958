package door

import (
	"math"

	"lethe/internal/event"
	"lethe/internal/storage"
)

// Memberships and history visibilities.
const (
	join   = "join"
	invite = "invite"
	knock  = "knock"
	leave  = "leave"
	ban    = "ban"

	worldReadable = "world_readable"
	shared        = "shared"
	invited       = "invited"
)

const (
	always = math.MaxInt64 // a position after all
	never  = math.MinInt64 // and before
)

// moment is what the rule for history asks of the room's state at an event: its
// history visibility and the reader's membership, "" for none.
type moment struct{ visibility, membership string }

// past is what a reader has been to a room.
type past struct {
	now       string
	forgotten bool
	changes   []storage.MembershipChange // oldest first
	end       int64                      // until(always)
}

// until is up to where the reader may look at a room's history, going by what has
// happened up to the position cut: everything for those who were joined then;
// what came before they left for those who had been ("After a user has left a
// room, they may see any events which they were allowed to see before they left,
// but no events received after they left"); never for those who had not joined.
func (p *past) until(cut int64) int64 {
	end := int64(never)
	for _, c := range p.changes {
		switch {
		case c.Pos > cut:
			return end
		case c.Membership == join:
			end = always
		case end == always:
			end = c.Pos
		}
	}
	return end
}

// visible is the rule for an event at pos (CS API, Room History Visibility,
// Server behaviour). until is where the reader's view ends; anybody tells whether
// world_readable lets everybody in, joined or not.
func visible(m moment, pos, until int64, anybody bool) bool {
	switch {
	case m.visibility == worldReadable && anybody: // 1.
		return true
	case pos > until: // they had left, or never joined
		return false
	case m.membership == join: // 2.
		return true
	case m.visibility == shared || m.visibility == worldReadable:
		return true // 3.: not joined at the event, and joined at some time after it, as pos is not after until
	default: // 4. and 5.
		return m.visibility == invited && m.membership == invite
	}
}

// Sees tells whether the reader may see that there is such an event in the
// timeline.
func (v *Visit) Sees(e *storage.Event) (bool, error) {
	if e.Kind != storage.InTimeline || e.RoomID() != v.id {
		return false, nil
	}
	if v.who.Service {
		return true, nil
	}
	before, after, ok, err := v.around(e)
	if err != nil || !ok {
		return false, err
	}
	end := v.end()
	if visible(before, e.Pos, end, true) || visible(after, e.Pos, end, true) {
		return true, nil
	}
	return v.isOwnDeparture(e, before, after), nil
}

// end is where the reader's view ends now. That of a server does not: its members
// are asked about at each event.
func (v *Visit) end() int64 {
	if v.who.Server != "" {
		return always
	}
	return v.past.end
}

// around is the moments before and after an event. They differ for events of
// history visibility and the reader's own membership, which are seen by those who
// would see them by either. It is not ok if a piece is missing.
func (v *Visit) around(e *storage.Event) (before, after moment, ok bool, err error) {
	known, err := v.knows(arrival(e))
	if err != nil || !known {
		return before, after, false, err
	}
	before, ok, err = v.moment(e.State, e.IsState(typeCreate))
	after = before
	key, isState := e.Key()
	switch {
	case !isState:
	case key == event.Key{Type: typeHistoryVisibility}:
		after.visibility = event.HistoryVisibility(e.Event)
	case key == event.Key{Type: typeMember, StateKey: string(v.who.User)}:
		after.membership = event.MembershipOf(e.Event)
	}
	return before, after, ok, err
}

// isOwnDeparture: an invite refused, withdrawn or turned into a ban, and the same
// of a knock, are seen by the one they are about, as otherwise a client would
// never hear that it is over. The rule has no word for them.
func (v *Visit) isOwnDeparture(e *storage.Event, before, after moment) bool {
	key, isState := e.Key()
	own := isState && key == event.Key{Type: typeMember, StateKey: string(v.who.User)}
	return own && (after.membership == leave || after.membership == ban) &&
		(before.membership == invite || before.membership == knock)
}

// arrival is the position at which an event came to this server.
func arrival(e *storage.Event) int64 { return max(e.Pos, -e.Pos) }
