package room

import (
	"context"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Upgrading says by what a room is replaced.
type Upgrading struct {
	Version string
	// Creators are the further creators of the new room, where there are such
	// (rooms/v12).
	Creators []matrix.UserID
}

// carried are the types of state that a new room has from the one it replaces (CS
// API, Room upgrades, Server behaviour), besides the power levels.
var carried = []string{
	typeServerACL, typeEncryption, typeName, typeAvatar, typeTopic, typeGuestAccess, typeHistoryVisibility, typeJoinRules,
}

// Upgrade replaces a room by a new one (CS API, POST /rooms/{roomId}/upgrade), all
// in one transaction, and returns the new room's id.
func (s *Service) Upgrade(ctx context.Context, who Actor, id matrix.RoomID, u Upgrading) (next matrix.RoomID, err error) {
	version, ok := event.VersionOf(u.Version)
	if !ok {
		return "", matrix.Errorf(matrix.CodeUnsupportedRoomVersion, "This server has no room version %q.", u.Version)
	}
	err = s.change(ctx, who, id, func(w *writer) error {
		m := move{who: who, old: w, version: version}
		if err := m.run(u.Creators); err != nil {
			return err
		}
		next = m.new.room.ID
		return nil
	})
	return next, hideRoom(err)
}

// move is what happens from one room to another.
type move struct {
	who      Actor
	old, new *writer
	version  *event.Version // of the new room
	state    map[event.Key]*storage.Event
	levels   carriedLevels
}

// run is the order of the specification (CS API, Room upgrades), but that the
// tombstone comes first where the create event can name it.
func (m *move) run(creators []matrix.UserID) error {
	keys := []event.Key{{Type: typeCreate}, {Type: typePowerLevels}}
	for _, typ := range carried {
		keys = append(keys, event.Key{Type: typ})
	}
	var err error
	if m.state, err = m.old.current(keys...); err != nil {
		return err
	}
	if err := m.allowed(); err != nil {
		return err
	}
	if err := m.begin(creators); err != nil {
		return err
	}
	for _, step := range []func() error{m.copyState, m.copyBans, m.copyChildren, m.moveAliases, m.moveLists} {
		if err := step(); err != nil {
			return err
		}
	}
	if end := m.levels.end; string(end) != string(m.levels.start) {
		if _, err := m.new.add(m.who, stateDraft(typePowerLevels, "", end)); err != nil {
			return err
		}
	}
	if err := m.new.close(); err != nil {
		return err
	}
	return m.closeOld()
}

// allowed refuses those who may not send a tombstone.
func (m *move) allowed() error {
	if err := m.old.mustBeIn(m.who); err != nil {
		return err
	}
	levels := event.NewPowerLevels(pdu(m.at(typeCreate)), pdu(m.at(typePowerLevels)))
	if levels.User(m.who.User) < levels.EventLevel(typeTombstone, true) {
		return matrix.Errorf(matrix.CodeForbidden, "You do not have the power to replace this room.")
	}
	return nil
}

// at is the state of the old room, as it was.
func (m *move) at(typ string) *storage.Event { return m.state[event.Key{Type: typ}] }

// begin makes the new room, with its creator and power levels.
func (m *move) begin(creators []matrix.UserID) error {
	p := plan{version: m.version}
	last := m.old.room.Extremities[0]
	if !m.version.RoomIDFromCreate {
		p.id = m.old.s.newRoomID()
		tombstone, err := m.bury(p.id)
		if err != nil {
			return err
		}
		last = tombstone.ID()
	}
	var err error
	if p.creation.Content, err = m.content(last, creators); err != nil {
		return err
	}
	if p.create, err = m.old.s.createEvent(m.who, p, m.old.s.now()); err != nil {
		return err
	}
	if m.new, err = m.old.s.begin(m.old.tx, p); err != nil {
		return err
	}
	member, err := m.new.memberContent(m.who.User, join, nil)
	if err != nil {
		return err
	}
	if _, err := m.new.add(m.who, stateDraft(typeMember, string(m.who.User), member)); err != nil {
		return err
	}
	if m.levels, err = m.carryLevels(event.Creators(p.create)); err != nil {
		return err
	}
	_, err = m.new.add(m.who, stateDraft(typePowerLevels, "", m.levels.start))
	return err
}

// content is what the create event of the new room says: which room it replaces,
// what it is, and that no other server is let in, if so.
func (m *move) content(last string, creators []matrix.UserID) (content map[string]jsontext.Value, err error) {
	content = map[string]jsontext.Value{}
	content["predecessor"], err = json.Marshal(map[string]string{"room_id": string(m.old.room.ID), "event_id": last})
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"type", "m.federate"} {
		if value := fields(m.at(typeCreate))[name]; value != nil {
			content[name] = value
		}
	}
	if m.version.PrivilegedCreators && len(creators) > 0 {
		content["additional_creators"], err = json.Marshal(creators)
	}
	return content, err
}

// bury sends the tombstone.
func (m *move) bury(next matrix.RoomID) (*storage.Event, error) {
	content, err := json.Marshal(map[string]string{
		"body": "This room has been replaced.", "replacement_room": string(next),
	})
	if err != nil {
		return nil, err
	}
	return m.old.add(m.who, stateDraft(typeTombstone, "", content))
}

func (m *move) copyState() error {
	for _, typ := range carried {
		e := m.at(typ)
		if e == nil {
			continue
		}
		content := e.Content()
		if typ == typeJoinRules && !joinRuleExists(m.version, event.JoinRule(e.Event)) {
			content = jsontext.Value(`{"join_rule":"` + ruleInvite + `"}`)
		}
		if _, err := m.new.add(m.who, stateDraft(typ, "", content)); err != nil {
			return err
		}
	}
	return nil
}

// joinRuleExists tells whether a room version has a join rule: a room with one
// that it has not could be joined by nobody.
func joinRuleExists(v *event.Version, rule string) bool {
	switch rule {
	case ruleKnock:
		return v.KnockJoin
	case ruleRestricted:
		return v.Restricted
	case ruleKnockRestricted:
		return v.KnockRestricted
	}
	return true
}

// copyBans keeps those out who were kept out, without what was said of them. Who
// was erased will not come again.
func (m *move) copyBans() error {
	banned, err := m.old.tx.Members(m.old.room.ID, ban)
	if err != nil {
		return err
	}
	for _, b := range banned {
		if pos, err := m.old.tx.Erased(b.User); err != nil {
			return err
		} else if pos != 0 {
			continue
		}
		err := m.new.setMember(m.who, b.User, ban, nil)
		if err != nil && matrix.CodeOf(err) != matrix.CodeForbidden { // they have more power
			return err
		}
	}
	return nil
}

// copyChildren keeps the rooms of a space in it.
func (m *move) copyChildren() error {
	if textIn(fields(m.at(typeCreate)), "type") != roomTypeSpace {
		return nil
	}
	old := m.old
	ids, err := old.s.trees.OfType(old.tx, old.room.ID, state.Root(old.room.State), typeSpaceChild)
	if err != nil {
		return err
	}
	for key, id := range ids {
		e, err := old.tx.Event(id)
		if err != nil {
			return err
		}
		if _, _, ok := readChild(e); !ok {
			continue
		}
		if _, err := m.new.add(m.who, stateDraft(typeSpaceChild, key, e.Content())); err != nil {
			return err
		}
	}
	return nil
}

// moveAliases makes the aliases of this server those of the new room, and has it
// say so as the old one did.
func (m *move) moveAliases() error {
	tx := m.old.tx
	aliases, err := tx.AliasesOf(m.old.room.ID)
	if err != nil || len(aliases) == 0 {
		return err
	}
	if err := tx.MoveAliases(m.old.room.ID, m.new.room.ID); err != nil {
		return err
	}
	c, err := m.old.canonicalNow()
	if err != nil {
		return err
	}
	content := map[string]any{}
	moved := func(name string) bool { return slices.Contains(aliases, matrix.RoomAlias(name)) }
	if moved(c.alias) {
		content["alias"] = c.alias
	}
	if alt := slices.DeleteFunc(slices.Clone(c.alt), func(name string) bool { return !moved(name) }); len(alt) > 0 {
		content["alt_aliases"] = alt
	}
	if len(content) > 0 {
		raw, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if _, err := m.new.add(m.who, stateDraft(typeCanonicalAlias, "", raw)); err != nil {
			return err
		}
	}
	return m.old.dropAliases(m.who, aliases)
}

// moveLists puts the new room where the old one was in the directory.
func (m *move) moveLists() error {
	tx := m.old.tx
	lists, err := tx.ListsOf(m.old.room.ID)
	if err != nil || len(lists) == 0 {
		return err
	}
	if err := tx.MoveLists(m.old.room.ID, m.new.room.ID); err != nil {
		return err
	}
	if err := tx.DeletePublicRoom(m.old.room.ID); err != nil {
		return err
	}
	return m.new.describe()
}

// closeOld has the old room point to the new one, and keeps people from going on
// in it, as far as whoever replaces it may say so.
func (m *move) closeOld() error {
	if m.version.RoomIDFromCreate {
		if _, err := m.bury(m.new.room.ID); err != nil {
			return err
		}
	}
	m.old.enqueued = m.old.enqueued || m.new.enqueued
	content, err := m.quietLevels()
	if err != nil || content == nil {
		return err
	}
	_, err = m.old.add(m.who, stateDraft(typePowerLevels, "", content))
	if matrix.CodeOf(err) == matrix.CodeForbidden {
		return nil
	}
	return err
}
