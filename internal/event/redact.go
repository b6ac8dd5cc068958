package event

import "slices"

// kept is what redaction keeps of an event.
type kept struct {
	top     map[string]bool
	content map[string][]string // by type
	// wholeCreate: all of the content of m.room.create stays.
	wholeCreate bool
	// signed: `signed` of third_party_invite of m.room.member stays.
	signed bool
}

func keptSince(n int) *kept {
	k := &kept{
		top: set("event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures",
			"depth", "prev_events", "auth_events", "origin_server_ts"),
		content: map[string][]string{
			typeMember:            {"membership"},
			typeCreate:            {"creator"},
			typeJoinRules:         {"join_rule"},
			typeHistoryVisibility: {"history_visibility"},
			typePowerLevels: {
				"ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default",
			},
		},
		wholeCreate: n >= 11, signed: n >= 11,
	}
	keep := func(typ, key string) { k.content[typ] = append(k.content[typ], key) }
	if n < 6 {
		keep(typeAliases, "aliases")
	}
	if n >= 8 {
		keep(typeJoinRules, "allow")
	}
	if n >= 9 {
		keep(typeMember, "join_authorised_via_users_server")
	}
	if n >= 11 {
		keep(typePowerLevels, "invite")
		keep(typeRedaction, "redacts")
	} else {
		k.top["prev_state"], k.top["origin"], k.top["membership"] = true, true, true
	}
	return k
}

func set(keys ...string) map[string]bool {
	s := make(map[string]bool, len(keys))
	for _, key := range keys {
		s[key] = true
	}
	return s
}

// RedactJSON is the redacted form of an event of a version (Client-Server API,
// Redactions; each room version): a filter on bytes. What stays, stays as it is
// and where it is, so what raw says of numbers is not touched, and of canonical
// JSON the result is canonical. raw must be valid JSON without duplicate keys.
func RedactJSON(v *Version, raw []byte) ([]byte, error) {
	c := newCursor(raw)
	var typ string
	for m, ok := c.next(); ok; m, ok = c.next() {
		if string(m.key) == "type" {
			s, _ := text(m.value)
			typ = string(s)
		}
	}
	if c.failed {
		return nil, errSyntax
	}
	return appendRedacted(make([]byte, 0, len(raw)), v, typ, raw, true), nil
}

// Redacted is the event in its redacted form, under the same id and with the same
// signatures.
func (e *Event) Redacted() (*Event, error) {
	raw := appendRedacted(make([]byte, 0, len(e.raw)), e.version, e.typ, e.raw, true)
	if len(raw) == len(e.raw) {
		return e, nil // redaction only takes away
	}
	redacted, err := Load(e.version, e.id, raw)
	if err != nil {
		return nil, err
	}
	redacted.mismatch = e.mismatch
	return redacted, nil
}

// appendRedacted writes the redacted form of an event of a type, with its
// signatures or without.
func appendRedacted(out []byte, v *Version, typ string, raw []byte, signatures bool) []byte {
	return appendKept(out, raw, func(out []byte, m member) ([]byte, bool) {
		switch key := string(m.key); {
		case key == "content":
			out = append(out, raw[m.from:m.start]...)
			return v.keep.appendContent(out, typ, m.value), true
		case key == "signatures" && !signatures:
			return out, false
		default:
			return append(out, raw[m.from:m.to]...), v.keep.top[key]
		}
	})
}

// appendContent writes what stays of the content of an event of a type.
func (k *kept) appendContent(out []byte, typ string, content []byte) []byte {
	if k.wholeCreate && typ == typeCreate && content[0] == '{' {
		return append(out, content...)
	}
	keys := k.content[typ]
	return appendKept(out, content, func(out []byte, m member) ([]byte, bool) {
		if k.signed && typ == typeMember && string(m.key) == "third_party_invite" && m.value[0] == '{' {
			out = append(out, content[m.from:m.start]...)
			return appendOnly(out, m.value, "signed"), true
		}
		return append(out, content[m.from:m.to]...), slices.Contains(keys, string(m.key))
	})
}

// appendOnly writes an object with those of its members that are named.
func appendOnly(out, obj []byte, keys ...string) []byte {
	return appendKept(out, obj, func(out []byte, m member) ([]byte, bool) {
		return append(out, obj[m.from:m.to]...), slices.Contains(keys, string(m.key))
	})
}

// appendWithout writes an object without those of its members that are named.
func appendWithout(out, obj []byte, keys ...string) []byte {
	return appendKept(out, obj, func(out []byte, m member) ([]byte, bool) {
		return append(out, obj[m.from:m.to]...), !slices.Contains(keys, string(m.key))
	})
}

// appendKept writes an object with those of its members that keep writes and
// wants. What is no object has none.
func appendKept(out, obj []byte, keep func(out []byte, m member) ([]byte, bool)) []byte {
	out = append(out, '{')
	c, first := newCursor(obj), true
	for m, ok := c.next(); ok; m, ok = c.next() {
		before := len(out)
		if !first {
			out = append(out, ',')
		}
		if with, wanted := keep(out, m); wanted {
			out, first = with, false
		} else {
			out = out[:before]
		}
	}
	return append(out, '}')
}
