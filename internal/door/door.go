package door

import (
	"sync"
	"sync/atomic"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// The settings of who may read what the erased have sent.
const (
	// ReadersSpec: local readers who could read it before the erasure.
	ReadersSpec = "spec"
	// ReadersAtEvent: local readers who were joined when it was sent.
	ReadersAtEvent = "at_event"
	// ServersAll: no other server.
	ServersAll = "all"
	// ServersJoinedLater: no server but those that were joined when it was sent.
	ServersJoinedLater = "joined_later"
)

// Options are the settings of a [Door].
type Options struct {
	ServerName matrix.ServerName
	Now        func() time.Time
	Readers    string // ReadersSpec or ReadersAtEvent
	Servers    string // ServersAll or ServersJoinedLater
	// CacheBytes bounds the memory of events that are kept; 0 for 48 MB.
	CacheBytes int64
}

// Door serves events. It is safe for concurrent use.
type Door struct {
	db    *storage.DB
	trees *state.Trees
	opts  Options
	caches

	// delivered is the position up to which changes have come to [Door.Changed].
	delivered atomic.Int64
	// caughtUp is the term of [storage.DB.Alone] in which everything of other
	// processes has come.
	caughtUp atomic.Uint64

	loading  sync.Mutex // held while the erasures are read
	erasures atomic.Pointer[erasures]
}

// New makes the door of a database. From then on the caller hands it every
// change, with [Door.Changed], as [storage.DB.OnCommit] tells them.
func New(db *storage.DB, trees *state.Trees, opts Options) *Door {
	if opts.CacheBytes == 0 {
		opts.CacheBytes = defaultCacheBytes
	}
	d := &Door{db: db, trees: trees, opts: opts, caches: newCaches(opts.CacheBytes)}
	d.erasures.Store(&erasures{})
	d.delivered.Store(db.Delivered())
	return d
}

func (d *Door) now() matrix.Timestamp { return matrix.TimestampOf(d.opts.Now()) }

// Changed takes changes in the order of their positions: what they tell of is
// forgotten before anything else hears of them. It does not block.
func (d *Door) Changed(changes []storage.Change) {
	for _, c := range changes {
		switch c.Kind {
		case storage.ChangeMember:
			d.pasts.touch(member{c.Room, c.User}, c.Pos)
			d.noteRoom(c)
			d.noteChild(c)
		case storage.ChangeEvent, storage.ChangeHidden:
			d.noteRoom(c)
			d.noteChild(c)
		case storage.ChangePrivate:
			d.pasts.touch(member{c.Room, c.User}, c.Pos)
		case storage.ChangeRedacted:
			d.events.touch(c.Room, c.Pos)
		case storage.ChangeAccountData:
			if c.Room == "" {
				d.ignored.touch(c.User, c.Pos)
			}
		case storage.ChangeErased:
			d.noteErasure(c)
		case storage.ChangesLost:
			d.forget(c.Pos)
		}
	}
	if len(changes) > 0 {
		d.delivered.Store(changes[len(changes)-1].Pos)
	}
}

// forget forgets everything that was read before a position.
func (d *Door) forget(pos int64) {
	d.pasts.touchAll(pos)
	d.rooms.touchAll(pos)
	d.childless.touchAll(pos)
	d.events.touchAll(pos)
	d.ignored.touchAll(pos)
	d.loading.Lock()
	defer d.loading.Unlock()
	d.erasures.Store(&erasures{})
}

// noteRoom forgets a room in which there is a new event, or learns what it is now:
// of the many who wake for the event nobody has to read it.
func (d *Door) noteRoom(c storage.Change) {
	d.rooms.touch(c.Room, c.Pos)
	if c.Row != nil {
		d.rooms.cache.Set(c.Room, entry[storage.Room]{*c.Row, c.Pos})
	}
}

// noteChild forgets that the parent of a new event has no children. Of an event
// of another process it is not known whose child it is. One that this server has
// just made has no children itself: nobody could have named it.
func (d *Door) noteChild(c storage.Change) {
	if c.Event != nil && c.Event.Sender().Server() == d.opts.ServerName {
		d.childless.cache.Set(c.Event.ID(), entry[struct{}]{struct{}{}, c.Pos})
	}
	if c.Event == nil {
		d.childless.touchAll(c.Pos)
	} else if parent, _, _, ok := storage.RelationOf(c.Event.Event); ok {
		d.childless.touch(parent, c.Pos)
	}
}

// Reader is who reads: a user of this server on one of their devices, or another
// server, or an application service that is sent what happens. Of guests the
// rules ask nothing else than of users.
type Reader struct {
	User   matrix.UserID
	Device string // "" for none; transaction ids are the device's own
	Server matrix.ServerName
	// Service: an application service, as itself. It is sent events as they happen,
	// and of the erased their redacted forms.
	Service bool
}
