package storage_test

import (
	"fmt"
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// session gives a device an access token and a refresh token, called after it.
func session(t testing.TB, db *storage.DB, user matrix.UserID, device string) (access, refresh storage.Hash) {
	t.Helper()
	access, refresh = hash(fmt.Sprint("access", user, device)), hash(fmt.Sprint("refresh", user, device))
	do(t, db,
		step((*storage.Tx).CreateAccessToken, storage.AccessToken{Hash: access, UserID: user, DeviceID: device, CreatedAt: 3, ExpiresAt: 50}),
		step((*storage.Tx).CreateRefreshToken, storage.RefreshToken{
			Hash: refresh, UserID: user, DeviceID: device, CreatedAt: 3, ExpiresAt: 90, AccessHash: access[:],
		}))
	return access, refresh
}

func TestASessionIsItsTokenAndItsAccount(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		access, refresh := session(t, db, alice, "D")
		want(t, db, storage.Session{UserID: alice, DeviceID: "D", ExpiresAt: 50, Account: account(alice)},
			bind((*storage.Tx).Session, access))
		wantNone(t, db, bind((*storage.Tx).Session, refresh))
		want(t, db, storage.RefreshToken{Hash: refresh, UserID: alice, DeviceID: "D", CreatedAt: 3, ExpiresAt: 90, AccessHash: access[:]},
			bind((*storage.Tx).RefreshToken, refresh))
		wantNone(t, db, bind((*storage.Tx).RefreshToken, access))

		do(t, db, step2((*storage.Tx).SetLocked, alice, 8))
		locked := account(alice)
		locked.LockedAt = 8
		want(t, db, locked, func(tx *storage.Tx) (storage.Account, error) {
			s, err := tx.Session(access)
			return s.Account, err
		})
		do(t, db, func(tx *storage.Tx) error {
			_, err := tx.MarkDeactivated(alice, 9, 0)
			return err
		})
		wantNone(t, db, bind((*storage.Tx).Session, access))
	})
}

func TestATokenNeedsItsDevice(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		err := db.Update(t.Context(), step((*storage.Tx).CreateAccessToken,
			storage.AccessToken{Hash: hash("a"), UserID: alice, DeviceID: "none", CreatedAt: 1}))
		if err == nil {
			t.Error("a token of a device that is not there was stored")
		}
	})
}

func TestRotationEndsTheOldPairOnceTheNewIsUsed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		oldAccess, oldRefresh := session(t, db, alice, "D")
		access, refresh := hash("new access"), hash("new refresh")
		do(t, db,
			step((*storage.Tx).CreateAccessToken, storage.AccessToken{
				Hash: access, UserID: alice, DeviceID: "D", CreatedAt: 4, Retires: oldRefresh[:],
			}),
			step((*storage.Tx).CreateRefreshToken, storage.RefreshToken{
				Hash: refresh, UserID: alice, DeviceID: "D", CreatedAt: 4, AccessHash: access[:],
			}),
			step2((*storage.Tx).SetSuccessor, oldRefresh, refresh))
		want(t, db, refresh[:], func(tx *storage.Tx) ([]byte, error) {
			old, err := tx.RefreshToken(oldRefresh)
			return old.SuccessorHash, err
		})
		want(t, db, storage.Session{UserID: alice, DeviceID: "D", Retires: oldRefresh[:], Account: account(alice)},
			bind((*storage.Tx).Session, access))

		do(t, db, step2((*storage.Tx).RetireToken, access, oldRefresh[:]))
		wantNone(t, db, bind((*storage.Tx).RefreshToken, oldRefresh))
		wantNone(t, db, bind((*storage.Tx).Session, oldAccess))
		want(t, db, storage.Session{UserID: alice, DeviceID: "D", Account: account(alice)}, bind((*storage.Tx).Session, access))

		do(t, db, step((*storage.Tx).DropRefreshToken, refresh[:]))
		wantNone(t, db, bind((*storage.Tx).RefreshToken, refresh))
		wantNone(t, db, bind((*storage.Tx).Session, access))
	})
}

func TestALoginTokenWorksOnceAndInTime(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		do(t, db, func(tx *storage.Tx) error { return tx.CreateLoginToken(hash("l"), alice, 100) })
		take := func(now matrix.Timestamp) func(*storage.Tx) (matrix.UserID, error) {
			return bind2((*storage.Tx).TakeLoginToken, hash("l"), now)
		}
		wantNone(t, db, take(100))
		want(t, db, alice, bind((*storage.Tx).LoginTokenUser, hash("l")))
		want(t, db, alice, take(99))
		wantNone(t, db, take(99))
		wantNone(t, db, bind((*storage.Tx).LoginTokenUser, hash("l")))
	})
}

func TestAnOpenIDTokenNamesItsUserInTime(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		do(t, db, func(tx *storage.Tx) error { return tx.CreateOpenIDToken(hash("o"), alice, 100) })
		want(t, db, alice, bind2((*storage.Tx).OpenIDUser, hash("o"), 99))
		want(t, db, alice, bind2((*storage.Tx).OpenIDUser, hash("o"), 99))
		wantNone(t, db, bind2((*storage.Tx).OpenIDUser, hash("o"), 100))
		wantNone(t, db, bind2((*storage.Tx).OpenIDUser, hash("other"), 1))
	})
}

func TestTimeEndsWhatExpires(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		session(t, db, alice, "D") // its tokens expire at 90
		do(t, db,
			func(tx *storage.Tx) error { return tx.CreateLoginToken(hash("l"), alice, 90) },
			func(tx *storage.Tx) error { return tx.CreateOpenIDToken(hash("o"), alice, 90) },
			step((*storage.Tx).PutUIASession, uiaSession("u", alice)),
			step((*storage.Tx).PutValidation, validation("s", alice)))
		tables := []string{"login_tokens", "openid_tokens", "uia_sessions", "validation_sessions"}
		for _, point := range []struct {
			now  matrix.Timestamp
			left int64
		}{{89, 1}, {90, 0}} {
			do(t, db, step2((*storage.Tx).DropExpired, point.now, 0))
			for _, table := range tables {
				t.Run(fmt.Sprint(table, " at ", point.now), func(t *testing.T) {
					want(t, db, point.left, bind2((*storage.Tx).CountPersonal, table, alice))
				})
			}
		}
		for _, table := range []string{"access_tokens", "refresh_tokens"} { // they end softly
			want(t, db, 1, bind2((*storage.Tx).CountPersonal, table, alice))
		}
	})
}
