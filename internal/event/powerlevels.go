package event

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"lethe/internal/matrix"
)

// InfiniteLevel is the power level of privileged creators (rooms/v12). No event
// can give it.
const InfiniteLevel int64 = math.MaxInt64

// The single levels of m.room.power_levels, in the order of levelNames.
const (
	usersDefault = iota
	eventsDefault
	stateDefault
	banLevel
	redactLevel
	kickLevel
	inviteLevel
	singleLevels
)

var levelNames = [singleLevels]string{
	"users_default", "events_default", "state_default", "ban", "redact", "kick", "invite",
}

// unspecified are the levels that nothing says (Client-Server API,
// m.room.power_levels).
var unspecified = [singleLevels]int64{stateDefault: 50, banLevel: 50, redactLevel: 50, kickLevel: 50}

// levels are the content of m.room.power_levels. What is no level is not there.
type levels struct {
	single        [singleLevels]int64
	given         [singleLevels]bool
	users         map[string]int64
	events        map[string]int64
	notifications map[string]int64
	// What is wrong with the content, for the rules about the event itself.
	badSingle, badEvents, badNotifications, badUsers string
	outOfRange                                       string
}

func readLevels(v *Version, content []byte) *levels {
	l := &levels{single: unspecified}
	c := newCursor(content)
	for m, ok := c.next(); ok; m, ok = c.next() {
		switch key := string(m.key); key {
		case "users":
			l.users, l.badUsers = l.readMap(v, m.value, isUserID)
		case "events":
			l.events, l.badEvents = l.readMap(v, m.value, nil)
		case "notifications":
			l.notifications, l.badNotifications = l.readMap(v, m.value, nil)
		default:
			if i := slices.Index(levelNames[:], key); i >= 0 {
				n, err := readLevel(v, m.value)
				l.note(key, err)
				if err != nil {
					l.badSingle = key + " is not an integer"
				} else {
					l.single[i], l.given[i] = n, true
				}
			}
		}
	}
	return l
}

func isUserID(s string) bool {
	_, err := matrix.ParseUserID(s)
	return err == nil
}

// readMap reads an object of levels, and says what is wrong with it. check is for
// its keys; it may be nil.
func (l *levels) readMap(v *Version, object []byte, check func(string) bool) (m map[string]int64, bad string) {
	if len(object) == 0 || object[0] != '{' {
		return nil, "it is not an object"
	}
	m = map[string]int64{}
	c := newCursor(object)
	for e, ok := c.next(); ok; e, ok = c.next() {
		key := string(e.key)
		n, err := readLevel(v, e.value)
		l.note(key, err)
		switch {
		case err != nil:
			bad = strconv.Quote(key) + " is not an integer"
		case check != nil && !check(key):
			bad = strconv.Quote(key) + " is not a user id"
		default:
			m[key] = n
		}
	}
	return m, bad
}

func (l *levels) note(key string, err error) {
	if errors.Is(err, strconv.ErrRange) {
		l.outOfRange = key
	}
}

var errNoLevel = errors.New("not a power level")

// readLevel reads one power level: an integer; before rooms/v10 also a string of
// one; before rooms/v6 also a number with a fraction, which is cut off
// (`m.room.power_levels` events accept values as strings, … as floats).
// [strconv.ErrRange] is for what not even a double can hold.
func readLevel(v *Version, value []byte) (int64, error) {
	s := string(value)
	if v.StrictPowerLevels {
		if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
			return 0, errNoLevel
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, errNoLevel
		}
		return n, nil
	}
	if quoted, ok := text(value); ok {
		return readDigits(string(bytes.TrimSpace(quoted)))
	}
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return 0, errNoLevel // null, true, an object, a list
	}
	if strings.ContainsAny(s, ".eE") && v.StrictCanonicalJSON {
		return 0, errNoLevel
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil:
		return 0, strconv.ErrRange
	case !strings.ContainsAny(s, ".eE"):
		return readDigits(s)
	case f >= math.MaxInt64:
		return InfiniteLevel - 1, nil
	case f <= math.MinInt64:
		return 1 - InfiniteLevel, nil
	}
	return int64(f), nil
}

// readDigits reads an integer with a sign or without. One that is too large for
// 64 bits is the largest there is, or the smallest.
func readDigits(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errNoLevel
	}
	return max(min(n, InfiniteLevel-1), 1-InfiniteLevel), nil
}

// PowerLevels tell who may do what in a room.
type PowerLevels struct {
	create     *creation
	levels     *levels // nil: there is no event
	privileged bool
}

// NewPowerLevels are those of a room with these m.room.create and
// m.room.power_levels events; both may be nil.
func NewPowerLevels(create, levels *Event) PowerLevels {
	var p PowerLevels
	if create != nil && create.typ == typeCreate {
		p.create, p.privileged = create.read().create, create.version.PrivilegedCreators
	}
	if levels != nil && levels.typ == typePowerLevels {
		p.levels = levels.read().levels
	}
	return p
}

// PowerLevelsOf are those of a room in a state.
func PowerLevelsOf(state StateFn) PowerLevels {
	return NewPowerLevels(state(Key{Type: typeCreate}), state(Key{Type: typePowerLevels}))
}

// User is the power level of a user: [InfiniteLevel] for privileged creators; 100
// for the creator of a room that has no levels yet, before rooms/v12.
func (p PowerLevels) User(id matrix.UserID) int64 {
	if p.privileged && slices.Contains(p.create.creators, id) {
		return InfiniteLevel
	}
	if p.levels == nil {
		if !p.privileged && p.create != nil && p.create.creators[0] == id && id != "" {
			return 100
		}
		return 0
	}
	if n, ok := p.levels.users[string(id)]; ok {
		return n
	}
	return p.levels.single[usersDefault]
}

// EventLevel is the level that sending an event of a type requires (Server-Server
// API, Required Power Level). It says nothing about membership.
func (p PowerLevels) EventLevel(typ string, isState bool) int64 {
	if p.levels != nil {
		if n, ok := p.levels.events[typ]; ok {
			return n
		}
	}
	if isState {
		return p.one(stateDefault)
	}
	return p.one(eventsDefault)
}

// one is a single level.
func (p PowerLevels) one(i int) int64 {
	if p.levels == nil {
		return unspecified[i]
	}
	return p.levels.single[i]
}

// UsersDefault is the level of those whom the event does not name.
func (p PowerLevels) UsersDefault() int64 { return p.one(usersDefault) }

// Invite is the level that inviting requires.
func (p PowerLevels) Invite() int64 { return p.one(inviteLevel) }

// Kick is the level that removing somebody requires.
func (p PowerLevels) Kick() int64 { return p.one(kickLevel) }

// Ban is the level that banning requires, and lifting a ban.
func (p PowerLevels) Ban() int64 { return p.one(banLevel) }

// Redact is the level that redacting other people's events requires.
func (p PowerLevels) Redact() int64 { return p.one(redactLevel) }

// Notifications is the level that a notification of everybody requires, such as
// `room`: 50 unless the event says another.
func (p PowerLevels) Notifications(key string) int64 {
	if p.levels != nil {
		if n, ok := p.levels.notifications[key]; ok {
			return n
		}
	}
	return 50
}
