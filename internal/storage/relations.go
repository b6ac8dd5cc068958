package storage

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

// The types of relations that the server knows (CS API, Relationship types).
const (
	RelReplace    = "m.replace"
	RelThread     = "m.thread"
	RelReference  = "m.reference"
	RelAnnotation = "m.annotation"
)

const typeEncrypted = "m.room.encrypted"

// RelationOf tells what an event relates to, and how (CS API, Forming
// relationships between events); key is that of an annotation. Not ok are events
// that relate to nothing or against the rules: those without a type of relation
// or a parent, state, and edits without a new content.
func RelationOf(e *event.Event) (parent, relType, key string, ok bool) {
	if _, state := e.StateKey(); state {
		return "", "", "", false
	}
	return RelationIn(e.Type(), e.Content())
}

// RelationIn is [RelationOf] for the type and content of an event that is not
// state.
func RelationIn(typ string, raw jsontext.Value) (parent, relType, key string, ok bool) {
	if !bytes.Contains(raw, []byte(`"m.relates_to"`)) {
		return "", "", "", false
	}
	var content struct {
		RelatesTo  jsontext.Value `json:"m.relates_to"`
		NewContent jsontext.Value `json:"m.new_content"`
	}
	var rel struct {
		Type   string         `json:"rel_type"`
		Parent string         `json:"event_id"`
		Key    jsontext.Value `json:"key"`
	}
	if json.Unmarshal(raw, &content) != nil || json.Unmarshal(content.RelatesTo, &rel) != nil ||
		rel.Type == "" || rel.Parent == "" {
		return "", "", "", false
	}
	if rel.Type == RelReplace && typ != typeEncrypted && content.NewContent.Kind() != '{' {
		return "", "", "", false
	}
	if rel.Type == RelAnnotation {
		if json.Unmarshal(rel.Key, &key) != nil {
			return "", "", "", false
		}
	}
	return rel.Parent, rel.Type, key, true
}

// AddRelation notes what an event of the timeline relates to, if it does.
func (tx *Tx) AddRelation(e *Event) error {
	parent, relType, key, ok := RelationOf(e.Event)
	if !ok || e.Kind != InTimeline {
		return nil
	}
	err := tx.run(`INSERT INTO relations (room_id, parent_id, rel_type, pos, event_id, sender, type, ts, state, rel_key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, e.RoomID(), parent, relType, e.Pos, e.ID(), e.Sender(), e.Type(),
		e.Timestamp(), rootBytes(e.State), key)
	if err != nil || relType != RelThread {
		return err
	}
	return tx.run(`INSERT INTO threads (room_id, root_id, last_pos) VALUES ($1, $2, $3)
		ON CONFLICT (room_id, root_id) DO UPDATE SET last_pos = excluded.last_pos
		WHERE excluded.last_pos > threads.last_pos`, e.RoomID(), parent, e.Pos)
}

// DropRelation forgets what an event relates to, since its content is going; e is
// the event with its content. [Tx.ReplaceEvent] does it.
func (tx *Tx) DropRelation(e *Event) error {
	parent, relType, _, ok := RelationOf(e.Event)
	if !ok {
		return nil
	}
	room := e.RoomID()
	err := tx.run(`DELETE FROM relations WHERE room_id = $1 AND parent_id = $2 AND rel_type = $3 AND pos = $4`,
		room, parent, relType, e.Pos)
	if err != nil || relType != RelThread {
		return err
	}
	const rest = `SELECT MAX(pos) FROM relations WHERE room_id = $1 AND parent_id = $2 AND rel_type = $3`
	n, err := tx.exec(`UPDATE threads SET last_pos = (`+rest+`)
		WHERE room_id = $1 AND root_id = $2 AND EXISTS (SELECT 1 FROM relations
			WHERE room_id = $1 AND parent_id = $2 AND rel_type = $3)`, room, parent, RelThread)
	if err != nil || n > 0 {
		return err
	}
	return tx.run(`DELETE FROM threads WHERE room_id = $1 AND root_id = $2`, room, parent)
}

// Annotated tells whether user has annotated an event with a key already (CS API,
// Event annotations and reactions: Avoiding duplicate annotations).
func (tx *Tx) Annotated(room matrix.RoomID, parent string, user matrix.UserID, typ, key string) (bool, error) {
	var n int64
	err := tx.one(`SELECT COUNT(*) FROM relations WHERE room_id = $1 AND parent_id = $2 AND rel_type = $3
		AND sender = $4 AND type = $5 AND rel_key = $6`, []any{room, parent, RelAnnotation, user, typ, key}, &n)
	return n > 0, err
}

// RelatedQuery asks for the children of events.
type RelatedQuery struct {
	Room    matrix.RoomID
	Parents []string
	RelType string // "" for all
	Type    string // of the children, "" for all
	From    int64  // positions above it,
	To      int64  // and not above this one
	Limit   int
	Forward bool // oldest first
}

// Related returns children of events: the newest first, if not Forward.
func (tx *Tx) Related(q RelatedQuery) ([]*Event, error) {
	order := ` ORDER BY c.pos DESC`
	if q.Forward {
		order = ` ORDER BY c.pos`
	}
	return all(tx, scanEvent, `SELECT `+eventColumns+` FROM relations c
		JOIN events e ON e.room_id = c.room_id AND e.pos = c.pos JOIN rooms r ON r.room_id = c.room_id
		WHERE c.room_id = $1 AND c.parent_id `+tx.in(2)+` AND c.pos > $3 AND c.pos <= $4
			AND (CAST($5 AS TEXT) = '' OR c.rel_type = $5) AND (CAST($6 AS TEXT) = '' OR c.type = $6)`+order+` LIMIT $7`,
		q.Room, texts(tx, q.Parents), q.From, q.To, q.RelType, q.Type, q.Limit)
}

// RelatedBy returns those of the events to which others relate, by one of the
// types of relations and from one of the senders; empty lists are any.
func (tx *Tx) RelatedBy(
	room matrix.RoomID, parents, relTypes []string, senders []matrix.UserID,
) (map[string]bool, error) {
	list, err := all(tx, func(s scanner) (id string, err error) { return id, s.Scan(&id) },
		`SELECT DISTINCT parent_id FROM relations WHERE room_id = $1 AND parent_id `+tx.in(2)+`
			AND ($3 = 0 OR rel_type `+tx.in(4)+`) AND ($5 = 0 OR sender `+tx.in(6)+`)`,
		room, texts(tx, parents), len(relTypes), texts(tx, relTypes), len(senders), texts(tx, senders))
	related := make(map[string]bool, len(list))
	for _, id := range list {
		related[id] = true
	}
	return related, err
}

// ChildIDs returns the ids of the children of events, oldest first.
func (tx *Tx) ChildIDs(room matrix.RoomID, parents []string) ([]string, error) {
	return all(tx, func(s scanner) (id string, err error) { return id, s.Scan(&id) },
		`SELECT event_id FROM relations WHERE room_id = $1 AND parent_id `+tx.in(2)+` ORDER BY pos`,
		room, texts(tx, parents))
}

// Thread is a row of threads: an event that others reply to in a thread, and the
// position of the newest of them.
type Thread struct {
	Root    string
	LastPos int64
}

// Threads returns up to limit threads of a room whose newest reply is before a
// position, that with the newest reply first. With a participant, it returns
// those alone whose root or one of whose replies is theirs.
func (tx *Tx) Threads(room matrix.RoomID, before int64, limit int, participant matrix.UserID) ([]Thread, error) {
	return all(tx, func(s scanner) (t Thread, err error) { return t, s.Scan(&t.Root, &t.LastPos) },
		`SELECT t.root_id, t.last_pos FROM threads t WHERE t.room_id = $1 AND t.last_pos < $2
			AND (CAST($3 AS TEXT) = ''
				OR EXISTS (SELECT 1 FROM relations c WHERE c.room_id = t.room_id AND c.parent_id = t.root_id
					AND c.rel_type = $4 AND c.sender = $3)
				OR EXISTS (SELECT 1 FROM event_ids i JOIN events e ON e.room_id = i.room_id AND e.pos = i.pos
					WHERE i.event_id = t.root_id AND e.room_id = t.room_id AND e.sender = $3))
		ORDER BY t.last_pos DESC LIMIT $5`, room, before, participant, RelThread, limit)
}

// Children is what a sender has done to one parent, under one state of the room:
// what aggregations are made of, and the rules of who sees what are asked about.
// Of references each is alone; of replies in a thread it is how many there are,
// and the newest; of edits the one with the greatest timestamp.
type Children struct {
	Parent, RelType string
	Sender          matrix.UserID
	Type            string
	State           [16]byte
	Pos             int64
	EventID         string
	Timestamp       matrix.Timestamp
	Count           int64
}

func scanChildren(s scanner) (Children, error) {
	var c Children
	var state []byte
	err := s.Scan(&c.Parent, &c.RelType, &c.Sender, &c.Type, &state, &c.Pos, &c.EventID, &c.Timestamp, &c.Count)
	copy(c.State[:], state)
	return c, err
}

// Children returns what relates to the events, of the types that are aggregated,
// in the order of positions within each of them.
func (tx *Tx) Children(room matrix.RoomID, parents []string) ([]Children, error) {
	const columns = `c.parent_id, c.rel_type, c.sender, c.type, c.state, c.pos, c.event_id, c.ts`
	return all(tx, scanChildren, `SELECT `+columns+`, 1 AS n FROM relations c
		WHERE c.room_id = $1 AND c.parent_id `+tx.in(2)+` AND c.rel_type = 'm.reference'
		UNION ALL
		SELECT `+columns+`, g.n FROM (SELECT parent_id, MAX(pos) AS last, COUNT(*) AS n FROM relations
			WHERE room_id = $1 AND parent_id `+tx.in(2)+` AND rel_type = 'm.thread' GROUP BY parent_id, sender, state) g
		JOIN relations c ON c.room_id = $1 AND c.parent_id = g.parent_id AND c.rel_type = 'm.thread' AND c.pos = g.last
		UNION ALL
		SELECT `+columns+`, g.n FROM (SELECT parent_id, sender, type, state, MAX(ts) AS last, COUNT(*) AS n FROM relations
			WHERE room_id = $1 AND parent_id `+tx.in(2)+` AND rel_type = 'm.replace' GROUP BY parent_id, sender, type, state) g
		JOIN relations c ON c.room_id = $1 AND c.parent_id = g.parent_id AND c.rel_type = 'm.replace'
			AND c.sender = g.sender AND c.type = g.type AND c.state = g.state AND c.ts = g.last
		ORDER BY 1, 2, 6`, room, texts(tx, parents))
}

// AddWaitingRedaction notes a redaction of an event that has not come yet.
func (tx *Tx) AddWaitingRedaction(room matrix.RoomID, target, redaction string) error {
	return tx.run(`INSERT INTO redactions_waiting (room_id, target_id, redaction_id) VALUES ($1, $2, $3)
		ON CONFLICT (room_id, target_id, redaction_id) DO NOTHING`, room, target, redaction)
}

// TakeWaitingRedactions returns the redactions that have waited for an event.
// They wait no more.
func (tx *Tx) TakeWaitingRedactions(room matrix.RoomID, target string) ([]string, error) {
	return all(tx, func(s scanner) (id string, err error) { return id, s.Scan(&id) },
		`DELETE FROM redactions_waiting WHERE room_id = $1 AND target_id = $2 RETURNING redaction_id`, room, target)
}
