package room

import (
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

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
				content[f.Name] = f.Value
			}
		}
	}
	for name, value := range extra {
		content[name] = value
	}
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

// setMember makes target what membership says, on who's behalf.
func (w *writer) setMember(who Actor, target matrix.UserID, membership string, extra map[string]any) error {
	content, err := w.memberContent(target, membership, extra)
	if err != nil {
		return err
	}
	_, err = w.add(who, stateDraft(typeMember, string(target), content))
	return err
}

func withReason(reason string) map[string]any {
	if reason == "" {
		return nil
	}
	return map[string]any{"reason": reason}
}

// Join lets someone into a room (CS API, POST /rooms/{roomId}/join). Who is in
// already stays in, without another event.
func (s *Service) Join(ctx context.Context, who Actor, room matrix.RoomID, reason string) error {
	return s.change(ctx, who, room, func(w *writer) error {
		now, err := w.membership(who.User)
		if err != nil || now == join {
			return err
		}
		return w.setMember(who, who.User, join, withReason(reason))
	})
}

// Invite asks target in (CS API, POST /rooms/{roomId}/invite).
func (s *Service) Invite(ctx context.Context, who Actor, room matrix.RoomID, target matrix.UserID, reason string) error {
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		return w.invite(who, target, withReason(reason))
	}))
}

// invite asks a user in. Who is invited already is invited again, as clients do
// it to change the reason.
func (w *writer) invite(who Actor, target matrix.UserID, extra map[string]any) error {
	if w.s.local(target) {
		a, err := w.tx.Account(target)
		if errors.Is(err, storage.ErrNotFound) || err == nil && a.DeactivatedAt != 0 {
			return matrix.Errorf(matrix.CodeNotFound, "There is no user %s on this server.", target)
		}
		if err != nil {
			return err
		}
	}
	return w.setMember(who, target, invite, extra)
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
