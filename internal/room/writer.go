package room

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// writer adds events to one room, in one transaction. Its caller calls close at
// the end.
type writer struct {
	s       *Service
	tx      *storage.Tx
	version *event.Version
	room    storage.Room // with what was added so far
	dirty   bool
	// enqueued tells that there is a job to run after the commit.
	enqueued bool
	// again tells that what is kept of erased users is to be looked at again.
	again bool
	// ending is whose ending the room is written for, "" for nobody's: for them
	// nothing was kept, and theirs is looked at by the ending.
	ending matrix.UserID
}

// draft is an event that somebody wants to be.
type draft struct {
	Type     string
	StateKey *string
	Content  jsontext.Value
	Redacts  string
}

// stateDraft is a draft of state.
func stateDraft(typ, key string, content jsontext.Value) draft {
	return draft{Type: typ, StateKey: &key, Content: content}
}

// open locks a room for writing; M_NOT_FOUND if there is none.
func (s *Service) open(tx *storage.Tx, id matrix.RoomID) (*writer, error) {
	r, err := tx.LockRoom(id)
	if errors.Is(err, storage.ErrNotFound) {
		err = errNoRoom
	}
	if err != nil {
		return nil, err
	}
	return &writer{s: s, tx: tx, version: r.VersionOf(), room: r}, nil
}

// close stores what the events have changed of the room.
func (w *writer) close() error {
	if !w.dirty {
		return nil
	}
	if w.again {
		if err := w.lookAgain(); err != nil {
			return err
		}
	}
	return w.tx.SetRoom(w.room)
}

// current returns the events of the room's current state under keys; those that
// are not there are missing.
func (w *writer) current(keys ...event.Key) (map[event.Key]*storage.Event, error) {
	return w.stateAt(w.room.State, keys...)
}

// stateAt is current for the state at a root.
func (w *writer) stateAt(root state.Root, keys ...event.Key) (map[event.Key]*storage.Event, error) {
	ids, err := w.s.trees.GetMany(w.tx, w.room.ID, root, keys)
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		list = append(list, id)
	}
	events, err := w.s.events.Events(w.tx, list)
	if err != nil {
		return nil, err
	}
	found := make(map[event.Key]*storage.Event, len(ids))
	for key, id := range ids {
		if e := events[id]; e != nil {
			found[key] = e
		}
	}
	return found, nil
}

// add makes an event of a draft, if the auth rules and those of this server let
// the sender, and stores it with all that it changes. An event that the auth
// rules refuse is M_FORBIDDEN.
func (w *writer) add(who Actor, d draft) (*storage.Event, error) {
	if d.Type == typeMember && d.StateKey != nil {
		var err error
		if d, err = w.admit(who, d); err != nil {
			return nil, err
		}
	}
	if d.Type == typeCanonicalAlias && d.StateKey != nil && *d.StateKey == "" {
		if err := w.checkCanonical(d.Content); err != nil {
			return nil, err
		}
	}
	return w.make(who, d)
}

// make is add by the auth rules alone.
func (w *writer) make(who Actor, d draft) (*storage.Event, error) {
	p := event.Proto{
		RoomID: w.room.ID, Type: d.Type, StateKey: d.StateKey, Sender: who.User, Content: d.Content, Redacts: d.Redacts,
		PrevEvents: w.room.Extremities, Depth: min(w.room.Depth+1, w.version.MaxDepth), Timestamp: who.Timestamp,
	}
	if p.Timestamp == 0 {
		p.Timestamp = w.s.now()
	}
	keys := event.AuthKeys(w.version, p)
	auth, err := w.current(append(keys, event.Key{Type: typeCreate})...)
	if err != nil {
		return nil, err
	}
	for _, key := range keys { // not the create event where the room's id stands for it (rooms/v12)
		if e := auth[key]; e != nil {
			p.AuthEvents = append(p.AuthEvents, e.ID())
		}
	}
	if p.ReferenceHashes, err = w.hashes(auth); err != nil {
		return nil, err
	}
	e, err := event.Build(w.version, p, w.s.opts.ServerName, w.s.opts.Key)
	if err != nil {
		return nil, refusal(err)
	}
	err = event.Authorize(e, func(k event.Key) *event.Event { return pdu(auth[k]) })
	if err != nil {
		return nil, refusal(err)
	}
	return w.store(e)
}

// hashes are the reference hashes of what the next event refers to, where ids
// are not those already (rooms/v1).
func (w *writer) hashes(auth map[event.Key]*storage.Event) (map[string]string, error) {
	if w.version.EventIDs != event.IDsGiven {
		return nil, nil //nolint:nilnil // no map is an empty one
	}
	previous, err := w.s.events.Events(w.tx, w.room.Extremities)
	if err != nil {
		return nil, err
	}
	hashes := map[string]string{}
	for id, e := range previous {
		hashes[id] = e.ReferenceHash()
	}
	for _, e := range auth {
		hashes[e.ID()] = e.ReferenceHash()
	}
	return hashes, nil
}

// refusal is what the sender of an event that cannot be is told.
func refusal(err error) error {
	var auth *event.AuthError
	var size *event.SizeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &auth):
		return matrix.Errorf(matrix.CodeForbidden, "%s (auth rule %s)", auth.Message, auth.Rule)
	case errors.As(err, &size):
		return matrix.Errorf(matrix.CodeTooLarge, "%v.", err)
	}
	return matrix.Errorf(matrix.CodeBadJSON, "The event cannot be: %v.", err)
}

// store stores an event that has passed the rules as the newest of the room.
func (w *writer) store(e *event.Event) (*storage.Event, error) {
	change := storage.Change{Kind: storage.ChangeEvent, Room: w.room.ID, User: e.Sender()}
	key, isState := e.Key()
	if isState && key.Type == typeMember {
		change.Kind, change.User = storage.ChangeMember, matrix.UserID(key.StateKey)
	}
	if err := w.typed(e); err != nil {
		return nil, err
	}
	pos, err := w.tx.NextPos(change)
	if err != nil {
		return nil, err
	}
	stored := &storage.Event{Event: e, Pos: pos, State: w.room.State}
	if err := w.tx.AddEvent(stored); err != nil {
		return nil, err
	}
	w.dirty = true
	w.room.LastPos, w.room.Depth, w.room.Extremities = pos, e.Depth(), []string{e.ID()}
	if isState {
		if err := w.replace(key, e); err != nil {
			return nil, err
		}
		changed := map[event.Key]string{key: e.ID()}
		root, err := w.s.trees.Put(w.tx, w.room.ID, state.Root(w.room.State), changed)
		if err != nil {
			return nil, err
		}
		w.room.State = root
		if key.Type == typeMember {
			if err := w.member(stored, matrix.UserID(key.StateKey)); err != nil {
				return nil, err
			}
		}
	}
	return stored, w.index(stored)
}

// replace does what follows when e takes the place of the state under its key.
func (w *writer) replace(key event.Key, e *event.Event) error {
	w.again = w.again || key.Type != typeMember
	if key.Type != typeGuestAccess || key.StateKey != "" {
		return nil
	}
	before, err := w.current(key)
	if err != nil {
		return err
	}
	return w.closeToGuests(pdu(before[key]), e)
}

// member stores what a member event changes.
func (w *writer) member(e *storage.Event, user matrix.UserID) error {
	before, err := w.tx.Membership(w.room.ID, user)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	after := event.MembershipOf(e.Event)
	w.count(before.Membership, -1)
	w.count(after, 1)
	if err := w.fallen(e, user, before.Membership, after); err != nil {
		return err
	}
	return w.tx.SetMembership(storage.Membership{
		Room: w.room.ID, User: user, Membership: after, Pos: e.Pos, EventID: e.ID(), Sender: e.Sender(),
	}, w.s.local(user))
}

func (w *writer) count(membership string, by int64) {
	switch membership {
	case join:
		w.room.Joined += by
	case invite:
		w.room.Invited += by
	}
}

// index stores what is looked up of an event of the timeline.
func (w *writer) index(e *storage.Event) error {
	if err := w.tx.AddRelation(e); err != nil {
		return err
	}
	if err := w.tx.AddSearch(e); err != nil {
		return err
	}
	if err := w.redactions(e); err != nil {
		return err
	}
	return w.redescribe(e)
}
