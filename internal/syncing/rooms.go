package syncing

import (
	"slices"

	"github.com/go-json-experiment/json"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
)

// finish looks into the rooms, and adds what is in no room.
func (b *builder) finish(presence bool) error {
	var unread []matrix.RoomID
	for _, v := range b.rooms {
		if !b.r.Filter.Room.Wants(v.room) {
			continue
		}
		if err := b.look(v); err != nil {
			return err
		}
		if b.a.Rooms.Join[v.room] != nil {
			unread = append(unread, v.room)
		}
	}
	if err := b.count(unread); err != nil {
		return err
	}
	if err := b.readPresence(presence); err != nil {
		return err
	}
	return b.readDevices()
}

// look looks into a room, and puts it into the answer if there is something to
// tell.
func (b *builder) look(v visit) error {
	d, err := b.s.door.Enter(b.tx, b.reader, v.room)
	if err != nil {
		return err
	}
	if v.fresh && v.after >= 0 {
		if err := b.readRoomData(v.room); err != nil {
			return err
		}
	}
	h := history{AccountData: list[accountData]{b.data[v.room]}}
	p, err := b.timeline(d, v)
	if err != nil {
		return err
	}
	h.Timeline = timeline{Events: p.events, Limited: p.limited || v.again, PrevBatch: position.InRoom(v.upTo)}
	if p.start != 0 {
		h.Timeline.PrevBatch = position.InRoom(p.start - 1)
	}
	if v.left {
		return b.left(d, v, &p, h)
	}
	all := v.fresh || b.r.FullState
	j := &Joined{history: h}
	state, err := b.joinedState(d, v, &p, j)
	if err != nil {
		return err
	}
	b.addEphemeral(v, j)
	tells := len(p.events) + state + len(j.Ephemeral.Events) + len(j.AccountData.Events)
	if all || tells > 0 || p.limited || j.Summary.Joined != nil || v.counts && b.s.opts.Unread != nil {
		b.a.Rooms.Join[v.room] = j
	}
	return nil
}

// joinedState puts the state, and the summary where it may have changed, into the
// answer, and tells how many events of state there are.
func (b *builder) joinedState(d *door.Visit, v visit, p *part, j *Joined) (n int, err error) {
	var heroes []matrix.UserID
	if v.fresh || b.r.FullState || v.members && membersChanged(p) {
		if heroes, err = b.summarise(d, j); err != nil {
			return 0, err
		}
	}
	state, err := b.stateOf(d, v, p, heroes)
	j.setState(b.r.StateAfter, state)
	return len(state), err
}

func (h *history) setState(after bool, events []door.Event) {
	if after {
		h.StateAfter = &list[door.Event]{events}
	} else {
		h.State = &list[door.Event]{events}
	}
}

// left puts a room that the reader has left into the answer. Of the state of a
// room that they have never been in they hear nothing.
func (b *builder) left(d *door.Visit, v visit, p *part, h history) error {
	var state []door.Event
	if d.CanLook() == nil {
		var err error
		if state, err = b.stateOf(d, v, p, nil); err != nil {
			return err
		}
	}
	h.setState(b.r.StateAfter, state)
	b.a.Rooms.Leave[v.room] = &Left{h}
	return nil
}

// membersChanged tells whether members have come or gone, or may have.
func membersChanged(p *part) bool {
	return !p.whole || slices.ContainsFunc(p.scanned, func(e *storage.Event) bool { return e.IsState(typeMember) })
}

const (
	// heroesMax is how many members stand for a room that has no name.
	heroesMax = 5
	// heroesKept is how many the hub is told of, so that it need not be told again
	// when one of them goes.
	heroesKept = 20
)

// summarise sets the summary of a room, and returns its heroes.
func (b *builder) summarise(d *door.Visit, j *Joined) ([]matrix.UserID, error) {
	room := d.Room()
	j.Summary.Joined, j.Summary.Invited = &room.Joined, &room.Invited
	first, known := b.s.hub.Heroes(room.ID)
	if !known {
		pos, err := b.tx.Pos()
		if err != nil {
			return nil, err
		}
		if first, err = b.tx.FirstMembers(room.ID, heroesKept+1, "join", "invite"); err != nil {
			return nil, err
		}
		more := len(first) > heroesKept
		first = first[:min(len(first), heroesKept)]
		b.s.hub.SetHeroes(room.ID, first, more, pos)
	}
	heroes := b.others(first)
	if len(heroes) == 0 {
		gone, err := b.tx.FirstMembers(room.ID, heroesMax+1, "leave", "ban")
		if err != nil {
			return nil, err
		}
		heroes = b.others(gone)
	}
	j.Summary.Heroes = &heroes
	return heroes, nil
}

// others are the first of users, without the reader.
func (b *builder) others(users []matrix.UserID) []matrix.UserID {
	others := make([]matrix.UserID, 0, heroesMax)
	for _, user := range users {
		if user != b.r.User && len(others) < heroesMax {
			others = append(others, user)
		}
	}
	return others
}

// addEphemeral adds who is typing and who has read what.
func (b *builder) addEphemeral(v visit, j *Joined) {
	j.Ephemeral.Events = append(j.Ephemeral.Events, b.receipts[v.room]...)
	users, ok := b.typing[v.room]
	if !ok {
		return
	}
	if users == nil {
		users = []matrix.UserID{}
	}
	content, err := json.Marshal(map[string][]matrix.UserID{"user_ids": users})
	if err == nil { // user ids are text
		j.Ephemeral.Events = append(j.Ephemeral.Events, ephemeral{"m.typing", content})
	}
}

// count adds the counts of what is unread.
func (b *builder) count(rooms []matrix.RoomID) error {
	if b.s.opts.Unread == nil || len(rooms) == 0 {
		return nil
	}
	threads := b.r.Filter.Room.Timeline.UnreadThreads
	counts, err := b.s.opts.Unread.Unread(b.tx, b.r.User, rooms, b.pos, threads)
	for room, c := range counts {
		j := b.a.Rooms.Join[room]
		j.Unread, j.Threads = c, c.Threads
	}
	return err
}

// invited puts a room into the answer that the reader is asked into, unless by
// somebody whom they ignore (CS API, Ignoring Users).
func (b *builder) invited(m storage.Membership) error {
	ignored, err := b.s.door.Ignored(b.tx, b.r.User)
	if err != nil || ignored[m.Sender] {
		return err
	}
	state, err := b.stripped(m)
	b.a.Rooms.Invite[m.Room] = &Invited{list[json.MarshalerTo]{state}}
	return err
}

// knocked puts a room into the answer that the reader asks to be let into.
func (b *builder) knocked(m storage.Membership) error {
	state, err := b.stripped(m)
	b.a.Rooms.Knock[m.Room] = &Knocked{list[json.MarshalerTo]{state}}
	return err
}

// strippedTypes are what those hear of a room who are not in it yet (CS API,
// Stripped state).
var strippedTypes = []string{
	"m.room.create", "m.room.name", "m.room.avatar", "m.room.topic", "m.room.join_rules", "m.room.canonical_alias",
	"m.room.encryption",
}

// stripped is the state of a room for somebody who is not in it: of a room of
// this server, or as it came with the invite.
func (b *builder) stripped(m storage.Membership) (state []json.MarshalerTo, err error) {
	d, err := b.s.door.Enter(b.tx, b.reader, m.Room)
	if err != nil {
		return nil, err
	}
	if len(m.Stripped) > 0 {
		contents, err := d.StrippedState(m.Stripped)
		for _, c := range contents {
			state = append(state, c)
		}
		return state, err
	}
	keys := make([]event.Key, 0, len(strippedTypes)+2)
	for _, typ := range strippedTypes {
		keys = append(keys, event.Key{Type: typ})
	}
	keys = append(keys, event.Key{Type: typeMember, StateKey: string(m.User)})
	if m.Sender != m.User {
		keys = append(keys, event.Key{Type: typeMember, StateKey: string(m.Sender)})
	}
	events, err := d.ServeState(d.Room().State, keys, door.Format{Kind: door.Stripped})
	for _, e := range events {
		state = append(state, e)
	}
	return state, err
}
