package storage_test

import (
	"slices"
	"sync"
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestAccountsAreStoredWithAllTheyHave(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		wantNone(t, db, bind((*storage.Tx).Account, alice))
		wantNone(t, db, bind((*storage.Tx).LockAccount, alice))
		bridge := storage.Account{UserID: bob, Kind: storage.KindAppservice, AppserviceID: "irc", Admin: true, CreatedAt: 2}
		do(t, db, step((*storage.Tx).CreateAccount, account(alice)), step((*storage.Tx).CreateAccount, bridge))
		want(t, db, account(alice), bind((*storage.Tx).Account, alice))
		want(t, db, bridge, bind((*storage.Tx).LockAccount, bob))
		wantErr(t, db, storage.ErrExists, step((*storage.Tx).CreateAccount, account(alice)))
	})
}

func TestAccountSettingsChangeOneAccount(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		do(t, db, step2((*storage.Tx).SetPasswordHash, alice, "y"), step2((*storage.Tx).SetAdmin, alice, true),
			step2((*storage.Tx).SetLocked, alice, 3), step2((*storage.Tx).SetSuspended, alice, 4))
		set := account(alice)
		set.PasswordHash, set.Admin, set.LockedAt, set.SuspendedAt = "y", true, 3, 4
		want(t, db, set, bind((*storage.Tx).Account, alice))
		want(t, db, account(bob), bind((*storage.Tx).Account, bob))

		do(t, db, step2((*storage.Tx).SetPasswordHash, alice, ""), step2((*storage.Tx).SetAdmin, alice, false),
			step2((*storage.Tx).SetLocked, alice, 0), step2((*storage.Tx).SetSuspended, alice, 0))
		plain := account(alice)
		plain.PasswordHash = ""
		want(t, db, plain, bind((*storage.Tx).Account, alice))
	})
}

func TestAnEndedAccountHasNoPasswordAndCanComeBack(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		end := func(tx *storage.Tx) (bool, error) { return tx.MarkDeactivated(alice, 5, 7) }
		back := bind2((*storage.Tx).MarkReactivated, alice, "z")
		want(t, db, false, back)
		want(t, db, true, end)
		want(t, db, false, end)
		ended := account(alice)
		ended.PasswordHash, ended.DeactivatedAt, ended.ErasedPos = "", 5, 7
		want(t, db, ended, bind((*storage.Tx).Account, alice))
		want(t, db, account(bob), bind((*storage.Tx).Account, bob))
		wantErr(t, db, storage.ErrExists, step((*storage.Tx).CreateAccount, account(alice)))

		want(t, db, true, back)
		again := account(alice)
		again.PasswordHash = "z"
		want(t, db, again, bind((*storage.Tx).Account, alice))
		want(t, db, false, func(tx *storage.Tx) (bool, error) { return tx.MarkDeactivated("@nobody:x", 5, 0) })
	})
}

func TestOfManyEndingsOneWins(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		won := make(chan bool, 20)
		var wg sync.WaitGroup
		for range cap(won) {
			wg.Go(func() {
				var first bool
				err := db.Update(t.Context(), func(tx *storage.Tx) (err error) {
					first, err = tx.MarkDeactivated(alice, 5, 7)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				won <- first
			})
		}
		wg.Wait()
		close(won)
		winners := 0
		for first := range won {
			if first {
				winners++
			}
		}
		if winners != 1 {
			t.Errorf("%d transactions ended the account", winners)
		}
	})
}

// TestNoCredentialIsMadeForAnEndedAccount races what makes a credential, as its
// contract says, with what ends the account.
func TestNoCredentialIsMadeForAnEndedAccount(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				err := db.Update(t.Context(), func(tx *storage.Tx) error {
					a, err := tx.LockAccount(alice)
					if err != nil || a.DeactivatedAt != 0 {
						return err
					}
					return tx.CreateLoginToken(hash(string(rune('a'+i))), alice, 100)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			err := db.Update(t.Context(), func(tx *storage.Tx) error {
				if _, err := tx.MarkDeactivated(alice, 5, 0); err != nil {
					return err
				}
				_, err := tx.DeletePersonal("login_tokens", alice, 1000)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		want(t, db, 0, bind2((*storage.Tx).CountPersonal, "login_tokens", alice))
	})
}

func TestUsersAreListedByPageAndFilter(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name   string
		filter storage.UserFilter
		want   []matrix.UserID
	}{
		{"all", storage.UserFilter{}, []matrix.UserID{"@a_1:x", "@ab1:x", "@bridge:x", "@ended:x"}},
		{"a page", storage.UserFilter{Limit: 2}, []matrix.UserID{"@a_1:x", "@ab1:x"}},
		{"the page after", storage.UserFilter{After: "@ab1:x"}, []matrix.UserID{"@bridge:x", "@ended:x"}},
		{"a part, whatever its case", storage.UserFilter{Search: "BRI"}, []matrix.UserID{"@bridge:x"}},
		{"an underscore is not a wildcard", storage.UserFilter{Search: "a_1"}, []matrix.UserID{"@a_1:x"}},
		{"a percent sign is not a wildcard", storage.UserFilter{Search: "a%"}, nil},
		{"nor is the escape", storage.UserFilter{Search: "!"}, nil},
		{"a kind", storage.UserFilter{Kind: storage.KindAppservice}, []matrix.UserID{"@bridge:x"}},
		{"ended", storage.UserFilter{Deactivated: &yes}, []matrix.UserID{"@ended:x"}},
		{"not ended", storage.UserFilter{Deactivated: &no}, []matrix.UserID{"@a_1:x", "@ab1:x", "@bridge:x"}},
		{"administrators", storage.UserFilter{Admin: &yes}, []matrix.UserID{"@ab1:x"}},
		{"others", storage.UserFilter{Admin: &no, Deactivated: &no}, []matrix.UserID{"@a_1:x", "@bridge:x"}},
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, "@a_1:x", "@ab1:x", "@ended:x")
		do(t, db, step2((*storage.Tx).SetAdmin, "@ab1:x", true),
			step((*storage.Tx).CreateAccount, storage.Account{UserID: "@bridge:x", Kind: storage.KindAppservice, CreatedAt: 1}),
			func(tx *storage.Tx) error {
				_, err := tx.MarkDeactivated("@ended:x", 1, 0)
				return err
			})
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				if test.filter.Limit == 0 {
					test.filter.Limit = 10
				}
				want(t, db, test.want, func(tx *storage.Tx) ([]matrix.UserID, error) {
					users, err := tx.Users(test.filter)
					var ids []matrix.UserID
					for _, u := range users {
						ids = append(ids, u.UserID)
					}
					return slices.Clip(ids), err
				})
			})
		}
	})
}
