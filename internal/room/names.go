package room

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Others go first: after each room follows a pause, a multiple of the time that it
// took, within bounds.
const (
	renamePauses   = 3
	maxRenamePause = 200 * time.Millisecond
	// renamePage is how many rooms are read at a time.
	renamePage = 200
)

// Renaming notes, in the transaction that changes somebody's names, that they have
// to go into the rooms that they are in (CS API, Events on Change of Profile
// Information). The work is done in the background, and gone on with after a
// restart; a further change takes the place of the one before it. After the commit
// the caller calls [Service.Renamed].
func (s *Service) Renaming(tx *storage.Tx, user matrix.UserID) error {
	return tx.AddProfileChange(user)
}

// Renamed starts the work.
func (s *Service) Renamed() {
	select {
	case s.renamed <- struct{}{}:
	default:
	}
}

// runNames takes changed names into rooms, one person after the other, until ctx
// ends.
func (s *Service) runNames(ctx context.Context) {
	for {
		var due <-chan time.Time
		if err := s.spreadNames(ctx); ctx.Err() != nil {
			return
		} else if err != nil {
			s.opts.Log.Error("take a changed name into rooms", "error", err)
			due = time.After(retryAfter)
		}
		select {
		case <-due:
		case <-s.renamed:
		case <-ctx.Done():
			return
		}
	}
}

// spreadNames does what there is to do.
func (s *Service) spreadNames(ctx context.Context) error {
	for {
		var users []matrix.UserID
		err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
			users, err = tx.ChangedProfiles(renamePage)
			return err
		})
		if err != nil || len(users) == 0 {
			return err
		}
		for _, user := range users {
			if err := s.spreadName(ctx, user); err != nil {
				return err
			}
		}
	}
}

// spreadName takes the names of a user into their rooms, in the order of the rooms'
// ids, from where it was. When they change again it ends: there is more to do.
func (s *Service) spreadName(ctx context.Context, user matrix.UserID) error {
	for {
		var c storage.ProfileChange
		var rooms []matrix.RoomID
		err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
			if c, err = tx.ProfileChange(user); err != nil {
				return err
			}
			rooms, err = tx.JoinedAfter(user, c.Room, renamePage)
			return err
		})
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(rooms) == 0 {
			return s.db.Update(ctx, func(tx *storage.Tx) error { return tx.FinishProfileChange(user, c.Seq) })
		}
		for _, room := range rooms {
			c.Room = room
			goOn, err := s.renameIn(ctx, user, c)
			if err != nil {
				return err
			}
			if !goOn {
				break
			}
		}
	}
}

// renameIn takes the names of a user into a room, and returns false if others have
// come, or the account has ended: then nothing is done any more. It returns after
// the pause.
func (s *Service) renameIn(ctx context.Context, user matrix.UserID, c storage.ProfileChange) (goOn bool, err error) {
	began := time.Now()
	var w *writer
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		w, goOn = nil, false
		a, err := tx.LiveAccount(user)
		if err == nil && a.DeactivatedAt != 0 {
			return tx.DropProfileChange(user)
		}
		if err != nil {
			return err
		}
		if goOn, err = tx.MoveProfileChange(user, c); err != nil || !goOn {
			return err
		}
		if w, err = s.open(tx, c.Room); err != nil {
			return err
		}
		if err := w.rename(user); err != nil {
			return err
		}
		return w.close()
	})
	if err != nil {
		return false, err
	}
	if w != nil && w.enqueued {
		s.opts.Jobs.Wake()
	}
	select {
	case <-time.After(min(time.Since(began)*renamePauses, maxRenamePause)):
	case <-ctx.Done():
		return false, ctx.Err()
	}
	return goOn, nil
}

// notRenamed are the members of a join that say how it came to be: they are not
// said again.
var notRenamed = []string{
	"membership", account.FieldDisplayName, account.FieldAvatarURL, "reason", "is_direct", "third_party_invite", fieldVia,
}

// rename has the member event of somebody who is in the room say their names as
// they are now. Where the room does not let them it stays as it is.
func (w *writer) rename(user matrix.UserID) error {
	now, err := w.membership(user)
	if err != nil || now != join {
		return err
	}
	key := event.Key{Type: typeMember, StateKey: string(user)}
	current, err := w.current(key)
	if err != nil {
		return err
	}
	extra := map[string]any{}
	if e := current[key]; e != nil {
		var content map[string]jsontext.Value
		if err := json.Unmarshal(e.Content(), &content); err != nil {
			return err
		}
		for _, name := range notRenamed {
			delete(content, name)
		}
		for name, value := range content {
			extra[name] = value
		}
	}
	err = w.setMember(Actor{User: user}, user, join, extra)
	if _, ok := errors.AsType[*matrix.Error](err); ok {
		return nil
	}
	return err
}
