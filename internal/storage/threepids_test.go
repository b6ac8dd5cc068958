package storage_test

import (
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

var (
	mail  = matrix.Threepid{Medium: "email", Address: "a@example.org"}
	phone = matrix.Threepid{Medium: "msisdn", Address: "441234"}
)

func TestAnIdentifierHasOneOwner(t *testing.T) {
	row := storage.ThreepidRow{Threepid: mail, UserID: alice, ValidatedAt: 3, AddedAt: 4}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		wantNone(t, db, bind((*storage.Tx).ThreepidOwner, mail))
		do(t, db, step((*storage.Tx).AddThreepid, row))
		want(t, db, alice, bind((*storage.Tx).ThreepidOwner, mail))
		want(t, db, []storage.ThreepidRow{row}, bind((*storage.Tx).Threepids, alice))
		for _, user := range []matrix.UserID{alice, bob} {
			again := row
			again.UserID = user
			wantErr(t, db, storage.ErrExists, step((*storage.Tx).AddThreepid, again))
		}
		do(t, db, step2((*storage.Tx).DropThreepid, bob, mail))
		want(t, db, alice, bind((*storage.Tx).ThreepidOwner, mail))
		do(t, db, step2((*storage.Tx).DropThreepid, alice, mail))
		want(t, db, nil, bind((*storage.Tx).Threepids, alice))
	})
}

func TestABindingIsRememberedUntilItIsUndone(t *testing.T) {
	first := storage.Binding{Threepid: mail, UserID: alice, IDServer: "id1.example", BoundAt: 3}
	second := storage.Binding{Threepid: phone, UserID: alice, IDServer: "id2.example", BoundAt: 4}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		do(t, db, step((*storage.Tx).PutBinding, first), step((*storage.Tx).PutBinding, second))
		want(t, db, []storage.Binding{first, second}, bind((*storage.Tx).Bindings, alice))
		settle := func(b storage.Binding) func(*storage.Tx) (bool, error) {
			return func(tx *storage.Tx) (bool, error) { return tx.SettleBinding(b, 9) }
		}
		want(t, db, true, settle(first))
		elsewhere := second
		elsewhere.IDServer = "id3.example"
		want(t, db, false, settle(elsewhere))
		settled := first
		settled.SettledAt = 9
		want(t, db, []storage.Binding{settled, second}, bind((*storage.Tx).Bindings, alice))
		do(t, db, step((*storage.Tx).PutBinding, first)) // bound once more: it is not known how that ends
		want(t, db, []storage.Binding{first, second}, bind((*storage.Tx).Bindings, alice))
		want(t, db, nil, bind((*storage.Tx).Bindings, bob))

		drop := func(pid matrix.Threepid, server matrix.ServerName) func(*storage.Tx) error {
			return func(tx *storage.Tx) error { return tx.DropBinding(alice, pid, server) }
		}
		do(t, db, drop(mail, "id2.example"), drop(phone, "id2.example"))
		want(t, db, []storage.Binding{first}, bind((*storage.Tx).Bindings, alice))
	})
}

func validation(sid string, user matrix.UserID) storage.Validation {
	return storage.Validation{
		SID: sid, Purpose: storage.ForAdd, UserID: user, Threepid: mail, ClientSecret: hash("client"), SendAttempt: 1,
		Token: hash("mailed"), CreatedAt: 10, ExpiresAt: 90,
	}
}

func TestAValidationGoesOnUntilItIsUsed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		v := validation("sid", alice)
		find := func(purpose storage.ValidationPurpose, secret string) func(*storage.Tx) (storage.Validation, error) {
			return func(tx *storage.Tx) (storage.Validation, error) { return tx.ValidationFor(purpose, mail, hash(secret)) }
		}
		wantNone(t, db, bind((*storage.Tx).Validation, "sid"))
		do(t, db, step((*storage.Tx).PutValidation, v))
		want(t, db, v, bind((*storage.Tx).Validation, "sid"))
		want(t, db, v, find(storage.ForAdd, "client"))
		wantNone(t, db, find(storage.ForPassword, "client")) // a proof for one purpose is none for another
		wantNone(t, db, find(storage.ForAdd, "another"))

		v.SendAttempt, v.Token, v.Tries, v.NextLink, v.ValidatedAt, v.ExpiresAt = 2, hash("again"), 3, "https://x", 20, 99
		do(t, db, step((*storage.Tx).PutValidation, v))
		want(t, db, v, bind((*storage.Tx).Validation, "sid"))

		do(t, db, step((*storage.Tx).DropValidation, "sid"))
		wantNone(t, db, bind((*storage.Tx).Validation, "sid"))
	})
}
