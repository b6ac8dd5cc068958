package hub

import (
	"errors"
	"sync"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// ErrStopped is what those get who wait when the server stops.
var ErrStopped = errors.New("the server stops")

// Hub gets every change of the store, in order, and knows for people who sync
// what is new to them. It is safe for concurrent use.
//
// Only people who have synced lately are followed, with their rooms; of all
// others, and of what was before it began to follow them, it says that it does
// not know, and the database has to be asked.
type Hub struct {
	db    *storage.DB
	first func([]storage.Change)

	mu    sync.Mutex
	pos   int64 // everything up to here has been handed over
	rooms map[matrix.RoomID]*room
	users map[matrix.UserID]*user
	// held is the weight of all events in memory.
	held    int
	waiting int
	swept   time.Time
	// behind are the rooms with events of other processes that Run has to read.
	behind  map[*room]struct{}
	fetch   chan struct{} // has one element while behind is not empty
	stop    chan struct{}
	stopped bool
}

// room is a room in which somebody is who is followed.
type room struct {
	id matrix.RoomID
	// last has the newest position of each kind of change.
	last [storage.ChangePrivate + 1]int64
	// users are those followed who have joined.
	users map[*user]struct{}
	recent
	heroes heroes
}

// user is somebody who is followed.
type user struct {
	id matrix.UserID
	// rooms are those joined; nil while that is not known.
	rooms map[matrix.RoomID]*room
	// loaded is the position at which rooms was read.
	loaded int64
	// floor is where following began: of changes up to there not all is known.
	floor int64
	// touched is the newest position that concerns them.
	touched int64
	// last has the newest position of each kind of change of their own.
	last [storage.ChangePrivate + 1]int64
	// private has that of private changes, by room.
	private map[matrix.RoomID]int64
	wake    chan struct{} // closed at the next change; nil while nobody waits
	waiting int
	used    time.Time
}

// New makes the hub and has the store tell it of every change. first, which may
// be nil, is told before: what it keeps is up to date when those who wait wake.
// It does not block.
func New(db *storage.DB, first func([]storage.Change)) *Hub {
	if first == nil {
		first = func([]storage.Change) {}
	}
	h := &Hub{
		db: db, first: first, pos: db.Delivered(),
		rooms: map[matrix.RoomID]*room{}, users: map[matrix.UserID]*user{},
		behind: map[*room]struct{}{}, fetch: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	db.OnCommit(h.changed)
	return h
}

// Pos is the position up to which all changes have been handed over.
func (h *Hub) Pos() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pos
}

// changed is told of every change, in order.
func (h *Hub) changed(changes []storage.Change) {
	h.first(changes)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range changes {
		h.pos = max(h.pos, c.Pos)
		h.change(c)
	}
}

func (h *Hub) change(c storage.Change) {
	r, u := h.rooms[c.Room], h.users[c.User]
	switch c.Kind {
	case storage.ChangeEvent:
		h.roomChange(r, c)
	case storage.ChangeMember:
		if u != nil {
			h.own(u, c)
			if c.Pos > u.loaded {
				h.unfollow(u)
				r = h.rooms[c.Room] // which may have gone with them
			}
		}
		if r != nil {
			r.heroes.changed(c.User)
		}
		h.roomChange(r, c)
	case storage.ChangeRedacted:
		if r != nil {
			h.drop(r, c.Pos) // it has what is no more
		}
	case storage.ChangeReceipt, storage.ChangeTyping:
		h.roomChange(r, c)
	case storage.ChangePresence, storage.ChangeDeviceList:
		h.sharing(u, c)
	case storage.ChangeAccountData, storage.ChangeToDevice, storage.ChangePrivate:
		if u != nil {
			h.own(u, c)
		}
	case storage.ChangeErased:
		if u != nil {
			u.rouse() // another process may have ended their sessions
		}
	case storage.ChangesLost:
		for _, u := range h.users {
			h.unfollow(u)
			u.rouse()
		}
	case storage.ChangeHidden:
		// In nobody's sync.
	}
}

// own notes a change of somebody's own.
func (h *Hub) own(u *user, c storage.Change) {
	u.last[c.Kind] = c.Pos
	if c.Kind == storage.ChangePrivate {
		if u.private == nil {
			u.private = map[matrix.RoomID]int64{}
		}
		u.private[c.Room] = c.Pos
	}
	u.touch(c.Pos)
}

// roomChange notes a change in a room and wakes those who are in it.
func (h *Hub) roomChange(r *room, c storage.Change) {
	if r == nil {
		return
	}
	r.last[c.Kind] = c.Pos
	isEvent := c.Kind == storage.ChangeEvent || c.Kind == storage.ChangeMember
	if isEvent {
		h.keep(r, c)
	}
	for u := range r.users {
		u.touched = max(u.touched, c.Pos)
	}
	if isEvent && c.Event == nil {
		// Another process has written it. Those who wait wake when Run has read it
		// for all of them.
		h.behind[r] = struct{}{}
		select {
		case h.fetch <- struct{}{}:
		default:
		}
		return
	}
	r.rouse()
}

// sharing notes a change of somebody that is new to all who share a room with
// them: where it is not known who does, to all.
func (h *Hub) sharing(u *user, c storage.Change) {
	note := func(v *user) {
		v.last[c.Kind] = c.Pos
		v.touch(c.Pos)
	}
	if u == nil || u.rooms == nil {
		for _, v := range h.users {
			note(v)
		}
		return
	}
	note(u)
	for _, r := range u.rooms {
		for v := range r.users {
			note(v)
		}
	}
}

func (r *room) rouse() {
	for u := range r.users {
		u.rouse()
	}
}

// touch notes that something concerns u, and wakes them.
func (u *user) touch(pos int64) {
	u.touched = max(u.touched, pos)
	u.rouse()
}

func (u *user) rouse() {
	if u.wake != nil {
		close(u.wake)
		u.wake = nil
	}
}
