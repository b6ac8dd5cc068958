package event

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxLevels bounds how deeply values are nested.
	maxLevels = 100
	// maxForeignLevels is the same for the events of others. It is what Python
	// reads, so that no event that other servers took is missing in a room; and
	// it is so far below what our own encoder writes that an event fits into any
	// answer.
	maxForeignLevels = 1000
	// maxInt is the largest integer of canonical JSON, 2^53-1 (Appendices,
	// Canonical JSON).
	maxInt = 1<<53 - 1
)

// errUnfinished is for JSON that ends too early.
var errUnfinished = errors.New("canonical JSON: the text ends within a value")

// Canonical returns the canonical form of one JSON value (Appendices, Canonical
// JSON): keys sorted by code point, no space, shortest escapes, integers only.
// Integers with an exponent, 1e10, are written without. Duplicate keys, invalid
// UTF-8, lone surrogates, numbers with a fraction or a negative exponent, integers
// outside ±(2^53-1) and values nested more than 100 levels deep are errors.
func Canonical(in []byte) ([]byte, error) { return canonical(in, appendInt, maxLevels) }

// canonical is [Canonical] with other rules for numbers and nesting.
func canonical(in []byte, number numberRule, levels int) ([]byte, error) {
	w := writer{in: in, out: make([]byte, 0, len(in)), number: number, levels: levels}
	w.space()
	if err := w.value(); err != nil {
		return nil, err
	}
	if w.space(); w.pos < len(in) {
		return nil, errors.New("canonical JSON: text after the value")
	}
	return w.out, nil
}

// writer writes the canonical form of what it reads.
type writer struct {
	in, out []byte
	pos     int
	number  numberRule
	levels  int // how many more are allowed

	// members are those of the objects that are open, spare a place to sort.
	members []outMember
	spare   []byte
}

// outMember is a member of an object as it was written: out[from:to].
type outMember struct {
	key      []byte
	from, to int
}

func (w *writer) space() {
	for w.pos < len(w.in) {
		switch w.in[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return
		}
	}
}

// take passes over b, if that is what comes next, and the space on both sides.
func (w *writer) take(b byte) bool {
	w.space()
	if w.pos >= len(w.in) || w.in[w.pos] != b {
		return false
	}
	w.pos++
	w.space()
	return true
}

func (w *writer) value() error {
	if w.pos >= len(w.in) {
		return errUnfinished
	}
	switch c := w.in[w.pos]; {
	case c == '{':
		return w.nested(w.object)
	case c == '[':
		return w.nested(w.array)
	case c == '"':
		_, err := w.str()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return w.num()
	}
	for _, word := range []string{"true", "false", "null"} {
		if rest := w.in[w.pos:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
			w.out = append(w.out, word...)
			w.pos += len(word)
			return nil
		}
	}
	return w.unexpected()
}

func (w *writer) unexpected() error {
	if w.pos >= len(w.in) {
		return errUnfinished
	}
	return fmt.Errorf("canonical JSON: the character %q at byte %d is not expected", w.in[w.pos], w.pos)
}

func (w *writer) nested(read func() error) error {
	if w.levels == 0 {
		return errors.New("canonical JSON: its values are nested too deeply")
	}
	w.levels--
	err := read()
	w.levels++
	return err
}

func (w *writer) array() error {
	w.take('[')
	w.out = append(w.out, '[')
	for first := true; !w.take(']'); first = false {
		if !first {
			if !w.take(',') {
				return w.unexpected()
			}
			w.out = append(w.out, ',')
		}
		if err := w.value(); err != nil {
			return err
		}
	}
	w.out = append(w.out, ']')
	return nil
}

// object writes the members as they come and then puts them in order, if they
// are not.
func (w *writer) object() error {
	w.take('{')
	w.out = append(w.out, '{')
	base, ordered := len(w.members), true
	for first := true; !w.take('}'); first = false {
		if !first {
			if !w.take(',') {
				return w.unexpected()
			}
			w.out = append(w.out, ',')
		}
		if w.pos >= len(w.in) || w.in[w.pos] != '"' {
			return w.unexpected()
		}
		from := len(w.out)
		key, err := w.str()
		if err != nil {
			return err
		}
		if !w.take(':') {
			return w.unexpected()
		}
		w.out = append(w.out, ':')
		if err := w.value(); err != nil {
			return err
		}
		ordered = ordered && (first || bytes.Compare(w.members[len(w.members)-1].key, key) < 0)
		w.members = append(w.members, outMember{key: key, from: from, to: len(w.out)})
	}
	members := w.members[base:]
	w.members = w.members[:base]
	if !ordered {
		if err := w.sort(members); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

// sort puts the members that end out in order. The order of UTF-8 is that of the
// code points.
func (w *writer) sort(members []outMember) error {
	start := members[0].from
	w.spare = append(w.spare[:0], w.out[start:]...)
	w.out = w.out[:start]
	slices.SortFunc(members, func(a, b outMember) int { return bytes.Compare(a.key, b.key) })
	for i, m := range members {
		if i > 0 {
			if bytes.Equal(members[i-1].key, m.key) {
				return fmt.Errorf("canonical JSON: the key %q is there twice", m.key)
			}
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, w.spare[m.from-start:m.to-start]...)
	}
	return nil
}

// str writes a string and returns what it says.
func (w *writer) str() ([]byte, error) {
	start := w.pos
	for i := start + 1; i < len(w.in); {
		switch c := w.in[i]; {
		case c == '"':
			w.pos = i + 1
			w.out = append(w.out, w.in[start:w.pos]...)
			return w.in[start+1 : i], nil
		case c == '\\':
			return w.escaped()
		case c < ' ':
			return nil, fmt.Errorf("canonical JSON: the control character %q stands in a string", c)
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(w.in[i:])
			if r == utf8.RuneError && size == 1 {
				return nil, errors.New("canonical JSON: a string is not UTF-8")
			}
			i += size
		}
	}
	return nil, errUnfinished
}

// escaped is str for a string with escapes.
func (w *writer) escaped() ([]byte, error) {
	c := cursor{data: w.in, pos: w.pos}
	if !c.str() {
		return nil, errUnfinished
	}
	s, err := jsontext.AppendUnquote(nil, w.in[w.pos:c.pos])
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	w.pos = c.pos
	w.out = appendString(w.out, s)
	return s, nil
}

const hexDigits = "0123456789abcdef"

// appendString quotes s, which is UTF-8, with the shortest escapes: only control
// characters, the quote and the backslash have one.
func appendString[T ~string | ~[]byte](out []byte, s T) []byte {
	out = append(out, '"')
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= 0x20:
			out = append(out, c)
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\f':
			out = append(out, `\f`...)
		case c == '\r':
			out = append(out, `\r`...)
		default:
			out = append(out, `\u00`...)
			out = append(out, hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(out, '"')
}
