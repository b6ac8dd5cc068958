package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Secret is a setting that is never shown: not by package fmt whatever the verb,
// not in logs, JSON or YAML. Converting it to a string shows it.
type Secret string

// Format hides the secret from every verb of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// MarshalText hides the secret, from logs too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes it as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// Duration is a time span in Go's syntax, with d for days.
type Duration time.Duration

// UnmarshalText reads it.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := parseDuration(string(text))
	*d = Duration(parsed)
	return err
}

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a time span, as 30s, 10m, 2h or 7d", s)
	}
	return d, nil
}

// D is the time span as the standard library has it.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Rate is a number of events in a time span.
type Rate struct {
	Burst int
	Per   time.Duration
}

// UnmarshalText reads a rate, as 10/1m; off is none.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = Rate{}
		return nil
	}
	count, span, ok := strings.Cut(string(text), "/")
	burst, err := strconv.ParseUint(count, 10, 31)
	if !ok || err != nil || burst == 0 {
		return fmt.Errorf("%q is not a rate, as 10/1m, or off", text)
	}
	per, err := parseDuration(span)
	if err == nil && per == 0 {
		err = fmt.Errorf("%q has no time span", text)
	}
	*r = Rate{Burst: int(burst), Per: per}
	return err
}
