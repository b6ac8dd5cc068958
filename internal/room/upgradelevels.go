package room

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

// carriedLevels are the power levels of a room that replaces another: at first,
// while whoever makes it copies what they had no power over, and in the end.
type carriedLevels struct{ start, end jsontext.Value }

// powers are power levels as they are written, each a number.
type powers struct {
	fields map[string]jsontext.Value
	levels map[string]int64            // ban, kick …
	maps   map[string]map[string]int64 // users, events, notifications
}

// levelFields are the members of m.room.power_levels that are levels, levelMaps
// those that are maps of them.
var (
	levelFields = []string{
		"ban", "events_default", "invite", "kick", "redact", "state_default", "users_default",
	}
	levelMaps = []string{"events", "notifications", "users"}
)

// readPowers reads power levels. Old room versions have them as texts and
// fractions, too, which newer ones do not take (rooms/v10); what is no level at
// all is left out.
func readPowers(content jsontext.Value) powers {
	p := powers{map[string]jsontext.Value{}, map[string]int64{}, map[string]map[string]int64{}}
	_ = json.Unmarshal(content, &p.fields) // content is an object: it is an event's
	for _, name := range levelFields {
		if n, ok := readPower(p.fields[name]); ok {
			p.levels[name] = n
		}
		delete(p.fields, name)
	}
	for _, name := range levelMaps {
		var raw map[string]jsontext.Value
		_ = json.Unmarshal(p.fields[name], &raw) // another form has no levels
		p.maps[name] = map[string]int64{}
		for key, value := range raw {
			_, err := matrix.ParseUserID(key)
			if n, ok := readPower(value); ok && (name != "users" || err == nil) {
				p.maps[name][key] = n
			}
		}
		delete(p.fields, name)
	}
	return p
}

func readPower(raw jsontext.Value) (int64, bool) {
	text := string(raw)
	if raw.Kind() == '"' && json.Unmarshal(raw, &text) != nil {
		return 0, false
	}
	text = strings.TrimSpace(text)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	return int64(f), err == nil && raw.Kind() == '0' && f > -1<<53 && f < 1<<53
}

// write makes the content of an event of them.
func (p powers) write() (jsontext.Value, error) {
	content := map[string]any{}
	for name, value := range p.fields {
		content[name] = value
	}
	for name, n := range p.levels {
		content[name] = n
	}
	for name, levels := range p.maps {
		if len(levels) > 0 || name != "notifications" {
			content[name] = levels
		}
	}
	return json.Marshal(content)
}

// level is one of them, or what the specification has where it is not there (CS
// API, m.room.power_levels).
func (p powers) level(name string, otherwise int64) int64 {
	if n, ok := p.levels[name]; ok {
		return n
	}
	return otherwise
}

// event is what it takes to send state of a type.
func (p powers) event(typ string) int64 {
	if n, ok := p.maps["events"][typ]; ok {
		return n
	}
	return p.level("state_default", 50)
}

// greatest is the greatest of all levels that something takes, and at least that
// which creators have where nothing is said (rooms/v1).
func (p powers) greatest() int64 {
	all := slices.Concat(slices.Collect(maps.Values(p.levels)), slices.Collect(maps.Values(p.maps["events"])))
	return max(100, slices.Max(append(all, 0)))
}

// carryLevels makes the levels of the new room of those of the old. Creators who
// stand above all levels are in no list (rooms/v12); those who stood so, and do so
// no more, get the greatest level there is.
func (m *move) carryLevels(creators []matrix.UserID) (c carriedLevels, err error) {
	var p powers
	if e := m.at(typePowerLevels); e != nil {
		p = readPowers(e.Content())
	} else { // the creator had 100, and everybody else could send state, which nobody means
		p = readPowers(nil)
		p.maps["users"][string(m.who.User)] = p.greatest()
	}
	users := p.maps["users"]
	if m.version.PrivilegedCreators {
		for _, user := range creators {
			delete(users, string(user))
		}
		c.end, err = p.write()
		return carriedLevels{c.end, c.end}, err
	}
	if m.old.version.PrivilegedCreators {
		for _, user := range event.Creators(pdu(m.at(typeCreate))) {
			users[string(user)] = p.greatest()
		}
	}
	if c.end, err = p.write(); err != nil {
		return c, err
	}
	need := max(p.level("ban", 50), p.event(typePowerLevels), p.event(typeCanonicalAlias), p.event(typeSpaceChild))
	for _, typ := range carried {
		need = max(need, p.event(typ))
	}
	now, ok := users[string(m.who.User)]
	if !ok {
		now = p.level("users_default", 0)
	}
	if now < need {
		users[string(m.who.User)] = need
	}
	c.start, err = p.write()
	return c, err
}

// quietLevels are the power levels of the old room with which people do not go on
// in it; nil where they are so already, or the room has none.
func (m *move) quietLevels() (jsontext.Value, error) {
	e := m.at(typePowerLevels)
	if e == nil {
		return nil, nil
	}
	p := readPowers(e.Content())
	quiet := max(50, p.level("users_default", 0)+1)
	if p.level("events_default", 0) >= quiet && p.level("invite", 0) >= quiet {
		return nil, nil
	}
	p.levels["events_default"] = max(quiet, p.level("events_default", 0))
	p.levels["invite"] = max(quiet, p.level("invite", 0))
	return p.write()
}
