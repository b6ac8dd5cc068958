package room

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// The presets of new rooms (CS API, POST /createRoom).
const (
	PrivateChat        = "private_chat"
	TrustedPrivateChat = "trusted_private_chat"
	PublicChat         = "public_chat"
)

// preset is what a preset sets.
type preset struct{ joinRule, historyVisibility, guestAccess string }

var presets = map[string]preset{
	PrivateChat:        {"invite", "shared", "can_join"},
	TrustedPrivateChat: {"invite", "shared", "can_join"},
	PublicChat:         {"public", "shared", "forbidden"},
}

// Versions are the version that new rooms have and all that they can have.
func (s *Service) Versions() (standard string, all []string) {
	return s.opts.DefaultVersion, event.Versions()
}

// Creation says what room to make.
type Creation struct {
	Version string // "" for the server's default
	Preset  string // "" for that of Public
	Public  bool   // in the directory
	// AliasName is the localpart of the room's alias, "" for none.
	AliasName   string
	Name, Topic *string
	Invite      []matrix.UserID
	Invite3PID  []Invite3PID
	Direct      bool
	// Content is what else the create event says; Levels goes over the power levels.
	Content, Levels map[string]jsontext.Value
	Initial         []State
	// also is done in the transaction that makes the room; nil for nothing.
	also func(*writer) error
}

// State is state to set.
type State struct {
	Type, Key string
	Content   jsontext.Value
}

// maxInvites is how many people can be invited to a room as it is made: all of
// it is one transaction.
const maxInvites = 500

// Create makes a room (CS API, POST /createRoom), with everything in it in one
// transaction, and returns its id.
func (s *Service) Create(ctx context.Context, who Actor, c Creation) (matrix.RoomID, error) {
	version, err := s.complete(&c)
	if err != nil {
		return "", err
	}
	unknown, err := s.lookUp(ctx, &c)
	if err != nil {
		return "", err
	}
	p := plan{version: version, creation: c}
	for at := s.now(); ; at++ {
		if p.create, err = s.createEvent(who, p, at); err != nil {
			return "", err
		}
		err = s.storeInvites(ctx, who, &p, unknown)
		if err == nil {
			err = s.carryOut(ctx, who, p, nil)
		}
		// In the same millisecond the same person has made a room just like this,
		// whose id is the hash of the same event (rooms/v12).
		if !errors.Is(err, storage.ErrExists) || at > s.now()+1000 {
			return p.create.RoomID(), err
		}
	}
}

// complete puts in what the request leaves to the server, and checks the rest.
func (s *Service) complete(c *Creation) (*event.Version, error) {
	if c.Version == "" {
		c.Version = s.opts.DefaultVersion
	}
	version, ok := event.VersionOf(c.Version)
	if !ok {
		return nil, matrix.Errorf(matrix.CodeUnsupportedRoomVersion, "This server has no room version %q.", c.Version)
	}
	if c.Preset == "" {
		c.Preset = PrivateChat
		if c.Public {
			c.Preset = PublicChat
		}
	}
	if _, ok := presets[c.Preset]; !ok {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "There is no preset %q.", c.Preset)
	}
	if n := len(c.Invite) + len(c.Invite3PID); n > maxInvites {
		return nil, matrix.Errorf(matrix.CodeInvalidParam,
			"A new room can have %d invites, not %d. Invite the others when it is there.", maxInvites, n)
	}
	return version, nil
}

// plan is a room that is about to be made.
type plan struct {
	// id is its id, "" for one that is found as it is made.
	id       matrix.RoomID
	version  *event.Version
	creation Creation
	create   *event.Event
	// thirdParty are its m.room.third_party_invite events.
	thirdParty []draft
}

// carryOut makes the room; with rehearse it sees whether the room can be made,
// runs rehearse in it, and undoes it.
func (s *Service) carryOut(ctx context.Context, who Actor, p plan, rehearse func(*writer) error) error {
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if err := s.live(tx, who); err != nil {
			return err
		}
		w, err := s.begin(tx, p)
		if err != nil {
			return err
		}
		if err := w.furnish(who, p); err != nil {
			return err
		}
		if p.creation.also != nil {
			if err := p.creation.also(w); err != nil {
				return err
			}
		}
		if rehearse == nil {
			return w.close()
		}
		if err := rehearse(w); err != nil {
			return badState(err)
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// createEvent makes the create event, which gives the room its id.
func (s *Service) createEvent(who Actor, plan plan, at matrix.Timestamp) (*event.Event, error) {
	content, err := createContent(who, plan.version, plan.creation)
	if err != nil {
		return nil, err
	}
	p := event.Proto{
		Type: typeCreate, StateKey: new(string), Sender: who.User, Content: content, Depth: 1, Timestamp: at,
	}
	if !plan.version.RoomIDFromCreate {
		p.RoomID = plan.id
		if p.RoomID == "" {
			p.RoomID = s.newRoomID()
		}
	}
	e, err := event.Build(plan.version, p, s.opts.ServerName, s.opts.Key)
	if err == nil {
		err = event.Authorize(e, func(event.Key) *event.Event { return nil })
	}
	return e, badState(refusal(err))
}

// newRoomID is the id of a new room, where it is not the hash of the create event
// (rooms/v12).
func (s *Service) newRoomID() matrix.RoomID {
	return matrix.RoomID("!" + rand.Text() + ":" + string(s.opts.ServerName))
}

// begin stores a new room with its create event. One that is there already is
// [storage.ErrExists].
func (s *Service) begin(tx *storage.Tx, p plan) (*writer, error) {
	w := &writer{s: s, tx: tx, version: p.version, room: storage.Room{
		ID: p.create.RoomID(), Version: p.version.ID, CreatedAt: p.create.Timestamp(), Extremities: []string{},
	}}
	if err := tx.AddRoom(w.room); err != nil {
		return nil, err
	}
	_, err := w.store(p.create)
	return w, err
}

// badState is what the auth rules say against a new room: what the request asks
// for does not go together (CS API, POST /createRoom).
func badState(err error) error {
	if e, ok := errors.AsType[*matrix.Error](err); ok && e.Code == matrix.CodeForbidden {
		return matrix.Errorf(matrix.CodeInvalidRoomState, "The room cannot be made like this: %s", e.Message)
	}
	return err
}

func createContent(who Actor, version *event.Version, c Creation) (jsontext.Value, error) {
	content := map[string]any{}
	for name, value := range c.Content {
		content[name] = value
	}
	content["room_version"] = version.ID
	delete(content, "creator")
	if !version.SenderIsCreator {
		content["creator"] = who.User
	}
	if version.PrivilegedCreators {
		creators, err := additionalCreators(who, c)
		if err != nil {
			return nil, err
		}
		if len(creators) > 0 {
			content["additional_creators"] = creators
		}
	}
	return json.Marshal(content)
}

// additionalCreators are those of the request and, if they are to be trusted,
// those who are invited (CS API, POST /createRoom, creation_content).
func additionalCreators(who Actor, c Creation) ([]matrix.UserID, error) {
	var creators []matrix.UserID
	if raw := c.Content["additional_creators"]; raw != nil {
		if err := json.Unmarshal(raw, &creators); err != nil || raw.Kind() != '[' {
			return nil, matrix.Errorf(matrix.CodeBadJSON, "additional_creators is a list of user ids.")
		}
	}
	for _, user := range creators {
		if _, err := matrix.ParseUserID(string(user)); err != nil {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "additional_creators has something that is no user id: %v.", err)
		}
	}
	if c.Preset == TrustedPrivateChat {
		creators = append(creators, c.Invite...)
	}
	unique := make([]matrix.UserID, 0, len(creators))
	for _, user := range creators {
		if user != who.User && !slices.Contains(unique, user) {
			unique = append(unique, user)
		}
	}
	return unique, nil
}

// furnish adds everything but the create event, in the order of the
// specification.
func (w *writer) furnish(who Actor, p plan) error {
	c := p.creation
	member, err := w.memberContent(who.User, join, nil)
	if err != nil {
		return err
	}
	drafts := []draft{stateDraft(typeMember, string(who.User), member)}
	levels, err := w.levels(who, c)
	if err != nil {
		return err
	}
	drafts = append(drafts, stateDraft(typePowerLevels, "", levels))
	if c.AliasName != "" {
		d, err := w.claimAlias(who, c.AliasName)
		if err != nil {
			return err
		}
		drafts = append(drafts, d)
	}
	for _, d := range slices.Concat(drafts, presetState(c), named(c)) {
		if _, err := w.add(who, d); err != nil {
			return badState(err)
		}
	}
	if err := w.inviteAll(who, p); err != nil {
		return badState(err)
	}
	if c.Public {
		return w.publish(true)
	}
	return nil
}

// inviteAll adds the invites of a new room.
func (w *writer) inviteAll(who Actor, p plan) error {
	extra := map[string]any{}
	if p.creation.Direct {
		extra["is_direct"] = true // CS API, Direct Messaging
	}
	for _, user := range p.creation.Invite {
		if err := w.setMember(who, user, invite, extra); err != nil {
			return err
		}
	}
	for _, d := range p.thirdParty {
		if _, err := w.add(who, d); err != nil {
			return err
		}
	}
	return nil
}

// presetState is the state of the preset and, after it, that of initial_state,
// which takes the place of what has the same key, as name and topic take its.
func presetState(c Creation) []draft {
	p := presets[c.Preset]
	text := func(name, value string) jsontext.Value {
		raw, _ := json.Marshal(map[string]string{name: value})
		return raw
	}
	all := []draft{
		stateDraft(typeJoinRules, "", text("join_rule", p.joinRule)),
		stateDraft(typeHistoryVisibility, "", text("history_visibility", p.historyVisibility)),
		stateDraft(typeGuestAccess, "", text("guest_access", p.guestAccess)),
	}
	for _, st := range c.Initial {
		if st.Key == "" && (st.Type == typeName && c.Name != nil || st.Type == typeTopic && c.Topic != nil) {
			continue
		}
		all = slices.DeleteFunc(all, func(d draft) bool { return d.Type == st.Type && *d.StateKey == st.Key })
		all = append(all, stateDraft(st.Type, st.Key, st.Content))
	}
	return all
}

// named is the name and topic of a new room (CS API, m.room.topic: with a
// text/plain mimetype).
func named(c Creation) (drafts []draft) {
	if c.Name != nil {
		raw, _ := json.Marshal(map[string]string{"name": *c.Name})
		drafts = append(drafts, stateDraft(typeName, "", raw))
	}
	if c.Topic != nil {
		raw, _ := json.Marshal(map[string]any{
			"topic": *c.Topic,
			"m.topic": map[string]any{
				"m.text": []map[string]string{{"body": *c.Topic, "mimetype": "text/plain"}},
			},
		})
		drafts = append(drafts, stateDraft(typeTopic, "", raw))
	}
	return drafts
}

// levels are the power levels of a new room, with what the request puts over
// them.
func (w *writer) levels(who Actor, c Creation) (jsontext.Value, error) {
	tombstone := 100
	if w.version.PrivilegedCreators {
		// Higher than state_default, for creators alone (POST /createRoom, 3).
		tombstone = 150
		var stateDefault int
		if json.Unmarshal(c.Levels["state_default"], &stateDefault) == nil && stateDefault >= tombstone {
			tombstone = stateDefault + 1
		}
	}
	inviteLevel := 50
	if c.Preset != PublicChat {
		inviteLevel = 0
	}
	users := map[matrix.UserID]int{}
	if !w.version.PrivilegedCreators {
		users[who.User] = 100
		if c.Preset == TrustedPrivateChat {
			for _, user := range c.Invite {
				users[user] = 100
			}
		}
	}
	content := map[string]any{
		"users": users, "users_default": 0, "events_default": 0, "state_default": 50,
		"ban": 50, "kick": 50, "redact": 50, "invite": inviteLevel,
		"events": map[string]int{
			"m.room.name": 50, "m.room.avatar": 50, "m.room.canonical_alias": 50, "m.room.power_levels": 100,
			"m.room.history_visibility": 100, "m.room.encryption": 100, "m.room.server_acl": 100,
			"m.room.tombstone": tombstone,
		},
	}
	for name, value := range c.Levels {
		content[name] = value
	}
	return json.Marshal(content)
}
