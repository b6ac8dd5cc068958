package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func account(user string) storage.Account {
	return storage.Account{UserID: matrix.UserID(user), Kind: storage.KindUser, PasswordHash: "x", CreatedAt: 1}
}

func create(t *testing.T, db *storage.DB, user string) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *storage.Tx) error { return tx.CreateAccount(account(user)) }); err != nil {
		t.Fatalf("create %s: %v", user, err)
	}
}

func lookUp(t *testing.T, db *storage.DB, user string) (a storage.Account, err error) {
	t.Helper()
	err = db.View(t.Context(), func(tx *storage.Tx) (err error) {
		a, err = tx.Account(matrix.UserID(user))
		return err
	})
	return a, err
}

func TestUpdateCommitsAndRollsBack(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		create(t, db, "@a:x")
		got, err := lookUp(t, db, "@a:x")
		if err != nil || got != account("@a:x") {
			t.Fatalf("got %+v, %v", got, err)
		}
		failure := errors.New("no")
		err = db.Update(t.Context(), func(tx *storage.Tx) error {
			if err := tx.CreateAccount(account("@b:x")); err != nil {
				return err
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Fatalf("Update returned %v", err)
		}
		if _, err := lookUp(t, db, "@b:x"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the row of a failed transaction: %v", err)
		}
		err = db.Update(t.Context(), func(tx *storage.Tx) error { return tx.CreateAccount(account("@a:x")) })
		if !errors.Is(err, storage.ErrExists) {
			t.Errorf("second account of one name: %v", err)
		}
	})
}

func TestUpdatePassesPanicsOnAndGoesOn(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "ouch") {
					t.Errorf("recovered %v", p)
				}
			}()
			_ = db.Update(t.Context(), func(tx *storage.Tx) error {
				if err := tx.CreateAccount(account("@p:x")); err != nil {
					return err
				}
				panic("ouch")
			})
		}()
		if _, err := lookUp(t, db, "@p:x"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the row of a transaction that panicked: %v", err)
		}
		create(t, db, "@after:x")
	})
}

func TestPositionsAreUniqueAndDense(t *testing.T) {
	const writers, each = 8, 20
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var mu sync.Mutex
		seen := map[int64]bool{}
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					var pos int64
					err := db.Update(t.Context(), func(tx *storage.Tx) (err error) {
						pos, err = tx.NextPos()
						return err
					})
					mu.Lock()
					if err != nil || seen[pos] {
						t.Errorf("position %d again, or error %v", pos, err)
					}
					seen[pos] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for pos := int64(1); pos <= writers*each; pos++ {
			if !seen[pos] {
				t.Errorf("position %d was given to nobody", pos)
			}
		}
	})
}

func TestOneDeactivationOfMany(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		create(t, db, "@a:x")
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				var first bool
				err := db.Update(t.Context(), func(tx *storage.Tx) (err error) {
					first, err = tx.MarkDeactivated("@a:x", 5, 7)
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if first {
					won++
				}
			})
		}
		wg.Wait()
		got, err := lookUp(t, db, "@a:x")
		if won != 1 || err != nil || got.DeactivatedAt != 5 || got.ErasedPos != 7 || got.PasswordHash != "" {
			t.Errorf("%d transactions ended the account: %+v, %v", won, got, err)
		}
	})
}

func TestUpdateOfACancelledContextChangesNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := db.Update(ctx, func(tx *storage.Tx) error { return tx.CreateAccount(account("@c:x")) })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Update returned %v", err)
		}
		if _, err := lookUp(t, db, "@c:x"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a row was written: %v", err)
		}
	})
}

func TestSecondOpenIsRefused(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			url := storagetest.URL(t, engine)
			storagetest.Open(t, url)
			if _, err := storage.Open(t.Context(), url); !errors.Is(err, storage.ErrLocked) {
				t.Errorf("a second Open returned %v", err)
			}
		})
	}
}
