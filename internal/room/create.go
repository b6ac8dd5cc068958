package room

import (
	"context"
	"crypto/rand"
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
}

// State is state to set.
type State struct {
	Type, Key string
	Content   jsontext.Value
}

// Create makes a room (CS API, POST /createRoom), with everything in it in one
// transaction, and returns its id.
func (s *Service) Create(ctx context.Context, who Actor, c Creation) (matrix.RoomID, error) {
	if c.Version == "" {
		c.Version = s.opts.DefaultVersion
	}
	version, ok := event.VersionOf(c.Version)
	if !ok {
		return "", matrix.Errorf(matrix.CodeUnsupportedRoomVersion, "This server has no room version %q.", c.Version)
	}
	if c.Preset == "" {
		c.Preset = PrivateChat
		if c.Public {
			c.Preset = PublicChat
		}
	}
	if _, ok := presets[c.Preset]; !ok {
		return "", matrix.Errorf(matrix.CodeInvalidParam, "There is no preset %q.", c.Preset)
	}
	var id matrix.RoomID
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if err := s.live(tx, who); err != nil {
			return err
		}
		w, err := s.begin(tx, who, version, c)
		if err != nil {
			return err
		}
		if err := w.furnish(who, c); err != nil {
			return err
		}
		id = w.room.ID
		return w.close()
	})
	return id, err
}

// begin makes the room with its create event.
func (s *Service) begin(tx *storage.Tx, who Actor, version *event.Version, c Creation) (*writer, error) {
	content, err := createContent(who, version, c)
	if err != nil {
		return nil, err
	}
	p := event.Proto{
		Type: typeCreate, StateKey: new(string), Sender: who.User, Content: content, Depth: 1, Timestamp: s.now(),
	}
	if !version.RoomIDFromCreate {
		p.RoomID = matrix.RoomID("!" + rand.Text() + ":" + string(s.opts.ServerName))
	}
	e, err := event.Build(version, p, s.opts.ServerName, s.opts.Key)
	if err != nil {
		return nil, refusal(err)
	}
	if err := event.Authorize(e, func(event.Key) *event.Event { return nil }); err != nil {
		return nil, refusal(err)
	}
	w := &writer{s: s, tx: tx, version: version, room: storage.Room{
		ID: event.RoomIDOf(e), Version: version.ID, CreatedAt: s.now(), Extremities: []string{},
	}}
	if err := tx.AddRoom(w.room); err != nil {
		return nil, err
	}
	_, err = w.store(e)
	return w, err
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
	if version.PrivilegedCreators && c.Preset == TrustedPrivateChat {
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

// additionalCreators are those of the request with those who are invited (CS
// API, POST /createRoom, creation_content).
func additionalCreators(who Actor, c Creation) ([]matrix.UserID, error) {
	var creators []matrix.UserID
	if raw := c.Content["additional_creators"]; raw != nil {
		if err := json.Unmarshal(raw, &creators); err != nil {
			return nil, matrix.Errorf(matrix.CodeBadJSON, "additional_creators is a list of user ids.")
		}
	}
	for _, user := range c.Invite {
		if !slices.Contains(creators, user) && user != who.User {
			creators = append(creators, user)
		}
	}
	return creators, nil
}

// furnish adds everything but the create event, in the order of the
// specification.
func (w *writer) furnish(who Actor, c Creation) error {
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
			return err
		}
	}
	for _, user := range c.Invite {
		extra := map[string]any{}
		if c.Direct {
			extra["is_direct"] = true
		}
		if err := w.invite(who, user, extra); err != nil {
			return err
		}
	}
	if c.Public {
		return w.publish(true)
	}
	return nil
}

// presetState is the state of the preset with that of initial_state in the place
// of what has the same key, and after it.
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
		drafts = append(drafts, stateDraft("m.room.name", "", raw))
	}
	if c.Topic != nil {
		raw, _ := json.Marshal(map[string]any{
			"topic": *c.Topic,
			"m.topic": map[string]any{
				"m.text": []map[string]string{{"body": *c.Topic, "mimetype": "text/plain"}},
			},
		})
		drafts = append(drafts, stateDraft("m.room.topic", "", raw))
	}
	return drafts
}

// levels are the power levels of a new room, with what the request puts over
// them.
func (w *writer) levels(who Actor, c Creation) (jsontext.Value, error) {
	tombstone := 100
	if w.version.PrivilegedCreators {
		tombstone = 150 // higher than state_default, for creators alone (POST /createRoom, 3)
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
