package push

import (
	"cmp"
	"container/heap"
	"context"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/door"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	// maxNotifications bounds a page.
	maxNotifications = 100
	// scanPage bounds how many events are looked at for a page: where few of many do
	// something it may have less than was asked for, or nothing, and a token.
	scanPage = 1000
	// readFirst and readMore are how many events of a room are read at once.
	readFirst, readMore = 8, 64
	// deeds is how many of somebody's own newest events in a room are asked for what
	// they have read.
	deeds = 20
)

// NotificationsQuery says which notifications are wanted.
type NotificationsQuery struct {
	From      int64 // a position: those of events up to there; 0 for the newest
	Limit     int
	Highlight bool // those with a highlight alone
}

// Notification is an event that somebody was told about.
type Notification struct {
	Room      matrix.RoomID
	Event     door.Event
	Actions   jsontext.Value
	Read      bool
	Timestamp matrix.Timestamp
}

// Notifications returns what somebody was told about in the rooms that they are
// in, by the push rules that they have now, newest first; and the position to go
// on from, 0 where there is no more (CS API, GET /notifications).
func (u *Unread) Notifications(
	ctx context.Context, who door.Reader, q NotificationsQuery,
) (list []Notification, next int64, err error) {
	if q.From == 0 {
		q.From = math.MaxInt64
	}
	err = u.db.View(ctx, func(tx *storage.Tx) error {
		p := &page{u: u, tx: tx, who: who, q: q, limit: max(min(q.Limit, maxNotifications), 1)}
		next, err = p.read()
		list = p.list
		return err
	})
	return list, next, err
}

// page is a page of notifications on its way.
type page struct {
	u     *Unread
	tx    *storage.Tx
	who   door.Reader
	q     NotificationsQuery
	limit int
	rules *Ruleset
	list  []Notification
}

// read looks at the events of all rooms, newest first, until the page is full.
func (p *page) read() (next int64, err error) {
	pos, err := p.tx.Pos()
	if err != nil {
		return 0, err
	}
	if p.rules, err = p.u.ruleset(p.tx, p.who.User, pos); err != nil {
		return 0, err
	}
	heads, err := p.tx.Heads(p.who.User, p.q.From)
	if err != nil {
		return 0, err
	}
	queue := make(rooms, 0, len(heads))
	for _, h := range heads {
		queue = append(queue, &timeline{room: h.Room, head: h.Pos, batch: readFirst})
	}
	heap.Init(&queue)
	for range scanPage {
		if len(queue) == 0 {
			return 0, nil
		}
		t := queue[0]
		if len(p.list) == p.limit {
			return t.head, nil
		}
		more, err := p.step(t)
		if err != nil {
			return 0, err
		}
		if more {
			heap.Fix(&queue, 0)
		} else {
			heap.Pop(&queue)
		}
	}
	if len(queue) == 0 {
		return 0, nil
	}
	return queue[0].head, nil
}

// timeline is a room whose newest events have been looked at, down to head.
type timeline struct {
	room   matrix.RoomID
	head   int64            // the position of the next
	events []*storage.Event // those read, newest first
	batch  int
	c      *counting
	// marked: what the reader has read is known.
	marked bool
}

// step looks at the next event of a room, and tells whether there is one more.
func (p *page) step(t *timeline) (more bool, err error) {
	if t.c == nil {
		v, err := p.u.door.Enter(p.tx, p.who, t.room)
		if err != nil {
			return false, err
		}
		t.c = &counting{u: p.u, tx: p.tx, v: v, seat: seat{t.room, p.who.User}, rules: p.rules}
	}
	if len(t.events) < 2 { // one to look at, and one that is the next head
		from := t.head
		if len(t.events) > 0 {
			from--
		}
		older, err := p.tx.TimelineBack(t.room, from, t.c.v.JoinedAt(), t.batch)
		if err != nil {
			return false, err
		}
		t.events, t.batch = append(t.events, older...), readMore
	}
	if len(t.events) == 0 {
		return false, nil // it was before they joined
	}
	if err := p.look(t, t.events[0]); err != nil {
		return false, err
	}
	if t.events = t.events[1:]; len(t.events) == 0 {
		return false, nil
	}
	t.head = t.events[0].Pos
	return true, nil
}

// look adds an event to the page if the reader was told about it.
func (p *page) look(t *timeline, e *storage.Event) error {
	if e.Sender() == p.who.User {
		return nil
	}
	// How many were in the room at the time is not known here; rules ask it of small
	// rooms, in which it seldom changes.
	a, err := t.c.actions(e, t.c.v.Room().Joined)
	if err != nil || !a.Notify || p.q.Highlight && !a.Highlight {
		return err
	}
	served, err := t.c.v.Serve([]*storage.Event{e}, door.Format{Kind: door.Sync})
	if err != nil || len(served) == 0 {
		return err
	}
	read, err := t.read(e)
	p.list = append(p.list, Notification{t.room, served[0], a.List, read, e.Timestamp()})
	return err
}

// read tells whether the reader has read an event.
func (t *timeline) read(e *storage.Event) (bool, error) {
	c := t.c
	if !t.marked {
		if err := c.readMarks(); err != nil {
			return false, err
		}
		own, err := c.tx.NewestBy(c.room, c.user, deeds)
		if err != nil {
			return false, err
		}
		for _, e := range own {
			if !isDeed(e) {
				continue
			}
			thread, err := c.u.door.ThreadOf(c.tx, e)
			if err != nil {
				return false, err
			}
			c.marks.note(cmp.Or(thread.Root, storage.ThreadMain), e.Pos)
		}
		t.marked = true
	}
	thread, err := c.u.door.ThreadOf(c.tx, e)
	return c.marks.read(thread.Root, e.Pos), err
}

// rooms is a heap of rooms, that with the newest next event first.
type rooms []*timeline

func (r rooms) Len() int           { return len(r) }
func (r rooms) Less(i, j int) bool { return r[i].head > r[j].head }
func (r rooms) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push is not used: rooms only go.
func (r *rooms) Push(any) {}

// Pop takes the last.
func (r *rooms) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
