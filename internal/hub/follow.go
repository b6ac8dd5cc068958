package hub

import (
	"context"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	// idle is how long somebody is followed who does not sync any more.
	idle = 10 * time.Minute
	// sweepEvery is how often those are looked for, at most.
	sweepEvery = time.Minute
)

// News is what is new to somebody since a position.
type News struct {
	// Pos is the position up to which this is all.
	Pos int64
	// Rooms are the joined rooms in which something is new.
	Rooms []RoomNews
	// Membership tells that they themselves have joined, left or been invited.
	Membership bool
	// What else is new, besides rooms: AccountData also that of rooms.
	AccountData, ToDevice, DeviceLists, Presence bool
}

// RoomNews is what is new in a room.
type RoomNews struct {
	Room matrix.RoomID
	// Events of the timeline; Members of them, too.
	Events, Members bool
	// Receipts are receipts, Private those that are for the reader alone.
	Receipts, Private, Typing bool
}

// Empty tells that nothing is new.
func (n *News) Empty() bool {
	return len(n.Rooms) == 0 && !n.Membership && !n.AccountData && !n.ToDevice && !n.DeviceLists && !n.Presence
}

// News tells what is new to id since a position, or that it does not know: then
// the caller reads it from the database, and says with [Hub.Follow] what it has
// found.
func (h *Hub) News(id matrix.UserID, since int64) (News, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[id]
	if u == nil {
		h.sweep()
		// From here on it is noted whether they join or leave: what the caller reads
		// now can be followed.
		u = &user{id: id}
		h.users[id] = u
	}
	u.used = time.Now()
	if u.rooms == nil || since < u.floor {
		return News{}, false
	}
	n := News{Pos: max(h.pos, since)}
	if u.touched <= since {
		return n, true
	}
	n.Membership = u.last[storage.ChangeMember] > since
	n.AccountData = u.last[storage.ChangeAccountData] > since
	n.ToDevice = u.last[storage.ChangeToDevice] > since
	n.DeviceLists = u.last[storage.ChangeDeviceList] > since
	n.Presence = u.last[storage.ChangePresence] > since
	for _, r := range u.rooms {
		news := RoomNews{
			Room: r.id, Events: max(r.last[storage.ChangeEvent], r.last[storage.ChangeMember]) > since,
			Members: r.last[storage.ChangeMember] > since, Receipts: r.last[storage.ChangeReceipt] > since,
			Typing: r.last[storage.ChangeTyping] > since, Private: u.private[r.id] > since,
		}
		if news.Events || news.Receipts || news.Typing || news.Private {
			n.Rooms = append(n.Rooms, news)
		}
	}
	return n, true
}

// Follow says which rooms id has joined, as read at a position after a call of
// [Hub.News]. From then on News knows.
func (h *Hub) Follow(id matrix.UserID, rooms []matrix.RoomID, at int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.users[id]
	if u == nil || u.rooms != nil || u.last[storage.ChangeMember] > at {
		return // it is known, or they have joined or left since
	}
	u.rooms, u.loaded, u.floor = make(map[matrix.RoomID]*room, len(rooms)), at, max(h.pos, at)
	for _, name := range rooms {
		r := h.rooms[name]
		if r == nil {
			r = &room{id: name, users: map[*user]struct{}{}, recent: recent{from: h.pos}}
			h.rooms[name] = r
		}
		r.users[u] = struct{}{}
		u.rooms[name] = r
	}
}

// unfollow forgets the rooms of u.
func (h *Hub) unfollow(u *user) {
	for _, r := range u.rooms {
		delete(r.users, u)
		if len(r.users) == 0 {
			h.drop(r, h.pos)
			delete(h.rooms, r.id)
			delete(h.behind, r)
		}
	}
	u.rooms = nil
}

// sweep forgets those who have not synced for a while.
func (h *Hub) sweep() {
	now := time.Now()
	if now.Sub(h.swept) < sweepEvery {
		return
	}
	h.swept = now
	for id, u := range h.users {
		if u.waiting == 0 && now.Sub(u.used) > idle {
			h.unfollow(u)
			delete(h.users, id)
		}
	}
}

// Wait returns once something may be new to id after a position, or when ctx
// ends, with its error, or the server stops, with [ErrStopped]. It returns at
// once where it does not know. While it waits it costs nothing. alive is asked
// once it would be woken by [Hub.Rouse], and its error returned.
func (h *Hub) Wait(ctx context.Context, id matrix.UserID, after int64, alive func() error) error {
	h.mu.Lock()
	u := h.users[id]
	if h.stopped {
		h.mu.Unlock()
		return ErrStopped
	}
	if u == nil || u.rooms == nil || after < u.floor || u.touched > after {
		h.mu.Unlock()
		return ctx.Err()
	}
	if u.wake == nil {
		u.wake = make(chan struct{})
	}
	wake := u.wake
	u.waiting++
	h.waiting++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		u.waiting--
		h.waiting--
		u.used = time.Now()
	}()
	if err := alive(); err != nil {
		return err
	}
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.stop:
		return ErrStopped
	}
}

// Waiting is how many wait.
func (h *Hub) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting
}

// Rouse wakes all who wait on behalf of id, with nothing new to them: whoever
// ends a session calls it, and they look whether it was theirs.
func (h *Hub) Rouse(id matrix.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.users[id]; u != nil {
		u.rouse()
	}
}

// Stop wakes all who wait, and lets nobody wait any more.
func (h *Hub) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.stopped = true
		close(h.stop)
	}
}
