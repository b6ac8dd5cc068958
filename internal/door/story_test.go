package door_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"lethe/internal/door"
	"lethe/internal/door/doortest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// A story is what happens in a room, in words:
//
//	a  A    a message of the creator, and of sam
//	@joined the history visibility
//	+join   vera's membership, by herself; +invite, +kick, +ban, +unban: by the creator
//	&invite an invite of vera by sam
//	%join   sam's membership, by himself; %kick, %ban: by the creator
//	^a  =a  the topic, set by sam, and by the creator
//	~a      the encryption of the room, set by sam
//	!  *    sam is erased, and that is taken back
//
// Sam is in from the start, vera is not. What vera gets in the end is told in the
// same words, with a - behind what is redacted.
type story struct{ name, told, seen string }

const creator matrix.UserID = "@cleo:x"

// stage is where a story is told.
type stage struct {
	*doortest.Room
	sam, vera matrix.UserID
	words     map[string]string // by event id
}

var stages int

func newStage(h *doortest.House, version string) *stage {
	stages++
	s := &stage{
		Room: h.Room(version, creator), words: map[string]string{},
		sam: matrix.UserID(fmt.Sprintf("@sam%d:x", stages)), vera: matrix.UserID(fmt.Sprintf("@vera%d:x", stages)),
	}
	s.Join(s.sam)
	return s
}

// secret is in every content that an erasure takes away.
var secret = doortest.Content{"secret": "s3cret", "reason": "s3cret", "displayname": "s3cret"}

func (s *stage) tell(told string) {
	s.T.Helper()
	s.Batch(func() {
		for word := range strings.FieldsSeq(told) {
			if e := s.one(word); e != nil {
				s.words[e.ID()] = word
			}
		}
	})
}

func (s *stage) one(word string) *storage.Event {
	s.T.Helper()
	rest := word[1:]
	byCreator := map[string]string{"invite": "invite", "kick": "leave", "ban": "ban", "unban": "leave"}
	switch word[0] {
	case '@':
		return s.Visibility(rest)
	case '+', '%':
		user := map[byte]matrix.UserID{'+': s.vera, '%': s.sam}[word[0]]
		if membership, ok := byCreator[rest]; ok {
			return s.Member(creator, user, membership, secret)
		}
		return s.Member(user, user, rest, secret)
	case '&':
		return s.Member(s.sam, s.vera, rest, secret)
	case '^':
		return s.Set(s.sam, "m.room.topic", "", doortest.Content{"topic": word, "secret": "s3cret"})
	case '=':
		return s.Set(creator, "m.room.topic", "", doortest.Content{"topic": word, "secret": "s3cret"})
	case '~':
		return s.Set(s.sam, "m.room.encryption", "", doortest.Content{"algorithm": word, "secret": "s3cret"})
	case '!':
		s.Erase(s.sam)
		return nil
	case '*':
		s.Restore(s.sam)
		return nil
	}
	sender := creator
	if strings.ToUpper(word) == word {
		sender = s.sam
	}
	return s.Send(sender, "m.room.message", doortest.Content{"body": word, "secret": "s3cret"})
}

// seen is what a reader gets of the room, in the words of the story.
func (s *stage) seen(who door.Reader) string {
	s.T.Helper()
	var words []string
	s.Enter(who, s.ID, func(v *door.Visit) error {
		events := s.Timeline()
		served, err := v.Serve(events, door.Format{Kind: door.Sync})
		if err != nil {
			return err
		}
		whole := map[string]bool{}
		for _, e := range events {
			sees, err := v.Sees(e)
			if err != nil {
				return err
			}
			if whole[e.ID()], err = v.Whole(e); err != nil {
				return err
			}
			if whole[e.ID()] && !sees {
				s.T.Errorf("%s is whole, and not seen", s.words[e.ID()])
			}
		}
		for _, e := range served {
			word, ok := s.words[e.ID()]
			if !ok {
				continue
			}
			shown := strings.Contains(text(s.T, e), "s3cret")
			if word[0] != '@' && shown != whole[e.ID()] {
				s.T.Errorf("%s is served whole: %v; Whole says %v", word, shown, whole[e.ID()])
			}
			if word[0] != '@' && !shown {
				word += "-"
			}
			words = append(words, word)
		}
		return nil
	})
	return strings.Join(words, " ")
}

// text is a value as it is on the wire.
func text(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// fields is a value as it is on the wire, read again.
func fields(t testing.TB, v any) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text(t, v)), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// tell tells stories, and compares what vera gets.
func tell(t *testing.T, h *doortest.House, stories []story) {
	for _, tc := range stories {
		t.Run(tc.name, func(t *testing.T) {
			h.T = t
			s := newStage(h, "11")
			s.tell(tc.told)
			if got := s.seen(door.Reader{User: s.vera}); got != tc.seen {
				t.Errorf("%s\n got %s\nwant %s", tc.told, got, tc.seen)
			}
		})
	}
}
