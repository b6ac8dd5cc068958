package storage_test

import (
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func uiaSession(secret string, user matrix.UserID) storage.UIASession {
	return storage.UIASession{
		Hash: hash(secret), Endpoint: "POST /x", UserID: user, Completed: []byte(`{}`), Stored: []byte(`{"a":1}`),
		Offer: []byte(`{}`), CreatedAt: 10, ExpiresAt: 90,
	}
}

func TestAUIASessionIsKeptAndUsedOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		v := uiaSession("s", alice)
		v.DeviceID = "D"
		wantNone(t, db, bind((*storage.Tx).UIASession, v.Hash))
		do(t, db, step((*storage.Tx).PutUIASession, v))
		want(t, db, v, bind((*storage.Tx).UIASession, v.Hash))

		next := v
		next.Subject, next.RegistrationToken = alice, "token"
		next.Completed, next.Stored, next.Offer = []byte(`{"m":1}`), []byte(`{}`), []byte(`{"f":[]}`)
		moved := next
		moved.Endpoint, moved.UserID, moved.ExpiresAt = "POST /y", bob, 1000
		do(t, db, step((*storage.Tx).PutUIASession, moved)) // what it is bound to does not change
		want(t, db, next, bind((*storage.Tx).LockUIASession, v.Hash))

		take := bind((*storage.Tx).TakeUIASession, v.Hash)
		want(t, db, true, take)
		want(t, db, false, take)
	})
}

func TestTheNewestUIASessionsOfAUserStay(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		for i, name := range []string{"1", "2", "3"} {
			v := uiaSession(name, alice)
			v.CreatedAt = matrix.Timestamp(i)
			do(t, db, step((*storage.Tx).PutUIASession, v))
		}
		do(t, db, step((*storage.Tx).PutUIASession, uiaSession("nobody's", "")), step((*storage.Tx).PutUIASession, uiaSession("bob's", bob)))
		do(t, db, step2((*storage.Tx).TrimUIASessions, alice, 2), step2((*storage.Tx).TrimUIASessions, "", 0))
		for name, stays := range map[string]bool{"1": false, "2": true, "3": true, "nobody's": true, "bob's": true} {
			want(t, db, stays, bind((*storage.Tx).TakeUIASession, hash(name)))
		}
	})
}
