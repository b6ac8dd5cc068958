package push

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestGlobs has the specification's own examples and the corners around them.
func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		whole, inBody bool
	}{
		// CS API, event_match.
		{"lunc?*", "Lunch plans", true, true},
		{"lunc?*", "LUNCH", true, true},
		{"lunc?*", " lunch", false, true},
		{"lunc?*", "lunc", false, false},
		{"ex*ple", "An example event.", false, true},
		{"ex*ple", "exple", true, true},
		{"ex*ple", "An exciting triple-whammy", false, true},
		{"ex*ple", "vexing people", false, false},

		{"", "", true, true},
		{"", "x", false, true},
		{"*", "", true, true},
		{"*", "any\nthing", true, true},
		{"**", "x", true, true},
		{"?", "ü", true, true},
		{"?", "", false, false},
		{"??", "ü", false, false},
		{"cake", "Cake!", false, true},
		{"cake", "cakes", false, false},
		{"cake", "cupcake", false, false},
		{"cake", "cupcakes, then cake", false, true},
		{"cake", "cup_cake", false, false},
		{"cake", "4cake", false, false},
		{"cake*", "cakes", true, true},
		{"*cake", "cupcake", true, true},
		{"cake*lie", "cake is a lie", true, true},
		{"cake*lie", "cake is a liege", false, false},
		{"cake*lie", "cake is a liege, a lie", true, true},
		{"a*a", "a", false, false},
		{"aba*ab", "abab", false, false},
		{"a?c", "abc a.c", false, true},
		// Only ASCII makes words.
		{"nal", "ünal", false, true},
		{"müll", "MÜLL", true, true},
		// The boundary may be the match's own.
		{"@room", "hi@room", false, true},
		{"c++", "c++11", false, true},
		// Nothing but * and ? is special.
		{"a.c", "abc", false, false},
		{"[ab]", "a", false, false},
		{`a\*`, `a\bc`, true, true},
	} {
		g := newGlob(c.pattern)
		if got := g.matches(c.text); got != c.whole {
			t.Errorf("%q matches the whole of %q: %v", c.pattern, c.text, got)
		}
		if got := g.in(strings.ToLower(c.text), atWord); got != c.inBody {
			t.Errorf("%q matches in the body %q: %v", c.pattern, c.text, got)
		}
	}
}

// TestGlobsAreTheRegularExpressionsTheyStandFor: on short texts of few letters,
// where most of what can go wrong does.
func TestGlobsAreTheRegularExpressionsTheyStandFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("abA_-é?*")), 0, 7, -1).Draw(t, "pattern")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("abA_-é ?")), 0, 10, -1).Draw(t, "text")
		expression := regexp.QuoteMeta(pattern)
		expression = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(expression)
		whole := regexp.MustCompile(`(?is)^(?:` + expression + `)$`)
		word := regexp.MustCompile(`(?is)(?:^|\b|[^A-Za-z0-9_])(?:` + expression + `)(?:\b|[^A-Za-z0-9_]|$)`)
		g := newGlob(pattern)
		if got := g.matches(text); got != whole.MatchString(text) {
			t.Errorf("%q matches %q: %v", pattern, text, got)
		}
		if got := g.in(strings.ToLower(text), atWord); got != word.MatchString(text) {
			t.Errorf("%q matches in %q: %v", pattern, text, got)
		}
	})
}

// TestHostileGlobsAreNoWork: matched with backtracking, these would not end.
func TestHostileGlobsAreNoWork(t *testing.T) {
	pattern := strings.Repeat("*a?", 200) + "*b"
	text := strings.Repeat("a", 60_000)
	if newGlob(pattern).in(text, atWord) || newGlob(pattern).matches(text) {
		t.Error("a text without b matches")
	}
}
