package syncing

import (
	"context"
	"errors"
	"slices"

	"lethe/internal/door"
	"lethe/internal/hub"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
)

// errFuture is for tokens of positions that have not been: of another server, or
// of this one before its database was put back to an older state.
var errFuture = matrix.Errorf(matrix.CodeInvalidParam, "since is a token that this server has not given out yet.")

// Sync answers a /sync, as soon as there is something to tell, or its time is
// over (CS API, GET /sync). When the session ends meanwhile, that is its answer.
func (s *Service) Sync(ctx context.Context, r Request) (*Answer, error) {
	if s.opts.Presence != nil {
		defer s.opts.Presence.Seen(r.User, r.Device, r.SetPresence)()
	}
	waiting, cancel := context.WithTimeout(ctx, min(r.Timeout, maxWait))
	defer cancel()
	for {
		a, pos, err := s.answer(ctx, r)
		if err != nil {
			return nil, err
		}
		if !a.empty() || r.Since < 0 || r.FullState {
			return a, r.Alive()
		}
		err = s.hub.Wait(waiting, r.User, pos, r.Alive)
		switch {
		case err == nil:
			r.Since = pos // up to there was nothing to tell
		case ctx.Err() != nil:
			return nil, ctx.Err() // the client has gone
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, hub.ErrStopped):
			return a, r.Alive()
		default:
			return nil, err
		}
	}
}

// answer tells what is new, and up to which position. What the hub knows is not
// asked of the database.
func (s *Service) answer(ctx context.Context, r Request) (*Answer, int64, error) {
	b := &builder{s: s, r: r}
	b.reader = door.Reader{User: r.User, Device: r.Device}
	news, known := s.hub.News(r.User, r.Since)
	if known = known && r.Since >= 0 && r.Since <= s.hub.Pos() && !news.Membership && !r.FullState; known {
		if news.Empty() && s.opts.Devices == nil {
			b.reset(news.Pos)
			return b.a, b.pos, nil
		}
		err := s.db.View(ctx, func(tx *storage.Tx) error { return b.fromNews(tx, news) })
		return b.a, b.pos, err
	}
	if r.Since < 0 || r.FullState {
		select {
		case s.large <- struct{}{}:
			defer func() { <-s.large }()
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	err := s.db.View(ctx, b.fromStore)
	if err == nil {
		s.hub.Follow(r.User, b.in, b.pos)
	}
	return b.a, b.pos, err
}

// builder makes one answer, in one transaction.
type builder struct {
	s      *Service
	r      Request
	reader door.Reader
	tx     *storage.Tx
	a      *Answer
	pos    int64 // what is after it is for the next answer

	in       []matrix.RoomID // the rooms that the reader is in
	rooms    []visit         // those to look into
	data     map[matrix.RoomID][]accountData
	receipts map[matrix.RoomID][]ephemeral
	typing   map[matrix.RoomID][]matrix.UserID // where it has changed
	sent     *sentTo
}

// visit is a room to look into, for what has happened after a position and not
// after another.
type visit struct {
	room        matrix.RoomID
	after, upTo int64
	// fresh: the client knows nothing of the room, or only of an earlier time
	// (again).
	fresh, again bool
	left         bool
	// events, members: there may be something new of these.
	events, members bool
	// counts: the counts of what is unread may be others.
	counts bool
}

// reset makes the answer empty: a transaction may be run twice.
func (b *builder) reset(pos int64) {
	b.a, b.pos = newAnswer(), pos
	b.a.NextBatch = position.Sync(pos)
	b.in, b.rooms, b.data, b.receipts, b.typing = nil, nil, nil, nil, nil
	b.sent = b.s.sent.of(b.r)
}

// fromNews answers from what the hub knows to be new.
func (b *builder) fromNews(tx *storage.Tx, news hub.News) error {
	b.tx = tx
	b.reset(news.Pos)
	var receipts, typing []matrix.RoomID
	seen := map[matrix.RoomID]bool{}
	for _, n := range news.Rooms {
		seen[n.Room] = true
		b.rooms = append(b.rooms, visit{
			room: n.Room, after: b.r.Since, upTo: b.pos, events: n.Events, members: n.Members,
			counts: n.Private,
		})
		if n.Receipts || n.Private {
			receipts = append(receipts, n.Room)
		}
		if n.Typing {
			typing = append(typing, n.Room)
		}
	}
	if news.AccountData {
		if err := b.readAccountData(); err != nil {
			return err
		}
		// Rooms in which nothing else is new; those that are left have none in them.
		for room := range b.data {
			if !seen[room] && b.isIn(room) {
				b.rooms = append(b.rooms, visit{room: room, after: b.r.Since, upTo: b.pos})
			}
		}
	}
	if err := b.readReceipts(receipts); err != nil {
		return err
	}
	if err := b.readTyping(typing); err != nil {
		return err
	}
	return b.finish(news.Presence)
}

// fromStore answers from the database alone, as it is in this transaction.
func (b *builder) fromStore(tx *storage.Tx) error {
	b.tx = tx
	pos, err := tx.Pos()
	if err != nil {
		return err
	}
	if b.r.Since > pos {
		return errFuture
	}
	b.reset(pos)
	rooms, err := tx.RoomsOf(b.r.User)
	if err != nil {
		return err
	}
	for _, m := range rooms {
		if err := b.plan(m); err != nil {
			return err
		}
	}
	if err := b.readAccountData(); err != nil {
		return err
	}
	if err := b.readReceipts(b.in); err != nil {
		return err
	}
	if err := b.readTyping(b.in); err != nil {
		return err
	}
	b.rooms = slices.DeleteFunc(b.rooms, func(v visit) bool {
		_, receipts := b.receipts[v.room]
		_, typing := b.typing[v.room]
		return !v.events && !v.fresh && !b.r.FullState && !receipts && !typing && len(b.data[v.room]) == 0
	})
	return b.finish(true)
}

// plan takes up a room that the reader is or was something to.
func (b *builder) plan(m storage.RoomOf) error {
	if m.Membership.Membership == "join" {
		b.in = append(b.in, m.Room)
	}
	if !b.r.Filter.Room.Wants(m.Room) {
		return nil
	}
	isNew := m.Pos > b.r.Since
	switch m.Membership.Membership {
	case "join":
		isNewer := m.LastPos > b.r.Since
		v := visit{room: m.Room, after: b.r.Since, upTo: b.pos, events: isNewer, members: isNewer}
		return b.planSince(v, isNew)
	case "invite":
		if isNew {
			return b.invited(m.Membership)
		}
	case "knock":
		if isNew {
			return b.knocked(m.Membership)
		}
	case "leave", "ban":
		if isNew && (b.r.Since >= 0 || b.r.Filter.Room.IncludeLeave) {
			return b.planSince(visit{room: m.Room, after: b.r.Since, upTo: m.Pos, events: true, left: true}, true)
		}
	}
	return nil
}

// planSince looks up what the reader was to the room at since, if that is not
// what they are now.
func (b *builder) planSince(v visit, changed bool) error {
	if b.r.Since < 0 {
		v.fresh = true
	} else if changed {
		changes, err := b.tx.MembershipChanges(v.room, b.r.User)
		if err != nil {
			return err
		}
		was, before := "", false
		for _, c := range changes {
			switch {
			case c.Pos <= b.r.Since:
				was = c.Membership
				before = before || was == "join"
			case c.Membership == "join" && was != "join":
				v.fresh, v.again = true, before
				was = c.Membership
			default:
				was = c.Membership
			}
		}
	}
	b.rooms = append(b.rooms, v)
	return nil
}
