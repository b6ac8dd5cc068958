package syncing

import (
	"hash/maphash"
	"maps"
	"sync"

	"lethe/internal/cache"
	"lethe/internal/matrix"
)

const (
	// sentDevices bounds of how many devices it is remembered what they know.
	sentDevices = 2000
	// sentEach bounds how many members it is of each, at about 50 bytes.
	sentEach = 2000
)

// sentMembers remembers which members clients that load them lazily have been
// told of, so that they are not told again (CS API, Lazy-loading room members).
type sentMembers struct {
	devices *cache.Cache[sentKey, *sentTo]
	seed    maphash.Seed
}

type sentKey struct {
	user   matrix.UserID
	device string
}

// sentTo is what one device knows: by room and user, the event, and the position
// up to which the answer went that told of it. A client that comes back with that
// position, or a later one, has got it; one that comes with an earlier has not, or
// has forgotten it.
type sentTo struct {
	seed  maphash.Seed
	mu    sync.Mutex
	known map[uint64]sentEvent
	last  int64 // the latest position of any of them
}

type sentEvent struct {
	event uint64
	pos   int64
}

func newSentMembers() *sentMembers {
	return &sentMembers{
		seed:    maphash.MakeSeed(),
		devices: cache.New(cache.Options[sentKey, *sentTo]{Size: sentDevices}),
	}
}

// of is what is known of the requester's device; nil where that is of no use.
func (s *sentMembers) of(r Request) *sentTo {
	f := &r.Filter.Room.State
	if r.Device == "" || !f.LazyLoadMembers || f.IncludeRedundantMembers {
		return nil
	}
	t := s.devices.GetOr(sentKey{r.User, r.Device}, func() *sentTo {
		return &sentTo{seed: s.seed, known: map[uint64]sentEvent{}}
	})
	t.back(r.Since)
	return t
}

// back forgets what was in answers that the client has not got.
func (t *sentTo) back(since int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last > since {
		maps.DeleteFunc(t.known, func(_ uint64, e sentEvent) bool { return e.pos > since })
		t.last = since
	}
}

func (t *sentTo) hash(s string) uint64 { return maphash.String(t.seed, s) }

// knows tells whether the device has been told of a member's event.
func (t *sentTo) knows(room matrix.RoomID, user, event string) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.known[t.hash(string(room)+user)]
	return ok && e.event == t.hash(event)
}

// add notes that an answer up to pos tells the device of a member's event.
func (t *sentTo) add(room matrix.RoomID, user, event string, pos int64) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= sentEach {
		clear(t.known)
	}
	t.known[t.hash(string(room)+user)] = sentEvent{t.hash(event), pos}
	t.last = max(t.last, pos)
}
