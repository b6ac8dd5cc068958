package doortest

import (
	"fmt"
	"maps"
	"math"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Room is a room of a [House].
type Room struct {
	*House
	ID      matrix.RoomID
	Version *event.Version
	// State is the root of its state after the last event.
	State state.Root
	// Create is the event that made it.
	Create *storage.Event

	last string // the last event
}

// Content is the content of an event.
type Content map[string]any

// Room makes a room of a version, in which creator is joined.
func (h *House) Room(version string, creator matrix.UserID) *Room {
	h.T.Helper()
	v, ok := event.VersionOf(version)
	if !ok {
		h.T.Fatalf("there is no room version %s", version)
	}
	r := &Room{House: h, Version: v}
	p := event.Proto{Type: "m.room.create", StateKey: new(string), Sender: creator, Content: []byte(`{}`), Depth: 1}
	if !v.RoomIDFromCreate {
		r.ID = matrix.RoomID(fmt.Sprintf("!%d:%s", h.sent, Server))
		p.RoomID = r.ID
	}
	create := h.build(v, p)
	r.ID = create.RoomID()
	h.Batch(func() {
		h.Update(func(tx *storage.Tx) error {
			return tx.AddRoom(storage.Room{ID: r.ID, Version: version, CreatedAt: 1, Extremities: []string{}})
		})
		r.Create = r.add(create)
		r.Member(creator, creator, "join")
	})
	return r
}

// build makes an event; each is a second later than the one before it.
func (h *House) build(v *event.Version, p event.Proto) *event.Event {
	h.T.Helper()
	h.sent++
	if p.Timestamp == 0 {
		p.Timestamp = matrix.TimestampOf(now) - 1_000_000 + matrix.Timestamp(1000*h.sent)
	}
	e, err := event.Build(v, p, Server, h.key)
	if err != nil {
		h.T.Fatal(err)
	}
	return e
}

// Send adds an event that is not state.
func (r *Room) Send(sender matrix.UserID, typ string, content Content) *storage.Event {
	r.T.Helper()
	return r.Add(event.Proto{Sender: sender, Type: typ, Content: marshal(r.T, content)})
}

// Say adds a message.
func (r *Room) Say(sender matrix.UserID, text string) *storage.Event {
	r.T.Helper()
	return r.Send(sender, "m.room.message", Content{"msgtype": "m.text", "body": text})
}

// Set adds state.
func (r *Room) Set(sender matrix.UserID, typ, key string, content Content) *storage.Event {
	r.T.Helper()
	return r.Add(event.Proto{Sender: sender, Type: typ, StateKey: &key, Content: marshal(r.T, content)})
}

// Member makes target what membership says, by sender; more is what else the
// content has.
func (r *Room) Member(sender, target matrix.UserID, membership string, more ...Content) *storage.Event {
	r.T.Helper()
	content := Content{"membership": membership}
	for _, m := range more {
		maps.Copy(content, m)
	}
	return r.Set(sender, "m.room.member", string(target), content)
}

// Join and Leave make a user what they say, by themselves.
func (r *Room) Join(user matrix.UserID) *storage.Event { return r.Member(user, user, "join") }

// Leave is described with Join.
func (r *Room) Leave(user matrix.UserID) *storage.Event { return r.Member(user, user, "leave") }

// Visibility sets the history visibility.
func (r *Room) Visibility(visibility string) *storage.Event {
	r.T.Helper()
	return r.Set(r.Create.Sender(), "m.room.history_visibility", "", Content{"history_visibility": visibility})
}

// Redact makes target its redacted form, by sender, and returns the redaction.
func (r *Room) Redact(sender matrix.UserID, target *storage.Event, reason string) *storage.Event {
	r.T.Helper()
	content := Content{"reason": reason}
	p := event.Proto{Sender: sender, Type: "m.room.redaction", Redacts: target.ID()}
	if r.Version.UpdatedRedaction {
		content["redacts"] = target.ID()
	}
	p.Content = marshal(r.T, content)
	by := r.Add(p)
	r.replace(target, by.ID())
	return by
}

// Wipe makes target its redacted form on disk, as after an erasure.
func (r *Room) Wipe(target *storage.Event) { r.replace(target, "") }

func (r *Room) replace(target *storage.Event, by string) {
	r.T.Helper()
	redacted, err := target.Redacted()
	if err != nil {
		r.T.Fatal(err)
	}
	r.Update(func(tx *storage.Tx) error {
		if err := tx.ReplaceEvent(target, redacted, by); err != nil {
			return err
		}
		_, err := tx.NextPos(storage.Change{Kind: storage.ChangeRedacted, Room: r.ID})
		return err
	})
}

// At adds an event as e, sent at another time.
func (r *Room) At(e *storage.Event, at matrix.Timestamp) *storage.Event {
	r.T.Helper()
	p := event.Proto{Sender: e.Sender(), Type: e.Type(), Content: e.Content(), Timestamp: at}
	if key, ok := e.StateKey(); ok {
		p.StateKey = &key
	}
	return r.Add(p)
}

// Add adds an event to the end of the room.
func (r *Room) Add(p event.Proto) *storage.Event {
	r.T.Helper()
	p.RoomID, p.Depth = r.ID, 2
	if r.Version.EventIDs != event.IDsGiven { // there a reference is more than an id
		p.PrevEvents = []string{r.last}
	}
	return r.add(r.build(r.Version, p))
}

func (r *Room) add(e *event.Event) *storage.Event {
	r.T.Helper()
	var stored *storage.Event
	root := r.State
	r.Update(func(tx *storage.Tx) error {
		root = r.State
		row, err := tx.LockRoom(r.ID)
		if err != nil {
			return err
		}
		key, isState := e.Key()
		member := isState && key.Type == "m.room.member"
		change := storage.Change{Kind: storage.ChangeEvent, Room: r.ID, User: e.Sender()}
		if member {
			change.Kind, change.User = storage.ChangeMember, matrix.UserID(key.StateKey)
		}
		pos, err := tx.NextPos(change)
		if err != nil {
			return err
		}
		stored = &storage.Event{Event: e, Pos: pos, State: root}
		if err := tx.AddEvent(stored); err != nil {
			return err
		}
		if err := tx.AddRelation(stored); err != nil {
			return err
		}
		if isState {
			if root, err = r.Trees.Put(tx, r.ID, root, map[event.Key]string{key: e.ID()}); err != nil {
				return err
			}
		}
		if member {
			err := tx.SetMembership(storage.Membership{
				Room: r.ID, User: matrix.UserID(key.StateKey), Membership: event.MembershipOf(e), Pos: pos,
				EventID: e.ID(), Sender: e.Sender(),
			}, matrix.UserID(key.StateKey).Server() == Server)
			if err != nil {
				return err
			}
		}
		row.State, row.LastPos, row.Extremities = root, pos, []string{e.ID()}
		return tx.SetRoom(row)
	})
	r.State, r.last = root, e.ID()
	return stored
}

// Timeline is all of it, as it is on disk.
func (r *Room) Timeline() (events []*storage.Event) {
	r.T.Helper()
	r.View(func(tx *storage.Tx) (err error) {
		events, err = tx.Timeline(r.ID, math.MinInt64, math.MaxInt64, math.MaxInt32)
		return err
	})
	return events
}

// Read is the event on disk.
func (r *Room) Read(e *storage.Event) (now *storage.Event) {
	r.T.Helper()
	r.View(func(tx *storage.Tx) (err error) {
		now, err = tx.Event(e.ID())
		return err
	})
	return now
}

// Visit runs fn in a visit of the room by a user.
func (r *Room) Visit(user matrix.UserID, fn func(*door.Visit) error) {
	r.T.Helper()
	r.Enter(door.Reader{User: user}, r.ID, fn)
}
