package event

import (
	"math"
	"strconv"
)

// IDFormat is how the events of a room version are named.
type IDFormat uint8

// The formats of event ids.
const (
	IDsGiven   IDFormat = iota + 1 // `$opaque:domain`, given by the origin (rooms/v1)
	IDsBase64                      // `$` and the reference hash in base64 (rooms/v3)
	IDsURLSafe                     // the same in URL-safe base64 (rooms/v4)
)

// Version is what differs between the room versions, as data. No code asks for a
// version's name: it asks for what it needs to know.
type Version struct {
	// ID is the version's name: `1` to `12`.
	ID       string
	EventIDs IDFormat
	// StateRes is the state resolution: 1, 2, or 21 for version 2.1 (rooms/v12).
	StateRes int
	// MaxDepth is the largest depth an event can have, and stays at.
	MaxDepth int64
	// RedactionRule: whether somebody may redact is an auth rule (rooms/v1, 11),
	// not a later check (rooms/v3, Handling redactions).
	RedactionRule bool
	// AliasesRule: m.room.aliases has an auth rule of its own (rooms/v1, 4).
	AliasesRule bool
	// StrictCanonicalJSON: what is not canonical JSON is no event (rooms/v6).
	StrictCanonicalJSON bool
	// NotificationLevels: the auth rules guard `notifications` of power levels
	// as they guard `events` (rooms/v6).
	NotificationLevels bool
	// KnockJoin, Restricted, KnockRestricted: the join rules `knock` (rooms/v7),
	// `restricted` (rooms/v8), `knock_restricted` (rooms/v10) exist.
	KnockJoin, Restricted, KnockRestricted bool
	// StrictPowerLevels: power levels are integers, not strings of them (rooms/v10).
	StrictPowerLevels bool
	// UpdatedRedaction: `redacts` stands in the content (rooms/v11).
	UpdatedRedaction bool
	// SenderIsCreator: the creator is the sender of m.room.create, which has no
	// `creator` in its content (rooms/v11).
	SenderIsCreator bool
	// RoomIDFromCreate: the id of the room is the hash of its create event, which
	// has no room_id and is in no auth_events (rooms/v12).
	RoomIDFromCreate bool
	// PrivilegedCreators: creators stand above all power levels (rooms/v12).
	PrivilegedCreators bool

	keep *kept // what redaction keeps
}

// DefaultVersion is the version of new rooms (Room Versions, introduction).
const DefaultVersion = "12"

var versions = func() []*Version {
	all := make([]*Version, 12)
	for i := range all {
		all[i] = version(i + 1)
	}
	return all
}()

// version writes down since when each thing holds.
func version(n int) *Version {
	v := &Version{
		ID: strconv.Itoa(n), EventIDs: IDsURLSafe, StateRes: 2, MaxDepth: math.MaxInt64,
		RedactionRule: n < 3, AliasesRule: n < 6,
		StrictCanonicalJSON: n >= 6, NotificationLevels: n >= 6,
		KnockJoin: n >= 7, Restricted: n >= 8, KnockRestricted: n >= 10,
		StrictPowerLevels: n >= 10, UpdatedRedaction: n >= 11, SenderIsCreator: n >= 11,
		RoomIDFromCreate: n >= 12, PrivilegedCreators: n >= 12,
		keep: keptSince(n),
	}
	switch {
	case n < 3:
		v.EventIDs = IDsGiven
	case n == 3:
		v.EventIDs = IDsBase64
	}
	switch {
	case n == 1:
		v.StateRes = 1
	case n >= 12:
		v.StateRes = 21
	}
	if v.StrictCanonicalJSON {
		v.MaxDepth = maxInt
	}
	return v
}

// VersionOf finds a room version by its name.
func VersionOf(id string) (*Version, bool) {
	for _, v := range versions {
		if v.ID == id {
			return v, true
		}
	}
	return nil, false
}

// Versions are the names of the room versions that this server knows, in order.
func Versions() []string {
	ids := make([]string, len(versions))
	for i, v := range versions {
		ids[i] = v.ID
	}
	return ids
}
