package history

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
)

// What the endpoints answer that were there before /sync (deprecated since r0).

// RoomInfo is a room, as of now or as of when its reader left it.
type RoomInfo struct {
	Room       matrix.RoomID
	Membership string      // "" for one who only looks in
	Invite     *door.Event // their invite, for those who are invited
	// Messages and State are nil where the reader may not look at the room.
	Messages    *Chunk
	State       []door.Event
	AccountData []storage.AccountData
}

// Everything is what there is for somebody.
type Everything struct {
	End         string // where [Service.Stream] goes on
	Rooms       []RoomInfo
	AccountData []storage.AccountData
}

// Initial is all rooms of a user, with up to limit events of each (CS API, GET
// /initialSync); archived: also those that they have left.
func (s *Service) Initial(ctx context.Context, who door.Reader, limit int, archived bool) (all Everything, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		pos, err := tx.Pos()
		if err != nil {
			return err
		}
		all = Everything{End: position.Sync(pos), Rooms: []RoomInfo{}}
		if all.AccountData, err = tx.RoomAccountData(who.User, ""); err != nil {
			return err
		}
		memberships, err := tx.MembershipsOf(who.User)
		if err != nil {
			return err
		}
		for _, m := range memberships {
			if !archived && m.Membership != "join" && m.Membership != "invite" {
				continue
			}
			v, err := s.door.Enter(tx, who, m.Room)
			if err != nil {
				return err
			}
			info, err := s.info(tx, v, who.User, m.Room, limit)
			if err != nil {
				return err
			}
			all.Rooms = append(all.Rooms, info)
		}
		return nil
	})
	return all, err
}

// InitialRoom is one room (CS API, GET /rooms/{roomId}/initialSync).
func (s *Service) InitialRoom(ctx context.Context, who door.Reader, room matrix.RoomID, limit int) (i RoomInfo, err error) {
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		i, err = s.info(tx, v, who.User, room, limit)
		return err
	})
	return i, err
}

func (s *Service) info(tx *storage.Tx, v *door.Visit, user matrix.UserID, room matrix.RoomID, limit int) (i RoomInfo, err error) {
	i = RoomInfo{Room: room, Membership: v.Membership()}
	if i.AccountData, err = tx.RoomAccountData(user, room); err != nil {
		return i, err
	}
	if i.Membership == "invite" {
		// They get it in /sync, too.
		own := []event.Key{{Type: typeMember, StateKey: string(user)}}
		invite, err := v.ServeState(v.Room().State, own, door.Format{})
		if err != nil {
			return i, err
		}
		if len(invite) == 1 { // not where another server has the room
			i.Invite = &invite[0]
		}
	}
	if err := v.CanLook(); err != nil {
		return i, hideForbidden(err)
	}
	chunk, err := lastEvents(tx, v, limit)
	if err != nil {
		return i, err
	}
	i.Messages = &chunk
	root, err := s.root(tx, v)
	if err == nil {
		i.State, err = v.ServeState(root, nil, door.Format{})
	}
	return i, err
}

// hideForbidden makes nothing of M_FORBIDDEN.
func hideForbidden(err error) error {
	if matrix.CodeOf(err) == matrix.CodeForbidden {
		return nil
	}
	return err
}

// lastEvents are the newest events of a timeline, oldest first.
func lastEvents(tx *storage.Tx, v *door.Visit, limit int) (Chunk, error) {
	w, err := newWalk(tx, v, Page{Back: true})
	if err != nil {
		return Chunk{}, err
	}
	c := Chunk{End: position.InRoom(w.pos), Events: []door.Event{}}
	events, err := w.events(min(limit, maxPage))
	for _, e := range slices.Backward(events) {
		c.Events = append(c.Events, e)
	}
	if !w.done {
		c.Start = position.InRoom(w.pos)
	}
	return c, err
}

// AnyEvent is one event of whatever room (CS API, GET /events/{eventId}).
func (s *Service) AnyEvent(ctx context.Context, who door.Reader, id string) (e door.Event, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		stored, err := s.door.Event(tx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return errNoEvent
		}
		if err != nil {
			return err
		}
		v, err := s.door.Enter(tx, who, stored.RoomID())
		if err != nil {
			return err
		}
		_, e, err = s.event(tx, v, stored.RoomID(), id)
		return err
	})
	return e, err
}

// streamLimit is how many events a page of the stream has, for each room.
const streamLimit = 100

// Stream is what has happened after a token in a room, or in all that the reader
// is in if it is "" (CS API, GET /events); without a token it begins now. The
// chunk's End is where to go on.
func (s *Service) Stream(ctx context.Context, who door.Reader, room matrix.RoomID, from string) (c Chunk, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		now, err := tx.Pos()
		if err != nil {
			return err
		}
		after, err := start(from, now)
		if err == nil && after > now {
			err = matrix.Errorf(matrix.CodeInvalidParam, "from is a token that this server has not given out yet.")
		}
		if err != nil {
			return err
		}
		c = Chunk{Start: position.Sync(after), Events: []door.Event{}}
		rooms, err := s.streamed(tx, who, room, after)
		if err != nil {
			return err
		}
		end := now
		var events []door.Event
		for _, v := range rooms {
			w, err := newWalk(tx, v, Page{From: position.InRoom(after)})
			if err != nil {
				return err
			}
			part, err := w.events(streamLimit)
			if err != nil {
				return err
			}
			if !w.done {
				end = min(end, w.pos)
			}
			events = append(events, part...)
		}
		c.take(events, end)
		return nil
	})
	return c, err
}

// streamed are visits of the rooms in which something has happened after a
// position.
func (s *Service) streamed(tx *storage.Tx, who door.Reader, room matrix.RoomID, after int64) (visits []*door.Visit, err error) {
	if room != "" {
		v, err := s.door.Enter(tx, who, room)
		if err != nil {
			return nil, err
		}
		return []*door.Visit{v}, v.CanLook()
	}
	rooms, err := tx.RoomsOf(who.User)
	if err != nil {
		return nil, err
	}
	for _, m := range rooms {
		if m.LastPos <= after {
			continue
		}
		v, err := s.door.Enter(tx, who, m.Room)
		if err != nil {
			return nil, err
		}
		if err := v.CanLook(); err == nil {
			visits = append(visits, v)
		} else if hideForbidden(err) != nil {
			return nil, err
		}
	}
	return visits, nil
}

// take puts events of several rooms in their order, up to a position.
func (c *Chunk) take(events []door.Event, end int64) {
	for _, e := range events {
		if e.Pos() <= end {
			c.Events = append(c.Events, e)
		}
	}
	slices.SortFunc(c.Events, func(a, b door.Event) int { return cmp.Compare(a.Pos(), b.Pos()) })
	c.End = position.Sync(end)
}

// lookEvery is how often a room is looked at for one who peeks into it: nobody is
// woken for them.
const lookEvery = time.Second

// Peek is [Service.Stream] for one room, which waits until something happens
// there, or ctx ends.
func (s *Service) Peek(ctx, wait context.Context, who door.Reader, room matrix.RoomID, from string) (Chunk, error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		c, err := s.Stream(ctx, who, room, from)
		if err != nil || len(c.Events) > 0 {
			return c, err
		}
		from = c.End
		select {
		case <-look.C:
		case <-wait.Done():
			return c, ctx.Err()
		}
	}
}
