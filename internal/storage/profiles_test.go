package storage_test

import (
	"testing"

	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestProfileFieldsAreSetAndDropped(t *testing.T) {
	set := func(user matrix.UserID, name, value string) func(*storage.Tx) error {
		return func(tx *storage.Tx) error { return tx.SetProfileField(user, name, []byte(value)) }
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		do(t, db, set(alice, "m.tz", `"UTC"`), set(alice, "displayname", `"A"`), set(alice, "displayname", `"B\u0000"`), set(bob, "m.tz", `1`))
		want(t, db, []storage.Named{{Name: "displayname", Value: []byte(`"B\u0000"`)}, {Name: "m.tz", Value: []byte(`"UTC"`)}},
			bind((*storage.Tx).Profile, alice))
		do(t, db, step2((*storage.Tx).DropProfileField, alice, "m.tz"), step2((*storage.Tx).DropProfileField, alice, "none"))
		want(t, db, []storage.Named{{Name: "displayname", Value: []byte(`"B\u0000"`)}}, bind((*storage.Tx).Profile, alice))
		want(t, db, []storage.Named{{Name: "m.tz", Value: []byte(`1`)}}, bind((*storage.Tx).Profile, bob))
	})
}

func TestAccountDataIsPerRoomAndType(t *testing.T) {
	global := storage.AccountData{Type: "m.direct", Content: []byte(`{}`)}
	room := storage.AccountData{RoomID: "!r:x", Type: "m.direct", Content: []byte(`{"r":1}`)}
	set := func(d storage.AccountData, pos int64) func(*storage.Tx) error {
		return func(tx *storage.Tx) error { return tx.SetAccountData(alice, d, pos) }
	}
	get := func(room string) func(*storage.Tx) ([]byte, error) {
		return func(tx *storage.Tx) ([]byte, error) { return tx.AccountData(alice, room, "m.direct") }
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice, bob)
		wantNone(t, db, get(""))
		do(t, db, set(global, 1), set(room, 2))
		want(t, db, []byte(`{}`), get(""))
		want(t, db, []byte(`{"r":1}`), get("!r:x"))
		changed := global
		changed.Content = []byte(`{"n":2}`)
		do(t, db, set(changed, 3))
		want(t, db, []storage.AccountData{changed, room}, bind((*storage.Tx).AllAccountData, alice))
		want(t, db, nil, bind((*storage.Tx).AllAccountData, bob))
		// Bytes, not characters; without what is replaced.
		do(t, db, set(storage.AccountData{Type: "é", Content: []byte(`"éé"`)}, 4))
		want(t, db, 7+7+6, bind2((*storage.Tx).AccountDataSize, alice, storage.AccountData{Type: "new"}))
		want(t, db, 7+6, bind2((*storage.Tx).AccountDataSize, alice, room))
		want(t, db, 0, bind2((*storage.Tx).AccountDataSize, bob, global))
	})
}

func TestAFilterStaysAsItWasMade(t *testing.T) {
	create := func(id, content string) func(*storage.Tx) error {
		return func(tx *storage.Tx) error { return tx.CreateFilter(alice, id, []byte(content)) }
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		people(t, db, alice)
		wantNone(t, db, bind2((*storage.Tx).Filter, alice, "1"))
		do(t, db, create("1", `{"a":1}`), create("1", `{"b":1}`), create("2", `{}`))
		want(t, db, []byte(`{"a":1}`), bind2((*storage.Tx).Filter, alice, "1"))
		wantNone(t, db, bind2((*storage.Tx).Filter, bob, "1"))
		want(t, db, []storage.Named{{Name: "1", Value: []byte(`{"a":1}`)}, {Name: "2", Value: []byte(`{}`)}},
			bind((*storage.Tx).Filters, alice))
		want(t, db, 9, bind((*storage.Tx).FiltersSize, alice))
		want(t, db, 0, bind((*storage.Tx).FiltersSize, bob))
	})
}
