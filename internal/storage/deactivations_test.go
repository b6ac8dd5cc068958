package storage_test

import (
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestAnEndingGoesThroughItsStates(t *testing.T) {
	undo := hash("undo")
	grace := storage.Deactivation{
		ID: "1", UserID: alice, Erase: true, IDServer: "id.example", RequestedBy: "self", State: storage.InGrace,
		CreatedAt: 5, GraceUntil: 50, UndoHash: undo[:], KeptPassword: "x",
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		wantNone(t, db, bind((*storage.Tx).Deactivation, "1"))
		do(t, db, step((*storage.Tx).AddDeactivation, grace))
		want(t, db, grace, bind((*storage.Tx).Deactivation, "1"))
		want(t, db, grace, bind((*storage.Tx).LockDeactivation, "1"))
		want(t, db, grace, bind((*storage.Tx).DeactivationByUndo, undo))
		wantNone(t, db, bind((*storage.Tx).DeactivationByUndo, hash("other")))
		finish := func(tx *storage.Tx) error { return tx.FinishDeactivation("1", 60, []byte(`{"r":1}`)) }
		do(t, db, finish) // not in this state
		want(t, db, grace, bind((*storage.Tx).Deactivation, "1"))

		start := bind((*storage.Tx).StartDeactivation, "1")
		want(t, db, true, start)
		want(t, db, false, start)
		running := grace
		running.State, running.UndoHash, running.KeptPassword = storage.Running, nil, ""
		want(t, db, running, bind((*storage.Tx).Deactivation, "1"))
		wantNone(t, db, bind((*storage.Tx).DeactivationByUndo, undo))

		do(t, db, finish)
		done := running
		done.State, done.FinishedAt, done.Receipt = storage.Done, 60, []byte(`{"r":1}`)
		want(t, db, done, bind((*storage.Tx).Deactivation, "1"))
	})
}

func TestAnUndoneEndingKeepsNoPassword(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		undo := hash("undo")
		d := storage.Deactivation{
			ID: "1", UserID: alice, RequestedBy: "self", State: storage.InGrace, CreatedAt: 5, GraceUntil: 50,
			UndoHash: undo[:], KeptPassword: "x",
		}
		do(t, db, step((*storage.Tx).AddDeactivation, d), step2((*storage.Tx).UndoDeactivation, "1", 9))
		d.State, d.FinishedAt, d.UndoHash, d.KeptPassword = storage.Undone, 9, nil, ""
		want(t, db, d, bind((*storage.Tx).Deactivation, "1"))
	})
}

func TestEndingsAreListedLatestFirst(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		for _, d := range []storage.Deactivation{
			{ID: "1", UserID: alice, State: storage.Undone, CreatedAt: 1},
			{ID: "2", UserID: bob, State: storage.Running, CreatedAt: 2},
			{ID: "3", UserID: alice, State: storage.Running, CreatedAt: 2},
			{ID: "4", UserID: alice, State: storage.Done, CreatedAt: 4},
		} {
			d.RequestedBy = "self"
			do(t, db, step((*storage.Tx).AddDeactivation, d))
		}
		for _, test := range []struct {
			user  matrix.UserID
			state storage.DeactivationState
			after string
			limit int
			want  []string
		}{
			{limit: 10, want: []string{"4", "3", "2", "1"}},
			{limit: 2, want: []string{"4", "3"}},
			{after: "3", limit: 2, want: []string{"2", "1"}},
			{user: alice, limit: 10, want: []string{"4", "3", "1"}},
			{state: storage.Running, limit: 10, want: []string{"3", "2"}},
			{user: alice, state: storage.Running, after: "4", limit: 10, want: []string{"3"}},
			{after: "none", limit: 10},
		} {
			want(t, db, test.want, func(tx *storage.Tx) (ids []string, err error) {
				list, err := tx.Deactivations(test.user, test.state, test.after, test.limit)
				for _, d := range list {
					ids = append(ids, d.ID)
				}
				return ids, err
			})
		}
	})
}

func TestWhatAnEndingRemovedIsSummed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		do(t, db, step((*storage.Tx).AddDeactivation,
			storage.Deactivation{ID: "1", UserID: alice, RequestedBy: "self", State: storage.Running, CreatedAt: 1}))
		want(t, db, map[string]int64{}, bind((*storage.Tx).Counts, "1"))
		add := func(category string, n int64) func(*storage.Tx) error {
			return func(tx *storage.Tx) error { return tx.AddCount("1", category, n) }
		}
		do(t, db, add("devices", 2), add("devices", 3), add("filters", 1), add("nothing", 0))
		want(t, db, map[string]int64{"devices": 5, "filters": 1}, bind((*storage.Tx).Counts, "1"))
	})
}
