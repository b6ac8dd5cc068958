package room

import (
	"context"
	"errors"
	"fmt"

	"lethe/internal/event"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

var errGuest = matrix.Errorf(matrix.CodeGuestAccessForbidden, "Guests cannot do this here.")

// admitGuest lets guests only into rooms that let them (CS API, Guest access,
// Server behaviour).
func (w *writer) admitGuest(who Actor) error {
	if !who.Guest {
		return nil
	}
	open, err := w.guestsMayJoin()
	if err == nil && !open {
		err = errGuest
	}
	return err
}

func (w *writer) guestsMayJoin() (bool, error) {
	key := event.Key{Type: typeGuestAccess}
	now, err := w.current(key)
	return event.GuestAccess(pdu(now[key])) == "can_join", err
}

// kindGuests is the job that takes the guests of this server out of a room.
const kindGuests = "room.guests"

// guestBatch is how many guests leave in one transaction, so that a room with
// many does not keep others from writing.
const guestBatch = 50

// closeToGuests has the guests of this server leave, now that a room is not
// theirs any more (CS API, Guest access, Server behaviour). before is the event
// that guestAccess has replaced; nil for none.
func (w *writer) closeToGuests(before, guestAccess *event.Event) error {
	if event.GuestAccess(before) != "can_join" || event.GuestAccess(guestAccess) == "can_join" {
		return nil
	}
	w.enqueued = true
	return job.Enqueue(w.tx, w.s.opts.Now(), job.New{Kind: kindGuests, Payload: w.room.ID})
}

// removeGuests is the job.
func (s *Service) removeGuests(ctx context.Context, run *job.Run) error {
	var room matrix.RoomID
	if err := run.Payload(&room); err != nil {
		return err
	}
	for {
		var done bool
		err := s.db.Update(ctx, func(tx *storage.Tx) (err error) {
			if done, err = s.removeSomeGuests(tx, room); err != nil || !done {
				return err
			}
			return run.Complete(tx)
		})
		if err != nil || done {
			return err
		}
	}
}

// removeSomeGuests removes a batch, and tells whether nothing is left to do. A
// room that was opened again meanwhile keeps those it still has.
func (s *Service) removeSomeGuests(tx *storage.Tx, room matrix.RoomID) (done bool, err error) {
	w, err := s.open(tx, room)
	if errors.Is(err, errNoRoom) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if open, err := w.guestsMayJoin(); err != nil || open {
		return open, err
	}
	guests, err := tx.JoinedGuests(room, guestBatch)
	if err != nil {
		return false, err
	}
	for _, guest := range guests {
		if err := w.setMember(Actor{User: guest, Guest: true}, guest, leave, nil); err != nil {
			return false, fmt.Errorf("guest %s: %w", guest, err)
		}
	}
	return len(guests) < guestBatch, w.close()
}
