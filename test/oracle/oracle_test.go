// Package oracle compares what this program computes with what other
// implementations of the specification do. It is a module of its own, so that
// they are no dependencies of the server. One of them needs Go's new JSON: run it
// with GOEXPERIMENT=jsonv2, as `make test` does.
package oracle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/matrix-org/gomatrixserverlib"
	"pgregory.net/rapid"

	"lethe/internal/event"
)

// keys of objects that gomatrixserverlib can sort: it breaks those that need
// escapes.
var keys = rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r >= ' ' && !strings.ContainsRune(`"\`, r) }))

func values(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Int64Range(-1<<53+1, 1<<53-1).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(values(depth-1), 0, 5).AsAny(), rapid.MapOfN(keys, values(depth-1), 0, 6).AsAny())...)
}

// object draws a JSON object as encoding/json writes it, with space.
func object(t *rapid.T) []byte {
	fields := rapid.MapOfN(keys, values(3), 0, 8).Draw(t, "object")
	delete(fields, "signatures")
	raw, err := json.MarshalIndent(fields, "", rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "indent"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCanonicalJSONIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := object(t)
		ours, err := event.Canonical(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		theirs, err := gomatrixserverlib.CanonicalJSON(raw)
		if err != nil || !bytes.Equal(ours, theirs) {
			t.Fatalf("of %s\nours:   %s\ntheirs: %s, %v", raw, ours, theirs, err)
		}
	})
}

func TestSignaturesAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := object(t)
		seed := rapid.SliceOfN(rapid.Byte(), ed25519.SeedSize, ed25519.SeedSize).Draw(t, "seed")
		key, err := event.KeyFromSeed("ed25519:k", seed)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := event.SignJSON(raw, "example.org", key)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		theirs, err := gomatrixserverlib.SignJSON("example.org", "ed25519:k", key.Private, raw)
		if err != nil {
			t.Fatalf("theirs: %s: %v", raw, err)
		}
		if err := gomatrixserverlib.VerifyJSON("example.org", "ed25519:k", key.Public(), ours); err != nil {
			t.Fatalf("they refuse %s: %v", ours, err)
		}
		if err := event.VerifyJSON(theirs, "example.org", "ed25519:k", key.Public()); err != nil {
			t.Fatalf("we refuse %s: %v", theirs, err)
		}
		if canonical, err := event.Canonical(theirs); err != nil || !bytes.Equal(canonical, ours) {
			t.Fatalf("ours:   %s\ntheirs: %s, %v", ours, canonical, err)
		}
	})
}

// TestKnownDifferences holds where the other implementation departs from the
// specification (docs/design.md), and what ours does. One that is gone has been
// mended there, and comes out of this list.
func TestKnownDifferences(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		ours     string // "" for refused
	}{
		{"keys in the order of their text, not of their escapes", `{"\n":1," ":2}`, `{"\n":1," ":2}`},
		{"key with an escaped quote", `{"b\"":1,"a":2}`, `{"a":2,"b\"":1}`},
		{"duplicate keys", `{"a":1,"a":2}`, ``},
		{"exponent", `{"a":1E3}`, `{"a":1000}`},
		{"fraction", `{"a":1.50}`, ``},
		{"beyond 2^53-1", `{"a":9007199254740992}`, ``},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", ``},
		{"lone surrogate", `{"a":"\ud800"}`, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ours, err := event.Canonical([]byte(tc.in))
			if (err != nil) != (tc.ours == "") || string(ours) != tc.ours {
				t.Errorf("ours: %s, %v, want %s", ours, err, tc.ours)
			}
			theirs, err := gomatrixserverlib.CanonicalJSON([]byte(tc.in))
			if err != nil || string(theirs) == tc.ours {
				t.Errorf("theirs is no longer different: %s, %v", theirs, err)
			}
		})
	}
}
