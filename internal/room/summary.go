package room

import (
	"context"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Listing is what the directory shows of a room (CS API, GET /publicRooms). All of
// it is the room's current state, and so the room's own, whoever set it (DESIGN
// §5).
type Listing struct {
	RoomID         matrix.RoomID    `json:"room_id"`
	Type           string           `json:"room_type,omitzero"`
	Name           string           `json:"name,omitzero"`
	Topic          string           `json:"topic,omitzero"`
	AvatarURL      string           `json:"avatar_url,omitzero"`
	CanonicalAlias matrix.RoomAlias `json:"canonical_alias,omitzero"`
	JoinRule       string           `json:"join_rule,omitzero"`
	Joined         int64            `json:"num_joined_members"`
	WorldReadable  bool             `json:"world_readable"`
	GuestCanJoin   bool             `json:"guest_can_join"`
}

// Summary is what somebody is told of a room before they join it (CS API, GET
// /room_summary/{roomIdOrAlias}).
type Summary struct {
	Listing
	Allowed    []matrix.RoomID `json:"allowed_room_ids,omitempty"`
	Encryption string          `json:"encryption,omitzero"`
	Version    string          `json:"room_version"`
}

// summarised are the keys of the state that a summary is made of.
var summarised = []event.Key{
	{Type: typeCreate},
	{Type: typeName},
	{Type: typeTopic},
	{Type: typeAvatar},
	{Type: typeCanonicalAlias},
	{Type: typeJoinRules},
	{Type: typeHistoryVisibility},
	{Type: typeGuestAccess},
	{Type: typeEncryption},
}

// fields are the members of an event's content; none where there is no event.
func fields(e *storage.Event) map[string]jsontext.Value {
	var fields map[string]jsontext.Value
	if e != nil {
		_ = json.Unmarshal(e.Content(), &fields) // content is an object: the event came through Build or Parse
	}
	return fields
}

// textIn is a member that is a text, "" for none.
func textIn(fields map[string]jsontext.Value, name string) (text string) {
	if raw := fields[name]; raw.Kind() == '"' {
		_ = json.Unmarshal(raw, &text) // it is a text
	}
	return text
}

// listing makes the listing of the state that it was given.
func (w *writer) listing(state map[event.Key]*storage.Event) Listing {
	at := func(typ string) *storage.Event { return state[event.Key{Type: typ}] }
	l := Listing{
		RoomID: w.room.ID, Joined: w.room.Joined,
		Type: textIn(fields(at(typeCreate)), "type"),
		Name: textIn(fields(at(typeName)), "name"), Topic: topic(fields(at(typeTopic))),
		JoinRule:      event.JoinRule(pdu(at(typeJoinRules))),
		WorldReadable: event.HistoryVisibility(pdu(at(typeHistoryVisibility))) == worldReadable,
		GuestCanJoin:  event.GuestAccess(pdu(at(typeGuestAccess))) == "can_join",
	}
	if url := textIn(fields(at(typeAvatar)), "url"); strings.HasPrefix(url, "mxc://") {
		l.AvatarURL = url
	}
	if alias, err := matrix.ParseRoomAlias(textIn(fields(at(typeCanonicalAlias)), "alias")); err == nil {
		l.CanonicalAlias = alias
	}
	return l
}

// topic is the plain text of a topic: that of m.topic, where there is one (CS API,
// m.room.topic).
func topic(fields map[string]jsontext.Value) string {
	var rich struct {
		Text []struct {
			Body string `json:"body"`
			Type string `json:"mimetype"`
		} `json:"m.text"`
	}
	if raw := fields["m.topic"]; raw != nil && json.Unmarshal(raw, &rich) == nil {
		for _, t := range rich.Text {
			if t.Type == "" || t.Type == "text/plain" {
				return t.Body
			}
		}
	}
	return textIn(fields, "topic")
}

// summary makes the summary of the state that it was given.
func (w *writer) summary(state map[event.Key]*storage.Event) Summary {
	s := Summary{Listing: w.listing(state), Version: w.version.ID}
	// The one algorithm that the specification has for rooms.
	const megolm = "m.megolm.v1.aes-sha2"
	if textIn(fields(state[event.Key{Type: typeEncryption}]), "algorithm") == megolm {
		s.Encryption = megolm
	}
	if s.JoinRule == ruleRestricted || s.JoinRule == ruleKnockRestricted {
		s.Allowed = allowed(state[event.Key{Type: typeJoinRules}].Content())
	}
	return s
}

// Summarised is a summary and what the reader is to the room: "" where nobody has
// asked who they are.
type Summarised struct {
	Summary
	Membership string `json:"membership,omitzero"`
}

// Summary is the summary of a room (CS API, GET /room_summary/{roomIdOrAlias}), or
// M_NOT_FOUND for a room that is not for the reader to see. A user of "" is
// somebody of whom nothing is known.
func (s *Service) Summary(ctx context.Context, user matrix.UserID, name string) (sum Summarised, err error) {
	room, err := s.Resolve(ctx, name)
	if err != nil {
		return sum, err
	}
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		w, err := s.look(tx, room)
		if err != nil {
			return err
		}
		found, ok, err := w.preview(user)
		if err == nil && !ok {
			err = errNoRoom
		}
		sum = found
		return err
	})
	return sum, err
}

// preview is the summary of the room, as far as it is for user to see (CS API, GET
// /rooms/{roomId}/hierarchy, rooms): they are in it or may come in, or may knock,
// or everybody may read it.
func (w *writer) preview(user matrix.UserID) (s Summarised, ok bool, err error) {
	state, err := w.current(summarised...)
	if err != nil {
		return s, false, err
	}
	s.Summary = w.summary(state)
	if user != "" {
		if s.Membership, err = w.membership(user); err != nil {
			return s, false, err
		}
		if s.Membership == "" {
			s.Membership = leave
		}
	}
	switch {
	case s.WorldReadable, s.Membership == join, s.Membership == invite, s.Membership == knock:
		return s, true, nil
	case s.JoinRule == rulePublic, s.JoinRule == ruleKnock && w.version.KnockJoin,
		s.JoinRule == ruleKnockRestricted && w.version.KnockRestricted:
		return s, true, nil
	case s.JoinRule == ruleRestricted && w.version.Restricted && user != "":
		in, err := w.tx.JoinedAny(user, s.Allowed)
		return s, in, err
	}
	return s, false, nil
}
