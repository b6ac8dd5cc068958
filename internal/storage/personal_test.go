package storage_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// fill gives a user a row in every table of people.
func fill(t *testing.T, db *storage.DB) {
	t.Helper()
	people(t, db, alice, bob)
	session(t, db, alice, "D")
	subject := uiaSession("bound by its stage", "")
	subject.Subject = alice
	do(t, db,
		func(tx *storage.Tx) error { return tx.CreateLoginToken(hash("l"), alice, 90) },
		func(tx *storage.Tx) error { return tx.CreateOpenIDToken(hash("o"), alice, 90) },
		step((*storage.Tx).PutUIASession, uiaSession("u", alice)), step((*storage.Tx).PutUIASession, subject),
		step((*storage.Tx).PutValidation, validation("s", alice)),
		step((*storage.Tx).AddThreepid, storage.ThreepidRow{Threepid: mail, UserID: alice, ValidatedAt: 1, AddedAt: 1}),
		func(tx *storage.Tx) error {
			return tx.PutBinding(storage.Binding{Threepid: mail, UserID: alice, IDServer: "i", BoundAt: 1, SettledAt: 1})
		},
		step((*storage.Tx).Seen, storage.Connection{UserID: alice, DeviceID: "D", IP: "1", LastSeenAt: 1}),
		func(tx *storage.Tx) error {
			return tx.SetAccountData(alice, storage.AccountData{Type: "t", Content: []byte(`{}`)}, 1)
		},
		func(tx *storage.Tx) error { return tx.CreateFilter(alice, "1", []byte(`{}`)) },
		func(tx *storage.Tx) error { return tx.SetProfileField(alice, "n", []byte(`1`)) },
		func(tx *storage.Tx) error { return tx.AcceptTerms(alice, "p", "1", 1) })
}

func TestRowsOfAPersonAreCountedAndDeletedInBatches(t *testing.T) {
	// In an order in which rows that others refer to go last.
	tables := []string{
		"access_tokens", "refresh_tokens", "login_tokens", "openid_tokens", "uia_sessions", "validation_sessions",
		"threepids", "threepid_bindings", "connections", "devices", "account_data", "filters", "profile_fields", "terms_accepted",
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		fill(t, db)
		for _, table := range tables {
			rows := int64(1)
			if table == "uia_sessions" {
				rows = 2
			}
			remove := func(tx *storage.Tx) (int64, error) { return tx.DeletePersonal(table, alice, 1) }
			want(t, db, rows, bind2((*storage.Tx).CountPersonal, table, alice))
			for left := rows; left > 0; left-- {
				want(t, db, 1, remove)
			}
			want(t, db, 0, remove)
			want(t, db, 0, bind2((*storage.Tx).CountPersonal, table, alice))
		}
		want(t, db, 1, bind2((*storage.Tx).CountPersonal, "devices", bob))
		for _, table := range []string{"accounts", "jobs", "devices; DROP TABLE devices"} {
			if err := db.Update(t.Context(), func(tx *storage.Tx) error {
				_, err := tx.DeletePersonal(table, alice, 1)
				return err
			}); err == nil || !strings.Contains(err.Error(), "not a table from which the rows of people go") {
				t.Errorf("rows of %q were deleted: %v", table, err)
			}
			if err := db.View(t.Context(), func(tx *storage.Tx) error {
				_, err := tx.CountPersonal(table, alice)
				return err
			}); err == nil {
				t.Errorf("rows of %q were counted", table)
			}
		}
	})
}

func TestBothEnginesHaveTheSameColumns(t *testing.T) {
	columns := map[string][]string{}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		list, err := db.Columns(t.Context())
		if err != nil || !slices.Contains(list, "accounts.deactivated_at") {
			t.Fatalf("columns are %v, %v", list, err)
		}
		slices.Sort(list) // each engine has its own order of texts
		columns[db.Engine()] = list
	})
	if diff := cmp.Diff(columns["sqlite"], columns["postgres"]); diff != "" {
		t.Errorf("(-sqlite +postgres)\n%s", diff)
	}
}
