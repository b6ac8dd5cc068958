package history

import (
	"context"
	"math"

	"lethe/internal/door"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
)

// nearby is how many events on each side of a place in a timeline are looked at
// for the nearest in time.
const nearby = 200

// At is the event nearest to a time, in a direction (CS API, GET
// /rooms/{roomId}/timestamp_to_event), or M_NOT_FOUND.
//
// Positions are nearly in the order of timestamps, so it looks for the place by
// halves, and then at what is near it: an index would take another 70 bytes for
// each event. An event whose timestamp is far off from those around it is not
// found.
func (s *Service) At(
	ctx context.Context, who door.Reader, room matrix.RoomID, at matrix.Timestamp, back bool,
) (e door.Event, err error) {
	err = s.visit(ctx, who, room, func(tx *storage.Tx, v *door.Visit) error {
		place, err := tx.PlaceOf(room, at, min(v.Room().LastPos, v.Until()))
		if err != nil {
			return err
		}
		w, err := newWalk(tx, v, Page{From: position.InRoom(place), Back: !back})
		if err != nil {
			return err
		}
		if w.pos, err = w.skip(nearby); err != nil {
			return err
		}
		w.back, w.done = back, false
		w.end = math.MinInt64
		if !back {
			w.end = min(v.Room().LastPos, v.Until())
		}
		found, err := w.nearest(at)
		if err != nil {
			return err
		}
		served, err := v.Serve([]*storage.Event{found}, door.Format{})
		if err == nil && len(served) == 0 {
			err = errNoEvent
		}
		if err == nil {
			e = served[0]
		}
		return err
	})
	return e, err
}

// skip goes n events on, and returns the place behind them.
func (w *walk) skip(n int) (int64, error) {
	list, err := w.read(n)
	if err == nil && len(list) > 0 {
		w.pass(list[len(list)-1].Pos)
	}
	return w.pos, err
}

// nearest is that of the next events which is the nearest to a time, on the side
// of it that the walk goes to, and which the reader sees; of two, that which
// comes first.
func (w *walk) nearest(at matrix.Timestamp) (*storage.Event, error) {
	var best *storage.Event
	beyond := 0 // events seen on the right side
	for scanned := 0; scanned < maxScan && !w.done && beyond < nearby; {
		list, err := w.read(nearby)
		if err != nil {
			return nil, err
		}
		w.done = len(list) < nearby
		scanned += len(list)
		for _, e := range list {
			w.pass(e.Pos)
			off := e.Timestamp() - at
			if w.back {
				off = -off
			}
			if off < 0 || w.v.Ignores(e.Sender()) {
				continue
			}
			sees, err := w.v.Sees(e)
			if err != nil {
				return nil, err
			}
			if !sees {
				continue
			}
			beyond++
			if best == nil || distance(e, at) < distance(best, at) {
				best = e
			}
		}
	}
	if best == nil {
		return nil, matrix.Errorf(matrix.CodeNotFound, "There is no event in this direction of that time.")
	}
	return best, nil
}

func distance(e *storage.Event, at matrix.Timestamp) matrix.Timestamp {
	return max(e.Timestamp()-at, at-e.Timestamp())
}
