package room

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// fieldVia is the member of a join that names whose server let the user in
// (CS API, Restricted rooms).
const fieldVia = "join_authorised_via_users_server"

var errNotBanned = matrix.Errorf(matrix.CodeBadState, "They are not banned from this room.").
	WithStatus(http.StatusForbidden)

// memberContent is the content of a member event: the membership, the names of a
// user of this server where they are or come in (CS API, m.room.member), and what
// else is given.
func (w *writer) memberContent(user matrix.UserID, membership string, extra map[string]any) (jsontext.Value, error) {
	content := map[string]any{}
	if w.s.local(user) && slices.Contains([]string{join, invite, knock}, membership) {
		fields, err := w.tx.Profile(user)
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			if f.Name == account.FieldDisplayName || f.Name == account.FieldAvatarURL {
				content[f.Name] = jsontext.Value(f.Value)
			}
		}
	}
	maps.Copy(content, extra)
	content["membership"] = membership
	return json.Marshal(content)
}

// membership is what user is to the room, "" for nothing.
func (w *writer) membership(user matrix.UserID) (string, error) {
	m, err := w.tx.Membership(w.room.ID, user)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return m.Membership, err
}

// setMember makes target what membership says, on who's behalf. Where the same
// was said before, word for word, it stays.
func (w *writer) setMember(who Actor, target matrix.UserID, membership string, extra map[string]any) error {
	content, err := w.memberContent(target, membership, extra)
	if err != nil {
		return err
	}
	_, err = w.set(who, stateDraft(typeMember, string(target), content))
	return err
}

func withReason(reason string) map[string]any {
	if reason == "" {
		return nil
	}
	return map[string]any{"reason": reason}
}

// admit holds a member event, whoever makes it and by whatever endpoint, to what
// the auth rules do not know: guests, accounts, who wants no invites, and the
// conditions of restricted rooms. It returns the draft as it may be.
func (w *writer) admit(who Actor, d draft) (draft, error) {
	target, err := matrix.ParseUserID(*d.StateKey)
	if err != nil {
		return d, matrix.Errorf(matrix.CodeInvalidParam, "The state key of %s is no user id: %v.", typeMember, err)
	}
	var content map[string]jsontext.Value
	if err := json.Unmarshal(d.Content, &content); err != nil {
		return d, refusal(err)
	}
	var membership string
	_ = json.Unmarshal(content["membership"], &membership) // what is no text is for the auth rules
	switch membership {
	case join:
		d.Content, err = w.admitJoin(who, target, content)
	case invite:
		err = w.admitInvite(target)
	case knock:
		if who.Guest {
			err = errGuest
		}
	case leave:
		err = w.admitLeave(who, target)
	}
	return d, err
}

// admitJoin lets somebody in, as far as the auth rules do not, and returns the
// content of their join: who let them in is for this server to say.
func (w *writer) admitJoin(
	who Actor, user matrix.UserID, content map[string]jsontext.Value,
) (jsontext.Value, error) {
	delete(content, fieldVia)
	now, err := w.membership(user)
	if err != nil {
		return nil, err
	}
	if now != join {
		if err := w.admitGuest(who); err != nil {
			return nil, err
		}
		via, err := w.authoriser(user, now)
		if err != nil {
			return nil, err
		}
		if via != "" {
			if content[fieldVia], err = json.Marshal(via); err != nil {
				return nil, err
			}
		}
	}
	return json.Marshal(content)
}

// Joining is how someone wants to join a room.
type Joining struct {
	Reason string
	// ThirdParty proves that they are whom a third-party invite is for; nil where
	// there is none.
	ThirdParty *ThirdPartySigned
}

// Join lets someone into a room (CS API, POST /rooms/{roomId}/join). Who is in
// already stays in, without another event.
func (s *Service) Join(ctx context.Context, who Actor, room matrix.RoomID, j Joining) error {
	if j.ThirdParty != nil {
		if err := s.checkThirdParty(ctx, who, room, j.ThirdParty); err != nil {
			return err
		}
	}
	return s.change(ctx, who, room, func(w *writer) error {
		now, err := w.membership(who.User)
		if err != nil || now == join {
			return err
		}
		if j.ThirdParty != nil && now != invite {
			if err := w.exchange(j.ThirdParty); err != nil {
				return err
			}
		}
		return w.setMember(who, who.User, join, withReason(j.Reason))
	})
}

// Leave takes someone out of a room, or refuses an invite, or withdraws a knock
// (CS API, POST /rooms/{roomId}/leave). Who is out already stays out, without
// another event.
func (s *Service) Leave(ctx context.Context, who Actor, room matrix.RoomID, reason string) error {
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		now, err := w.membership(who.User)
		switch {
		case err != nil || now == leave:
			return err
		case now == "":
			return errNotIn
		}
		return w.setMember(who, who.User, leave, withReason(reason))
	}))
}

// Kick takes target out of a room, or takes back their invite, or refuses their
// knock (CS API, POST /rooms/{roomId}/kick).
func (s *Service) Kick(ctx context.Context, who Actor, room matrix.RoomID, target matrix.UserID, reason string) error {
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		now, err := w.membership(target)
		if err != nil {
			return err
		}
		if now == "" || now == leave || now == ban {
			if err := w.mustBeIn(who); err != nil {
				return err
			}
			return matrix.Errorf(matrix.CodeForbidden, "%s is not in this room.", target)
		}
		return w.setMember(who, target, leave, withReason(reason))
	}))
}

// Ban keeps target out of a room (CS API, POST /rooms/{roomId}/ban).
func (s *Service) Ban(ctx context.Context, who Actor, room matrix.RoomID, target matrix.UserID, reason string) error {
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		return w.setMember(who, target, ban, withReason(reason))
	}))
}

// Unban ends the ban of target (CS API, POST /rooms/{roomId}/unban). Who is not
// banned is M_BAD_STATE.
func (s *Service) Unban(ctx context.Context, who Actor, room matrix.RoomID, target matrix.UserID, reason string) error {
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		now, err := w.membership(target)
		if err != nil {
			return err
		}
		if now != ban {
			if err := w.mustBeIn(who); err != nil {
				return err
			}
			return errNotBanned
		}
		return w.setMember(who, target, leave, withReason(reason))
	}))
}

// mustBeIn refuses those who are not in the room: what others are to it is not
// theirs to know.
func (w *writer) mustBeIn(who Actor) error {
	now, err := w.membership(who.User)
	if err == nil && now != join {
		err = errNotIn
	}
	return err
}

// Joined returns the rooms that user is in (CS API, GET /joined_rooms).
func (s *Service) Joined(ctx context.Context, user matrix.UserID) (rooms []matrix.RoomID, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		memberships, err := tx.MembershipsOf(user, join)
		rooms = make([]matrix.RoomID, 0, len(memberships))
		for _, m := range memberships {
			rooms = append(rooms, m.Room)
		}
		return err
	})
	return rooms, err
}

// powerLevels are those of the room now.
func (w *writer) powerLevels() (event.PowerLevels, error) {
	create, levels := event.Key{Type: typeCreate}, event.Key{Type: typePowerLevels}
	now, err := w.current(create, levels)
	if err != nil {
		return event.PowerLevels{}, err
	}
	return event.NewPowerLevels(pdu(now[create]), pdu(now[levels])), nil
}

func pdu(e *storage.Event) *event.Event {
	if e == nil {
		return nil
	}
	return e.Event
}
