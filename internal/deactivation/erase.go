package deactivation

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"lethe/internal/door"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage"
)

// eraseBatch is how many events are erased in one transaction.
const eraseBatch = 100

// eraseEvents is the step that takes what the person has sent off the disk, as far
// as nobody is left who may read it, and the words of all of it out of the search
// (DESIGN §5). What stays is looked at again when somebody has left: see look.
func (s *Service) eraseEvents(ctx context.Context, run *job.Run) error {
	d, err := s.deactivation(ctx, run.Job().Subject)
	if err != nil {
		return err
	}
	if err := s.dropSearch(ctx, d.UserID); err != nil {
		return err
	}
	if err := s.noteRooms(ctx, d.UserID); err != nil {
		return err
	}
	for after := matrix.RoomID(""); ; {
		var page []storage.PendingErasure
		err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
			page, err = tx.PendingErasures(d.UserID, after, roomPage)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			after = p.Room
			if err := s.look(ctx, p.Room, p.User, nil); err != nil {
				return err
			}
		}
	}
	s.emptyLog(ctx)
	return s.finish(ctx, run)
}

// dropSearch takes what the person has written out of the index of words.
func (s *Service) dropSearch(ctx context.Context, user matrix.UserID) error {
	for more := true; more; {
		err := s.step(ctx, func(tx *storage.Tx) error {
			n, err := tx.DropSearchOf(user, eraseBatch)
			more = n == eraseBatch
			return err
		})
		if err != nil {
			return err
		}
	}
	for first, more := true, true; more; first = false {
		err := s.step(ctx, func(tx *storage.Tx) (err error) {
			more, err = tx.TidySearch(first)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// noteRooms notes every room that has something of an erased person, before any
// is looked at: whoever leaves one from then on has it looked at again.
func (s *Service) noteRooms(ctx context.Context, user matrix.UserID) error {
	last := matrix.RoomID("")
	for more := true; more; {
		var after matrix.RoomID
		err := s.step(ctx, func(tx *storage.Tx) error {
			after, more = last, true
			pos, err := tx.Erased(user)
			if err != nil {
				return err
			}
			for range roomPage {
				after, err = tx.CoveredRoom(user, after)
				if errors.Is(err, storage.ErrNotFound) {
					more = false
					return nil
				}
				if err != nil {
					return err
				}
				if err := tx.AddPendingErasure(after, user, pos); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		last = after
	}
	return nil
}

// lookJob is the job of a room and an erased user that [room.Service] enqueues when
// somebody has left.
func (s *Service) lookJob(ctx context.Context, run *job.Run) error {
	var e room.Erasing
	if err := run.Payload(&e); err != nil {
		return err
	}
	return s.look(ctx, e.Room, e.User, run)
}

// look erases what of a user is for nobody any more in a room, and notes what
// stays. It begins anew if somebody leaves meanwhile. A run, if there is one, is
// completed in the last transaction.
func (s *Service) look(ctx context.Context, room matrix.RoomID, user matrix.UserID, run *job.Run) error {
	for {
		var p storage.PendingErasure
		err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
			p, err = tx.PendingErasure(room, user)
			return err
		})
		if errors.Is(err, storage.ErrNotFound) {
			return nil // the runner completes what has nothing to do
		}
		if err != nil {
			return err
		}
		sum, err := s.sweep(ctx, p)
		if err != nil {
			return err
		}
		if run != nil && (sum.erased > 0 || run.Job().Attempts > 1) {
			s.emptyLog(ctx)
		}
		if done, err := s.looked(ctx, p, sum, run); err != nil || done {
			return err
		}
	}
}

// looked stores what a look has found, unless it is time for another.
func (s *Service) looked(ctx context.Context, p storage.PendingErasure, sum tally, run *job.Run) (done bool, err error) {
	err = s.step(ctx, func(tx *storage.Tx) error {
		done = false
		now, err := tx.LockPendingErasure(p.Room, p.User)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		switch {
		case err != nil: // another has looked, too, and found nothing left
		case now.Looks != p.Looks:
			return nil
		case sum.left == 0:
			err = tx.DropPendingErasure(p.Room, p.User)
		default:
			err = tx.SetKept(p.Room, p.User, sum.kept)
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		done = true
		if run == nil {
			return nil
		}
		return run.Complete(tx)
	})
	return done, err
}

// tally is what a look has found.
type tally struct {
	erased int64
	left   int64 // that can go later
	kept   int64 // of those, messages
}

func (t *tally) count(e *storage.Event, k door.Keeping) {
	if k != door.ForReaders && k != door.ForState {
		return
	}
	t.left++
	if _, state := e.StateKey(); !state {
		t.kept++
	}
}

// sweep looks at everything of a user in a room: first at what they have sent,
// then at the member events of others about them.
func (s *Service) sweep(ctx context.Context, p storage.PendingErasure) (sum tally, err error) {
	for _, about := range []bool{false, true} {
		for after, more := int64(math.MinInt64), true; more; {
			var gone []string
			var page tally
			err := s.db.View(ctx, func(tx *storage.Tx) error {
				events, err := tx.Covered(p.Room, p.User, about, after, roomPage)
				if more = len(events) == roomPage; err != nil || len(events) == 0 {
					return err
				}
				after = events[len(events)-1].Pos
				gone, page, err = s.sort(tx, p, events)
				return err
			})
			if err != nil {
				return sum, err
			}
			sum.left, sum.kept = sum.left+page.left, sum.kept+page.kept
			for ids := range slices.Chunk(gone, eraseBatch) {
				batch, err := s.eraseBatch(ctx, p, ids)
				if err != nil {
					return sum, err
				}
				sum.erased, sum.left, sum.kept = sum.erased+batch.erased, sum.left+batch.left, sum.kept+batch.kept
			}
		}
	}
	return sum, nil
}

// sort tells the events that are for nobody, by their ids, from the others, which
// it counts.
func (s *Service) sort(tx *storage.Tx, p storage.PendingErasure, events []*storage.Event) (gone []string, sum tally, err error) {
	users, err := tx.Keepers(p.Room, p.Pos)
	if err != nil {
		return nil, sum, err
	}
	keepers, err := s.door.Keepers(tx, p.Room, users)
	if err != nil {
		return nil, sum, err
	}
	for _, e := range events {
		k, err := keepers.Keep(e)
		if err != nil {
			return nil, sum, err
		}
		if k == door.ForNobody {
			gone = append(gone, e.ID())
		}
		sum.count(e, k)
	}
	return gone, sum, nil
}

// eraseBatch erases those of some events that are for nobody. It asks again, with
// the room locked: somebody for whom they are kept may have come back.
func (s *Service) eraseBatch(ctx context.Context, p storage.PendingErasure, ids []string) (sum tally, err error) {
	err = s.step(ctx, func(tx *storage.Tx) error {
		sum = tally{}
		ending, err := lockRunning(tx, p.User)
		if err != nil {
			return err
		}
		if _, err := tx.LockRoom(p.Room); err != nil {
			return err
		}
		found, err := tx.Events(ids)
		if err != nil {
			return err
		}
		events := make([]*storage.Event, 0, len(found))
		for _, e := range found {
			if !e.Erased && e.RedactedBy == "" {
				events = append(events, e)
			}
		}
		var gone []string
		if gone, sum, err = s.sort(tx, p, events); err != nil || len(gone) == 0 {
			return err
		}
		messages := int64(0)
		for _, id := range gone {
			form, err := found[id].Redacted()
			if err != nil {
				return err
			}
			if err := tx.ReplaceEvent(found[id], form, ""); err != nil {
				return err
			}
			if _, state := found[id].StateKey(); !state {
				messages++
			}
		}
		sum.erased = int64(len(gone))
		if ending != "" {
			if err := tx.AddCount(ending, categoryOf("events"), messages); err != nil {
				return err
			}
		}
		_, err = tx.NextPos(storage.Change{Kind: storage.ChangeRedacted, Room: p.Room, User: p.User})
		return err
	})
	return sum, err
}

// lockRunning locks the ending of a user that is under way, and returns its id; ""
// if its receipt is written already.
func lockRunning(tx *storage.Tx, user matrix.UserID) (string, error) {
	d, err := current(tx, user)
	if err != nil || d.State != storage.Running {
		return "", err
	}
	if d, err = tx.LockDeactivation(d.ID); err != nil || d.State != storage.Running {
		return "", err
	}
	return d.ID, nil
}

// emptyLog takes what was erased out of SQLite's write-ahead log. A reader may be
// in the way: then the store does it, within a minute.
func (s *Service) emptyLog(ctx context.Context) {
	for range 5 {
		if s.db.Checkpoint(ctx) == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}
