package presence

import (
	"container/heap"
	"time"

	"lethe/internal/matrix"
)

// The states (CS API, Presence).
const (
	Online      = "online"
	Unavailable = "unavailable"
	Offline     = "offline"
)

const (
	// idleAfter is after how long somebody who does nothing is unavailable (CS API,
	// Idle timeout), goneAfter after how long a client that asks for nothing has
	// gone: clients ask again at once when they have an answer.
	idleAfter = 5 * time.Minute
	goneAfter = 30 * time.Second
)

// user is somebody who has a client that is there, or had until lately.
type user struct {
	id      matrix.UserID
	devices map[string]*device
	active  time.Time // when they last did something
	status  string
	// loaded: status is what is stored, or newer.
	loaded bool
	// stored is the state on disk, "" where that is not known.
	stored string
	// tell: there is something to tell beside the state. doubt: another process has
	// said something of them.
	tell, doubt bool

	// at is when to look at them again, index where they are in the queue, -1 for
	// not at all.
	at    time.Time
	index int
}

// device is a client of somebody.
type device struct {
	state   string // what it says that they are
	syncing int    // its requests under way
	seen    time.Time
}

func newUser(id matrix.UserID) *user { return &user{id: id, devices: map[string]*device{}, index: -1} }

// device returns a client, which was seen just now.
func (u *user) device(id string, now time.Time) *device {
	d := u.devices[id]
	if d == nil {
		d = &device{state: Offline}
		u.devices[id] = d
	}
	d.seen = now
	return d
}

// state is what somebody is now, and until when, if nothing happens: zero for as
// long as that. Clients that have gone are forgotten.
func (u *user) state(now time.Time) (state string, until time.Time) {
	sooner := func(t time.Time) {
		if until.IsZero() || t.Before(until) {
			until = t
		}
	}
	state = Offline
	for id, d := range u.devices {
		if d.syncing == 0 {
			gone := d.seen.Add(goneAfter)
			if !gone.After(now) {
				delete(u.devices, id)
				continue
			}
			sooner(gone)
		}
		if d.state == Online || d.state == Unavailable && state == Offline {
			state = d.state
		}
	}
	if state == Online {
		idle := u.active.Add(idleAfter)
		if !idle.After(now) {
			return Unavailable, until
		}
		sooner(idle)
	}
	return state, until
}

// queue has those who may become something else by themselves, the next first.
type queue []*user

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for package heap.
func (q *queue) Push(x any) {
	u := x.(*user) //nolint:forcetypeassert // the queue has nothing else
	u.index = len(*q)
	*q = append(*q, u)
}

// Pop is for package heap.
func (q *queue) Pop() any {
	u := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	u.index = -1
	return u
}

// plan has somebody looked at again at a time, or sooner: who was to be looked at
// sooner stays where they are, so that a client that asks again moves nothing. It
// tells whether they have become the first.
func (q *queue) plan(u *user, at time.Time) bool {
	switch {
	case at.IsZero() || u.index >= 0 && !at.Before(u.at):
		return false
	case u.index >= 0:
		u.at = at
		heap.Fix(q, u.index)
	default:
		u.at = at
		heap.Push(q, u)
	}
	return u.index == 0
}

// drop takes somebody out.
func (q *queue) drop(u *user) {
	if u.index >= 0 {
		heap.Remove(q, u.index)
	}
}
