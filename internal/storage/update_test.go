package storage_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errNo = errors.New("no")

func TestAnErrorUndoesTheTransaction(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		wantErr(t, db, errNo, func(tx *storage.Tx) error {
			if err := tx.CreateAccount(account(alice)); err != nil {
				return err
			}
			return errNo
		})
		wantNone(t, db, bind((*storage.Tx).Account, alice))
		people(t, db, alice)
		want(t, db, account(alice), bind((*storage.Tx).Account, alice))
	})
}

func TestAPanicUndoesTheTransactionAndReachesTheCaller(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "ouch") {
					t.Errorf("recovered %q", p)
				}
			}()
			_ = db.Update(t.Context(), func(tx *storage.Tx) error {
				if err := tx.CreateAccount(account(alice)); err != nil {
					return err
				}
				panic("ouch")
			})
		}()
		wantNone(t, db, bind((*storage.Tx).Account, alice))
		people(t, db, alice)
	})
}

func TestAfterAFailedStatementNothingMoreRuns(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		twice := func(tx *storage.Tx) error {
			return tx.Exec(`INSERT INTO accounts (user_id, kind, created_at) VALUES ($1, 'user', 1)`, alice)
		}
		wantErr(t, db, storage.ErrExists, func(tx *storage.Tx) error {
			if err := tx.CreateAccount(account(bob)); err != nil {
				return err
			}
			if err := twice(tx); !errors.Is(err, storage.ErrExists) {
				t.Errorf("the second row of one key: %v", err)
			}
			if err := tx.SetAdmin(alice, true); !errors.Is(err, storage.ErrExists) {
				t.Errorf("a statement after the failed one: %v", err)
			}
			if _, err := tx.Account(alice); !errors.Is(err, storage.ErrExists) {
				t.Errorf("a query after the failed one: %v", err)
			}
			return nil // it looks as if all were well
		})
		wantNone(t, db, bind((*storage.Tx).Account, bob))
		want(t, db, account(alice), bind((*storage.Tx).Account, alice))
	})
}

func TestATransactionEndsWithItsFunction(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var kept *storage.Tx
		do(t, db, func(tx *storage.Tx) error { kept = tx; return nil })
		if err := kept.CreateAccount(account(alice)); err == nil {
			t.Error("a transaction that is over took a statement")
		}
		wantNone(t, db, bind((*storage.Tx).Account, alice))
	})
}

func TestAViewSeesOneStateAndWritesNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		err := db.View(t.Context(), func(tx *storage.Tx) error {
			before, err := tx.Account(alice)
			if err != nil {
				return err
			}
			do(t, db, step2((*storage.Tx).SetAdmin, alice, true))
			after, err := tx.Account(alice)
			if before != after {
				t.Errorf("a change is seen: %+v", after)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if err := db.View(t.Context(), step2((*storage.Tx).SetAdmin, alice, false)); !errors.Is(err, storage.ErrReadOnly) {
			t.Errorf("a view that writes: %v", err)
		}
		if err := db.View(t.Context(), func(*storage.Tx) error { return errNo }); !errors.Is(err, errNo) {
			t.Errorf("the error of a view is %v", err)
		}
	})
}

func TestMoreViewsThanConnectionsTakeTurns(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		before := db.Stats().Views
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := db.View(t.Context(), func(tx *storage.Tx) error {
					_, err := tx.Account(alice)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := db.Stats().Views - before; got != 100 {
			t.Errorf("%d views were counted", got)
		}
	})
}

func TestPositionsAreUniqueAndDense(t *testing.T) {
	const writers, each = 8, 20
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		given := make(chan int64, writers*each)
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					var pos int64
					err := db.Update(t.Context(), func(tx *storage.Tx) (err error) {
						pos, err = tx.NextPos(storage.Change{Kind: storage.ChangeErased})
						return err
					})
					if err != nil {
						t.Error(err)
					}
					given <- pos
				}
			})
		}
		wg.Wait()
		close(given)
		seen := map[int64]bool{}
		for pos := range given {
			if pos < 1 || pos > writers*each || seen[pos] {
				t.Errorf("position %d is out of range or was given twice", pos)
			}
			seen[pos] = true
		}
	})
}

func TestAContextThatHasEndedChangesNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Update(ctx, step((*storage.Tx).CreateAccount, account(alice))); !errors.Is(err, context.Canceled) {
			t.Errorf("Update returned %v", err)
		}
		if err := db.View(ctx, func(tx *storage.Tx) error { _, err := tx.Account(alice); return err }); !errors.Is(err, context.Canceled) {
			t.Errorf("View returned %v", err)
		}
		if err := db.Checkpoint(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Checkpoint returned %v", err)
		}
		wantNone(t, db, bind((*storage.Tx).Account, alice))
	})
}

// A caller that gives up in the middle learns the truth: nil means that it is
// stored, an error that it is not.
func TestAContextThatEndsMidwayLeavesNoDoubt(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		for i := range 20 {
			user := matrix.UserID(fmt.Sprintf("@u%d:x", i))
			ctx, cancel := context.WithCancel(t.Context())
			err := db.Update(ctx, func(tx *storage.Tx) error {
				err := tx.CreateAccount(account(user))
				if i%2 == 0 {
					cancel()
				} else {
					go cancel()
				}
				return err
			})
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Update returned %v", err)
				}
				wantNone(t, db, bind((*storage.Tx).Account, user))
			} else {
				want(t, db, account(user), bind((*storage.Tx).Account, user))
			}
		}
	})
}

func TestCloseWaitsAndThenRefuses(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			url := storagetest.URL(t, engine)
			db, err := storage.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			inside, closing := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				err := db.Update(context.Background(), func(tx *storage.Tx) error {
					close(inside)
					<-closing
					return tx.CreateAccount(account(alice))
				})
				if err != nil {
					t.Errorf("the transaction that was running: %v", err)
				}
			})
			<-inside
			wg.Go(func() {
				if err := db.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			for db.View(t.Context(), func(*storage.Tx) error { return nil }) == nil {
				runtime.Gosched() // until Close has shut the door
			}
			close(closing)
			wg.Wait()
			if err := db.Close(); err == nil {
				t.Error("a second Close said nothing")
			}
			if err := db.View(t.Context(), func(*storage.Tx) error { return nil }); err == nil {
				t.Error("a closed database was read")
			}
			if err := db.Checkpoint(t.Context()); err == nil {
				t.Error("a closed database was written")
			}
			want(t, storagetest.Open(t, url), account(alice), bind((*storage.Tx).Account, alice))
		})
	}
}

func TestTextsThatOneEngineRefusesAreStoredAlike(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		odd := "a\x00b\xff"
		do(t, db, step((*storage.Tx).EnsureDevice, storage.Device{UserID: alice, DeviceID: odd, DisplayName: odd, CreatedAt: 1}))
		const clean = "a\uFFFDb\uFFFD"
		stored := storage.Device{UserID: alice, DeviceID: clean, DisplayName: clean, CreatedAt: 1}
		want(t, db, stored, bind2((*storage.Tx).Device, alice, odd))
		want(t, db, stored, bind2((*storage.Tx).Device, alice, clean))
		wantNone(t, db, bind((*storage.Tx).Account, "@a\x00:x"))
	})
}
