package push_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/internal/door/doortest"
	"lethe/internal/matrix"
	"lethe/internal/push"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

const (
	alice matrix.UserID = "@alice:x"
	bob   matrix.UserID = "@bob:x"
)

// desk is a house with a counter that is told of every change, and has the newest
// events in memory, as in the server.
type desk struct {
	*doortest.House
	unread *push.Unread
	recent map[matrix.RoomID][]*storage.Event
	from   map[matrix.RoomID]int64 // recent has all after it
}

func newDesk(t testing.TB, db *storage.DB) *desk {
	d := &desk{
		House: doortest.New(t, db, nil), recent: map[matrix.RoomID][]*storage.Event{}, from: map[matrix.RoomID]int64{},
	}
	d.unread = d.other()
	db.OnCommit(func(changes []storage.Change) {
		d.Door.Changed(changes)
		d.unread.Changed(changes)
		for _, c := range changes {
			switch {
			case c.Event != nil:
				d.recent[c.Room] = append(d.recent[c.Room], c.Event)
			case c.Kind == storage.ChangeRedacted:
				d.recent[c.Room], d.from[c.Room] = nil, c.Pos
			}
		}
	})
	return d
}

// other is a counter that remembers nothing, as after a restart.
func (d *desk) other() *push.Unread {
	return push.NewUnread(d.DB, d.Door, d.Trees, func(room matrix.RoomID, after, upTo int64) ([]*storage.Event, bool) {
		var events []*storage.Event
		for _, e := range d.recent[room] {
			if e.Pos > after && e.Pos <= upTo {
				events = append(events, e)
			}
		}
		return events, after >= d.from[room]
	})
}

func (d *desk) count(u *push.Unread, user matrix.UserID, room matrix.RoomID, threads bool) (c push.Counts) {
	d.T.Helper()
	d.View(func(tx *storage.Tx) error {
		pos, err := tx.Pos()
		if err != nil {
			return err
		}
		counts, err := u.Unread(tx, user, []matrix.RoomID{room}, pos, threads)
		c = counts[room]
		return err
	})
	return c
}

// read stores a receipt at an event.
func (d *desk) read(user matrix.UserID, typ, thread string, e *storage.Event) {
	d.T.Helper()
	kind := storage.ChangeReceipt
	if typ == storage.ReceiptReadPrivate {
		kind = storage.ChangePrivate
	}
	d.Update(func(tx *storage.Tx) error {
		pos, err := tx.NextPos(storage.Change{Kind: kind, Room: e.RoomID(), User: user})
		if err != nil {
			return err
		}
		return tx.PutReceipt(storage.Receipt{
			Room: e.RoomID(), User: user, Type: typ, Thread: thread, EventID: e.ID(), EventPos: e.Pos, Pos: pos,
		})
	})
}

// said is an event of the model.
type said struct {
	*storage.Event
	own, notify, highlight, redacted bool
	parent                           int // -1 for none
	thread                           bool
}

// model is a room as a child would count it.
type model struct {
	events []said
	marks  map[string]int64
}

// root is the thread of an event, "" for the main timeline.
func (m *model) root(i int) string {
	for range 3 {
		e := m.events[i]
		switch {
		case e.redacted || e.parent < 0:
			return ""
		case e.thread:
			return m.events[e.parent].ID()
		}
		i = e.parent
	}
	return ""
}

// count looks at everything from the start.
func (m *model) count() push.Counts {
	by := map[string]push.Counts{}
	for i, e := range m.events {
		root := m.root(i)
		thread := root
		if root == "" {
			thread = storage.ThreadMain
		}
		switch {
		case e.own:
			delete(by, root)
		case e.redacted || !e.notify || e.Pos <= m.marks[""] || e.Pos <= m.marks[thread]:
		default:
			c := by[root]
			c.Notify++
			if e.highlight {
				c.Highlight++
			}
			by[root] = c
		}
	}
	total := by[""]
	delete(by, "")
	if len(by) > 0 {
		total.Threads = by
	}
	return total
}

// say adds an event to a room and to the model.
func (m *model) say(t *rapid.T, r *doortest.Room) {
	e := said{parent: -1, own: rapid.IntRange(0, 7).Draw(t, "whose") == 0}
	sender := bob
	if e.own {
		sender = alice
	}
	kind := rapid.SampledFrom([]string{"text", "text", "mention", "notice", "reaction"}).Draw(t, "kind")
	content := doortest.Content{"msgtype": "m.text", "body": kind}
	e.notify = kind == "text" || kind == "mention"
	switch kind {
	case "mention":
		content["m.mentions"], e.highlight = map[string]any{"user_ids": []matrix.UserID{alice}}, true
	case "notice":
		content["msgtype"] = "m.notice"
	}
	typ := "m.room.message"
	if n := len(m.events); n > 0 && (kind == "reaction" || rapid.Bool().Draw(t, "related")) {
		e.parent = rapid.IntRange(0, n-1).Draw(t, "parent")
		rel := map[string]any{"event_id": m.events[e.parent].ID(), "rel_type": "m.reference"}
		if e.thread = kind != "reaction" && rapid.Bool().Draw(t, "thread"); e.thread {
			rel["rel_type"] = "m.thread"
		}
		if kind == "reaction" {
			typ, rel["rel_type"], rel["key"] = "m.reaction", "m.annotation", "+"
		}
		content["m.relates_to"] = rel
	}
	if kind == "reaction" {
		typ = "m.reaction"
	}
	e.Event = r.Send(sender, typ, content)
	m.events = append(m.events, e)
}

// mark lets the reader read up to an event.
func (m *model) mark(t *rapid.T, d *desk) {
	i := rapid.IntRange(0, len(m.events)-1).Draw(t, "event")
	thread := rapid.SampledFrom([]string{"", storage.ThreadMain, "own"}).Draw(t, "thread")
	if thread == "own" {
		if thread = m.root(i); thread == "" {
			thread = storage.ThreadMain
		}
	}
	typ := rapid.SampledFrom([]string{storage.ReceiptRead, storage.ReceiptReadPrivate}).Draw(t, "type")
	e := m.events[i]
	key := typ + thread
	if e.Pos <= m.marks[key] {
		return
	}
	m.marks[key] = e.Pos
	m.marks[thread] = max(m.marks[thread], e.Pos)
	d.read(alice, typ, thread, e.Event)
}

// redact redacts an event.
func (m *model) redact(t *rapid.T, r *doortest.Room) {
	i := rapid.IntRange(0, len(m.events)-1).Draw(t, "event")
	if m.events[i].redacted {
		return
	}
	r.Redact(bob, m.events[i].Event, "")
	m.events[i].redacted = true
}

// TestCountsAreThoseOfARecount compares what is counted bit by bit with a count
// from the start, by the same code and by a simpler one.
func TestCountsAreThoseOfARecount(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDesk(t, db)
		rapid.Check(t, func(rt *rapid.T) {
			r := d.Room("10", bob)
			r.Join(alice)
			m := &model{marks: map[string]int64{}}
			m.say(rt, r)
			for range rapid.IntRange(1, 25).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"say", "say", "say", "count", "mark", "redact"}).Draw(rt, "step") {
				case "say":
					m.say(rt, r)
				case "mark":
					m.mark(rt, d)
				case "redact":
					m.redact(rt, r)
				case "count":
					if diff := cmp.Diff(m.count(), d.count(d.unread, alice, r.ID, true)); diff != "" {
						rt.Fatalf("on the way: the recount has (-), the counter (+):\n%s", diff)
					}
				}
			}
			want, got := m.count(), d.count(d.unread, alice, r.ID, true)
			if diff := cmp.Diff(want, got); diff != "" {
				rt.Fatalf("the recount has (-), the counter (+):\n%s", diff)
			}
			if diff := cmp.Diff(want, d.count(d.other(), alice, r.ID, true)); diff != "" {
				rt.Fatalf("the recount has (-), the counter after a restart (+):\n%s", diff)
			}
			sum := push.Counts{Notify: want.Notify, Highlight: want.Highlight}
			for _, c := range want.Threads {
				sum.Notify, sum.Highlight = sum.Notify+c.Notify, sum.Highlight+c.Highlight
			}
			if diff := cmp.Diff(sum, d.count(d.unread, alice, r.ID, false)); diff != "" {
				rt.Fatalf("without threads: want (-), got (+):\n%s", diff)
			}
		})
	})
}

// TestWhatTheReaderDoesNotGetDoesNotCount: the ignored, the erased for whom came
// later, and what was before the reader joined.
func TestWhatTheReaderDoesNotGetDoesNotCount(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDesk(t, db)
		const carol, dave matrix.UserID = "@carol:x", "@dave:x"
		r := d.Room("10", bob)
		r.Join(dave)
		r.Say(bob, "before")
		r.Join(alice)
		r.Join(carol)
		mention := doortest.Content{"msgtype": "m.text", "body": "x", "m.mentions": map[string]any{
			"user_ids": []matrix.UserID{alice, carol},
		}}
		r.Send(bob, "m.room.message", mention)
		r.Send(dave, "m.room.message", mention)
		want := push.Counts{Notify: 2, Highlight: 2}
		if got := d.count(d.unread, alice, r.ID, false); got.Notify != 2 || got.Highlight != 2 {
			t.Errorf("at first: %+v, want %+v", got, want)
		}
		d.Ignore(alice, dave)
		if got := d.count(d.unread, alice, r.ID, false); got.Notify != 1 || got.Highlight != 1 {
			t.Errorf("with dave ignored: %+v", got)
		}
		if got := d.count(d.unread, carol, r.ID, false); got.Notify != 2 {
			t.Errorf("carol, who ignores nobody: %+v", got)
		}
		// Carol comes again after the erasure: of what bob said while she was away she
		// gets the redacted form.
		r.Leave(carol)
		r.Send(bob, "m.room.message", mention)
		d.Erase(bob)
		r.Join(carol)
		if got := d.count(d.unread, carol, r.ID, false); got.Notify != 0 {
			t.Errorf("carol, after she came again: %+v", got)
		}
		if got := d.count(d.unread, alice, r.ID, false); got.Notify != 2 {
			t.Errorf("alice, who could read it before the erasure: %+v", got)
		}
	})
}

// TestVeryManyUnreadAreNotAllLookedAt: the counts are those of the newest.
func TestVeryManyUnreadAreNotAllLookedAt(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		d := newDesk(t, db)
		r := d.Room("10", bob)
		r.Join(alice)
		for i := range 1200 {
			r.Say(bob, fmt.Sprint(i))
		}
		if got := d.count(d.unread, alice, r.ID, false); got.Notify != 1000 {
			t.Errorf("of 1200: %+v, want 1000", got)
		}
		last := r.Say(bob, "one more")
		if got := d.count(d.unread, alice, r.ID, false); got.Notify != 1001 {
			t.Errorf("one more is %+v, want 1001", got)
		}
		d.read(alice, storage.ReceiptRead, "", last)
		if got := d.count(d.unread, alice, r.ID, false); got.Notify != 0 {
			t.Errorf("after all was read: %+v", got)
		}
	})
}

// BenchmarkUnread is what counting costs: a room that is known with nothing new,
// with one new event, and one that is counted from the start.
func BenchmarkUnread(b *testing.B) {
	for _, engine := range storagetest.Engines {
		d := newDesk(b, storagetest.Open(b, storagetest.URL(b, engine)))
		r := d.Room("10", bob)
		r.Join(alice)
		for i := range 1000 {
			r.Say(bob, fmt.Sprint("message ", i))
		}
		ask := func(u *push.Unread) {
			if c := d.count(u, alice, r.ID, true); c.Notify < 1000 {
				b.Fatalf("counted %+v", c)
			}
		}
		b.Run(engine+"/known", func(b *testing.B) {
			ask(d.unread)
			b.ReportAllocs()
			for b.Loop() {
				ask(d.unread)
			}
		})
		b.Run(engine+"/first of 1000", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(d.other())
			}
		})
		b.Run(engine+"/one more", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r.Say(bob, "one more")
				b.StartTimer()
				ask(d.unread)
			}
		})
	}
}
