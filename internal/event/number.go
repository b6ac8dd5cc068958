package event

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// numberRule writes a number whose grammar is right.
type numberRule func(out, number []byte) ([]byte, error)

// num reads a number by the grammar of JSON.
func (w *writer) num() error {
	start := w.pos
	w.skip("-")
	if w.pos < len(w.in) && w.in[w.pos] == '0' {
		w.pos++
	} else if !w.digits() {
		return w.unexpected()
	}
	if w.skip(".") && !w.digits() {
		return w.unexpected()
	}
	if w.skip("eE") {
		w.skip("+-")
		if !w.digits() {
			return w.unexpected()
		}
	}
	var err error
	w.out, err = w.number(w.out, w.in[start:w.pos])
	return err
}

// skip passes over one of the characters of set.
func (w *writer) skip(set string) bool {
	if w.pos < len(w.in) && strings.IndexByte(set, w.in[w.pos]) >= 0 {
		w.pos++
		return true
	}
	return false
}

func (w *writer) digits() bool {
	start := w.pos
	for w.pos < len(w.in) && '0' <= w.in[w.pos] && w.in[w.pos] <= '9' {
		w.pos++
	}
	return w.pos > start
}

// appendInt takes an integer. -0 is 0, and 1e10 is 10000000000: canonical JSON
// has one form for a value (Appendices, Canonical JSON, the last example).
func appendInt(out, number []byte) ([]byte, error) {
	digits, exponent := string(number), ""
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		digits, exponent = digits[:i], strings.TrimLeft(strings.TrimPrefix(digits[i+1:], "+"), "0")
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
		return nil, errNoInteger(number)
	}
	return strconv.AppendInt(out, n, 10), nil
}

// appendStrict takes an integer that is written as canonical JSON writes it.
// Others are no events: "represented without exponents or decimal places, and
// negative zero `-0` MUST NOT appear" (Appendices, Canonical JSON; rooms/v6).
func appendStrict(out, number []byte) ([]byte, error) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || n > maxInt || n < -maxInt || string(number) == "-0" {
		return nil, errNoInteger(number)
	}
	return append(out, number...), nil
}

func errNoInteger(number []byte) error {
	return fmt.Errorf("canonical JSON: %.30s is not an integer within ±(2^53-1)", number)
}

// appendLoose takes any number, as events of the rooms before version 6 have
// them (rooms/v1, Canonical JSON). Integers stay what they are, however large.
// Floats are written as the code in the specification does (Appendices, Canonical
// JSON): Python's json, which writes the shortest decimal that is the same
// double. Servers have been hashing and signing that.
func appendLoose(out, number []byte) ([]byte, error) {
	s := string(number)
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			s = "0"
		}
		return append(out, s...), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON: %.30s is beyond the range of numbers", s)
	}
	start := len(out)
	if abs := math.Abs(f); abs == 0 || 1e-4 <= abs && abs < 1e16 {
		out = strconv.AppendFloat(out, f, 'f', -1, 64)
		if bytes.IndexByte(out[start:], '.') < 0 {
			out = append(out, ".0"...)
		}
		return out, nil
	}
	return strconv.AppendFloat(out, f, 'e', -1, 64), nil
}
