package door_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/door"
	"lethe/internal/door/doortest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func relates(relType string, parent *storage.Event) map[string]any {
	return map[string]any{"rel_type": relType, "event_id": parent.ID()}
}

func (s *stage) edit(sender matrix.UserID, parent *storage.Event, body string) *storage.Event {
	return s.Send(sender, parent.Type(), doortest.Content{
		"body": body, "m.new_content": doortest.Content{"body": body}, "m.relates_to": relates("m.replace", parent),
	})
}

func (s *stage) reply(sender matrix.UserID, root *storage.Event, body string) *storage.Event {
	return s.Send(sender, "m.room.message", doortest.Content{"body": body, "m.relates_to": relates("m.thread", root)})
}

func (s *stage) refer(sender matrix.UserID, parent *storage.Event) *storage.Event {
	return s.Send(sender, "org.example.ref", doortest.Content{"m.relates_to": relates("m.reference", parent)})
}

// bundled is what is bundled with an event, in short: the edit's id, the ids that
// refer to it, and of a thread the newest reply's id, the count, and whether the
// reader takes part.
type bundled struct {
	Edit       string
	References []string
	Latest     string
	Count      int
	Took       bool
}

func (s *stage) bundled(who matrix.UserID, e *storage.Event) (b bundled) {
	s.T.Helper()
	got := serve(s.T.(*testing.T), s, door.Reader{User: who}, e, door.Format{Bundle: true})
	relations, _ := got["unsigned"].(map[string]any)["m.relations"].(map[string]any)
	if edit, ok := relations["m.replace"].(map[string]any); ok {
		b.Edit = edit["event_id"].(string)
	}
	if refs, ok := relations["m.reference"].(map[string]any); ok {
		for _, ref := range refs["chunk"].([]any) {
			b.References = append(b.References, ref.(map[string]any)["event_id"].(string))
		}
	}
	if thread, ok := relations["m.thread"].(map[string]any); ok {
		b.Latest = thread["latest_event"].(map[string]any)["event_id"].(string)
		b.Count, b.Took = int(thread["count"].(float64)), thread["current_user_participated"].(bool)
	}
	return b
}

func (s *stage) wantBundled(what string, who matrix.UserID, e *storage.Event, want bundled) {
	s.T.Helper()
	if diff := cmp.Diff(want, s.bundled(who, e)); diff != "" {
		s.T.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

func TestAggregationsOfAnEvent(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(s.sam, "root")
		s.wantBundled("nothing yet", s.sam, e, bundled{})

		first := s.edit(s.sam, e, "one")
		s.wantBundled("an edit", s.sam, e, bundled{Edit: first.ID()})
		second := s.edit(s.sam, e, "two")
		s.edit(creator, e, "somebody else's")
		s.Send(s.sam, "org.example", doortest.Content{"m.new_content": secret, "m.relates_to": relates("m.replace", e)})
		s.Send(s.sam, e.Type(), doortest.Content{"m.relates_to": relates("m.replace", e)})
		s.Set(s.sam, e.Type(), "k", doortest.Content{"m.new_content": secret, "m.relates_to": relates("m.replace", e)})
		s.wantBundled("the newest of the valid edits", s.sam, e, bundled{Edit: second.ID()})
		s.edit(s.sam, second, "an edit of an edit")
		s.wantBundled("of an edit", s.sam, second, bundled{})
		s.Redact(s.sam, second, "")
		s.wantBundled("a redacted edit goes", s.sam, e, bundled{Edit: first.ID()})

		refs := []string{s.refer(creator, e).ID(), s.refer(s.sam, e).ID()}
		reply := s.reply(creator, e, "r1")
		latest := s.reply(creator, e, "r2")
		s.reply(creator, latest, "a thread in a thread")
		all := bundled{Edit: first.ID(), References: refs, Latest: latest.ID(), Count: 2, Took: true}
		s.wantBundled("all, for the sender of the root", s.sam, e, all)
		s.wantBundled("no thread of a reply", s.sam, latest, bundled{})
		s.Join(s.vera)
		all.Took = false
		s.wantBundled("all, for somebody else", s.vera, e, all)
		mine := s.reply(s.vera, e, "r3")
		all.Took, all.Count, all.Latest = true, 3, mine.ID()
		s.wantBundled("all, for somebody who has replied", s.vera, e, all)
		s.Redact(creator, reply, "")
		all.Count = 2
		s.wantBundled("a redacted reply goes", s.vera, e, all)
		s.Redact(s.sam, e, "")
		all.Edit = ""
		s.wantBundled("the edit of a redacted event goes, and nothing else", s.vera, e, all)
	})
}

func TestStateHasNoAggregations(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		topic := s.Set(s.sam, "m.room.topic", "", doortest.Content{"topic": "x"})
		s.refer(s.sam, topic)
		s.wantBundled("a topic", s.sam, topic, bundled{})
	})
}

func TestOfEditsOfTheSameTimeTheGreaterIDCounts(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(s.sam, "root")
		var want string
		for i := range 3 {
			p := s.edit(s.sam, e, string(rune('a'+i)))
			s.Update(func(tx *storage.Tx) error { return tx.DropRelation(p) })
			same := s.At(p, 1_699_999_999_000)
			want = max(want, same.ID())
		}
		s.wantBundled("three of one time", s.sam, e, bundled{Edit: want})
	})
}

func TestTheNewestReplyHasAggregationsOfItsOwn(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(s.sam, "root")
		reply := s.reply(creator, e, "r")
		edit := s.edit(creator, reply, "edited")
		got := serve(t, s, door.Reader{User: s.sam}, e, door.Format{Bundle: true})
		thread := unsigned(t, got)["m.relations"].(map[string]any)["m.thread"].(map[string]any)
		latest := thread["latest_event"].(map[string]any)
		inner := unsigned(t, latest)["m.relations"].(map[string]any)["m.replace"].(map[string]any)
		if latest["event_id"] != reply.ID() || inner["event_id"] != edit.ID() {
			t.Errorf("got %v", thread)
		}
	})
}

// A child that the reader does not get whole, or not at all, relates to nothing
// for them.
func TestAggregationsAreOfWhatTheReaderGetsWhole(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(creator, "root")
		own := s.reply(creator, e, "one")
		sams := s.reply(s.sam, e, "two")
		refs := []string{s.refer(s.sam, e).ID(), s.refer(creator, e).ID()}
		mine := s.Say(s.sam, "of sam")
		edit := s.edit(s.sam, mine, "edited")
		s.Join(s.vera)

		all := bundled{References: refs, Latest: sams.ID(), Count: 2}
		fewer := bundled{References: refs[1:], Latest: own.ID(), Count: 1}
		s.wantBundled("a member", s.vera, e, all)
		s.Ignore(s.vera, s.sam)
		s.wantBundled("who ignores the sender", s.vera, e, fewer)
		s.Ignore(s.vera)

		s.Erase(s.sam)
		late := matrix.UserID("@late:x")
		s.Join(late)
		s.wantBundled("a member, after the erasure", s.vera, e, all)
		s.wantBundled("a newcomer", late, e, fewer)
		s.wantBundled("the edit of the erased, for a member", s.vera, mine, bundled{Edit: edit.ID()})
		s.wantBundled("the edit of the erased, for a newcomer", late, mine, bundled{})
		s.Wipe(sams)
		all.Latest, all.Count = own.ID(), 1
		s.wantBundled("a reply that is wiped from the disk", s.vera, e, all)
	})
}

func TestAggregationsAreOfWhatTheReaderSees(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.Visibility("joined")
		s.Join(s.vera)
		e := s.Say(creator, "root")
		seen := s.reply(creator, e, "one")
		s.Leave(s.vera)
		s.reply(creator, e, "while away")
		s.refer(creator, e)
		s.wantBundled("who has left", s.vera, e, bundled{Latest: seen.ID(), Count: 1})
		s.Join(s.vera)
		s.wantBundled("who has come back", s.vera, e, bundled{Latest: seen.ID(), Count: 1})
		after := s.reply(creator, e, "back")
		s.wantBundled("who is back", s.vera, e, bundled{Latest: after.ID(), Count: 2})
	})
}

func TestChildrenInOtherRoomsDoNotCount(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		s, other := newStage(h, "11"), newStage(h, "11")
		e := s.Say(creator, "root")
		other.reply(creator, e, "from next door")
		s.wantBundled("a reply in another room", creator, e, bundled{})
	})
}
