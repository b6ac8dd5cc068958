package door

import (
	"errors"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Serve writes events of a timeline for the reader, in their order. Those that
// the reader does not see are left out, and those of users whom they ignore, but
// for state; of those that are covered by an erasure it writes the redacted form.
func (v *Visit) Serve(events []*storage.Event, f Format) ([]Event, error) {
	list := make([]outgoing, 0, len(events))
	for _, e := range events {
		o, ok, err := v.admit(e, f)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, o)
		}
	}
	if !f.bare() && v.who.Server == "" {
		if err := v.fill(list, f); err != nil {
			return nil, err
		}
	}
	return v.write(list, f), nil
}

// admit decides whether an event goes out, and in which form.
func (v *Visit) admit(e *storage.Event, f Format) (o outgoing, ok bool, err error) {
	if ok, err := v.Sees(e); err != nil || !ok {
		return o, false, err
	}
	_, isState := e.StateKey()
	unwanted := !isState && v.ignored[e.Sender()]
	if unwanted && !f.KeepIgnored {
		return o, false, nil
	}
	o, err = v.form(e, unwanted)
	return o, err == nil, err
}

// form is an event, seen by the reader, as they get it.
func (v *Visit) form(e *storage.Event, unwanted bool) (outgoing, error) {
	whole, err := v.whole(e)
	if err != nil {
		return outgoing{}, err
	}
	o := outgoing{e: e, redacted: e.Erased || e.RedactedBy != ""}
	if !whole || unwanted {
		o.redacted = true
		o.e, err = v.d.redact(e)
	}
	return o, err
}

func (v *Visit) write(list []outgoing, f Format) []Event {
	size := 0
	for i := range list {
		o := &list[i]
		size += o.e.Size() + len(o.because) + len(o.relations) + 320
		if o.prev != nil {
			size += o.prev.Size()
		}
	}
	w := writer{out: make([]byte, 0, size), format: f, pdu: v.who.Server != "", now: v.d.now()}
	events := make([]Event, len(list))
	for i := range list {
		events[i] = w.event(&list[i])
	}
	return events
}

// fill finds what goes into unsigned (CS API, Room event format).
func (v *Visit) fill(list []outgoing, f Format) error {
	if err := v.fillMembership(list); err != nil || f.quoted {
		return err
	}
	if err := v.fillTransactions(list); err != nil {
		return err
	}
	if err := v.fillReplaced(list); err != nil {
		return err
	}
	if err := v.fillBecause(list, f); err != nil || !f.Bundle {
		return err
	}
	return v.bundle(list, f)
}

// fillMembership finds the reader's membership after each event.
func (v *Visit) fillMembership(list []outgoing) error {
	if v.who.Service {
		return nil // there is no reader whose it would be
	}
	for i := range list {
		_, after, ok, err := v.around(list[i].e)
		if err != nil {
			return err
		}
		list[i].membership = after.membership
		if ok && after.membership == "" {
			list[i].membership = leave
		}
	}
	return nil
}

// fillTransactions finds the transaction ids of the reader's own events, if it
// was this device that has sent them.
func (v *Visit) fillTransactions(list []outgoing) error {
	var own []string
	for i := range list {
		if e := list[i].e; v.who.Device != "" && e.Sender() == v.who.User {
			own = append(own, e.ID())
		}
	}
	if len(own) == 0 {
		return nil
	}
	txns, err := v.tx.TransactionsOf(v.who.User, v.who.Device, own)
	for i := range list {
		list[i].txnID = txns[list[i].e.ID()]
	}
	return err
}

// fillReplaced finds the state before state events. Its content goes with an
// event that is whole, if the reader gets that whole, too.
func (v *Visit) fillReplaced(list []outgoing) error {
	var ids []string
	for i := range list {
		key, isState := list[i].e.Key()
		if !isState {
			continue
		}
		id, ok, err := v.d.trees.Get(v.tx, v.id, list[i].e.State, key)
		if err != nil {
			return err
		}
		if ok {
			list[i].replaces = id
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	events, err := v.d.Events(v.tx, ids)
	if err != nil {
		return err
	}
	for i := range list {
		prev := events[list[i].replaces]
		if prev == nil || list[i].redacted {
			continue
		}
		whole, err := v.Whole(prev)
		if err != nil {
			return err
		}
		if whole {
			list[i].prev = prev
		}
	}
	return nil
}

// fillBecause finds the redactions of redacted events.
func (v *Visit) fillBecause(list []outgoing, f Format) error {
	var ids []string
	for i := range list {
		if by := list[i].e.RedactedBy; by != "" {
			ids = append(ids, by)
		}
	}
	redactions, err := v.quote(ids, Format{Kind: f.Kind, KeepIgnored: true, quoted: true})
	for i := range list {
		list[i].because = redactions[list[i].e.RedactedBy]
	}
	return err
}

// quote writes events that go into others, by their ids. Those that the reader
// does not see are not in the result.
func (v *Visit) quote(ids []string, f Format) (map[string][]byte, error) {
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // no map is an empty one
	}
	found, err := v.d.Events(v.tx, ids)
	if err != nil {
		return nil, err
	}
	served, err := v.Serve(slices.Collect(maps.Values(found)), f)
	quotes := make(map[string][]byte, len(served))
	for _, e := range served {
		quotes[e.ID()] = e.raw
	}
	return quotes, err
}

// ServeState writes the state of the room at root, all of it or what there is
// under keys. The caller knows that the reader may see it ([Visit.CanLook]):
// what they may not have of it whole comes in its redacted form.
func (v *Visit) ServeState(root state.Root, keys []event.Key, f Format) ([]Event, error) {
	ids, err := v.stateIDs(root, keys)
	if err != nil {
		return nil, err
	}
	events, err := v.d.Events(v.tx, ids)
	if err != nil {
		return nil, err
	}
	list := make([]outgoing, 0, len(ids))
	for _, id := range ids {
		if e := events[id]; e != nil {
			o, err := v.form(e, false)
			if err != nil {
				return nil, err
			}
			list = append(list, o)
		}
	}
	if !f.bare() && v.who.Server == "" {
		if err := v.fillBecause(list, f); err != nil {
			return nil, err
		}
	}
	return v.write(list, f), nil
}

func (v *Visit) stateIDs(root state.Root, keys []event.Key) (ids []string, err error) {
	if keys == nil {
		all, err := v.d.trees.All(v.tx, v.id, root)
		if err != nil {
			return nil, err
		}
		for _, id := range all {
			ids = append(ids, id)
		}
		return ids, nil
	}
	found, err := v.d.trees.GetMany(v.tx, v.id, root, keys)
	for _, key := range keys {
		if id, ok := found[key]; ok {
			ids = append(ids, id)
		}
	}
	return ids, err
}

var errNoState = matrix.Errorf(matrix.CodeNotFound, "The room has no such state.")

// StateContent is the content of one piece of the room's state at root; where
// there is none, M_NOT_FOUND. As for [Visit.ServeState] the caller knows that the
// reader may see it.
func (v *Visit) StateContent(root state.Root, key event.Key) (Content, error) {
	id, ok, err := v.d.trees.Get(v.tx, v.id, root, key)
	if err != nil {
		return Content{}, err
	}
	if !ok {
		return Content{}, errNoState
	}
	e, err := v.d.Event(v.tx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return Content{}, errNoState
	}
	if err != nil {
		return Content{}, err
	}
	o, err := v.form(e, false)
	if err != nil {
		return Content{}, err
	}
	return Content{o.e.Content()}, nil
}

// Profiles are the names and avatars that users have in the room's state at root,
// as the reader gets them: content of their member events. Users without one are
// not in the result. The caller knows that the reader may see the state.
func (v *Visit) Profiles(root state.Root, users []matrix.UserID) (map[matrix.UserID]Content, error) {
	profiles := make(map[matrix.UserID]Content, len(users))
	profile := selection{"displayname": nil, "avatar_url": nil}
	for _, user := range users {
		c, err := v.StateContent(root, event.Key{Type: typeMember, StateKey: string(user)})
		switch {
		case err == nil:
			profiles[user] = Content{profile.apply(c.raw)}
		case matrix.CodeOf(err) != matrix.CodeNotFound:
			return nil, err
		}
	}
	return profiles, nil
}

// Content is the content of an event as the reader gets it. It is not ok if they
// do not see the event.
func (v *Visit) Content(e *storage.Event) (c Content, ok bool, err error) {
	o, ok, err := v.admit(e, Format{})
	if err != nil || !ok {
		return Content{}, false, err
	}
	return Content{o.e.Content()}, true, nil
}

// StrippedState is the state that came with an invite or a knock from another
// server, a JSON list: of each event what belongs into stripped state and nothing
// else (CS API, Stripped state). What names somebody who was erased is left out.
func (v *Visit) StrippedState(raw []byte) ([]Content, error) {
	var list []struct {
		Content  jsontext.Value `json:"content"`
		StateKey *string        `json:"state_key"`
		Type     string         `json:"type"`
		Sender   matrix.UserID  `json:"sender"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	contents := make([]Content, 0, len(list))
	for _, e := range list {
		if e.StateKey == nil || e.Type == "" || e.Sender == "" || e.Content.Kind() != '{' {
			continue
		}
		_, sender, err := v.erasedAt(e.Sender)
		if err != nil {
			return nil, err
		}
		_, target, err := v.erasedAt(matrix.UserID(*e.StateKey))
		if err != nil {
			return nil, err
		}
		if sender || target {
			continue
		}
		pruned, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		contents = append(contents, Content{pruned})
	}
	return contents, nil
}
