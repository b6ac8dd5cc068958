package event

import (
	"errors"
	"fmt"
	"strconv"

	"lethe/internal/matrix"
)

// The limits of an event (Client-Server API, Size limits; Server-Server API,
// PDUs).
const (
	MaxSize = 65536              // bytes, as canonical JSON
	maxText = matrix.MaxIDLength // bytes of type and state_key, as of ids
	maxPrev = 20
	maxAuth = 10
)

// SizeError is for an event that is too large, or has too long a field.
type SizeError struct {
	Field     string // "" for the event as a whole
	Size, Max int    // in bytes
}

// Error says what is too large.
func (e *SizeError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("the event has %d bytes, more than %d", e.Size, e.Max)
	}
	return fmt.Sprintf("the event's %s has %d bytes, more than %d", e.Field, e.Size, e.Max)
}

func checkSize(field string, size, most int) error {
	if size > most {
		return &SizeError{Field: field, Size: size, Max: most}
	}
	return nil
}

// Parse reads an event that another server made. It holds the event to the
// format of its version, and to the size limits; it checks neither signatures
// ([VerifySignatures]) nor auth rules. An event that is not what its content hash
// says comes back redacted, with [Event.HashMismatch]. `unsigned` is left out, and
// does not count as size: each server that passes an event on writes its own.
func Parse(v *Version, raw []byte) (*Event, error) {
	number := appendLoose
	if v.StrictCanonicalJSON {
		number = appendStrict
	}
	raw, err := canonical(raw, number, maxForeignLevels)
	if err != nil {
		return nil, err
	}
	if raw, err = checkFormat(v, raw); err != nil {
		return nil, err
	}
	if err := checkSize("", len(raw), MaxSize); err != nil {
		return nil, err
	}
	e, err := Load(v, "", raw)
	if err != nil {
		return nil, err
	}
	if !e.hasRoom && (!v.RoomIDFromCreate || e.typ != typeCreate) {
		return nil, errors.New("the event has no room_id")
	}
	if v.EventIDs == IDsGiven {
		e.id = findText(raw, "event_id")
	} else {
		e.id = v.idOf(e.signable())
	}
	if !e.hasContentHash() {
		e.mismatch = true
		return e.Redacted()
	}
	return e, nil
}

// field is one of the event format.
type field struct {
	name     string
	optional bool
	in       func(*Version) bool // the versions that know it; nil for all
	check    func(*Version, []byte) error
}

// format is that of each version (Server-Server API, PDUs; data/api/server-server/
// definitions/pdu_v1.yaml to pdu_v12.yaml).
var format = []field{
	{name: "auth_events", check: checkLinks(maxAuth)},
	{name: "content", check: checkObject},
	{name: "depth", check: checkDepth},
	{name: "event_id", in: func(v *Version) bool { return v.EventIDs == IDsGiven }, check: checkEventID},
	{name: "hashes", check: checkHashes},
	{name: "origin_server_ts", check: checkInteger},
	{name: "prev_events", check: checkLinks(maxPrev)},
	{name: "redacts", optional: true, in: func(v *Version) bool { return !v.UpdatedRedaction }, check: checkText},
	{name: "room_id", optional: true, check: checkRoomID}, // see Parse
	{name: "sender", check: checkSender},
	{name: "signatures", check: checkSignatures},
	{name: "state_key", optional: true, check: checkText},
	{name: "type", check: checkText},
	{name: "unsigned", optional: true, check: checkObject},
}

// checkFormat checks the fields of the canonical event raw, and returns it
// without unsigned.
func checkFormat(v *Version, raw []byte) ([]byte, error) {
	seen := 0
	unsigned := false
	c := newCursor(raw)
	for m, ok := c.next(); ok; m, ok = c.next() {
		for i, f := range format {
			if string(m.key) != f.name || f.in != nil && !f.in(v) {
				continue
			}
			if err := f.check(v, m.value); err != nil {
				return nil, fmt.Errorf("the event's %s: %w", f.name, err)
			}
			seen |= 1 << i
			unsigned = unsigned || f.name == "unsigned"
		}
	}
	if c.failed {
		return nil, errors.New("the event is not a JSON object")
	}
	for i, f := range format {
		if !f.optional && seen&(1<<i) == 0 && (f.in == nil || f.in(v)) {
			return nil, fmt.Errorf("the event has no %s", f.name)
		}
	}
	if unsigned {
		raw = appendWithout(make([]byte, 0, len(raw)), raw, "unsigned")
	}
	return raw, nil
}

var (
	errText    = errors.New("it is not a string")
	errObject  = errors.New("it is not an object")
	errInteger = errors.New("it is not an integer in its range")
)

func checkText(_ *Version, value []byte) error {
	s, ok := text(value)
	if !ok {
		return errText
	}
	if len(s) > maxText {
		return fmt.Errorf("it has %d bytes, more than %d", len(s), maxText)
	}
	return nil
}

func checkObject(_ *Version, value []byte) error {
	if value[0] != '{' {
		return errObject
	}
	return nil
}

func checkInteger(_ *Version, value []byte) error {
	if _, err := strconv.ParseInt(string(value), 10, 64); err != nil {
		return errInteger
	}
	return nil
}

// checkDepth: a depth is one more than others, so there is none below 0. One
// above the largest is no number of the version, and not here any more.
func checkDepth(_ *Version, value []byte) error {
	if n, err := strconv.ParseInt(string(value), 10, 64); err != nil || n < 0 {
		return errInteger
	}
	return nil
}

func checkSender(_ *Version, value []byte) error {
	s, ok := text(value)
	if !ok {
		return errText
	}
	_, err := matrix.ParseUserID(string(s))
	return err
}

func checkRoomID(_ *Version, value []byte) error {
	s, ok := text(value)
	if !ok {
		return errText
	}
	_, err := matrix.ParseRoomID(string(s))
	return err
}

// checkEventID checks a given event id, `$opaque:domain` (rooms/v1, Event IDs).
func checkEventID(v *Version, value []byte) error {
	if err := checkLink(v, value); err != nil {
		return err
	}
	s, _ := text(value)
	_, err := matrix.ParseServerName(string(serverOf(s)))
	return err
}

// checkLink checks an event id that may be of an event we have never seen.
func checkLink(v *Version, value []byte) error {
	if err := checkText(v, value); err != nil {
		return err
	}
	if s, _ := text(value); len(s) < 2 || s[0] != '$' {
		return errors.New("an event id is $ and something")
	}
	return nil
}

// checkLinks checks auth_events or prev_events: ids, or before rooms/v3 pairs of
// an id and a hash.
func checkLinks(most int) func(*Version, []byte) error {
	return func(v *Version, value []byte) error {
		list, n := newList(value), 0
		for item, ok := list.item(); ok; item, ok = list.item() {
			if n++; n > most {
				return fmt.Errorf("there are more than %d", most)
			}
			if v.EventIDs == IDsGiven {
				pair := newList(item)
				if item, ok = pair.item(); !ok {
					return errors.New("before room version 3 it is a list of pairs")
				}
				hash, isPair := pair.item()
				if _, more := pair.item(); !isPair || more || hash[0] != '{' {
					return errors.New("before room version 3 it is a list of pairs of an id and its hash")
				}
			}
			if err := checkLink(v, item); err != nil {
				return err
			}
		}
		if list.failed {
			return errors.New("it is not a list")
		}
		return nil
	}
}

func checkHashes(v *Version, value []byte) error {
	if err := checkObject(v, value); err != nil {
		return err
	}
	if _, ok := text(find(value, "sha256")); !ok {
		return errors.New("sha256 is not a string")
	}
	return nil
}

func checkSignatures(_ *Version, value []byte) error {
	servers := newCursor(value)
	for server, ok := servers.next(); ok; server, ok = servers.next() {
		keys := newCursor(server.value)
		for key, ok := keys.next(); ok; key, ok = keys.next() {
			if _, isText := text(key.value); !isText {
				return errors.New("a signature is not a string")
			}
		}
		if keys.failed {
			return errObject
		}
	}
	if servers.failed {
		return errObject
	}
	return nil
}
