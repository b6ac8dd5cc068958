package storage_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// heard keeps what a listener was told.
type heard struct {
	mu      sync.Mutex
	changes []storage.Change
}

func (h *heard) listen(changes []storage.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, changes...)
}

func (h *heard) all() []storage.Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]storage.Change{}, h.changes...)
}

func change(t *testing.T, db *storage.DB, user matrix.UserID, n int64) (last int64) {
	err := db.Update(context.Background(), func(tx *storage.Tx) (err error) {
		if err := tx.ReservePos(n); err != nil {
			return err
		}
		for range n {
			if last, err = tx.NextPos(storage.Change{Kind: storage.ChangePresence, User: user}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return last
}

// checkDense fails unless the changes are those of the positions 1, 2, 3 …
func checkDense(t *testing.T, changes []storage.Change) {
	t.Helper()
	for i, c := range changes {
		if c.Pos != int64(i)+1 {
			t.Fatalf("the change number %d has the position %d", i+1, c.Pos)
		}
	}
}

func TestAChangeIsHeardBeforeItsUpdateReturnsAndInOrder(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var h heard
		db.OnCommit(h.listen)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 20 {
					last := change(t, db, "@a:x", int64(1+i%3))
					if n := int64(len(h.all())); n < last {
						t.Errorf("position %d is committed, and %d changes were heard", last, n)
					}
				}
			})
		}
		wg.Wait()
		checkDense(t, h.all())
		if n := len(h.all()); n != 20*(1+2+3+1+2+3+1+2) {
			t.Errorf("%d changes were heard", n)
		}
	})
}

func TestATransactionThatLeavesReservedPositionsFails(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		err := db.Update(t.Context(), func(tx *storage.Tx) error { return tx.ReservePos(2) })
		if err == nil {
			t.Error("it was committed, and positions have a gap")
		}
		if last := change(t, db, "@a:x", 1); last != 1 {
			t.Errorf("the next position is %d", last)
		}
	})
}

func TestSeveralProcessesHearTheSameChangesInTheSameOrder(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	var here, there heard
	one := storagetest.Open(t, url)
	one.OnCommit(here.listen)
	other := storagetest.Open(t, url)
	other.OnCommit(there.listen)
	var wg sync.WaitGroup
	for _, db := range []*storage.DB{one, other, one, other} {
		wg.Go(func() {
			for range 25 {
				change(t, db, "@a:x", 1)
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(20 * time.Second); len(here.all()) < 100 || len(there.all()) < 100; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("of 100 changes one process heard %d, the other %d", len(here.all()), len(there.all()))
		}
	}
	checkDense(t, here.all())
	checkDense(t, there.all())
}
