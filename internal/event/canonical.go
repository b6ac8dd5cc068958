package event

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxDepth bounds how deeply values are nested.
	maxDepth = 100
	// maxInt is the largest integer of canonical JSON, 2^53-1 (Appendices,
	// Canonical JSON).
	maxInt = 1<<53 - 1
)

// Canonical returns the canonical form of one JSON value (Appendices, Canonical
// JSON): keys sorted by code point, no space, shortest escapes, integers only.
// Integers with an exponent, 1e10, are written without. Duplicate keys, invalid
// UTF-8, lone surrogates, numbers with a fraction or a negative exponent, integers
// outside ±(2^53-1) and values nested more than 100 levels deep are errors.
func Canonical(in []byte) ([]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(in))
	out, err := appendValue(make([]byte, 0, len(in)), dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("canonical JSON: text after the value")
	}
	return out, nil
}

func appendValue(out []byte, dec *jsontext.Decoder) ([]byte, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	if dec.StackDepth() > maxDepth {
		return nil, fmt.Errorf("canonical JSON: more than %d levels", maxDepth)
	}
	switch tok.Kind() {
	case '{':
		return appendObject(out, dec)
	case '[':
		return appendArray(out, dec)
	case '"':
		return appendString(out, tok.String()), nil
	case '0':
		return appendInt(out, tok.String())
	}
	return append(out, tok.String()...), nil // null, true, false
}

func appendArray(out []byte, dec *jsontext.Decoder) (_ []byte, err error) {
	out = append(out, '[')
	for first := true; dec.PeekKind() != ']'; first = false {
		if !first {
			out = append(out, ',')
		}
		if out, err = appendValue(out, dec); err != nil {
			return nil, err
		}
	}
	_, err = dec.ReadToken()
	return append(out, ']'), err
}

// appendObject reads the members where they stand and then puts them in order.
func appendObject(out []byte, dec *jsontext.Decoder) (_ []byte, err error) {
	type member struct {
		key        string
		start, end int
	}
	var members []member
	var body []byte
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("canonical JSON: %w", err)
		}
		m := member{key: name.String(), start: len(body)}
		body = append(appendString(body, m.key), ':')
		if body, err = appendValue(body, dec); err != nil {
			return nil, err
		}
		m.end = len(body)
		members = append(members, m)
	}
	if _, err = dec.ReadToken(); err != nil {
		return nil, fmt.Errorf("canonical JSON: %w", err)
	}
	// The order of UTF-8 is that of the code points.
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, body[m.start:m.end]...)
	}
	return append(out, '}'), nil
}

// appendInt checks an integer. -0 is 0, and 1e10 is 10000000000: canonical JSON
// has one form for a value (Appendices, Canonical JSON, the last example).
func appendInt(out []byte, s string) ([]byte, error) {
	digits, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		digits, exponent = s[:i], strings.TrimLeft(strings.TrimPrefix(s[i+1:], "+"), "0")
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	var zeros uint64
	if err == nil && exponent != "" {
		zeros, err = strconv.ParseUint(exponent, 10, 64)
	}
	for ; zeros > 0 && n != 0 && n <= maxInt && n >= -maxInt; zeros-- {
		n *= 10
	}
	if err != nil || n > maxInt || n < -maxInt {
		return nil, fmt.Errorf("canonical JSON: %.30s is not an integer within ±(2^53-1)", s)
	}
	return strconv.AppendInt(out, n, 10), nil
}

const hexDigits = "0123456789abcdef"

// appendString quotes s with the shortest escapes: only control characters, the
// quote and the backslash have one.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	for i := 0; i < len(s); i++ {
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
