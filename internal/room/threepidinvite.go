package room

import (
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/event"
	"lethe/internal/identity"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Invite3PID is an invite to whoever has an address.
type Invite3PID struct {
	IDServer    matrix.ServerName
	AccessToken string // at the identity server
	matrix.Threepid
}

// errRehearsed ends a transaction that was only to see whether it can be.
var errRehearsed = errors.New("rehearsed")

// InviteByAddress invites whoever has an address (CS API, Third-party invites):
// the user who has bound it, or else with m.room.third_party_invite whoever will.
func (s *Service) InviteByAddress(ctx context.Context, who Actor, room matrix.RoomID, inv Invite3PID) error {
	var facts identity.Invitation
	err := s.change(ctx, who, room, func(w *writer) (err error) {
		if facts, err = w.rehearseInvite(who); err == nil {
			err = errRehearsed
		}
		return err
	})
	if !errors.Is(err, errRehearsed) {
		return hideRoom(err)
	}
	user, err := s.opts.Identity.Lookup(ctx, inv.IDServer, inv.AccessToken, inv.Threepid)
	if err != nil {
		return identity.Explain(err)
	}
	if user != "" {
		return s.Invite(ctx, who, room, user, "")
	}
	d, err := s.storeInvite(ctx, inv, facts)
	if err != nil {
		return err
	}
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		_, err := w.add(who, d)
		return err
	}))
}

// rehearseInvite makes sure that who may invite, before an identity server hears
// of it and writes to somebody, and returns what it is told of the room and of
// them. The caller undoes the transaction.
func (w *writer) rehearseInvite(who Actor) (identity.Invitation, error) {
	facts, err := w.invitation(who.User)
	if err == nil {
		_, err = w.add(who, stateDraft(typeThirdPartyInvite, "rehearsal", jsontext.Value(`{}`)))
	}
	return facts, err
}

// invitation is what identity servers are told of an invite (Identity Service
// API, POST /store-invite).
func (w *writer) invitation(sender matrix.UserID) (identity.Invitation, error) {
	inv := identity.Invitation{RoomID: w.room.ID, Sender: sender}
	fields := []struct {
		typ, name string
		dst       *string
	}{
		{"m.room.canonical_alias", "alias", &inv.RoomAlias},
		{"m.room.avatar", "url", &inv.RoomAvatarURL},
		{typeJoinRules, "join_rule", &inv.RoomJoinRules},
		{typeName, "name", &inv.RoomName},
		{typeCreate, "type", &inv.RoomType},
	}
	keys := make([]event.Key, len(fields))
	for i, f := range fields {
		keys[i].Type = f.typ
	}
	state, err := w.current(keys...)
	if err != nil {
		return inv, err
	}
	for i, f := range fields {
		var content map[string]jsontext.Value
		if e := state[keys[i]]; e != nil && json.Unmarshal(e.Content(), &content) == nil {
			_ = json.Unmarshal(content[f.name], f.dst) // what is no text is not told
		}
	}
	profile, err := w.tx.Profile(sender)
	for _, f := range profile {
		switch f.Name {
		case account.FieldDisplayName:
			_ = json.Unmarshal(f.Value, &inv.SenderDisplayName)
		case account.FieldAvatarURL:
			_ = json.Unmarshal(f.Value, &inv.SenderAvatarURL)
		}
	}
	return inv, err
}

// storeInvite has the identity server keep an invite, and returns the state that
// says so to the room.
func (s *Service) storeInvite(ctx context.Context, inv Invite3PID, facts identity.Invitation) (draft, error) {
	facts.Medium, facts.Address = inv.Medium, inv.Address
	stored, err := s.opts.Identity.StoreInvite(ctx, inv.IDServer, inv.AccessToken, facts)
	if err != nil {
		return draft{}, identity.Explain(err)
	}
	content, err := json.Marshal(map[string]any{
		"display_name": stored.DisplayName, "public_keys": stored.PublicKeys,
		"public_key": stored.PublicKeys[0].Key, "key_validity_url": stored.PublicKeys[0].ValidityURL,
	})
	return stateDraft(typeThirdPartyInvite, stored.Token, content), err
}

// lookUp makes invites by address of a new room invites of the users who have
// bound them, and returns those that nobody has.
func (s *Service) lookUp(ctx context.Context, c *Creation) (unknown []Invite3PID, err error) {
	for _, inv := range c.Invite3PID {
		user, err := s.opts.Identity.Lookup(ctx, inv.IDServer, inv.AccessToken, inv.Threepid)
		switch {
		case err != nil:
			return nil, identity.Explain(err)
		case user == "":
			unknown = append(unknown, inv)
		case !slices.Contains(c.Invite, user):
			c.Invite = append(slices.Clip(c.Invite), user)
		}
	}
	return unknown, nil
}

// storeInvites has the identity servers keep the invites of a new room, once it
// is sure that the room can be made: they write to people.
func (s *Service) storeInvites(ctx context.Context, who Actor, p *plan, invites []Invite3PID) error {
	p.thirdParty = nil
	if len(invites) == 0 {
		return nil
	}
	var facts identity.Invitation
	err := s.carryOut(ctx, who, *p, func(w *writer) (err error) {
		facts, err = w.rehearseInvite(who)
		return err
	})
	if err != nil {
		return err
	}
	for _, inv := range invites {
		d, err := s.storeInvite(ctx, inv, facts)
		if err != nil {
			return err
		}
		p.thirdParty = append(p.thirdParty, d)
	}
	return nil
}

// ThirdPartySigned is the proof of an identity server that somebody has the
// address that a third-party invite is for (CS API, third_party_signed).
type ThirdPartySigned struct {
	Sender matrix.UserID
	MXID   matrix.UserID
	Token  string
	JSON   jsontext.Value // all of it, as it is signed
}

var errThirdParty = matrix.Errorf(matrix.CodeForbidden, "third_party_signed is for no pending invite of this room.")

// checkThirdParty holds a proof to the pending invite, and asks whether the key
// that signed it is still valid (CS API, POST /rooms/{roomId}/join).
func (s *Service) checkThirdParty(ctx context.Context, who Actor, room matrix.RoomID, signed *ThirdPartySigned) error {
	var keys []identity.PublicKey
	err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
		keys = nil
		r, err := tx.Room(room)
		if errors.Is(err, storage.ErrNotFound) {
			return errNoRoom
		}
		if err != nil {
			return err
		}
		w := &writer{s: s, tx: tx, version: r.VersionOf(), room: r}
		if now, err := w.membership(who.User); err != nil || now == join || now == invite {
			return err // they do not need it
		}
		_, keys, err = w.pending(who.User, signed)
		return err
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	var unknown error
	for _, key := range keys {
		valid, err := s.opts.Identity.KeyIsValid(ctx, key)
		if valid {
			return nil
		}
		unknown = errors.Join(unknown, err)
	}
	if unknown != nil {
		return identity.Explain(unknown)
	}
	return matrix.Errorf(matrix.CodeForbidden, "The key that signed third_party_signed is not valid any more.")
}

// maxInviteKeys bounds how many keys of an invite are tried: an event has room
// for a thousand.
const maxInviteKeys = 10

// pending is the invite that a proof by user is for, and those of its keys that
// signed the proof.
func (w *writer) pending(user matrix.UserID, signed *ThirdPartySigned) (*event.Event, []identity.PublicKey, error) {
	key := event.Key{Type: typeThirdPartyInvite, StateKey: signed.Token}
	state, err := w.current(key)
	if err != nil {
		return nil, nil, err
	}
	e := pdu(state[key])
	if e == nil || e.Sender() != signed.Sender || signed.MXID != user {
		return nil, nil, errThirdParty
	}
	var content struct {
		identity.PublicKey
		Keys []identity.PublicKey `json:"public_keys"`
	}
	if err := json.Unmarshal(e.Content(), &content); err != nil {
		return nil, nil, errThirdParty
	}
	keys := append([]identity.PublicKey{content.PublicKey}, content.Keys[:min(len(content.Keys), maxInviteKeys)]...)
	keys = slices.DeleteFunc(keys, func(k identity.PublicKey) bool { return !event.SignedBy(signed.JSON, k.Key) })
	if len(keys) == 0 {
		return nil, nil, errThirdParty
	}
	return e, keys, nil
}

// exchange makes an invite to a user of a pending third-party invite, in the name
// of whoever invited. That is for their server to do.
func (w *writer) exchange(signed *ThirdPartySigned) error {
	e, _, err := w.pending(signed.MXID, signed)
	if err != nil {
		return err
	}
	if !w.s.local(e.Sender()) {
		return matrix.Errorf(matrix.CodeForbidden, "Only the server of %s can accept this proof.", e.Sender())
	}
	var content struct {
		DisplayName string `json:"display_name"`
	}
	_ = json.Unmarshal(e.Content(), &content) // pending has read it
	raw, err := w.memberContent(signed.MXID, invite, map[string]any{
		"third_party_invite": map[string]any{"display_name": content.DisplayName, "signed": signed.JSON},
	})
	if err != nil {
		return err
	}
	// They ask for it themselves, so it does not matter whether they take invites.
	_, err = w.make(Actor{User: e.Sender()}, stateDraft(typeMember, string(signed.MXID), raw))
	return err
}
