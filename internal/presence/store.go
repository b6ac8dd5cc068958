package presence

import (
	"context"
	"errors"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// batch is how many are stored in one transaction.
const batch = 100

// change is somebody who is to be stored, as they are at the moment.
type change struct {
	u      *user
	state  string
	status string
	active time.Time
	loaded bool
	doubt  bool
	tell   bool
	// ended: they have no account any more.
	ended bool
}

// store stores all that is to be stored.
func (s *Service) store(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for {
		changes := s.take()
		if len(changes) == 0 {
			return nil
		}
		var positions []int64
		err := s.db.Update(ctx, func(tx *storage.Tx) error {
			s.expect(positions, false)
			positions = positions[:0]
			for i := range changes {
				if err := s.put(tx, &changes[i], &positions); err != nil {
					return err
				}
			}
			s.expect(positions, true)
			return nil
		})
		s.settle(changes, err != nil)
		if err != nil {
			s.expect(positions, false)
			return err
		}
	}
}

// take takes some of those who are to be stored.
func (s *Service) take() (changes []change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	for u := range s.dirty {
		if len(changes) == batch {
			break
		}
		delete(s.dirty, u)
		state, _ := u.state(now)
		changes = append(changes, change{
			u: u, state: state, status: u.status, active: u.active, loaded: u.loaded, doubt: u.doubt, tell: u.tell,
		})
		u.doubt, u.tell = false, false
	}
	return changes
}

// expect notes that changes at some positions are of this process, or that they
// have not come to be.
func (s *Service) expect(positions []int64, come bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pos := range positions {
		if come {
			s.mine[pos] = struct{}{}
		} else {
			delete(s.mine, pos)
		}
	}
}

// put stores somebody, unless they have no account any more, or what is stored
// says the same.
func (s *Service) put(tx *storage.Tx, c *change, positions *[]int64) error {
	a, err := tx.LiveAccount(c.u.id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if c.ended = err != nil || a.DeactivatedAt != 0; c.ended {
		return nil
	}
	if !c.loaded || c.doubt {
		row, err := tx.Presence(c.u.id)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if !c.loaded {
			c.status = row.Status
		}
		// Of what several processes say, only that somebody has gone is doubted by
		// those that know better.
		if !c.tell && (row.State == c.state || c.doubt && row.State != Offline) {
			return nil
		}
	}
	pos, err := tx.NextPos(storage.Change{Kind: storage.ChangePresence, User: c.u.id})
	if err != nil {
		return err
	}
	*positions = append(*positions, pos)
	active := matrix.Timestamp(0)
	if !c.active.IsZero() {
		active = matrix.TimestampOf(c.active)
	}
	return tx.PutPresence(storage.Presence{User: c.u.id, State: c.state, Status: c.status, ActiveAt: active, Pos: pos})
}

// settle notes what is stored now; or, where it failed, that it is still to be.
func (s *Service) settle(changes []change, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	for _, c := range changes {
		switch {
		case s.users[c.u.id] != c.u:
			continue // forgotten
		case failed:
			c.u.doubt, c.u.tell = c.u.doubt || c.doubt, c.u.tell || c.tell
			s.dirty[c.u] = struct{}{}
			continue
		case c.ended:
			s.forget(c.u)
			continue
		}
		c.u.stored = c.state
		if !c.u.loaded {
			c.u.status, c.u.loaded = c.status, true
		}
		s.look(c.u, now)
	}
}
