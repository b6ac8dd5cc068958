package storage_test

import (
	"sync"
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestRegistrationTokensAreManaged(t *testing.T) {
	one := storage.RegistrationToken{Token: "one", UsesAllowed: 3, ExpiresAt: 50, CreatedAt: 1}
	unbounded := storage.RegistrationToken{Token: "any", UsesAllowed: -1, CreatedAt: 2}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		wantNone(t, db, bind2((*storage.Tx).RegistrationToken, "one", 5))
		wantNone(t, db, bind2((*storage.Tx).LockRegistrationToken, "one", 5))
		do(t, db, step((*storage.Tx).CreateRegistrationToken, unbounded), step((*storage.Tx).CreateRegistrationToken, one))
		wantErr(t, db, storage.ErrExists, step((*storage.Tx).CreateRegistrationToken, one))
		want(t, db, one, bind2((*storage.Tx).RegistrationToken, "one", 5))
		want(t, db, []storage.RegistrationToken{one, unbounded}, bind((*storage.Tx).RegistrationTokens, 5))

		update := func(token string, uses int64, expires matrix.Timestamp) func(*storage.Tx) error {
			return func(tx *storage.Tx) error { return tx.UpdateRegistrationToken(token, uses, expires) }
		}
		do(t, db, update("one", 0, 0))
		changed := one
		changed.UsesAllowed, changed.ExpiresAt = 0, 0
		want(t, db, changed, bind2((*storage.Tx).LockRegistrationToken, "one", 5))
		wantErr(t, db, storage.ErrNotFound, update("none", 1, 0))

		do(t, db, step((*storage.Tx).DropRegistrationToken, "one"))
		wantErr(t, db, storage.ErrNotFound, step((*storage.Tx).DropRegistrationToken, "one"))
	})
}

func TestUsesOfARegistrationTokenAreCountedWhileTheirSessionsLive(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		token := storage.RegistrationToken{Token: "t", UsesAllowed: 2, CreatedAt: 1}
		session := uiaSession("s", "")
		session.RegistrationToken = "t"
		do(t, db, step((*storage.Tx).CreateRegistrationToken, token), step((*storage.Tx).PutUIASession, session),
			step((*storage.Tx).UseRegistrationToken, "t"))
		token.Pending, token.Completed = 1, 1
		want(t, db, token, bind2((*storage.Tx).RegistrationToken, "t", 89))
		token.Pending = 0
		want(t, db, token, bind2((*storage.Tx).RegistrationToken, "t", 90))
	})
}

func TestALockedRegistrationTokenIsNotUsedTooOften(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, step((*storage.Tx).CreateRegistrationToken, storage.RegistrationToken{Token: "t", UsesAllowed: 3, CreatedAt: 1}))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := db.Update(t.Context(), func(tx *storage.Tx) error {
					v, err := tx.LockRegistrationToken("t", 5)
					if err != nil || v.Completed >= v.UsesAllowed {
						return err
					}
					return tx.UseRegistrationToken("t")
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want(t, db, 3, func(tx *storage.Tx) (int64, error) {
			v, err := tx.RegistrationToken("t", 5)
			return v.Completed, err
		})
	})
}

func TestTermsAreAcceptedOncePerVersion(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		accept := func(policy, version string, at matrix.Timestamp) func(*storage.Tx) error {
			return func(tx *storage.Tx) error { return tx.AcceptTerms(alice, policy, version, at) }
		}
		do(t, db, accept("privacy", "1", 5), accept("privacy", "1", 9), accept("privacy", "2", 9), accept("terms", "1", 5))
		want(t, db, []storage.AcceptedTerms{
			{Policy: "privacy", Version: "1", AcceptedAt: 5},
			{Policy: "terms", Version: "1", AcceptedAt: 5},
			{Policy: "privacy", Version: "2", AcceptedAt: 9},
		}, bind((*storage.Tx).TermsOf, alice))
		want(t, db, nil, bind((*storage.Tx).TermsOf, bob))
	})
}
