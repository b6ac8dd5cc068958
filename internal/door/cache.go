package door

import (
	"hash/maphash"
	"sync/atomic"

	"lethe/internal/cache"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

const (
	// defaultCacheBytes bounds the memory of cached events.
	defaultCacheBytes = 48 << 20
	// eventBytes is what an event takes besides its JSON.
	eventBytes = 600
	// stripes is how many marks of changes a cache has; keys share them by hash,
	// which costs a query now and then and bounds the memory.
	stripes = 4096
	// The other caches are bounded by entries, of 100 to 400 bytes.
	pastEntries      = 50_000
	roomEntries      = 20_000
	ignoredEntries   = 20_000
	momentEntries    = 100_000
	childlessEntries = 100_000
)

// caches are what the door knows without asking.
type caches struct {
	// events are as they are on disk; a redaction or physical erasure in their room
	// makes them stale.
	events *fresh[string, matrix.RoomID, *storage.Event]
	// redacted are redacted forms. They follow from the event's id, and so are right
	// for ever; moments follow from the root.
	redacted *cache.Cache[string, *event.Event]
	moments  *cache.Cache[instant, moment]
	pasts    *fresh[member, member, *past]
	rooms    *fresh[matrix.RoomID, matrix.RoomID, storage.Room]
	ignored  *fresh[matrix.UserID, matrix.UserID, users]
	// childless are events without children.
	childless *fresh[string, string, struct{}]
}

// member is a user in a room.
type member struct {
	room matrix.RoomID
	user matrix.UserID
}

// instant is a state of a room and a reader of it.
type instant struct {
	root   state.Root
	reader string
}

// users are those of a list.
type users = map[matrix.UserID]bool

func newCaches(bytes int64) caches {
	return caches{
		events: newFresh[string, matrix.RoomID](cache.Options[string, entry[*storage.Event]]{
			Weight: bytes * 3 / 4,
			Weigh:  func(_ string, e entry[*storage.Event]) int { return e.value.Size() + eventBytes },
		}),
		redacted: cache.New(cache.Options[string, *event.Event]{
			Weight: bytes / 4,
			Weigh:  func(_ string, e *event.Event) int { return e.Size() + eventBytes },
		}),
		moments:   cache.New(cache.Options[instant, moment]{Size: momentEntries}),
		pasts:     newFresh[member, member](cache.Options[member, entry[*past]]{Size: pastEntries}),
		rooms:     newFresh[matrix.RoomID, matrix.RoomID](cache.Options[matrix.RoomID, entry[storage.Room]]{Size: roomEntries}),
		ignored:   newFresh[matrix.UserID, matrix.UserID](cache.Options[matrix.UserID, entry[users]]{Size: ignoredEntries}),
		childless: newFresh[string, string](cache.Options[string, entry[struct{}]]{Size: childlessEntries}),
	}
}

// fresh is a cache of what the database says of K. Its one danger is to hold what
// was true before a change, also when a reader whose transaction began before the
// change puts it in after. So an entry has the position of the state of the
// database that it was read from, and for each S (what K belongs to) there is the
// position of its last change: an entry from before that is none.
type fresh[K, S comparable, V any] struct {
	cache   *cache.Cache[K, entry[V]]
	seed    maphash.Seed
	changed [stripes]atomic.Int64
	all     atomic.Int64
}

type entry[V any] struct {
	value V
	asOf  int64
}

func newFresh[K, S comparable, V any](o cache.Options[K, entry[V]]) *fresh[K, S, V] {
	return &fresh[K, S, V]{cache: cache.New(o), seed: maphash.MakeSeed()}
}

func (f *fresh[K, S, V]) stripe(s S) *atomic.Int64 {
	return &f.changed[maphash.Comparable(f.seed, s)%stripes]
}

// touch makes what was read of s before a position stale.
func (f *fresh[K, S, V]) touch(s S, pos int64) { f.stripe(s).Store(pos) }

// touchAll makes everything stale that was read before a position.
func (f *fresh[K, S, V]) touchAll(pos int64) { f.all.Store(pos) }

// get returns what is known of k, which belongs to s.
func (f *fresh[K, S, V]) get(k K, s S) (entry[V], bool) {
	e, ok := f.cache.Get(k)
	return e, ok && f.holds(e, s)
}

// holds tells whether nothing has changed of s since e was read. That is asked
// after e was taken.
func (f *fresh[K, S, V]) holds(e entry[V], s S) bool {
	return f.stripe(s).Load() <= e.asOf && f.all.Load() <= e.asOf
}

// put keeps what a transaction has read. Only what is committed is kept: not what
// is read where it may be rolled back.
func (f *fresh[K, S, V]) put(tx *storage.Tx, k K, value V) error {
	if !tx.ReadOnly() {
		return nil
	}
	pos, err := tx.Pos()
	if err == nil {
		f.cache.Set(k, entry[V]{value, pos})
	}
	return err
}

// Events returns those of the events that are there, by id, for decisions: what
// the rules for events and for notifications need. Nothing of them goes to
// anybody.
func (d *Door) Events(tx *storage.Tx, ids []string) (map[string]*storage.Event, error) {
	found := make(map[string]*storage.Event, len(ids))
	var missing []string
	for _, id := range ids {
		if e, ok := d.events.cache.Get(id); ok && d.events.holds(e, e.value.RoomID()) {
			found[id] = e.value
		} else {
			missing = append(missing, id)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	delivered := d.delivered.Load()
	read, err := tx.Events(missing)
	if err != nil {
		return nil, err
	}
	for id, e := range read {
		found[id] = e
		if err := d.keep(tx, e, delivered); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// keep puts an event into the cache. Where something may be rolled back, it keeps
// only what was committed up to the position delivered, before it was read.
func (d *Door) keep(tx *storage.Tx, e *storage.Event, delivered int64) error {
	if tx.ReadOnly() {
		return d.events.put(tx, e.ID(), e)
	}
	if arrival(e) <= delivered && e.RedactedBy == "" && !e.Erased {
		d.events.cache.Set(e.ID(), entry[*storage.Event]{e, delivered})
	}
	return nil
}

// Event returns one event as [Door.Events] does, or [storage.ErrNotFound].
func (d *Door) Event(tx *storage.Tx, id string) (*storage.Event, error) {
	found, err := d.Events(tx, []string{id})
	if err != nil {
		return nil, err
	}
	if e := found[id]; e != nil {
		return e, nil
	}
	return nil, storage.ErrNotFound
}

// redact returns the redacted form of an event.
func (d *Door) redact(e *storage.Event) (*storage.Event, error) {
	form, ok := d.redacted.Get(e.ID())
	if !ok {
		var err error
		if form, err = e.Redacted(); err != nil {
			return nil, err
		}
		d.redacted.Set(e.ID(), form)
	}
	r := *e
	r.Event = form
	return &r, nil
}
