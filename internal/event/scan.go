package event

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// errSyntax is for bytes that are not what their caller promised.
var errSyntax = errors.New("event: its JSON is broken")

// cursor walks over the members of one JSON object, or the items of one array,
// without taking the values apart. It is for JSON that has been checked: broken JSON ends in
// [cursor.failed], without a promise to find all that is wrong.
type cursor struct {
	data   []byte
	pos    int
	failed bool
}

// member is where one member of an object stands: data[from:to] is all of it.
type member struct {
	key             []byte // decoded, without its quotes
	value           []byte
	from, start, to int // data[start:to] is the value
}

// newCursor stands before the first member of the object data.
func newCursor(data []byte) cursor {
	c := cursor{data: data}
	c.space()
	if !c.take('{') {
		c.failed = true
	}
	return c
}

// next reads a member; there is none after the last, and none after a fault.
func (c *cursor) next() (m member, ok bool) {
	if c.failed {
		return member{}, false
	}
	c.space()
	if c.take('}') {
		c.space()
		c.failed = c.pos != len(c.data)
		return member{}, false
	}
	if c.take(',') {
		c.space()
	}
	m.from = c.pos
	quoted, ok := c.value()
	if !ok || len(quoted) < 2 || quoted[0] != '"' {
		return c.fail()
	}
	c.space()
	if !c.take(':') {
		return c.fail()
	}
	c.space()
	m.start = c.pos
	if m.value, ok = c.value(); !ok {
		return c.fail()
	}
	if m.key, ok = text(quoted); !ok {
		return c.fail()
	}
	m.to = c.pos
	return m, true
}

// newList stands before the first item of the array data.
func newList(data []byte) cursor {
	c := cursor{data: data}
	c.space()
	if !c.take('[') {
		c.failed = true
	}
	return c
}

// item reads an item of an array; there is none after the last, and none after a
// fault.
func (c *cursor) item() (value []byte, ok bool) {
	if c.failed {
		return nil, false
	}
	c.space()
	if c.take(']') {
		c.space()
		c.failed = c.pos != len(c.data)
		return nil, false
	}
	if c.take(',') {
		c.space()
	}
	if value, ok = c.value(); !ok {
		c.failed = true
	}
	return value, ok
}

func (c *cursor) fail() (member, bool) {
	c.failed = true
	return member{}, false
}

func (c *cursor) space() {
	for c.pos < len(c.data) {
		switch c.data[c.pos] {
		case ' ', '\t', '\n', '\r':
			c.pos++
		default:
			return
		}
	}
}

func (c *cursor) take(b byte) bool {
	if c.pos >= len(c.data) || c.data[c.pos] != b {
		return false
	}
	c.pos++
	return true
}

// value passes over one value.
func (c *cursor) value() ([]byte, bool) {
	start, depth := c.pos, 0
	for c.pos < len(c.data) {
		switch c.data[c.pos] {
		case '"':
			if !c.str() {
				return nil, false
			}
		case '{', '[':
			depth++
			c.pos++
		case '}', ']':
			depth--
			c.pos++
		case ',', ':', ' ', '\t', '\n', '\r':
			c.pos++
			continue
		default:
			c.word()
		}
		if depth <= 0 {
			return c.data[start:c.pos:c.pos], depth == 0 && c.pos > start
		}
	}
	return nil, false
}

// str passes over a string.
func (c *cursor) str() bool {
	for from := c.pos + 1; ; {
		i := bytes.IndexByte(c.data[from:], '"')
		if i < 0 {
			return false
		}
		end, escapes := from+i, 0
		for c.data[end-1-escapes] == '\\' {
			escapes++
		}
		from = end + 1
		if escapes%2 == 0 {
			c.pos = from
			return true
		}
	}
}

// word passes over a number or a literal.
func (c *cursor) word() {
	for c.pos < len(c.data) {
		switch c.data[c.pos] {
		case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\n', '\r':
			return
		}
		c.pos++
	}
}

// text is what a JSON string says. Without escapes it is a part of value.
func text(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return nil, false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], true
	}
	out, err := jsontext.AppendUnquote(nil, value)
	return out, err == nil
}

// find returns the value of a member of the object obj, or nil.
func find(obj []byte, key string) []byte {
	c := newCursor(obj)
	for m, ok := c.next(); ok; m, ok = c.next() {
		if string(m.key) == key {
			return m.value
		}
	}
	return nil
}

// findText returns the string that a member of the object obj is, or "".
func findText(obj []byte, key string) string {
	s, _ := text(find(obj, key))
	return string(s)
}
