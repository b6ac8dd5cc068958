// Package doortest makes rooms for tests of who sees what: events that are
// written as they are, without rules of who may send them, on a real database.
//
// Holds: [House], a database with its door; [Room], to which events are added.
//
// May import: door, event, matrix, state, storage.
//
// Never: anything that only a test could see; nothing but tests imports it.
package doortest

import (
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
)

// Server is the name of the server that users of the tests are on.
const Server matrix.ServerName = "x"

// now is the time at which the door of a [House] serves. Events are sent in the
// seconds before it.
var now = time.UnixMilli(1_700_000_000_000)

// House is a database with its door.
type House struct {
	T     testing.TB
	DB    *storage.DB
	Trees *state.Trees
	Door  *door.Door

	key  event.SigningKey
	sent int64       // events, so that each has another time
	tx   *storage.Tx // of Batch
}

// New makes a house on a database. change, which may be nil, is what a test has
// to say about the settings of the door.
func New(t testing.TB, db *storage.DB, change func(*door.Options)) *House {
	h := &House{T: t, DB: db, Trees: state.New(), key: event.NewSigningKey()}
	opts := door.Options{
		ServerName: Server, Now: h.Now, Readers: door.ReadersSpec, Servers: door.ServersAll,
	}
	if change != nil {
		change(&opts)
	}
	h.Door = door.New(db, h.Trees, opts)
	db.OnCommit(h.Door.Changed)
	return h
}

// Now is the time of the house.
func (h *House) Now() time.Time { return now }

// Batch makes one transaction of all that fn adds, which is quicker.
func (h *House) Batch(fn func()) {
	h.T.Helper()
	h.Update(func(tx *storage.Tx) error {
		h.tx = tx
		defer func() { h.tx = nil }()
		fn()
		return nil
	})
}

// Update runs fn in a transaction that may write.
func (h *House) Update(fn func(*storage.Tx) error) {
	h.T.Helper()
	if h.tx != nil {
		if err := fn(h.tx); err != nil {
			h.T.Error(err)
		}
		return
	}
	if err := h.DB.Update(h.T.Context(), fn); err != nil {
		h.T.Fatal(err)
	}
}

// View runs fn in a transaction that reads.
func (h *House) View(fn func(*storage.Tx) error) {
	h.T.Helper()
	if err := h.DB.View(h.T.Context(), fn); err != nil {
		h.T.Fatal(err)
	}
}

// Enter runs fn in a visit of a room.
func (h *House) Enter(who door.Reader, room matrix.RoomID, fn func(*door.Visit) error) {
	h.T.Helper()
	h.View(func(tx *storage.Tx) error {
		v, err := h.Door.Enter(tx, who, room)
		if err != nil {
			return err
		}
		return fn(v)
	})
}

// Erase ends the account of a user with erase, which it makes if there is none,
// and returns the position.
func (h *House) Erase(user matrix.UserID) (pos int64) {
	h.T.Helper()
	h.Update(func(tx *storage.Tx) (err error) {
		account := storage.Account{UserID: user, Kind: storage.KindUser, CreatedAt: 1}
		if err := tx.CreateAccount(account); err != nil && !errors.Is(err, storage.ErrExists) {
			return err
		}
		if pos, err = tx.NextPos(storage.Change{Kind: storage.ChangeErased, User: user}); err != nil {
			return err
		}
		_, err = tx.MarkDeactivated(user, 1, pos)
		return err
	})
	return pos
}

// Restore takes back what Erase has done.
func (h *House) Restore(user matrix.UserID) {
	h.T.Helper()
	h.Update(func(tx *storage.Tx) error {
		if _, err := tx.NextPos(storage.Change{Kind: storage.ChangeErased, User: user}); err != nil {
			return err
		}
		_, err := tx.MarkReactivated(user, "")
		return err
	})
}

// Ignore makes user ignore others.
func (h *House) Ignore(user matrix.UserID, others ...matrix.UserID) {
	h.T.Helper()
	list := map[matrix.UserID]struct{}{}
	for _, id := range others {
		list[id] = struct{}{}
	}
	content := marshal(h.T, map[string]any{"ignored_users": list})
	h.Update(func(tx *storage.Tx) error {
		account := storage.Account{UserID: user, Kind: storage.KindUser, CreatedAt: 1}
		if err := tx.CreateAccount(account); err != nil && !errors.Is(err, storage.ErrExists) {
			return err
		}
		pos, err := tx.NextPos(storage.Change{Kind: storage.ChangeAccountData, User: user})
		if err != nil {
			return err
		}
		return tx.SetAccountData(user, storage.AccountData{Type: "m.ignored_user_list", Content: content}, pos)
	})
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
