package storage_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// The people of these tests.
const (
	alice matrix.UserID = "@alice:x"
	bob   matrix.UserID = "@bob:x"
)

func account(user matrix.UserID) storage.Account {
	return storage.Account{UserID: user, Kind: storage.KindUser, PasswordHash: "x", CreatedAt: 1}
}

// hash is the hash of a secret.
func hash(secret string) storage.Hash { return sha256.Sum256([]byte(secret)) }

// do runs the steps in one transaction, and fails the test for an error.
func do(t testing.TB, db *storage.DB, steps ...func(*storage.Tx) error) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *storage.Tx) error {
		for _, step := range steps {
			if err := step(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("update: %v", err)
	}
}

// people creates accounts, each with a device called D.
func people(t testing.TB, db *storage.DB, users ...matrix.UserID) {
	t.Helper()
	for _, user := range users {
		do(t, db, func(tx *storage.Tx) error { return tx.CreateAccount(account(user)) },
			func(tx *storage.Tx) error {
				return tx.EnsureDevice(storage.Device{UserID: user, DeviceID: "D", CreatedAt: 1})
			})
	}
}

// wantErr runs step in a transaction and expects an error of a kind.
func wantErr(t testing.TB, db *storage.DB, want error, step func(*storage.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), step); !errors.Is(err, want) {
		t.Errorf("got the error %v, want %v", err, want)
	}
}

// want reads in a transaction and expects a result.
func want[T any](t testing.TB, db *storage.DB, want T, read func(*storage.Tx) (T, error)) {
	t.Helper()
	var got T
	do(t, db, func(tx *storage.Tx) (err error) {
		got, err = read(tx)
		return err
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// wantNone reads in a transaction and expects [storage.ErrNotFound].
func wantNone[T any](t testing.TB, db *storage.DB, read func(*storage.Tx) (T, error)) {
	t.Helper()
	wantErr(t, db, storage.ErrNotFound, func(tx *storage.Tx) error {
		_, err := read(tx)
		return err
	})
}

// bind makes a step or a read of a method and its arguments.
func bind[A, T any](method func(*storage.Tx, A) (T, error), arg A) func(*storage.Tx) (T, error) {
	return func(tx *storage.Tx) (T, error) { return method(tx, arg) }
}

func bind2[A, B, T any](method func(*storage.Tx, A, B) (T, error), a A, b B) func(*storage.Tx) (T, error) {
	return func(tx *storage.Tx) (T, error) { return method(tx, a, b) }
}

// step makes a step of a method and its argument.
func step[A any](method func(*storage.Tx, A) error, arg A) func(*storage.Tx) error {
	return func(tx *storage.Tx) error { return method(tx, arg) }
}

func step2[A, B any](method func(*storage.Tx, A, B) error, a A, b B) func(*storage.Tx) error {
	return func(tx *storage.Tx) error { return method(tx, a, b) }
}
