package push

import (
	"hash/maphash"
	"slices"
	"sync/atomic"

	"lethe/internal/cache"
	"lethe/internal/door"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Counts are how many events of a room its reader has not read and is told about
// (CS API, Receiving notifications).
type Counts struct {
	Notify    int64 `json:"notification_count"`
	Highlight int64 `json:"highlight_count"`
	// Threads has those in threads, by root; without threads they count above.
	Threads map[string]Counts `json:"-"`
}

func (c Counts) plus(d Counts) Counts {
	return Counts{Notify: c.Notify + d.Notify, Highlight: c.Highlight + d.Highlight}
}

const (
	// scanRoom bounds how many events of a room are looked at to count from the
	// start; the counts of who has more than that unread are those of the newest.
	scanRoom = 1000
	// scanAnswer is after how many events, of all rooms of one answer, it is only
	// scanLess in each further room.
	scanAnswer = 20_000
	scanLess   = 100
	// talliesKept and rulesBytes bound what is kept in memory: a tally has 200 bytes
	// and more for each thread in which something is unread.
	talliesKept = 100_000
	rulesBytes  = 64 << 20
	// stripes is how many marks of changes there are, which people and rooms share.
	stripes = 1 << 14
)

// Recent returns the events of a room's timeline above a position and not above
// another, oldest first, if they are all in memory.
type Recent func(room matrix.RoomID, after, upTo int64) ([]*storage.Event, bool)

// Unread counts what people have not read, when they ask. Nothing is written for
// it: a message costs the same in a room of any size. What was counted is kept,
// and new events are added to it, until something else changes of what it was
// counted from. It is safe for concurrent use.
type Unread struct {
	db     *storage.DB
	door   *door.Door
	trees  *state.Trees
	recent Recent

	tallies *cache.Cache[seat, *tally]
	rules   *cache.Cache[matrix.UserID, compiledAt]

	delivered atomic.Int64 // every change up to here has come to Changed
	seed      maphash.Seed
	touched   [stripes]atomic.Int64
	all       atomic.Int64
}

// seat is a user in a room.
type seat struct {
	room matrix.RoomID
	user matrix.UserID
}

// compiledAt is a ruleset with the position that it is from, and its weight.
type compiledAt struct {
	rules  *Ruleset
	pos    int64
	weight int
}

// NewUnread makes the counter. From then on the caller hands it every change, with
// [Unread.Changed], before anybody hears of it.
func NewUnread(db *storage.DB, d *door.Door, trees *state.Trees, recent Recent) *Unread {
	u := &Unread{
		db: db, door: d, trees: trees, recent: recent, seed: maphash.MakeSeed(),
		tallies: cache.New(cache.Options[seat, *tally]{Size: talliesKept}),
		rules: cache.New(cache.Options[matrix.UserID, compiledAt]{
			Weight: rulesBytes,
			Weigh:  func(_ matrix.UserID, c compiledAt) int { return c.weight },
		}),
	}
	u.delivered.Store(db.Delivered())
	return u
}

func stripe[K comparable](u *Unread, k K) *atomic.Int64 {
	return &u.touched[maphash.Comparable(u.seed, k)%stripes]
}

// Changed takes changes in the order of their positions. It does not block.
func (u *Unread) Changed(changes []storage.Change) {
	for _, c := range changes {
		switch c.Kind {
		case storage.ChangeMember, storage.ChangeReceipt, storage.ChangePrivate:
			stripe(u, seat{c.Room, c.User}).Store(c.Pos)
		case storage.ChangeAccountData:
			if c.Room == "" { // push rules, or whom they ignore
				stripe(u, c.User).Store(c.Pos)
			}
		case storage.ChangeRedacted:
			stripe(u, c.Room).Store(c.Pos)
		case storage.ChangeErased:
			u.all.Store(c.Pos)
		}
	}
	if len(changes) > 0 {
		u.delivered.Store(changes[len(changes)-1].Pos)
	}
}

// holds tells whether nothing has changed of what a tally of m was counted from
// at a position, but that there are new events. It is asked after the tally was
// taken.
func (u *Unread) holds(m seat, pos int64) bool {
	return stripe(u, m).Load() <= pos && stripe(u, m.room).Load() <= pos && u.rulesHold(m.user, pos)
}

func (u *Unread) rulesHold(user matrix.UserID, pos int64) bool {
	return stripe(u, user).Load() <= pos && u.all.Load() <= pos
}

// Unread returns the counts of those of the rooms that have any, of the events up
// to a position that is not after the transaction. threads: those in threads
// apart.
func (u *Unread) Unread(
	tx *storage.Tx, user matrix.UserID, rooms []matrix.RoomID, upTo int64, threads bool,
) (map[matrix.RoomID]Counts, error) {
	counts := map[matrix.RoomID]Counts{}
	scanned := 0
	for _, room := range rooms {
		limit := scanRoom
		if scanned >= scanAnswer {
			limit = scanLess
		}
		t, n, err := u.tally(tx, seat{room, user}, upTo, limit)
		if err != nil {
			return nil, err
		}
		scanned += n
		if len(t.by) > 0 {
			counts[room] = t.counts(threads)
		}
	}
	return counts, nil
}

// tally counts in one room, and tells how many events it has looked at.
func (u *Unread) tally(tx *storage.Tx, m seat, upTo int64, limit int) (t *tally, scanned int, err error) {
	// What has changed up to a position that was not delivered is not known here.
	known := upTo <= u.delivered.Load() && tx.ReadOnly()
	old, ok := u.tallies.Get(m)
	if ok = ok && known && u.holds(m, old.pos) && (!old.capped || old.limit >= limit); ok && old.pos >= upTo {
		return old, 0, nil
	}
	rules, err := u.ruleset(tx, m.user, upTo)
	if err != nil {
		return nil, 0, err
	}
	v, err := u.door.Enter(tx, door.Reader{User: m.user}, m.room)
	if err != nil {
		return nil, 0, err
	}
	c := &counting{u: u, tx: tx, v: v, seat: m, rules: rules}
	if ok {
		t, scanned, err = c.extend(old, upTo)
	}
	if t == nil && err == nil {
		t, scanned, err = c.count(upTo, limit)
	}
	if err == nil && tx.ReadOnly() {
		u.tallies.Set(m, t)
	}
	return t, scanned, err
}

// ruleset is the rules of a user, ready to be evaluated.
func (u *Unread) ruleset(tx *storage.Tx, user matrix.UserID, upTo int64) (*Ruleset, error) {
	known := upTo <= u.delivered.Load() && tx.ReadOnly()
	if c, ok := u.rules.Get(user); ok && known && u.rulesHold(user, c.pos) {
		return c.rules, nil
	}
	changed, err := read(tx, user)
	if err != nil {
		return nil, err
	}
	rules := changed.rules(user)
	weight := 2048
	for _, k := range kinds {
		for _, r := range *rules.of(k) {
			for _, part := range slices.Concat(r.Conditions, r.Actions) {
				if !r.Default {
					weight += 128 + 4*len(part)
				}
			}
		}
	}
	c := compiledAt{Compile(user, rules), upTo, weight}
	if tx.ReadOnly() {
		u.rules.Set(user, c)
	}
	return c.rules, nil
}
