package room

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// End takes somebody whose account has ended out of a room, in the transaction
// of a caller: their power goes (MSC4165), then they leave, refuse their invite or
// withdraw their knock, by one event, and the room is forgotten. It returns what
// they were to it. Who has left it before, or is banned, sends nothing. After the
// commit the caller wakes the jobs.
func (s *Service) End(tx *storage.Tx, user matrix.UserID, room matrix.RoomID) (was string, err error) {
	w, err := s.open(tx, room)
	if err != nil {
		return "", err
	}
	if was, err = w.membership(user); err != nil {
		return "", err
	}
	who := Actor{User: user, Ending: true}
	w.ending = user
	leaves := was == join || was == invite || was == knock
	if was == join {
		if err := w.stepDown(who); err != nil {
			return "", err
		}
	}
	if leaves {
		if err := w.setMember(who, user, leave, nil); err != nil {
			return "", err
		}
	}
	if err := w.close(); err != nil {
		return "", err
	}
	forgot, err := tx.Forget(room, user)
	if err == nil && forgot && !leaves { // a leave has told of itself
		_, err = tx.NextPos(storage.Change{Kind: storage.ChangePrivate, Room: room, User: user})
	}
	return was, err
}

// stepDown takes the entry that gives somebody more power than others have out of
// the power levels, if they may change those: whoever comes by the account, or by
// this server, has no use of it. Creators, from version 12 on, have no entry.
func (w *writer) stepDown(who Actor) error {
	create, power := event.Key{Type: typeCreate}, event.Key{Type: typePowerLevels}
	now, err := w.current(create, power)
	if err != nil || now[power] == nil {
		return err
	}
	levels := event.NewPowerLevels(pdu(now[create]), pdu(now[power]))
	var content, users map[string]jsontext.Value
	if json.Unmarshal(now[power].Content(), &content) != nil || json.Unmarshal(content["users"], &users) != nil {
		return nil //nolint:nilerr // what cannot be read gives nobody power
	}
	if _, ok := users[string(who.User)]; !ok || levels.User(who.User) <= levels.UsersDefault() {
		return nil
	}
	delete(users, string(who.User))
	if content["users"], err = json.Marshal(users); err != nil {
		return err
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return err
	}
	_, err = w.add(who, stateDraft(typePowerLevels, "", raw))
	if matrix.CodeOf(err) == matrix.CodeForbidden {
		return nil
	}
	return err
}

// KindErase is the kind of the jobs that look at what of an erased user can go
// from a room. Their handler is that of package deactivation.
const KindErase = "erase"

// Erasing is the payload of such a job.
type Erasing struct {
	Room matrix.RoomID `json:"room_id"`
	User matrix.UserID `json:"user_id"`
}

// lookAgain has the events of erased users in this room looked at, after somebody
// has fallen away for whom they were kept, or state that was the room's.
func (w *writer) lookAgain() error {
	users, err := w.tx.LookAgain(w.room.ID, w.ending)
	if err != nil {
		return err
	}
	for _, user := range users {
		if err := w.look(user); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) look(user matrix.UserID) error {
	w.enqueued = true
	return job.Enqueue(w.tx, w.s.opts.Now(), job.New{
		Kind: KindErase, Key: KindErase + "/" + string(w.room.ID) + "/" + string(user), Payload: Erasing{w.room.ID, user},
	})
}

// fallen does what follows when a user of this server has become something else
// to the room than before: where they were in it something may have been kept for
// them, and what others say of someone erased is for nobody (DESIGN §5).
func (w *writer) fallen(e *storage.Event, user matrix.UserID, before, after string) error {
	if !w.s.local(user) {
		return nil
	}
	w.again = w.again || before == join && after != join
	if e.Sender() == user || after != leave && after != ban {
		return nil
	}
	pos, err := w.tx.Erased(user)
	if err != nil || pos == 0 {
		return err
	}
	if err := w.tx.AddPendingErasure(w.room.ID, user, pos); err != nil {
		return err
	}
	return w.look(user)
}
