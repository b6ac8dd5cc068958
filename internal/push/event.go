package push

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	"lethe/internal/matrix"
)

// Event is what rules may look at. Its content is valid JSON.
type Event interface {
	ID() string
	RoomID() matrix.RoomID
	Type() string
	Sender() matrix.UserID
	StateKey() (string, bool)
	Timestamp() matrix.Timestamp
	Content() jsontext.Value
}

// Prepared is an event that has been looked through, for the rules of as many
// users as there are. It is not safe for concurrent use.
type Prepared struct {
	event  Event
	room   string
	kind   string
	sender matrix.UserID
	fields []field // of the content

	body  *body // nil: nobody has asked
	space [8]field
}

type field struct {
	name  string
	value gjson.Result
}

// body is the text of a message in lower case; !ok if it has none.
type body struct {
	lower string
	ok    bool
}

// Prepare looks through an event.
func Prepare(ev Event) *Prepared {
	p := &Prepared{event: ev, room: string(ev.RoomID()), kind: ev.Type(), sender: ev.Sender()}
	p.fields = p.space[:0]
	gjson.Parse(string(ev.Content())).ForEach(func(name, value gjson.Result) bool {
		p.fields = append(p.fields, field{name.Str, value})
		return true
	})
	return p
}

// property is a dot-separated path into an event, as its names.
type property []string

// parseProperty reads a path (Appendices, Dot-separated property paths).
func parseProperty(key string) property {
	var p property
	var name strings.Builder
	for i := 0; i < len(key); i++ {
		switch {
		case key[i] == '.':
			p = append(p, name.String())
			name.Reset()
			continue
		case key[i] == '\\' && i+1 < len(key) && (key[i+1] == '.' || key[i+1] == '\\'):
			i++
		}
		name.WriteByte(key[i])
	}
	return append(p, name.String())
}

// bodyPath is content.body, which has rules of its own.
var bodyPath = property{"content", "body"}

// value is a property, which does not exist if it is not there.
func (p *Prepared) value(path property) gjson.Result {
	if len(path) == 1 {
		return p.ofEvent(path[0])
	}
	if path[0] != "content" {
		return gjson.Result{}
	}
	i := slices.IndexFunc(p.fields, func(f field) bool { return f.name == path[1] })
	if i < 0 {
		return gjson.Result{}
	}
	v := p.fields[i].value
	for _, name := range path[2:] {
		v = member(v, name)
	}
	return v
}

// member is a member of an object. The name is no path of gjson's: those have
// operators that people must not reach.
func member(object gjson.Result, name string) (found gjson.Result) {
	if !object.IsObject() {
		return found
	}
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str != name {
			return true
		}
		found = value
		return false
	})
	return found
}

// ofEvent is a property of the event that is not in its content.
func (p *Prepared) ofEvent(name string) gjson.Result {
	if name == "origin_server_ts" {
		return gjson.Result{Type: gjson.Number, Raw: strconv.FormatInt(int64(p.event.Timestamp()), 10)}
	}
	if text, ok := p.textOfEvent(name); ok {
		return gjson.Result{Type: gjson.String, Str: text}
	}
	return gjson.Result{}
}

func (p *Prepared) textOfEvent(name string) (string, bool) {
	switch name {
	case "type":
		return p.kind, true
	case "state_key":
		return p.event.StateKey()
	case "sender":
		return string(p.sender), true
	case "room_id":
		return p.room, true
	case "event_id":
		return p.event.ID(), true
	default:
		return "", false
	}
}

// text is a property that is a string.
func (p *Prepared) text(path property) (string, bool) {
	if len(path) == 1 {
		return p.textOfEvent(path[0])
	}
	v := p.value(path)
	return v.Str, v.Type == gjson.String
}

// lowerBody is content.body in lower case. All users' rules have the same one.
func (p *Prepared) lowerBody() (string, bool) {
	if p.body == nil {
		text, ok := p.text(bodyPath)
		p.body = &body{strings.ToLower(text), ok}
	}
	return p.body.lower, p.body.ok
}
