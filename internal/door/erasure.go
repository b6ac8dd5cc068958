package door

import (
	"maps"
	"strings"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// erasures are the erased users of this server, with the positions of their
// erasures. It is replaced, not changed.
type erasures struct {
	loaded bool
	at     map[matrix.UserID]int64
	// unsure are those of whom a change has told: they were erased at its position,
	// or an erasure was taken back there. The database tells which.
	unsure map[matrix.UserID]int64
}

// noteErasure takes a ChangeErased.
func (d *Door) noteErasure(c storage.Change) {
	d.loading.Lock()
	defer d.loading.Unlock()
	old := d.erasures.Load()
	next := &erasures{old.loaded, old.at, maps.Clone(old.unsure)}
	if next.unsure == nil {
		next.unsure = map[matrix.UserID]int64{}
	}
	next.unsure[c.User] = c.Pos
	d.erasures.Store(next)
}

// loadErasures sees to it that the erasures are known: to everybody, or, where
// what is read may be rolled back, to this visit.
func (v *Visit) loadErasures() error {
	d := v.d
	if d.erasures.Load().loaded {
		return nil
	}
	list, err := v.tx.ErasuresAfter(0)
	if err != nil {
		return err
	}
	if !v.tx.ReadOnly() {
		v.erased = byUser(list)
		return nil
	}
	d.loading.Lock()
	defer d.loading.Unlock()
	if old := d.erasures.Load(); !old.loaded {
		// What was delivered while the list was read may be missing in it, and is unsure.
		d.erasures.Store(&erasures{true, byUser(list), old.unsure})
	}
	return nil
}

func byUser(list []storage.Erasure) map[matrix.UserID]int64 {
	at := make(map[matrix.UserID]int64, len(list))
	for _, e := range list {
		at[e.User] = e.Pos
	}
	return at
}

// erasedAt is the position at which a user was erased, if they were.
func (v *Visit) erasedAt(user matrix.UserID) (pos int64, erased bool, err error) {
	if pos, ok := v.erased[user]; ok {
		return pos, true, nil
	}
	all := v.d.erasures.Load()
	if since, ok := all.unsure[user]; ok {
		return v.d.settle(v.tx, user, since)
	}
	pos, erased = all.at[user]
	return pos, erased, nil
}

// settle asks the database about a user of whom a change at since has told. A
// transaction from before the change goes by the change.
func (d *Door) settle(tx *storage.Tx, user matrix.UserID, since int64) (pos int64, erased bool, err error) {
	seen, err := tx.Pos()
	if err != nil {
		return 0, false, err
	}
	if seen < since {
		return since, true, nil
	}
	a, err := tx.Account(user)
	if err != nil {
		return 0, false, err
	}
	if tx.ReadOnly() {
		d.settled(user, since, a.ErasedPos)
	}
	return a.ErasedPos, a.ErasedPos != 0, nil
}

// settled notes what the database has said about a user, unless there was another
// change since.
func (d *Door) settled(user matrix.UserID, since, pos int64) {
	d.loading.Lock()
	defer d.loading.Unlock()
	old := d.erasures.Load()
	if old.unsure[user] != since {
		return
	}
	next := &erasures{old.loaded, maps.Clone(old.at), maps.Clone(old.unsure)}
	delete(next.unsure, user)
	delete(next.at, user)
	if pos != 0 {
		next.at[user] = pos
	}
	d.erasures.Store(next)
}

// coveredAt tells whether an event is covered by erasures, and at which position
// its history is cut: its sender's, or for m.room.member that of whom it is about
// (DESIGN §5).
func (v *Visit) coveredAt(e *storage.Event) (cut int64, covered bool, err error) {
	cut, covered, err = v.erasedAt(e.Sender())
	if err != nil || !e.IsState(typeMember) {
		return cut, covered, err
	}
	key, _ := e.StateKey()
	other, also, err := v.erasedAt(matrix.UserID(key))
	if also && (!covered || other < cut) {
		return other, true, err
	}
	return cut, covered, err
}

// Whole tells whether the reader may see an event, and with its content. Search
// and notifications ask it before they look at a content.
func (v *Visit) Whole(e *storage.Event) (bool, error) {
	if sees, err := v.Sees(e); err != nil || !sees {
		return false, err
	}
	return v.whole(e)
}

// whole is the erasure rule (DESIGN §5): whether the reader gets an event that
// they see with its content.
func (v *Visit) whole(e *storage.Event) (bool, error) {
	if e.Erased || e.RedactedBy != "" {
		return true, nil // there is nothing left to hide
	}
	cut, covered, err := v.coveredAt(e)
	if err != nil || !covered {
		return !covered, err
	}
	if stays, err := v.staysTheRooms(e); err != nil || stays {
		return stays, err
	}
	before, after, ok, err := v.around(e)
	if err != nil || !ok {
		return false, err
	}
	return v.entitled(before, e.Pos, cut) || v.entitled(after, e.Pos, cut), nil
}

// entitled tells whether the reader could see an event at pos before the erasure
// at cut. Whoever only could as everybody can (world_readable) is not meant.
func (v *Visit) entitled(m moment, pos, cut int64) bool {
	switch {
	case v.who.Service:
		return false
	case v.who.Server != "":
		return v.d.opts.Servers == ServersJoinedLater && m.membership == join && max(pos, -pos) <= cut
	case max(pos, -pos) > cut: // it came after
		return false
	case v.d.opts.Readers == ReadersAtEvent:
		return m.membership == join
	default:
		return visible(m, pos, v.past.until(cut), false)
	}
}

// protocol are the types of state that the room needs for as long as it is there.
var protocol = map[string]bool{
	typeCreate: true, typeHistoryVisibility: true,
	"m.room.power_levels": true, "m.room.join_rules": true, "m.room.encryption": true, "m.room.server_acl": true,
	"m.room.guest_access": true, "m.room.tombstone": true, "m.room.canonical_alias": true,
	"m.room.third_party_invite": true, "m.space.child": true, "m.space.parent": true,
}

func isProtocol(typ string) bool { return protocol[typ] || strings.HasPrefix(typ, "m.policy.rule.") }

// staysTheRooms tells whether an event is state that stays the room's, whoever
// set it: the types that the protocol lives on always, others but m.room.member
// while they are current.
func (v *Visit) staysTheRooms(e *storage.Event) (bool, error) {
	key, isState := e.Key()
	switch {
	case !isState || key.Type == typeMember:
		return false, nil
	case isProtocol(key.Type):
		return true, nil
	}
	id, err := v.currentID(key)
	return id == e.ID(), err
}

// currentID is the id of the event that is the room's current state under a key.
func (v *Visit) currentID(key event.Key) (string, error) {
	id, ok := v.current[key]
	if ok {
		return id, nil
	}
	id, _, err := v.d.trees.Get(v.tx, v.id, state.Root(v.room.State), key)
	if err == nil {
		v.current[key] = id
	}
	return id, err
}
