package storage_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// talk is a room in which people write, on a real database.
type talk struct {
	t    testing.TB
	db   *storage.DB
	room matrix.RoomID
	key  event.SigningKey
}

func newTalk(t testing.TB, db *storage.DB, room matrix.RoomID) *talk {
	t.Helper()
	err := db.Update(t.Context(), func(tx *storage.Tx) error {
		return tx.AddRoom(storage.Room{ID: room, Version: "11", CreatedAt: 1, Extremities: []string{}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return &talk{t, db, room, event.NewSigningKey()}
}

// add stores an event and puts it into the index.
func (k *talk) add(sender matrix.UserID, typ string, stateKey *string, content any) (stored *storage.Event) {
	k.t.Helper()
	raw, err := json.Marshal(content)
	if err != nil {
		k.t.Fatal(err)
	}
	v, _ := event.VersionOf("11")
	e, err := event.Build(v, event.Proto{
		RoomID: k.room, Type: typ, StateKey: stateKey, Sender: sender, Content: raw, Depth: 1, Timestamp: 1,
		PrevEvents: []string{fmt.Sprint("$", rand.Int64())}, // so that no two are the same
	}, "x", k.key)
	if err != nil {
		k.t.Fatal(err)
	}
	k.update(func(tx *storage.Tx) error {
		pos, err := tx.NextPos(storage.Change{Kind: storage.ChangeEvent, Room: k.room})
		if err != nil {
			return err
		}
		stored = &storage.Event{Event: e, Pos: pos}
		if err := tx.AddEvent(stored); err != nil {
			return err
		}
		return tx.AddSearch(stored)
	})
	return stored
}

func (k *talk) say(sender matrix.UserID, text string) *storage.Event {
	k.t.Helper()
	return k.add(sender, "m.room.message", nil, map[string]any{"msgtype": "m.text", "body": text})
}

func (k *talk) update(fn func(*storage.Tx) error) {
	k.t.Helper()
	if err := k.db.Update(k.t.Context(), fn); err != nil {
		k.t.Fatal(err)
	}
}

var searched = []string{"m.room.message", "m.room.name", "m.room.topic"}

// find is the texts of the events that a search finds.
func find(t testing.TB, db *storage.DB, q storage.SearchQuery) (texts []string) {
	t.Helper()
	if q.Types == nil {
		q.Types = searched
	}
	if q.Before == 0 {
		q.Before = math.MaxInt64
	}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	err := db.View(t.Context(), func(tx *storage.Tx) error {
		events, err := tx.Search(q)
		texts = nil
		for _, e := range events {
			text, _ := storage.SearchText(e.Event)
			texts = append(texts, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestWordsAreFoundInTheRoomsAskedFor(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		one, two := newTalk(t, db, "!one:x"), newTalk(t, db, "!two:x")
		empty := ""
		one.say("@a:x", "Hello, World!")
		two.say("@a:x", "hello there")
		one.say("@a:x", "Ein Größenwahn im Café 東京に")
		one.add("@a:x", "m.room.name", &empty, map[string]any{"name": "Worldwide"})
		one.add("@a:x", "m.room.topic", &empty, map[string]any{
			"topic": "old words", "m.topic": map[string]any{"m.text": []any{map[string]any{"body": "rich words"}}},
		})
		one.add("@a:x", "m.room.encrypted", nil, map[string]any{"body": "hello"})
		one.add("@a:x", "m.room.name", nil, map[string]any{"name": "hello"})
		one.add("@a:x", "m.room.message", nil, map[string]any{"body": 7})
		one.add("@a:x", "m.room.message", nil, map[string]any{"body": "…!"})
		one.say("@a:x", `a "quote" AND 'other' OR (signs) NOT * NEAR`)
		both := []matrix.RoomID{"!one:x", "!two:x"}
		for _, tc := range []struct {
			name string
			q    storage.SearchQuery
			want []string
		}{
			{"newest first", storage.SearchQuery{Rooms: both, Words: storage.Words("HELLO")}, []string{"hello there", "Hello, World!"}},
			{"in one room", storage.SearchQuery{Rooms: both[:1], Words: storage.Words("hello")}, []string{"Hello, World!"}},
			{"all words", storage.SearchQuery{Rooms: both, Words: storage.Words("there hello")}, []string{"hello there"}},
			{"the beginning of a word", storage.SearchQuery{Rooms: both, Words: storage.Words("wor"), Types: searched[:1]}, []string{"Hello, World!"}},
			{"not of too little", storage.SearchQuery{Rooms: both, Words: storage.Words("wo")}, nil},
			{"names", storage.SearchQuery{Rooms: both, Words: storage.Words("world"), Types: searched[1:2]}, []string{"Worldwide"}},
			{"topics, in both forms", storage.SearchQuery{Rooms: both, Words: storage.Words("rich old")}, []string{"old words\nrich words"}},
			{"without accents", storage.SearchQuery{Rooms: both, Words: storage.Words("cafe")}, []string{"Ein Größenwahn im Café 東京に"}},
			{"scripts without spaces", storage.SearchQuery{Rooms: both, Words: storage.Words("京")}, []string{"Ein Größenwahn im Café 東京に"}},
			{
				"signs mean nothing",
				storage.SearchQuery{Rooms: both, Words: storage.Words(`"or" not (near) 'and*`)},
				[]string{`a "quote" AND 'other' OR (signs) NOT * NEAR`},
			},
			{"a limit", storage.SearchQuery{Rooms: both, Words: storage.Words("hello"), Limit: 1}, []string{"hello there"}},
			{"below a position", storage.SearchQuery{Rooms: both, Words: storage.Words("hello"), Before: 2}, []string{"Hello, World!"}},
			{"no room", storage.SearchQuery{Words: storage.Words("hello")}, nil},
			{"no words", storage.SearchQuery{Rooms: both}, nil},
		} {
			if diff := cmp.Diff(tc.want, find(t, db, tc.q)); diff != "" {
				t.Errorf("%s: %s", tc.name, diff)
			}
		}
	})
}

func TestManyRoomsAndLongTextsCanBeSearched(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k := newTalk(t, db, "!one:x")
		long := strings.Repeat("ä", 5000) + " end"
		var words []string
		for i := range 6000 {
			words = append(words, fmt.Sprintf("w%05d", i))
		}
		k.say("@a:x", long)
		k.say("@a:x", strings.Join(words, " "))
		rooms := []matrix.RoomID{"!one:x"}
		for i := range 3000 {
			rooms = append(rooms, matrix.RoomID(fmt.Sprintf("!%d:x", i)))
		}
		for _, text := range []string{long, words[17]} {
			if got := find(t, db, storage.SearchQuery{Rooms: rooms, Words: storage.Words(text)}); len(got) != 1 {
				t.Errorf("%.20s: found %d", text, len(got))
			}
		}
	})
}

func TestWhatIsDroppedIsNotFound(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		k := newTalk(t, db, "!one:x")
		q := storage.SearchQuery{Rooms: []matrix.RoomID{"!one:x"}, Words: []string{"secret"}}
		first := k.say("@a:x", "secret one")
		for i := range 5 {
			k.say("@b:x", fmt.Sprint("secret of b ", i))
		}
		redacted, err := first.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to drop
			k.update(func(tx *storage.Tx) error { return tx.ReplaceEvent(first, redacted, "$redaction") })
		}
		if got := find(t, db, q); len(got) != 5 || slices.Contains(got, "secret one") {
			t.Errorf("after one was redacted: %q", got)
		}
		for _, want := range []int{2, 2, 1, 0} {
			k.update(func(tx *storage.Tx) error {
				n, err := tx.DropSearchOf("@b:x", 2)
				if n != want {
					t.Errorf("dropped %d, want %d", n, want)
				}
				return err
			})
		}
		if got := find(t, db, q); len(got) != 0 {
			t.Errorf("after all of theirs: %q", got)
		}
	})
}

// TestDroppedWordsAreInNoFile: once it was tidied, SQLite's index has forgotten
// words to their last letter, however many there are of them and whatever stands
// beside them.
func TestDroppedWordsAreInNoFile(t *testing.T) {
	db, path := openLite(t)
	k := newTalk(t, db, "!one:x")
	for i := range 1500 {
		text := fmt.Sprintf("some words that %x everybody says %x", rand.Uint32(), i)
		if i%3 == 0 {
			// Each is the beginning of the next, as far as they go together.
			text = fmt.Sprintf("Hidden%04d and Hidden%04dx", i, i)
		}
		k.say(matrix.UserID(fmt.Sprintf("@u%d:x", i%3)), text)
	}
	files := func() int {
		t.Helper()
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(raw, []byte("hidden"))
	}
	if n := files(); n == 0 {
		t.Fatal("the words are not in the file: the search is no good")
	}
	for n := 100; n == 100; {
		k.update(func(tx *storage.Tx) (err error) {
			n, err = tx.DropSearchOf("@u0:x", 100)
			return err
		})
	}
	for range 2 { // also where it was tidied before
		for first, more := true, true; more; first = false {
			k.update(func(tx *storage.Tx) (err error) {
				more, err = tx.TidySearch(first)
				return err
			})
		}
	}
	if n := files(); n != 0 {
		t.Errorf("something of the words is in the file %d times", n)
	}
	k.say("@u1:x", "and everybody goes on")
	q := storage.SearchQuery{Rooms: []matrix.RoomID{"!one:x"}, Words: []string{"everybody"}, Limit: 2000}
	if got := find(t, db, q); len(got) != 1001 || got[0] != "and everybody goes on" {
		t.Errorf("of the 1001 others are found: %d", len(got))
	}
}

// TestAMessageIsSmall: all of a plain message, with its indexes.
func TestAMessageIsSmall(t *testing.T) {
	db, path := openLite(t)
	k := newTalk(t, db, "!a-room-with-an-id-of-usual-length-as-in-v12:x")
	const n = 2000
	size := func() int64 {
		t.Helper()
		if err := db.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	for i := range n {
		k.say("@somebody:example.org", fmt.Sprintf("All are welcome at the river number %d, and what is said there is gone", i))
	}
	if per := (size() - before) / n; per > 2048 {
		t.Errorf("a message takes %d bytes", per)
	} else {
		t.Logf("a message takes %d bytes", per)
	}
}
