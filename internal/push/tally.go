package push

import (
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/tidwall/gjson"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/state"
	"lethe/internal/storage"
)

const (
	typeMember    = "m.room.member"
	typeRedaction = "m.room.redaction"
)

// tally is what one member has not read of a room. It is not changed once it is
// kept.
type tally struct {
	pos int64 // it has every event up to here
	// limit is how many events were looked at, at most; capped: there were more.
	limit  int
	capped bool
	by     map[string]Counts // by thread, "" being the main timeline; none is zero
	// root and name are a state of the room and the member's display name in it: those
	// of the newest event.
	root state.Root
	name string
}

// counts sums up, with the threads apart or not.
func (t *tally) counts(threads bool) Counts {
	if threads {
		c := t.by[""]
		for root, n := range t.by {
			if root != "" {
				if c.Threads == nil {
					c.Threads = make(map[string]Counts, len(t.by))
				}
				c.Threads[root] = n
			}
		}
		return c
	}
	var c Counts
	for _, n := range t.by {
		c = c.plus(n)
	}
	return c
}

func (t *tally) add(thread string, isHighlight bool) {
	n := Counts{Notify: 1}
	if isHighlight {
		n.Highlight = 1
	}
	if t.by == nil {
		t.by = map[string]Counts{}
	}
	t.by[thread] = t.by[thread].plus(n)
}

// marks are up to where somebody has read a room.
type marks struct {
	all     int64 // whatever thread
	threads map[string]int64
}

func (m *marks) note(thread string, pos int64) {
	if thread == "" {
		m.all = max(m.all, pos)
		return
	}
	if m.threads == nil {
		m.threads = map[string]int64{}
	}
	m.threads[thread] = max(m.threads[thread], pos)
}

// read tells whether an event at pos is read; root is its thread's, "" for the
// main timeline. The receipts that are ahead count (CS API, Marking notifications
// as read).
func (m *marks) read(root string, pos int64) bool {
	if root == "" {
		root = storage.ThreadMain
	}
	at, ok := m.threads[root]
	return pos <= m.all || ok && pos <= at
}

// counting counts for one member of a room, in one transaction.
type counting struct {
	u  *Unread
	tx *storage.Tx
	v  *door.Visit
	seat
	rules *Ruleset
	marks marks
	// named: the display name at root is name.
	named bool
	root  state.Root
	name  string
	err   error // of what a condition has asked for
}

// readMarks reads the member's receipts. What was before they joined is no news.
func (c *counting) readMarks() error {
	receipts, err := c.tx.ReceiptsOf(c.room, c.user)
	c.marks = marks{all: c.v.JoinedAt()}
	for _, r := range receipts {
		c.marks.note(r.Thread, r.EventPos)
	}
	return err
}

// count counts from what was read on, the newest events up to limit.
func (c *counting) count(upTo int64, limit int) (*tally, int, error) {
	if err := c.readMarks(); err != nil {
		return nil, 0, err
	}
	t := &tally{pos: upTo, limit: limit}
	events, err := c.tx.TimelineBack(c.room, upTo, c.marks.all, limit+1)
	if err != nil {
		return nil, 0, err
	}
	if len(events) > limit {
		events, t.capped = events[:limit], true
	}
	slices.Reverse(events)
	return t, len(events), c.add(t, events)
}

// extend adds the events after a tally to it; nil if there are too many. There is
// no receipt for them: a new one makes the tally stale.
func (c *counting) extend(old *tally, upTo int64) (*tally, int, error) {
	events, ok := c.u.recent(c.room, old.pos, upTo)
	if !ok {
		var err error
		events, err = c.tx.Timeline(c.room, old.pos, upTo, scanRoom+1)
		if err != nil || len(events) > scanRoom {
			return nil, 0, err
		}
	}
	next := *old
	next.pos, next.by = upTo, maps.Clone(old.by)
	c.marks = marks{all: math.MinInt64}
	c.named, c.root, c.name = true, old.root, old.name
	return &next, len(events), c.add(&next, events)
}

// add counts events, which are in the order of the timeline.
func (c *counting) add(t *tally, events []*storage.Event) error {
	members, err := c.membersBefore(events, t.pos)
	if err != nil {
		return err
	}
	for i, e := range events {
		if err := c.one(t, e, members[i]); err != nil {
			return err
		}
	}
	if c.named {
		t.root, t.name = c.root, c.name
	}
	return c.err
}

// one counts an event.
func (c *counting) one(t *tally, e *storage.Event, members int64) error {
	if e.Sender() == c.user {
		if !isDeed(e) {
			return nil
		}
		thread, err := c.u.door.ThreadOf(c.tx, e)
		delete(t.by, thread.Root)
		return err
	}
	a, err := c.actions(e, members)
	if err != nil || !a.Notify {
		return err
	}
	thread, err := c.u.door.ThreadOf(c.tx, e)
	if err == nil && !c.marks.read(thread.Root, e.Pos) {
		t.add(thread.Root, a.Highlight)
	}
	return err
}

// isDeed tells whether sending an event says that its sender has read the thread
// up to there (CS API, Marking notifications as read: "or by sending an event").
// A change of one's profile, which all rooms hear of, and a redaction do not.
func isDeed(e *storage.Event) bool {
	key, isState := e.Key()
	return e.Type() != typeRedaction &&
		!(isState && key == event.Key{Type: typeMember, StateKey: string(e.Sender())})
}

// actions tells what an event of somebody else does for the member. What they do
// not get to see whole, or do not want to see, does nothing.
func (c *counting) actions(e *storage.Event, members int64) (Actions, error) {
	if e.RedactedBy != "" || e.Erased || c.v.Ignores(e.Sender()) {
		return Actions{}, nil
	}
	whole, err := c.v.Whole(e)
	if err != nil || !whole {
		return Actions{}, err
	}
	ctx := Context{Members: int(members), SenderMay: func(key string) bool { return c.senderMay(e, key) }}
	if ctx.DisplayName, err = c.displayName(e.State); err != nil {
		return Actions{}, err
	}
	return c.rules.Evaluate(Prepare(e), ctx), c.err
}

// displayName is the member's in a state of the room.
func (c *counting) displayName(root state.Root) (string, error) {
	if c.named && c.root == root {
		return c.name, nil
	}
	e, err := c.stateEvent(root, event.Key{Type: typeMember, StateKey: string(c.user)})
	if err != nil {
		return "", err
	}
	c.named, c.root, c.name = true, root, ""
	if e != nil {
		c.name = gjson.GetBytes(e.Content(), "displayname").Str
	}
	return c.name, nil
}

// stateEvent is the event of a room's state under a key, nil if there is none.
func (c *counting) stateEvent(root state.Root, key event.Key) (*event.Event, error) {
	id, ok, err := c.u.trees.Get(c.tx, c.room, root, key)
	if err != nil || !ok {
		return nil, err
	}
	e, err := c.u.door.Event(c.tx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil //nolint:nilnil // as if it were not there
	}
	if err != nil {
		return nil, err
	}
	return e.Event, nil
}

// senderMay tells whether the sender of an event may notify everybody (CS API,
// sender_notification_permission).
func (c *counting) senderMay(e *storage.Event, key string) bool {
	levels := event.PowerLevelsOf(func(k event.Key) *event.Event {
		found, err := c.stateEvent(e.State, k)
		c.err = errors.Join(c.err, err)
		return found
	})
	return levels.User(e.Sender()) >= levels.Notifications(key)
}

// membersBefore is how many were in the room before each of the events, which are
// up to upTo: what the room's row says of now, without what came since.
func (c *counting) membersBefore(events []*storage.Event, upTo int64) ([]int64, error) {
	room := c.v.Room()
	now := room.Joined
	if room.LastPos > upTo { // the transaction is a little ahead of what is asked
		later, err := c.tx.Timeline(c.room, upTo, room.LastPos, scanRoom)
		if err != nil {
			return nil, err
		}
		for _, e := range later {
			by, err := c.joins(e)
			if err != nil {
				return nil, err
			}
			now -= by
		}
	}
	before := make([]int64, len(events))
	for i := len(events) - 1; i >= 0; i-- {
		by, err := c.joins(events[i])
		if err != nil {
			return nil, err
		}
		now -= by
		before[i] = now
	}
	return before, nil
}

// joins is by how many more people are in the room after an event.
func (c *counting) joins(e *storage.Event) (by int64, err error) {
	if !e.IsState(typeMember) {
		return 0, nil
	}
	key, _ := e.Key()
	before, err := c.stateEvent(e.State, key)
	if event.MembershipOf(e.Event) == "join" {
		by++
	}
	if before != nil && event.MembershipOf(before) == "join" {
		by--
	}
	return by, err
}
