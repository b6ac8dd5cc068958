package door

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// required are the fields that an event has whatever a filter's event_fields say,
// as there is no event without them ("A server may include more fields than were
// requested"). Of the content they keep that there is one.
var required = []string{"event_id", "origin_server_ts", "room_id", "sender", "state_key", "type"}

// selection is a tree of fields: nil is all of what is there.
type selection map[string]selection

// project keeps those fields of an event that the paths name (CS API, filters,
// event_fields).
func project(raw []byte, paths []string) []byte {
	s := selection{"content": {}}
	for _, name := range required {
		s[name] = nil
	}
	for _, path := range paths {
		s.add(splitPath(path))
	}
	return s.apply(raw)
}

// add selects what a path names.
func (s selection) add(path []string) {
	for ; ; path = path[1:] {
		below, known := s[path[0]]
		switch {
		case known && below == nil:
			return // all of it is selected
		case len(path) == 1:
			s[path[0]] = nil
			return
		case !known:
			below = selection{}
			s[path[0]] = below
		}
		s = below
	}
}

// apply keeps what is selected of a value. Of what is no object nothing is below
// it.
func (s selection) apply(raw jsontext.Value) jsontext.Value {
	var fields map[string]jsontext.Value
	if s == nil {
		return raw
	}
	if json.Unmarshal(raw, &fields) != nil {
		return jsontext.Value(`{}`)
	}
	out := []byte{'{'}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		below, ok := s[name]
		if !ok || below != nil && name != "content" && fields[name].Kind() != '{' {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out, _ = jsontext.AppendQuote(out, name)
		out = append(append(out, ':'), below.apply(fields[name])...)
	}
	return append(out, '}')
}

// splitPath takes a path with dots apart: `\.` and `\\` are a dot and a backslash
// in a name (Appendices, Dot-separated property paths).
func splitPath(path string) []string {
	var parts []string
	var name strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
			name.WriteByte(path[i])
		case c == '.':
			parts = append(parts, name.String())
			name.Reset()
		default:
			name.WriteByte(c)
		}
	}
	return append(parts, name.String())
}
