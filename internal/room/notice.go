package room

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Notice is what an operator tells a user (CS API, Server Notices).
type Notice struct {
	User matrix.UserID
	Body string
	// By is who sends it, as the audit log names them.
	By string
}

const (
	// msgtypeNotice is the kind of message that a notice is, tagNotice the tag of its
	// room.
	msgtypeNotice = "m.server_notice"
	tagNotice     = "m.server_notice"
	typeTag       = "m.tag"
	noticesName   = "Server notices"
)

var (
	errNoticeRoom = matrix.Errorf(matrix.CodeCannotLeaveNoticeRoom,
		"The invite to the room with the server's notices cannot be rejected.")
	errNoticesTaken = matrix.Errorf(matrix.CodeUserInUse,
		"The name of the user who sends the server's notices is that of a person: set notices-user to another.")
	// errNoticeRoomMade says that somebody else has just made the room.
	errNoticeRoomMade = errors.New("the room for notices is there")
)

// Notify sends a notice, in a room of the server's own user with the one whom it is
// for, which is made for the first. Whoever has left it is asked in again.
func (s *Service) Notify(ctx context.Context, n Notice) (room matrix.RoomID, id string, err error) {
	if n.Body == "" {
		return "", "", matrix.Errorf(matrix.CodeMissingParam, "A notice has a body.")
	}
	sender := Actor{User: matrix.NewUserID(s.opts.NoticesUser, s.opts.ServerName)}
	content, err := json.Marshal(map[string]string{"msgtype": msgtypeNotice, "body": n.Body})
	if err != nil {
		return "", "", err
	}
	if room, err = s.prepareNotice(ctx, sender, n); err != nil {
		return "", "", err
	}
	if room == "" {
		if room, err = s.createNoticeRoom(ctx, sender, n.User); err != nil {
			return "", "", err
		}
	}
	if err := s.bringIn(ctx, sender, room, n.User); err != nil {
		return "", "", err
	}
	id, err = s.Send(ctx, sender, room, "m.room.message", content, rand.Text())
	return room, id, err
}

// prepareNotice sees that the user is there who sends it and the one who gets it,
// and returns the room of both, "" if there is none yet.
func (s *Service) prepareNotice(ctx context.Context, sender Actor, n Notice) (room matrix.RoomID, err error) {
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		a, err := tx.LiveAccount(n.User)
		if errors.Is(err, storage.ErrNotFound) {
			return matrix.Errorf(matrix.CodeNotFound, "There is no user %s on this server.", n.User)
		}
		if err == nil && a.DeactivatedAt != 0 {
			err = errDeactivated
		}
		if err != nil {
			return err
		}
		if err := s.ensureNoticesUser(tx, sender.User); err != nil {
			return err
		}
		if err := tx.AddAudit(storage.Audit{At: s.now(), Actor: n.By, Action: "notice.send", Target: n.User}); err != nil {
			return err
		}
		room, err = tx.NoticeRoom(n.User)
		if errors.Is(err, storage.ErrNotFound) {
			room, err = "", nil
		}
		return err
	})
	return room, err
}

// ensureNoticesUser makes the account that sends notices, unless it is there. It is
// an application service's without one: nobody can log in to it, and no person has
// such an account.
func (s *Service) ensureNoticesUser(tx *storage.Tx, user matrix.UserID) error {
	a, err := tx.Account(user)
	if err == nil && (a.Kind != storage.KindAppservice || a.AppserviceID != "") {
		return errNoticesTaken
	}
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	err = tx.CreateAccount(storage.Account{UserID: user, Kind: storage.KindAppservice, CreatedAt: s.now()})
	if err != nil {
		return err
	}
	return tx.SetProfileField(user, account.FieldDisplayName, []byte(`"`+noticesName+`"`))
}

// createNoticeRoom makes the room for somebody's notices, in which only the server
// speaks, and tags it for them.
func (s *Service) createNoticeRoom(ctx context.Context, sender Actor, user matrix.UserID) (matrix.RoomID, error) {
	name := noticesName
	room, err := s.Create(ctx, sender, Creation{
		Preset: PrivateChat, Name: &name, Invite: []matrix.UserID{user},
		Levels: map[string]jsontext.Value{"users_default": jsontext.Value(`-10`)},
		also:   func(w *writer) error { return w.tagNotices(user) },
	})
	if !errors.Is(err, errNoticeRoomMade) {
		return room, err
	}
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		room, err = tx.NoticeRoom(user)
		return err
	})
	return room, err
}

// tagNotices makes the room the one with somebody's notices.
func (w *writer) tagNotices(user matrix.UserID) error {
	isFirst, err := w.tx.AddNoticeRoom(user, w.room.ID)
	if err != nil {
		return err
	}
	if !isFirst {
		return errNoticeRoomMade
	}
	pos, err := w.tx.NextPos(storage.Change{Kind: storage.ChangeAccountData, Room: w.room.ID, User: user})
	if err != nil {
		return err
	}
	return w.tx.SetAccountData(user, storage.AccountData{
		RoomID: string(w.room.ID), Type: typeTag, Content: []byte(`{"tags":{"` + tagNotice + `":{}}}`),
	}, pos)
}

// bringIn asks somebody into the room with their notices who has left it.
func (s *Service) bringIn(ctx context.Context, sender Actor, room matrix.RoomID, user matrix.UserID) error {
	return s.change(ctx, sender, room, func(w *writer) error {
		now, err := w.membership(user)
		if err != nil || now == join || now == invite {
			return err
		}
		return w.setMember(sender, user, invite, nil)
	})
}

// admitLeave does not let people reject the invite to the room with the server's
// notices. They may leave it once they are in (CS API, Server Notices).
func (w *writer) admitLeave(who Actor, target matrix.UserID) error {
	if who.User != target || w.ending == target {
		return nil
	}
	now, err := w.membership(target)
	if err != nil || now != invite {
		return err
	}
	room, err := w.tx.NoticeRoom(target)
	if err == nil && room == w.room.ID {
		return errNoticeRoom
	}
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}
