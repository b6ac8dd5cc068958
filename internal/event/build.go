package event

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// Proto is an event that is to be made.
type Proto struct {
	// RoomID is not written into create events from rooms/v12 on.
	RoomID   matrix.RoomID
	Type     string
	StateKey *string // nil for what is not a state event
	Sender   matrix.UserID
	Content  jsontext.Value // any JSON object
	// Redacts is written where the version has it.
	Redacts                string
	PrevEvents, AuthEvents []string
	// ReferenceHashes are those of the events in both lists, by id
	// ([Event.ReferenceHash]). Only rooms before version 3 need them.
	ReferenceHashes map[string]string
	Depth           int64
	Timestamp       matrix.Timestamp
}

// Build makes an event: it hashes and signs it as origin (Server-Server API,
// Adding hashes and signatures to outgoing events). What is too large is a
// [SizeError]; every other error is about what p has. Depth stops at the largest
// that the version has.
func Build(v *Version, p Proto, origin matrix.ServerName, key SigningKey) (*Event, error) {
	content, err := p.content(v)
	if err != nil {
		return nil, err
	}
	if err := p.check(v); err != nil {
		return nil, err
	}
	// All fields but hashes and signatures, in the order of canonical JSON.
	raw := make([]byte, 0, len(content)+len(p.Sender)+len(p.RoomID)+64*(len(p.PrevEvents)+len(p.AuthEvents))+512)
	if raw, err = p.appendFirst(raw, v, content); err != nil {
		return nil, err
	}
	first := len(raw)
	if raw, err = p.appendMiddle(raw, v); err != nil {
		return nil, err
	}
	middle := len(raw)
	raw = p.appendLast(raw)
	insert := func(at int, text []byte) int {
		raw = slices.Insert(raw, at, text...)
		return at + len(text)
	}

	id := ""
	if v.EventIDs == IDsGiven {
		if id, err = giveID(raw, origin); err != nil {
			return nil, err
		}
		end := insert(first, appendString([]byte(`,"event_id":`), id))
		first, middle = end, middle+end-first
	}
	sum := sha256.Sum256(raw)
	end := insert(first, append(appendString([]byte(`,"hashes":{"sha256":`), EncodeBase64(sum[:])), '}'))
	middle += end - first
	signable := appendRedacted(make([]byte, 0, len(raw)), v, p.Type, raw, false)
	if id == "" {
		id = v.idOf(signable)
	}
	signature := append(appendString([]byte(`,"signatures":{`), origin), ":{"...)
	signature = append(appendString(signature, key.ID), ':')
	insert(middle, append(appendString(signature, key.Sign(signable)), "}}"...))
	if err := checkSize("", len(raw), MaxSize); err != nil {
		return nil, err
	}
	return Load(v, id, raw)
}

// giveID is the id of an event in rooms before version 3. It is made of all that
// the event says, as later ids are: two events have one id only if they are one.
func giveID(raw []byte, origin matrix.ServerName) (string, error) {
	sum := sha256.Sum256(raw)
	id := "$" + base64.RawURLEncoding.EncodeToString(sum[:]) + ":" + string(origin)
	return id, checkSize("event_id", len(id), maxText)
}

// appendFirst writes the fields up to depth.
func (p *Proto) appendFirst(out []byte, v *Version, content []byte) (_ []byte, err error) {
	if out, err = p.appendLinks(append(out, `{"auth_events":`...), v, p.AuthEvents); err != nil {
		return nil, err
	}
	out = append(append(out, `,"content":`...), content...)
	return strconv.AppendInt(append(out, `,"depth":`...), min(p.Depth, v.MaxDepth), 10), nil
}

// appendMiddle writes the fields from origin_server_ts to sender.
func (p *Proto) appendMiddle(out []byte, v *Version) (_ []byte, err error) {
	out = strconv.AppendInt(append(out, `,"origin_server_ts":`...), int64(p.Timestamp), 10)
	if out, err = p.appendLinks(append(out, `,"prev_events":`...), v, p.PrevEvents); err != nil {
		return nil, err
	}
	if p.Redacts != "" && !v.UpdatedRedaction {
		out = appendString(append(out, `,"redacts":`...), p.Redacts)
	}
	if !p.makesRoomID(v) {
		out = appendString(append(out, `,"room_id":`...), p.RoomID)
	}
	return appendString(append(out, `,"sender":`...), p.Sender), nil
}

// appendLast writes the fields from state_key.
func (p *Proto) appendLast(out []byte) []byte {
	if p.StateKey != nil {
		out = appendString(append(out, `,"state_key":`...), *p.StateKey)
	}
	return append(appendString(append(out, `,"type":`...), p.Type), '}')
}

// appendLinks writes prev_events or auth_events.
func (p *Proto) appendLinks(out []byte, v *Version, ids []string) ([]byte, error) {
	out = append(out, '[')
	for i, id := range ids {
		if len(id) > maxText || !utf8.ValidString(id) {
			return nil, fmt.Errorf("the event refers to %.30q, which is no event id", id)
		}
		if i > 0 {
			out = append(out, ',')
		}
		if v.EventIDs != IDsGiven {
			out = appendString(out, id)
			continue
		}
		hash, ok := p.ReferenceHashes[id]
		if !ok {
			return nil, fmt.Errorf("the event refers to %s, whose reference hash is not given", id)
		}
		out = append(appendString(append(out, '['), id), `,{"sha256":`...)
		out = append(appendString(out, hash), "}]"...)
	}
	return append(out, ']'), nil
}

// content is the canonical content, with `redacts` where it belongs there.
func (p *Proto) content(v *Version) ([]byte, error) {
	number := appendLoose
	if v.StrictCanonicalJSON {
		number = appendInt
	}
	content, err := canonical(p.Content, number, maxLevels)
	if err != nil {
		return nil, fmt.Errorf("the event's content: %w", err)
	}
	if content[0] != '{' {
		return nil, fmt.Errorf("the event's content: %w", errObject)
	}
	if !v.UpdatedRedaction || p.Redacts == "" {
		return content, nil
	}
	out := appendString([]byte(`{"redacts":`), p.Redacts)
	if rest := appendWithout(nil, content, "redacts"); len(rest) > len("{}") {
		out = append(append(out, ','), rest[1:]...)
	} else {
		out = append(out, '}')
	}
	return canonical(out, number, maxLevels)
}

// check holds p to the limits of the event format.
func (p *Proto) check(v *Version) error {
	texts := []struct{ field, text string }{
		{"type", p.Type}, {"sender", string(p.Sender)}, {"room_id", string(p.RoomID)}, {"redacts", p.Redacts}, {"state_key", ""},
	}
	if p.StateKey != nil {
		texts[len(texts)-1].text = *p.StateKey
	}
	for _, t := range texts {
		if err := checkSize(t.field, len(t.text), maxText); err != nil {
			return err
		}
		if !utf8.ValidString(t.text) {
			return fmt.Errorf("the event's %s is not UTF-8", t.field)
		}
	}
	switch {
	case p.RoomID == "" && !p.makesRoomID(v):
		return errors.New("the event has no room_id")
	case p.Depth < 0:
		return errors.New("the event's depth is below 0")
	case v.StrictCanonicalJSON && (p.Timestamp > maxInt || p.Timestamp < -maxInt):
		return errors.New("the event's origin_server_ts is not within ±(2^53-1)")
	case len(p.PrevEvents) > maxPrev:
		return fmt.Errorf("the event has more than %d prev_events", maxPrev)
	case len(p.AuthEvents) > maxAuth:
		return fmt.Errorf("the event has more than %d auth_events", maxAuth)
	}
	return nil
}

// makesRoomID tells whether the room's id is made of this event.
func (p *Proto) makesRoomID(v *Version) bool { return v.RoomIDFromCreate && p.Type == typeCreate }
