package room

import (
	"context"
	"errors"
	"sync"
	"time"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	// maxTyping is how long somebody is typing who does not say so again, at most;
	// typingTime for how long where they do not say.
	maxTyping  = 2 * time.Minute
	typingTime = 30 * time.Second
	// typingBatch is how many stop in one transaction.
	typingBatch = 100
	// typingKept is how many positions back it is kept who has stopped.
	typingKept = 100_000
	// retryAfter is how long to wait when the database fails.
	retryAfter = time.Second
)

// typist is somebody in a room.
type typist struct {
	room matrix.RoomID
	user matrix.UserID
}

// typists are those who are typing by way of this process, and when it has to look
// who has stopped.
type typists struct {
	mu   sync.Mutex
	here map[typist]struct{}
	next matrix.Timestamp // 0 for not at all
	wake chan struct{}
}

func newTypists() *typists {
	return &typists{here: map[typist]struct{}{}, wake: make(chan struct{}, 1)}
}

// start notes that somebody is typing until a time.
func (t *typists) start(who typist, until matrix.Timestamp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.here[who] = struct{}{}
	if t.next == 0 || until < t.next {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

func (t *typists) stop(who typist) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.here, who)
}

func (t *typists) has(who typist) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.here[who]
	return ok
}

// Type notes that somebody is typing in a room that they are in, for a time (0 for
// as long as usual), or not any more (CS API, Typing Notifications). Nobody is told
// who knows it already.
func (s *Service) Type(ctx context.Context, who Actor, room matrix.RoomID, typing bool, d time.Duration) error {
	if d == 0 {
		d = typingTime
	}
	until := s.now().Add(min(d, maxTyping))
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if err := s.live(tx, who); err != nil {
			return err
		}
		m, err := tx.Membership(room, who.User)
		if errors.Is(err, storage.ErrNotFound) || err == nil && m.Membership != join {
			return errNotIn
		}
		if err != nil {
			return err
		}
		if !typing {
			return s.stopTyping(tx, room, who.User)
		}
		was, err := tx.StartTyping(room, who.User, until)
		if err != nil || was {
			return err
		}
		return s.typingChanged(tx, room, who.User)
	})
	switch {
	case err != nil:
	case typing:
		s.typists.start(typist{room, who.User}, until)
	default:
		s.typists.stop(typist{room, who.User})
	}
	return err
}

// stopTyping ends the typing of somebody, if they are.
func (s *Service) stopTyping(tx *storage.Tx, room matrix.RoomID, user matrix.UserID) error {
	did, err := tx.StopTyping(room, user)
	if err != nil || !did {
		return err
	}
	return s.typingChanged(tx, room, user)
}

func (s *Service) typingChanged(tx *storage.Tx, room matrix.RoomID, user matrix.UserID) error {
	pos, err := tx.NextPos(storage.Change{Kind: storage.ChangeTyping, Room: room, User: user})
	if err != nil {
		return err
	}
	return tx.SetTypingPos(room, user, pos)
}

// typed ends the typing of those who have sent what they were typing, or left. It
// comes before the event takes its position, since the row of the typing is locked
// first everywhere.
func (w *writer) typed(e *event.Event) error {
	user := e.Sender()
	if key, isState := e.Key(); isState {
		if key.Type != typeMember || event.MembershipOf(e) == join {
			return nil
		}
		user = matrix.UserID(key.StateKey)
	}
	if !w.s.local(user) {
		return nil
	}
	if _, alone := w.s.db.Alone(); alone && !w.s.typists.has(typist{w.room.ID, user}) {
		return nil // whom it does not know is from before the start, and stops in time
	}
	return w.s.stopTyping(w.tx, w.room.ID, user)
}

// runTyping ends the typing of those whose time is over, until ctx ends. It sleeps
// while nobody is typing.
func (s *Service) runTyping(ctx context.Context) {
	for {
		next, err := s.expireTyping(ctx)
		var due <-chan time.Time
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.opts.Log.Error("end the typing of those whose time is over", "error", err)
			due = time.After(retryAfter)
		case next != 0:
			due = time.After(max(next.Time().Sub(s.opts.Now()), time.Millisecond))
		}
		select {
		case <-due:
		case <-s.typists.wake:
		case <-ctx.Done():
			return
		}
	}
}

// expireTyping ends the typing of those whose time is over, and returns when that
// of the next is; 0 if there is none.
func (s *Service) expireTyping(ctx context.Context) (next matrix.Timestamp, err error) {
	for {
		now := s.now()
		s.typists.mu.Lock()
		s.typists.next = 0 // who begins from here on wakes
		s.typists.mu.Unlock()
		err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
			next, err = tx.NextTyping()
			return err
		})
		if errors.Is(err, storage.ErrNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if next > now {
			s.typists.mu.Lock()
			s.typists.next = next
			s.typists.mu.Unlock()
			return next, nil
		}
		if err := s.endTyping(ctx, now); err != nil {
			return 0, err
		}
	}
}

func (s *Service) endTyping(ctx context.Context, now matrix.Timestamp) error {
	var over []storage.TypingChange
	err := s.db.Update(ctx, func(tx *storage.Tx) (err error) {
		if over, err = tx.ExpireTyping(now, typingBatch); err != nil {
			return err
		}
		for _, t := range over {
			if err := s.typingChanged(tx, t.Room, t.User); err != nil {
				return err
			}
		}
		pos, err := tx.Pos()
		if err != nil {
			return err
		}
		return tx.PruneTyping(pos - typingKept)
	})
	if err == nil {
		for _, t := range over {
			s.typists.stop(typist{t.Room, t.User})
		}
	}
	return err
}

// Typing returns who is typing in those of the rooms where that has changed above a
// position and not above another: of those whom reader does not ignore. after is -1
// for all rooms in which somebody is typing.
func (s *Service) Typing(
	tx *storage.Tx, reader matrix.UserID, rooms []matrix.RoomID, after, upTo int64,
) (map[matrix.RoomID][]matrix.UserID, error) {
	rows, err := tx.Typing(rooms, after, upTo)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	ignored, err := s.events.Ignored(tx, reader)
	if err != nil {
		return nil, err
	}
	now := map[matrix.RoomID][]matrix.UserID{}
	changed := map[matrix.RoomID]bool{}
	for _, t := range rows {
		if ignored[t.User] {
			continue
		}
		if t.Typing {
			now[t.Room] = append(now[t.Room], t.User)
		}
		if t.Pos > after && (t.Typing || after >= 0) {
			changed[t.Room] = true
		}
	}
	found := make(map[matrix.RoomID][]matrix.UserID, len(changed))
	for room := range changed {
		found[room] = now[room]
	}
	return found, nil
}
