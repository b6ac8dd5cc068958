package door

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// The types of events that the rules name.
const (
	typeCreate            = "m.room.create"
	typeMember            = "m.room.member"
	typeHistoryVisibility = "m.room.history_visibility"
	typeRedaction         = "m.room.redaction"
)

// Visit is one reader in one room, within one transaction. One goroutine uses it.
// The events that it is asked about are not newer than the transaction.
type Visit struct {
	d    *Door
	tx   *storage.Tx
	who  Reader
	id   matrix.RoomID
	room storage.Room // zero where this server does not know the room

	past *past
	// knownTo: past has every change up to here.
	knownTo int64
	ignored map[matrix.UserID]bool
	erased  map[matrix.UserID]int64 // what other processes have just done

	moments  map[state.Root]moment
	lastRoot state.Root // of the moment that was asked for last: most events have that of their neighbour
	last     moment
	current  map[event.Key]string // of the room's current state, as far as asked
}

// Enter begins a visit. Whether the room is there, and may be looked at, is asked
// with [Visit.CanLook].
func (d *Door) Enter(tx *storage.Tx, who Reader, room matrix.RoomID) (*Visit, error) {
	v := &Visit{
		d: d, tx: tx, who: who, id: room, moments: map[state.Root]moment{}, current: map[event.Key]string{},
	}
	if err := v.loadErasures(); err != nil {
		return nil, err
	}
	cached, err := v.catchUp()
	if err != nil {
		return nil, err
	}
	if v.room, err = d.readRoom(tx, room, cached); err != nil {
		return nil, err
	}
	if who.User == "" {
		v.past, v.knownTo = &past{end: never}, always
		return v, nil
	}
	if err := v.readPast(cached); err != nil {
		return nil, err
	}
	v.ignored, err = d.Ignored(tx, who.User)
	return v, err
}

// catchUp tells whether what is cached of the room is as new as the transaction.
// It is not in a transaction that changes things, nor where it sees changes of
// other processes that have not come to [Door.Changed]: of those it reads the
// erasures.
func (v *Visit) catchUp() (cached bool, err error) {
	d := v.d
	if !v.tx.ReadOnly() {
		return false, nil
	}
	term, alone := d.db.Alone()
	delivered := d.delivered.Load()
	if alone && d.caughtUp.Load() == term {
		// What this process has just committed may not have come yet. Nobody misses
		// it but whoever says up to where they have read.
		if seen, asked := v.tx.AsOf(); !asked || seen <= delivered {
			return true, nil
		}
	}
	pos, err := v.tx.Pos()
	switch {
	case err != nil:
		return false, err
	case pos <= delivered && alone:
		d.caughtUp.Store(term)
		return true, nil
	case pos <= delivered:
		return true, nil
	}
	list, err := v.tx.ErasuresAfter(delivered)
	v.erased = byUser(list)
	return false, err
}

func (d *Door) readRoom(tx *storage.Tx, id matrix.RoomID, cached bool) (storage.Room, error) {
	if cached {
		if e, ok := d.rooms.get(id, id); ok {
			return e.value, nil
		}
	}
	r, err := tx.Room(id)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Room{}, nil
	}
	if err != nil {
		return r, err
	}
	return r, d.rooms.put(tx, id, r)
}

// readPast reads what the reader has been to the room.
func (v *Visit) readPast(cached bool) error {
	key := member{v.id, v.who.User}
	// In this order: what is delivered now has made the entry stale already.
	delivered := v.d.delivered.Load()
	if cached {
		if e, ok := v.d.pasts.get(key, key); ok {
			v.past, v.knownTo = e.value, max(e.asOf, delivered)
			return nil
		}
	}
	p := &past{}
	now, err := v.tx.Membership(v.id, v.who.User)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	p.now, p.forgotten = now.Membership, now.Forgotten
	if p.changes, err = v.tx.MembershipChanges(v.id, v.who.User); err != nil {
		return err
	}
	p.end = p.until(always)
	v.past = p
	if v.knownTo, err = v.tx.Pos(); err != nil {
		return err
	}
	return v.d.pasts.put(v.tx, key, p)
}

// knows tells whether the reader's past is known up to a position, and learns it
// if it can: from the database where an event was committed, and read, before
// [Door.Changed] has been told of it.
func (v *Visit) knows(pos int64) (bool, error) {
	for _, cached := range []bool{v.tx.ReadOnly(), false} {
		if pos <= v.knownTo {
			return true, nil
		}
		if err := v.readPast(cached); err != nil {
			return false, err
		}
	}
	return pos <= v.knownTo, nil
}

// Ignored are those whom a user ignores (CS API, Ignoring Users).
func (d *Door) Ignored(tx *storage.Tx, user matrix.UserID) (map[matrix.UserID]bool, error) {
	if e, ok := d.ignored.get(user, user); ok && tx.ReadOnly() {
		return e.value, nil
	}
	raw, err := tx.AccountData(user, "", "m.ignored_user_list")
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	var list struct {
		Users map[matrix.UserID]jsontext.Value `json:"ignored_users"`
	}
	var ignored map[matrix.UserID]bool
	if err == nil && json.Unmarshal(raw, &list) == nil {
		ignored = make(map[matrix.UserID]bool, len(list.Users))
		for id := range list.Users {
			ignored[id] = id != user // nobody ignores themselves
		}
	}
	return ignored, d.ignored.put(tx, user, ignored)
}

// Ignores tells whether the reader ignores a user.
func (v *Visit) Ignores(user matrix.UserID) bool { return v.ignored[user] }

// Membership is what the reader is to the room: "" for nothing.
func (v *Visit) Membership() string { return v.past.now }

// JoinedAt is the position since which the reader is in the room without a break,
// and the greatest there is where they are not in it: nothing that was before is
// news to them.
func (v *Visit) JoinedAt() int64 {
	at, in := int64(always), false
	for _, c := range v.past.changes {
		if c.Membership == join && !in {
			at = c.Pos
		}
		in = c.Membership == join
	}
	if !in {
		return always
	}
	return at
}

// Room is the room, zero where this server does not know it.
func (v *Visit) Room() storage.Room { return v.room }

var errForbidden = matrix.Errorf(matrix.CodeForbidden,
	"You are not in this room, and its history is not for everybody.")

// CanLook tells whether the reader may look at the room at all: while they are
// joined, and after they have left, up to there, until they forget it; anybody
// while it is world_readable. Everybody else gets M_FORBIDDEN, also where there
// is no such room.
func (v *Visit) CanLook() error {
	if v.room.ID == "" {
		return errForbidden
	}
	if v.who.Service || v.past.now == join || !v.past.forgotten && v.past.end != never {
		return nil
	}
	m, ok, err := v.moment(v.room.State, false)
	if err != nil {
		return err
	}
	if !ok || m.visibility != worldReadable && (v.who.Server == "" || m.membership != join) {
		return errForbidden
	}
	return nil
}

// Until is the position up to which the reader may look at the room: that of
// their leave or ban, if they were joined before and have not forgotten the room;
// the greatest there is for everybody else who may look.
func (v *Visit) Until() int64 {
	if v.past.end == never || v.past.forgotten {
		return always
	}
	return v.past.end
}

// moment is what the rules ask of the room's state at root. It is not ok if a
// piece of it is missing. create: it is the state before the create event, the
// one that is known to be empty.
func (v *Visit) moment(root state.Root, create bool) (m moment, ok bool, err error) {
	if root == (state.Root{}) {
		return moment{visibility: shared}, create, nil
	}
	if root == v.lastRoot {
		return v.last, true, nil
	}
	if m, ok = v.moments[root]; !ok {
		if m, ok, err = v.findMoment(root); err != nil || !ok {
			return m, ok, err
		}
		v.moments[root] = m
	}
	v.lastRoot, v.last = root, m
	return m, true, nil
}

func (v *Visit) findMoment(root state.Root) (m moment, ok bool, err error) {
	at := instant{root, string(v.who.User) + "\x00" + string(v.who.Server)}
	if m, ok = v.d.caches.moments.Get(at); !ok {
		if m, ok, err = v.readMoment(root); err == nil && ok {
			v.d.caches.moments.Set(at, m)
		}
	}
	return m, ok, err
}

func (v *Visit) readMoment(root state.Root) (m moment, ok bool, err error) {
	visibilityKey := event.Key{Type: typeHistoryVisibility}
	memberKey := event.Key{Type: typeMember, StateKey: string(v.who.User)}
	ids, err := v.d.trees.GetMany(v.tx, v.id, root, []event.Key{visibilityKey, memberKey})
	if err != nil {
		return m, false, err
	}
	var list []string
	for _, id := range ids {
		list = append(list, id)
	}
	events, err := v.d.Events(v.tx, list)
	if err != nil || len(events) != len(ids) {
		return m, false, err
	}
	pdu := func(k event.Key) *event.Event {
		if e := events[ids[k]]; e != nil {
			return e.Event
		}
		return nil
	}
	m = moment{visibility: event.HistoryVisibility(pdu(visibilityKey)), membership: event.MembershipOf(pdu(memberKey))}
	if v.who.Server == "" {
		return m, true, nil
	}
	m.membership, ok, err = v.serverMembership(root)
	return m, ok, err
}

// serverMembership is what the members of a server are to the room at root: join
// if one of them is joined, else invite if one is invited.
func (v *Visit) serverMembership(root state.Root) (membership string, ok bool, err error) {
	members, err := v.d.trees.OfType(v.tx, v.id, root, typeMember)
	if err != nil {
		return "", false, err
	}
	var ids []string
	for user, id := range members {
		if matrix.UserID(user).Server() == v.who.Server {
			ids = append(ids, id)
		}
	}
	events, err := v.d.Events(v.tx, ids)
	if err != nil || len(events) != len(ids) {
		return "", false, err
	}
	for _, e := range events {
		if m := event.MembershipOf(e.Event); m == join || m == invite && membership == "" {
			membership = m
		}
	}
	return membership, true, nil
}
