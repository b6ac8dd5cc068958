package storage_test

import (
	"context"
	"errors"
	"testing"

	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// TestAViewWithoutAStatementAsksForNothing: not even for a connection, as a
// context shows that has ended already.
func TestAViewWithoutAStatementAsksForNothing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 50 {
			if err := db.View(ended, func(*storage.Tx) error { return nil }); err != nil {
				t.Fatalf("a view without a statement: %v", err)
			}
		}
		err := db.View(ended, func(tx *storage.Tx) error { _, err := tx.Pos(); return err })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a view with a statement, of a context that has ended: %v", err)
		}
		if err := db.View(t.Context(), func(tx *storage.Tx) error { _, err := tx.Pos(); return err }); err != nil {
			t.Errorf("a view after that: %v", err)
		}
	})
}

// TestWhatASyncAsksFor: rooms with what their user is to them, states, first
// members and account data.
func TestWhatASyncAsksFor(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		const town, cave = "!town:x", "!cave:x"
		people(t, db, alice)
		do(t, db, func(tx *storage.Tx) error {
			if err := tx.AddRoom(storage.Room{ID: town, Version: "10", Extremities: []string{}, LastPos: 7}); err != nil {
				return err
			}
			for i, m := range []storage.Membership{
				{Room: town, User: alice, Membership: "join", Pos: 5},
				{Room: cave, User: alice, Membership: "invite", Pos: 3},
				{Room: town, User: bob, Membership: "join", Pos: 2},
				{Room: town, User: "@c:x", Membership: "leave", Pos: 1},
			} {
				m.EventID = string(rune('a' + i))
				if err := tx.SetMembership(m, false); err != nil {
					return err
				}
			}
			for i, d := range []storage.AccountData{
				{Type: "old", Content: []byte(`1`)}, {RoomID: town, Type: "m.tag", Content: []byte(`2`)}, {Type: "new", Content: []byte(`3`)},
			} {
				if err := tx.SetAccountData(alice, d, int64(10+i)); err != nil {
					return err
				}
			}
			return nil
		})
		want(t, db, []string{"!cave:x invite 0", "!town:x join 7"}, func(tx *storage.Tx) (list []string, err error) {
			rooms, err := tx.RoomsOf(alice)
			for _, r := range rooms {
				list = append(list, string(r.Room)+" "+r.Membership.Membership+" "+string(rune('0'+r.LastPos)))
			}
			return list, err
		})
		types := func(data []storage.AccountData, err error) (list []string, _ error) {
			for _, d := range data {
				list = append(list, d.RoomID+d.Type+string(d.Content))
			}
			return list, err
		}
		want(t, db, []string{"!town:xm.tag2", "new3"}, func(tx *storage.Tx) ([]string, error) { return types(tx.AccountDataAfter(alice, 10)) })
		want(t, db, []string{"!town:xm.tag2"}, func(tx *storage.Tx) ([]string, error) { return types(tx.RoomAccountData(alice, town)) })
		first := func(limit int, kinds ...string) func(tx *storage.Tx) (list []string, err error) {
			return func(tx *storage.Tx) (list []string, err error) {
				users, err := tx.FirstMembers(town, limit, kinds...)
				for _, user := range users {
					list = append(list, string(user))
				}
				return list, err
			}
		}
		want(t, db, []string{string(bob), string(alice)}, first(9, "join", "invite"))
		want(t, db, []string{string(bob)}, first(1, "join"))
		want(t, db, []string{"@c:x"}, first(9, "leave", "ban"))
		want(t, db, false, func(tx *storage.Tx) (bool, error) {
			_, ok, err := tx.StateAfter(town, 1)
			return ok, err
		})
	})
}
