package door

import (
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Keeping says for whom an event of somebody erased stays whole on disk.
type Keeping int

// For whom.
const (
	ForNobody  Keeping = iota // its content may go
	ForReaders                // those who could read it before the erasure, while they are there
	ForState                  // the room, while it is its current state
	ForRoom                   // the room, for ever; or nobody of it is erased
)

// Keepers decide what stays, of one room and within one transaction.
type Keepers struct {
	d      *Door
	tx     *storage.Tx
	room   matrix.RoomID
	users  []matrix.UserID
	nobody *Visit
	visits []*Visit // of the first users
}

// Keepers are users of this server for whom events of a room are kept whole on
// disk, in the order in which they are asked: those who have an account and are
// joined. Others may be able to read them, too; nothing is kept for them.
func (d *Door) Keepers(tx *storage.Tx, room matrix.RoomID, users []matrix.UserID) (*Keepers, error) {
	nobody, err := d.Enter(tx, Reader{}, room)
	return &Keepers{d: d, tx: tx, room: room, users: users, nobody: nobody}, err
}

// Keep tells for whom an event is kept: by the rule that says who gets it whole
// ([Visit.Serve]).
func (k *Keepers) Keep(e *storage.Event) (Keeping, error) {
	_, covered, err := k.nobody.coveredAt(e)
	if err != nil || !covered {
		return ForRoom, err
	}
	stays, err := k.nobody.staysTheRooms(e)
	if err != nil {
		return ForRoom, err
	}
	if stays {
		if isProtocol(e.Type()) {
			return ForRoom, nil
		}
		return ForState, nil
	}
	for i := range k.users {
		if i == len(k.visits) {
			v, err := k.d.Enter(k.tx, Reader{User: k.users[i]}, k.room)
			if err != nil {
				return ForRoom, err
			}
			k.visits = append(k.visits, v)
		}
		if whole, err := k.visits[i].Whole(e); err != nil || whole {
			return ForReaders, err
		}
	}
	return ForNobody, nil
}
