package storage

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/unicode/norm"

	"lethe/internal/event"
)

// The types of events whose text is searched (CS API, Server Side Search).
const (
	typeMessage = "m.room.message"
	typeName    = "m.room.name"
	typeTopic   = "m.room.topic"
)

const (
	// maxWordBytes bounds a word; what is longer is cut.
	maxWordBytes = 64
	// maxWords bounds the different words of an event.
	maxWords = 4000
)

// SearchText is the text of an event that people search; ok is false if it has
// none. Whoever asks for somebody has asked the door before whether they may see
// it (door.Visit.Whole).
func SearchText(e *event.Event) (text string, ok bool) {
	_, isState := e.StateKey()
	switch {
	case e.Type() == typeMessage && !isState:
		return textAt(e, "body")
	case e.IsState(typeName):
		return textAt(e, "name")
	case e.IsState(typeTopic):
		text, ok = textAt(e, "topic")
		if rich := plainTopic(e); rich != "" && rich != text {
			return text + "\n" + rich, true
		}
		return text, ok
	}
	return "", false
}

func textAt(e *event.Event, field string) (text string, ok bool) {
	if !bytes.Contains(e.Content(), []byte(`"`+field+`"`)) {
		return "", false
	}
	var content map[string]jsontext.Value
	if json.Unmarshal(e.Content(), &content) != nil || json.Unmarshal(content[field], &text) != nil {
		return "", false
	}
	return text, text != ""
}

// plainTopic is the plain text of the topic in m.topic, "" for none (CS API,
// m.room.topic).
func plainTopic(e *event.Event) string {
	if !bytes.Contains(e.Content(), []byte(`"m.topic"`)) {
		return ""
	}
	var content struct {
		Topic struct {
			Text []struct {
				Body string `json:"body"`
				Type string `json:"mimetype"`
			} `json:"m.text"`
		} `json:"m.topic"`
	}
	if json.Unmarshal(e.Content(), &content) != nil {
		return ""
	}
	for _, t := range content.Topic.Text {
		if t.Type == "" || t.Type == "text/plain" {
			return t.Body
		}
	}
	return ""
}

// Words are the words of a text as they are searched: runs of letters and digits
// in lower case, without the accents of European scripts. In scripts that do not
// part words each character is one.
//
// What is in the index was made by it, and is taken out of there by what it makes
// of the same text: if it changes, a migration has to empty the index.
func Words(text string) []string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, cut(word.String()))
			word.Reset()
		}
	}
	for _, r := range norm.NFKD.String(text) {
		switch {
		case r >= 0x300 && r <= 0x36F: // an accent
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
			end()
			words = append(words, string(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			word.WriteRune(unicode.ToLower(r))
		default:
			end()
		}
	}
	end()
	return words
}

// cut makes a word short enough.
func cut(word string) string {
	if len(word) <= maxWordBytes {
		return word
	}
	n := maxWordBytes
	for !utf8.RuneStart(word[n]) {
		n--
	}
	return word[:n]
}

// WordMatches tells whether a word of a text is what somebody searches for: the
// same, or the beginning of it where that says enough.
func WordMatches(wanted, word string) bool {
	return word == wanted || isPrefix(wanted) && strings.HasPrefix(word, wanted)
}

// isPrefix tells whether a word that is searched for stands for all that begin
// with it.
func isPrefix(wanted string) bool { return utf8.RuneCountInString(wanted) >= minPrefix }

// minPrefix is from how many letters on a word stands for all that begin with it:
// shorter ones would be the beginning of everything.
const minPrefix = 3
