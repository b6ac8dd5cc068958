package deactivation

import (
	"context"
	"sync"
	"time"

	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// The categories of the receipt that are counted by hand, by what a person was to
// a room: the row stays, and says that they have left.
var roomCategories = map[string]string{"join": "rooms", "invite": "invites", "knock": "knocks"}

// roomPage is how many rooms, or events of one, are read at a time.
const roomPage = 200

// leaveRooms takes the person out of all their rooms, one transaction each
// (DESIGN §6, step 3). What is left to do is what the memberships say, so it goes
// on where it was. A room that fails does not keep it from the others.
func (s *Service) leaveRooms(ctx context.Context, run *job.Run) error {
	d, err := s.deactivation(ctx, run.Job().Subject)
	if err != nil {
		return err
	}
	var failed error
	for after := matrix.RoomID(""); ; {
		var rooms []matrix.RoomID
		err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
			rooms, err = tx.UnforgottenRooms(d.UserID, after, roomPage)
			return err
		})
		if err != nil {
			return err
		}
		if len(rooms) == 0 {
			break
		}
		for _, room := range rooms {
			after = room
			if err := s.leaveRoom(ctx, d, room); ctx.Err() != nil {
				return ctx.Err()
			} else if err != nil {
				failed = err
			}
		}
	}
	s.jobs.Wake() // for what was kept for this person
	if failed != nil {
		return failed
	}
	return s.finish(ctx, run)
}

func (s *Service) leaveRoom(ctx context.Context, d storage.Deactivation, room matrix.RoomID) error {
	return s.step(ctx, func(tx *storage.Tx) error {
		was, err := s.rooms.End(tx, d.UserID, room)
		if err != nil || roomCategories[was] == "" {
			return err
		}
		return tx.AddCount(d.ID, roomCategories[was], 1)
	})
}

// finish marks a step done that has nothing left to do.
func (s *Service) finish(ctx context.Context, run *job.Run) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		d, err := tx.LockDeactivation(run.Job().Subject)
		if err != nil {
			return err
		}
		return s.complete(tx, run, d)
	})
}

// Others go first: of the transactions of long steps one runs at a time, and if
// anybody else has written since the one before it, a pause follows, for a
// multiple of the time that it took, within bounds.
const (
	pauseTimes = 6
	maxPause   = 200 * time.Millisecond
)

// pace is how long steps leave the database to others.
type pace struct {
	sync.Mutex
	own    int64 // transactions of long steps
	others int64 // of others, at the last of them
}

// step runs a transaction of a step that has many. It returns after the pause.
func (s *Service) step(ctx context.Context, fn func(*storage.Tx) error) error {
	s.pace.Lock()
	defer s.pace.Unlock()
	began := time.Now()
	err := s.db.Update(ctx, fn)
	took := time.Since(began)
	s.pace.own++
	others := s.db.Stats().Updates - s.pace.own
	quiet := others == s.pace.others
	s.pace.others = others
	if err != nil || quiet {
		return err
	}
	select {
	case <-time.After(min(took*pauseTimes, maxPause)):
	case <-ctx.Done():
	}
	return nil
}
