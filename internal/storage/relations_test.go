package storage_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// child is an event as the store has it.
func child(t *testing.T, pos int64, sender matrix.UserID, more, content string) *storage.Event {
	t.Helper()
	v, _ := event.VersionOf("11")
	e, err := event.Load(v, fmt.Sprintf("$%d", pos), fmt.Appendf(nil,
		`{"content":%s,"origin_server_ts":%d,"room_id":"!r:x","sender":%q%s,"type":"m.room.message"}`, content, 1000-pos, sender, more))
	if err != nil {
		t.Fatal(err)
	}
	return &storage.Event{Event: e, Pos: pos, State: [16]byte{1}}
}

func TestRelationOfAnEvent(t *testing.T) {
	type relation struct {
		Parent, Type, Key string
		OK                bool
	}
	for name, tc := range map[string]struct {
		more, content string
		want          relation
	}{
		"a reply in a thread": {"", `{"m.relates_to":{"event_id":"$p","rel_type":"m.thread"}}`, relation{"$p", "m.thread", "", true}},
		"of its own kind":     {"", `{"m.relates_to":{"event_id":"$p","rel_type":"x"}}`, relation{"$p", "x", "", true}},
		"an annotation":       {"", `{"m.relates_to":{"event_id":"$p","key":"👍","rel_type":"m.annotation"}}`, relation{"$p", "m.annotation", "👍", true}},
		"an edit": {
			"", `{"m.new_content":{},"m.relates_to":{"event_id":"$p","rel_type":"m.replace"}}`,
			relation{"$p", "m.replace", "", true},
		},

		"an annotation without a key":   {"", `{"m.relates_to":{"event_id":"$p","rel_type":"m.annotation"}}`, relation{}},
		"an edit without new content":   {"", `{"m.relates_to":{"event_id":"$p","rel_type":"m.replace"}}`, relation{}},
		"a reply outside of threads":    {"", `{"m.relates_to":{"m.in_reply_to":{"event_id":"$p"}}}`, relation{}},
		"no parent":                     {"", `{"m.relates_to":{"rel_type":"m.thread"}}`, relation{}},
		"a parent that is no text":      {"", `{"m.relates_to":{"event_id":1,"rel_type":"m.thread"}}`, relation{}},
		"no object":                     {"", `{"m.relates_to":"m.thread"}`, relation{}},
		"nothing":                       {"", `{"body":"m.relates_to"}`, relation{}},
		"in a text":                     {"", `{"body":"\"m.relates_to\""}`, relation{}},
		"state":                         {`,"state_key":""`, `{"m.relates_to":{"event_id":"$p","rel_type":"m.thread"}}`, relation{}},
		"in the new content of an edit": {"", `{"m.new_content":{"m.relates_to":{"event_id":"$p","rel_type":"m.thread"}}}`, relation{}},
	} {
		var got relation
		got.Parent, got.Type, got.Key, got.OK = storage.RelationOf(child(t, 1, "@a:x", tc.more, tc.content).Event)
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// family is a room with children of two events.
func family(t *testing.T, db *storage.DB) map[int64]*storage.Event {
	t.Helper()
	thread := `{"m.relates_to":{"event_id":"$p","rel_type":"m.thread"}}`
	events := map[int64]*storage.Event{
		1: child(t, 1, "@a:x", "", thread),
		2: child(t, 2, "@b:x", "", thread),
		3: child(t, 3, "@a:x", "", thread),
		4: child(t, 4, "@a:x", "", `{"m.relates_to":{"event_id":"$p","rel_type":"m.reference"}}`),
		5: child(t, 5, "@a:x", "", `{"m.new_content":{},"m.relates_to":{"event_id":"$p","rel_type":"m.replace"}}`),
		6: child(t, 6, "@a:x", "", `{"m.new_content":{},"m.relates_to":{"event_id":"$p","rel_type":"m.replace"}}`),
		7: child(t, 7, "@b:x", "", `{"m.relates_to":{"event_id":"$q","rel_type":"m.thread"}}`),
		8: child(t, 8, "@b:x", "", `{"m.relates_to":{"event_id":"$p","key":"+","rel_type":"m.annotation"}}`),
		9: child(t, 9, "@b:x", "", `{"body":"alone"}`),
	}
	do(t, db, func(tx *storage.Tx) error {
		return tx.AddRoom(storage.Room{ID: "!r:x", Version: "11", CreatedAt: 1})
	})
	for pos := range int64(len(events)) {
		e := events[pos+1]
		do(t, db, step((*storage.Tx).AddEvent, e), step((*storage.Tx).AddRelation, e))
	}
	return events
}

func ids(list []*storage.Event) (ids []string) {
	for _, e := range list {
		ids = append(ids, e.ID())
	}
	return ids
}

func TestRelatedEventsAreFoundByParentAndType(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		family(t, db)
		for name, tc := range map[string]struct {
			q    storage.RelatedQuery
			want []string
		}{
			"all":            {storage.RelatedQuery{}, []string{"$8", "$6", "$5", "$4", "$3", "$2", "$1"}},
			"oldest first":   {storage.RelatedQuery{Forward: true, Limit: 2}, []string{"$1", "$2"}},
			"a page":         {storage.RelatedQuery{From: 2, To: 5}, []string{"$5", "$4", "$3"}},
			"of a relation":  {storage.RelatedQuery{RelType: "m.replace"}, []string{"$6", "$5"}},
			"of a type":      {storage.RelatedQuery{RelType: "m.thread", Type: "m.room.message"}, []string{"$3", "$2", "$1"}},
			"of none":        {storage.RelatedQuery{Type: "m.none"}, nil},
			"of two parents": {storage.RelatedQuery{Parents: []string{"$p", "$q"}, RelType: "m.thread"}, []string{"$7", "$3", "$2", "$1"}},
		} {
			q := tc.q
			q.Room = "!r:x"
			if q.Parents == nil {
				q.Parents = []string{"$p"}
			}
			if q.Limit == 0 {
				q.Limit = 10
			}
			if q.To == 0 {
				q.To = 100
			}
			do(t, db, func(tx *storage.Tx) error {
				list, err := tx.Related(q)
				if diff := cmp.Diff(tc.want, ids(list)); diff != "" {
					t.Errorf("%s (-want +got)\n%s", name, diff)
				}
				return err
			})
		}
		want(t, db, []string{"$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8"}, bind2((*storage.Tx).ChildIDs, matrix.RoomID("!r:x"), []string{"$p", "$q"}))
	})
}

func TestChildrenAreSummedUpBySenderAndState(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		family(t, db)
		children := func(parent, relType string, sender matrix.UserID, pos, count int64) storage.Children {
			return storage.Children{
				Parent: parent, RelType: relType, Sender: sender, Type: "m.room.message", State: [16]byte{1}, Pos: pos,
				EventID: fmt.Sprintf("$%d", pos), Timestamp: matrix.Timestamp(1000 - pos), Count: count,
			}
		}
		// Of the edits it is the one with the greatest timestamp, the older one here.
		want(t, db, []storage.Children{
			children("$p", "m.reference", "@a:x", 4, 1), children("$p", "m.replace", "@a:x", 5, 2),
			children("$p", "m.thread", "@b:x", 2, 1), children("$p", "m.thread", "@a:x", 3, 2),
			children("$q", "m.thread", "@b:x", 7, 1),
		}, bind2((*storage.Tx).Children, matrix.RoomID("!r:x"), []string{"$p", "$q", "$none"}))
	})
}

func TestThreadsAreInTheOrderOfTheirNewestReply(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		events := family(t, db)
		threads := func(before int64, limit int, participant matrix.UserID) func(*storage.Tx) ([]storage.Thread, error) {
			return func(tx *storage.Tx) ([]storage.Thread, error) { return tx.Threads("!r:x", before, limit, participant) }
		}
		p, q := storage.Thread{Root: "$p", LastPos: 3}, storage.Thread{Root: "$q", LastPos: 7}
		want(t, db, []storage.Thread{q, p}, threads(100, 10, ""))
		want(t, db, []storage.Thread{q}, threads(100, 1, ""))
		want(t, db, []storage.Thread{p}, threads(7, 10, ""))
		want(t, db, []storage.Thread{p}, threads(100, 10, "@a:x"))
		want(t, db, []storage.Thread{q, p}, threads(100, 10, "@b:x"))

		// A redacted reply is none.
		redact := func(pos int64) {
			redacted, err := events[pos].Redacted()
			if err != nil {
				t.Fatal(err)
			}
			do(t, db, func(tx *storage.Tx) error { return tx.ReplaceEvent(events[pos], redacted, "$by") })
		}
		redact(3)
		p.LastPos = 2
		want(t, db, []storage.Thread{q, p}, threads(100, 10, ""))
		redact(7)
		want(t, db, []storage.Thread{p}, threads(100, 10, ""))
		want(t, db, []string{"$1", "$2", "$4", "$5", "$6", "$8"}, bind2((*storage.Tx).ChildIDs, matrix.RoomID("!r:x"), []string{"$p", "$q"}))
	})
}

func TestAnnotationsAreKnownByTheirKey(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		family(t, db)
		for key, want := range map[string]bool{"+": true, "-": false} {
			do(t, db, func(tx *storage.Tx) error {
				got, err := tx.Annotated("!r:x", "$p", "@b:x", "m.room.message", key)
				if got != want {
					t.Errorf("annotated with %s: %v", key, got)
				}
				return err
			})
		}
	})
}

func TestWhatIsInNoTimelineRelatesToNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		family(t, db)
		e := child(t, 20, "@a:x", "", `{"m.relates_to":{"event_id":"$p","rel_type":"m.thread"}}`)
		e.Kind = storage.SoftFailed
		do(t, db, step((*storage.Tx).AddRelation, e))
		want(t, db, 7, func(tx *storage.Tx) (int, error) {
			list, err := tx.ChildIDs("!r:x", []string{"$p"})
			return len(list), err
		})
	})
}
