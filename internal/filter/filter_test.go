package filter

import (
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"pgregory.net/rapid"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

func load(t *testing.T, raw string) *event.Event {
	t.Helper()
	v, _ := event.VersionOf("12")
	e, err := event.Load(v, "$e", []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEachConditionLeavesOutWhatItNames: and a list that is empty is not one that
// is missing.
func TestEachConditionLeavesOutWhatItNames(t *testing.T) {
	message := load(t, `{"content":{"body":"x","url":"mxc://a/b"},"room_id":"!r","sender":"@a:x","type":"m.room.message"}`)
	plain := load(t, `{"content":{"body":"url"},"room_id":"!r","sender":"@a:x","type":"m.room.message"}`)
	for _, tc := range []struct {
		filter         string
		message, plain bool
	}{
		{`{}`, true, true},
		{`{"types":null,"senders":null,"rooms":null}`, true, true},
		{`{"types":["m.room.message"]}`, true, true},
		{`{"types":["m.*"]}`, true, true},
		{`{"types":["m.room"]}`, false, false},
		{`{"types":[]}`, false, false},
		{`{"not_types":["*"]}`, false, false},
		{`{"not_types":["m.room.*"],"types":["m.room.message"]}`, false, false},
		{`{"senders":["@a:x"]}`, true, true},
		{`{"senders":["@b:x"]}`, false, false},
		{`{"senders":[]}`, false, false},
		{`{"not_senders":["@a:x"],"senders":["@a:x"]}`, false, false},
		{`{"rooms":["!r"]}`, true, true},
		{`{"rooms":["!s"]}`, false, false},
		{`{"not_rooms":["!r"]}`, false, false},
		{`{"contains_url":true}`, true, false},
		{`{"contains_url":false}`, false, true},
	} {
		var f Events
		if err := json.Unmarshal([]byte(tc.filter), &f); err != nil {
			t.Fatal(err)
		}
		if f.Wants(message) != tc.message || f.Wants(plain) != tc.plain {
			t.Errorf("%s lets through %v with a url and %v without; want %v and %v",
				tc.filter, f.Wants(message), f.Wants(plain), tc.message, tc.plain)
		}
		if f.WantsNothing() && (tc.message || tc.plain) {
			t.Errorf("%s is said to want nothing", tc.filter)
		}
		if f.WantsAll() && !(tc.message && tc.plain) {
			t.Errorf("%s is said to want all", tc.filter)
		}
	}
}

func TestRoomsOfAFilter(t *testing.T) {
	for raw, want := range map[string]bool{
		`{}`: true, `{"rooms":["!r"]}`: true, `{"rooms":["!s"]}`: false, `{"not_rooms":["!r"],"rooms":["!r"]}`: false,
		`{"rooms":[]}`: false,
	} {
		var f Room
		if err := json.Unmarshal([]byte(raw), &f); err != nil {
			t.Fatal(err)
		}
		if f.Wants("!r") != want {
			t.Errorf("%s: it wants the room: %v", raw, !want)
		}
	}
}

func TestCheckRefusesWhatMakesNoSense(t *testing.T) {
	for raw, want := range map[string]matrix.Code{
		`{}`: "", `{"event_format":"client","room":{"timeline":{"limit":0}}}`: "",
		`{"event_format":"html"}`:                matrix.CodeBadJSON,
		`{"presence":{"limit":-1}}`:              matrix.CodeBadJSON,
		`{"account_data":{"limit":-1}}`:          matrix.CodeBadJSON,
		`{"room":{"timeline":{"limit":-1}}}`:     matrix.CodeBadJSON,
		`{"room":{"state":{"limit":-1}}}`:        matrix.CodeBadJSON,
		`{"room":{"ephemeral":{"limit":-1}}}`:    matrix.CodeBadJSON,
		`{"room":{"account_data":{"limit":-1}}}`: matrix.CodeBadJSON,
	} {
		var f Filter
		if err := json.Unmarshal([]byte(raw), &f); err != nil {
			t.Fatal(err)
		}
		if got := matrix.CodeOf(f.Check()); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for raw, want := range map[string]int{
		`{}`: 7, `{"limit":0}`: 0, `{"limit":3}`: 3, `{"limit":9007199254740991}`: MaxLimit,
	} {
		var f Events
		if err := json.Unmarshal([]byte(raw), &f); err != nil {
			t.Fatal(err)
		}
		if got := f.LimitOr(7); got != want {
			t.Errorf("%s: %d, want %d", raw, got, want)
		}
	}
}

// TestWildcardsAreAnyText compares with a regular expression.
func TestWildcardsAreAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab.*")), 0, 8, -1).Draw(t, "pattern")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab.")), 0, 8, -1).Draw(t, "text")
		parts := strings.Split(pattern, "*")
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		want := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(text)
		if got := matches(pattern, text); got != want {
			t.Fatalf("matches(%q, %q) = %v", pattern, text, got)
		}
	})
}
