package storage_test

import (
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestADatabaseBelongsToOneServer(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		wantNone(t, db, (*storage.Tx).ServerName)
		do(t, db, step2((*storage.Tx).SetServerName, "x.example", 1))
		want(t, db, matrix.ServerName("x.example"), (*storage.Tx).ServerName)
		do(t, db, step2((*storage.Tx).SetServerName, "y.example", 2)) // too late
		want(t, db, matrix.ServerName("x.example"), (*storage.Tx).ServerName)
	})
}

func TestTheNewestServerKeySigns(t *testing.T) {
	key := func(tx *storage.Tx) (string, error) {
		id, seed, err := tx.ServerKey()
		return id + " " + string(seed), err
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		wantNone(t, db, key)
		for i, id := range []string{"ed25519:1", "ed25519:2"} {
			do(t, db, func(tx *storage.Tx) error { return tx.AddServerKey(id, []byte("seed of "+id), matrix.Timestamp(i)) })
		}
		want(t, db, "ed25519:2 seed of ed25519:2", key)
	})
}

func TestTheAuditLogIsReadLatestFirst(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		rows := []storage.Audit{
			{At: 1, Actor: "operator", Action: "account.create", Target: alice, Detail: `{"a":1}`},
			{At: 2, Actor: "self", Action: "account.deactivate", Target: alice, Detail: `{}`},
			{At: 3, Actor: "self", Action: "account.deactivate", Target: bob, Detail: `{}`},
		}
		for _, row := range rows {
			if row.Detail == `{}` {
				row.Detail = ""
			}
			do(t, db, step((*storage.Tx).AddAudit, row))
		}
		read := func(target matrix.UserID, limit int) func(*storage.Tx) ([]storage.Audit, error) {
			return func(tx *storage.Tx) ([]storage.Audit, error) {
				list, err := tx.AuditLog(target, limit)
				for i := range list {
					if list[i].ID == "" {
						t.Error("a row has no id")
					}
					list[i].ID = ""
				}
				return list, err
			}
		}
		want(t, db, []storage.Audit{rows[2], rows[1], rows[0]}, read("", 10))
		want(t, db, []storage.Audit{rows[1], rows[0]}, read(alice, 10))
		want(t, db, []storage.Audit{rows[2]}, read("", 1))
	})
}
