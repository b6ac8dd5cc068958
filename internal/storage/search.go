package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

// The index has, besides the words of an event, two marks of it, so that a search
// reads nothing of other rooms: that of its room, and that of its type. They begin
// with characters that no word has.
const (
	roomMark = "\uE000"
	typeMark = "\uE001"
)

func markOfRoom(room matrix.RoomID) string {
	sum := sha256.Sum256([]byte(room))
	return roomMark + hex.EncodeToString(sum[:4]) // rooms that share one are told apart by searchable
}

func markOfType(typ string) string {
	return typeMark + strings.ReplaceAll(typ, ".", "")
}

// indexed is what goes into the index of an event: each word once, and its marks.
func indexed(e *event.Event) ([]string, bool) {
	text, ok := SearchText(e)
	if !ok {
		return nil, false
	}
	words := Words(text)
	if len(words) == 0 {
		return nil, false
	}
	slices.Sort(words)
	words = slices.Compact(words)
	words = words[:min(len(words), maxWords)]
	return append(words, markOfRoom(e.RoomID()), markOfType(e.Type())), true
}

// AddSearch puts the text of an event of the timeline into the index, if it has
// some.
func (tx *Tx) AddSearch(e *Event) error {
	words, ok := indexed(e.Event)
	if !ok || e.Kind != InTimeline {
		return nil
	}
	err := tx.run(`INSERT INTO searchable (pos, room_id, sender) VALUES ($1, $2, $3)`, e.Pos, e.RoomID(), e.Sender())
	if err != nil {
		return err
	}
	if tx.dialect.name == postgresDialect.name {
		return tx.run(`INSERT INTO search_words (pos, words) VALUES ($1, array_to_tsvector($2))`, e.Pos, words)
	}
	return tx.run(`INSERT INTO search_words (rowid, words) VALUES ($1, $2)`, e.Pos, strings.Join(words, " "))
}

// DropSearch takes the text of an event out of the index, since its content is
// going; e is the event with its content. [Tx.ReplaceEvent] does it.
func (tx *Tx) DropSearch(e *Event) error {
	words, ok := indexed(e.Event)
	if !ok {
		return nil
	}
	n, err := tx.exec(`DELETE FROM searchable WHERE pos = $1`, e.Pos)
	if err != nil || n == 0 {
		return err
	}
	if tx.dialect.name == postgresDialect.name {
		return tx.run(`DELETE FROM search_words WHERE pos = $1`, e.Pos)
	}
	// It finds what to forget by the words, which are those that were put in.
	return tx.run(`INSERT INTO search_words (search_words, rowid, words) VALUES ('delete', $1, $2)`,
		e.Pos, strings.Join(words, " "))
}

// DropSearchOf takes the text of up to limit events that user has sent out of the
// index, and returns of how many it did: less than limit when it is done. On
// SQLite what is left in the file is tidied up by [Tx.TidySearch].
func (tx *Tx) DropSearchOf(user matrix.UserID, limit int) (int, error) {
	events, err := all(tx, scanEvent, `SELECT `+eventColumns+` FROM searchable s
		JOIN events e ON e.room_id = s.room_id AND e.pos = s.pos JOIN rooms r ON r.room_id = s.room_id
		WHERE s.sender = $1 ORDER BY s.pos LIMIT $2`, user, limit)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		if err := tx.DropSearch(e); err != nil {
			return 0, err
		}
	}
	return len(events), nil
}

// SearchQuery asks for events by words of their text.
type SearchQuery struct {
	Rooms  []matrix.RoomID
	Types  []string // of those that are searched
	Words  []string // as [Words] makes them: all have to be there
	Before int64    // positions below it
	Limit  int
}

// Search returns events, those with the greatest position first.
func (tx *Tx) Search(q SearchQuery) ([]*Event, error) {
	if len(q.Rooms) == 0 || len(q.Types) == 0 || len(q.Words) == 0 {
		return nil, nil
	}
	if tx.dialect.name == postgresDialect.name {
		return all(tx, scanEvent, `SELECT `+eventColumns+` FROM search_words w JOIN searchable s ON s.pos = w.pos
			JOIN events e ON e.room_id = s.room_id AND e.pos = s.pos JOIN rooms r ON r.room_id = s.room_id
			WHERE w.words @@ CAST($1 AS tsquery) AND w.pos < $2 AND s.room_id = ANY($3)
			ORDER BY w.pos DESC LIMIT $4`, q.match("'", "'", ":*", " | ", " & "), q.Before, texts(tx, q.Rooms), q.Limit)
	}
	// CROSS JOIN keeps the index first: it gives the order, and the limit ends it.
	return all(tx, scanEvent, `SELECT `+eventColumns+` FROM search_words CROSS JOIN searchable s ON s.pos = search_words.rowid
		CROSS JOIN events e ON e.room_id = s.room_id AND e.pos = s.pos CROSS JOIN rooms r ON r.room_id = s.room_id
		WHERE search_words MATCH $1 AND search_words.rowid < $2 AND s.room_id `+tx.in(3)+`
		ORDER BY search_words.rowid DESC LIMIT $4`, q.match(`"`, `"`, " *", " OR ", " AND "), q.Before, texts(tx, q.Rooms), q.Limit)
}

// match writes the query in the language of an engine, whose signs it is given.
// No word has a character that means something in either.
func (q SearchQuery) match(open, shut, prefix, or, and string) string {
	oneOf := func(words []string) string { return "(" + strings.Join(words, or) + ")" }
	var rooms, types, parts []string
	for _, room := range q.Rooms {
		rooms = append(rooms, open+markOfRoom(room)+shut)
	}
	for _, typ := range q.Types {
		types = append(types, open+markOfType(typ)+shut)
	}
	for _, word := range q.Words {
		part := open + word + shut
		if isPrefix(word) {
			part += prefix
		}
		parts = append(parts, part)
	}
	return strings.Join(append(parts, oneOf(rooms), oneOf(types)), and)
}
