package push

import (
	"strings"
	"unicode/utf8"
)

// glob is a glob-style pattern (Appendices, Glob-style matching): what stands
// between its asterisks. A match takes at most the product of the lengths of
// pattern and text, whatever they are.
type glob []segment

// segment is a text in lower case; in one that is wild, ? is any character.
type segment struct {
	text string
	wild bool
}

func newGlob(pattern string) (g glob) {
	for text := range strings.SplitSeq(strings.ToLower(pattern), "*") {
		g = append(g, segment{text, strings.Contains(text, "?")})
	}
	return g
}

// matches tells whether the whole of text matches, in whatever case.
func (g glob) matches(text string) bool {
	if len(g) == 1 && !g[0].wild {
		return strings.EqualFold(text, g[0].text) // most are, and this allocates nothing
	}
	return g.in(strings.ToLower(text), atEnd)
}

// edge is where a part of a text begins or ends.
type edge int

const (
	anywhere edge = iota
	atWord        // at a word boundary
	atEnd         // at the start of the text, or at its end
)

// in tells whether a part of lower, a text in lower case, that begins and ends at
// e matches. The leftmost place of each segment leaves the most to those that
// follow, so that no other has to be tried.
func (g glob) in(lower string, e edge) bool {
	if len(g) == 1 && g[0].text == "" {
		return e != atEnd || lower == ""
	}
	at := 0
	for i, seg := range g {
		if seg.text == "" {
			continue // an asterisk is first, last, or after another: it takes what there is
		}
		start, end := anywhere, anywhere
		if i == 0 {
			start = e
		}
		if i == len(g)-1 {
			end = e
		}
		if at = find(lower, seg, at, start, end); at < 0 {
			return false
		}
	}
	return true
}

// find looks from at on for the first place of a segment, which is not empty,
// that starts and ends as it should, and returns its end; -1 if there is none.
func find(text string, seg segment, at int, start, end edge) int {
	for at < len(text) {
		if !seg.wild {
			next := strings.Index(text[at:], seg.text)
			if next < 0 {
				return -1
			}
			at += next
		}
		if start == atEnd && at > 0 {
			return -1
		}
		if last := seg.endIn(text, at); last >= 0 && starts(text, at, start) && ends(text, last, end) {
			return last
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return -1
}

// endIn is where the segment ends that begins at a place of text; -1 if it does
// not begin there.
func (s segment) endIn(text string, at int) int {
	for _, want := range s.text {
		got, size := utf8.DecodeRuneInString(text[at:])
		if size == 0 || want != got && !(s.wild && want == '?') {
			return -1
		}
		at += size
	}
	return at
}

// A word boundary is the start or the end of the text, or a character that is in
// no word (CS API, Push notifications: event_match): the one before or after the
// match, or its own first or last.

// starts tells whether a match that begins at a place begins at an edge.
func starts(text string, at int, e edge) bool {
	switch e {
	case atEnd:
		return at == 0
	case atWord:
		return at == 0 || !isWord(text[at-1]) || !isWord(text[at])
	default:
		return true
	}
}

// ends tells whether a match that ends before a place ends at an edge.
func ends(text string, at int, e edge) bool {
	switch e {
	case atEnd:
		return at == len(text)
	case atWord:
		return at == len(text) || !isWord(text[at]) || !isWord(text[at-1])
	default:
		return true
	}
}

// isWord tells of a byte; those of characters that are not ASCII are in no word.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}
