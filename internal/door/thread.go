package door

import (
	"errors"

	"lethe/internal/storage"
)

// threadHops is over how many relations an event's thread is looked for (CS API,
// Threaded read receipts).
const threadHops = 3

// Thread is where an event stands among the threads of its room.
type Thread struct {
	// Root is the root of the thread that the event is in, "" for the main timeline.
	Root string
	// Above are the events that it relates to, directly or through others, the
	// nearest first.
	Above []string
}

// ThreadOf finds the thread of an event: that which it names, or that of what it
// relates to (CS API, Threaded read receipts).
func (d *Door) ThreadOf(tx *storage.Tx, e *storage.Event) (t Thread, err error) {
	room := e.RoomID()
	for range threadHops {
		parent, relType, _, ok := storage.RelationOf(e.Event)
		if !ok {
			return t, nil
		}
		t.Above = append(t.Above, parent)
		if relType == storage.RelThread {
			t.Root = parent
			return t, nil
		}
		if e, err = d.Event(tx, parent); errors.Is(err, storage.ErrNotFound) || err == nil && e.RoomID() != room {
			return t, nil
		}
		if err != nil {
			return t, err
		}
	}
	return t, nil
}
