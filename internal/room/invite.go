package room

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// The account data that says which invites somebody wants.
const (
	dataInvitePermission = "m.invite_permission_config"
	dataIgnored          = "m.ignored_user_list"
)

// Invite asks target in (CS API, POST /rooms/{roomId}/invite).
func (s *Service) Invite(ctx context.Context, who Actor, room matrix.RoomID, target matrix.UserID, reason string) error {
	return hideRoom(s.change(ctx, who, room, func(w *writer) error {
		return w.setMember(who, target, invite, withReason(reason))
	}))
}

// admitInvite refuses an invite to a user of this server who is not there, or
// who wants none (CS API, Invite permission). An ending of theirs waits for the
// invite, or the invite for it: so none is left open.
func (w *writer) admitInvite(target matrix.UserID) error {
	if !w.s.local(target) {
		return nil
	}
	a, err := w.tx.LiveAccount(target)
	if errors.Is(err, storage.ErrNotFound) || err == nil && a.DeactivatedAt != 0 {
		return matrix.Errorf(matrix.CodeNotFound, "There is no user %s on this server.", target)
	}
	if err != nil {
		return err
	}
	blocked, err := blocksInvites(w.tx, target)
	if err == nil && blocked {
		err = matrix.Errorf(matrix.CodeInviteBlocked, "%s takes no invites.", target)
	}
	return err
}

// blocksInvites tells whether user wants no invites at all. A setting that has
// another form is none.
func blocksInvites(tx *storage.Tx, user matrix.UserID) (bool, error) {
	var config struct {
		DefaultAction string `json:"default_action"`
	}
	err := accountData(tx, user, dataInvitePermission, &config)
	return config.DefaultAction == "block", err
}

// accountData reads global account data of user into dst, and leaves dst alone
// where there is none, or none of that form.
func accountData(tx *storage.Tx, user matrix.UserID, kind string, dst any) error {
	content, err := tx.AccountData(user, "", kind)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err == nil {
		_ = json.Unmarshal(content, dst) // it is the client's, who may write what they like
	}
	return err
}

// Screen tells which invites their receiver gets to see.
type Screen struct {
	blocked bool
	ignored map[matrix.UserID]jsontext.Value
}

// InviteScreen is the screen of user: sync serves no invite that it hides (CS
// API, Invite permission; Ignoring users).
func InviteScreen(tx *storage.Tx, user matrix.UserID) (Screen, error) {
	var list struct {
		Users map[matrix.UserID]jsontext.Value `json:"ignored_users"`
	}
	blocked, err := blocksInvites(tx, user)
	if err == nil {
		err = accountData(tx, user, dataIgnored, &list)
	}
	return Screen{blocked, list.Users}, err
}

// Hides tells whether an invite by sender is not shown.
func (s Screen) Hides(sender matrix.UserID) bool {
	_, ignored := s.ignored[sender]
	return s.blocked || ignored
}
