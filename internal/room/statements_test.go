package room_test

import (
	"fmt"
	"strconv"
	"testing"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage"
)

// people are n accounts that nobody has a session of.
func people(t *testing.T, s *hstest.Server, n int) []room.Actor {
	t.Helper()
	list := make([]room.Actor, n)
	err := s.DB.Update(t.Context(), func(tx *storage.Tx) error {
		for i := range list {
			list[i].User = matrix.NewUserID("p"+strconv.Itoa(i), hstest.ServerName)
			err := tx.CreateAccount(storage.Account{UserID: list[i].User, Kind: storage.KindUser, CreatedAt: 1})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestWhatAnEventCostsDoesNotGrowWithItsRoom(t *testing.T) {
	const small, large = 3, 300
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		users := people(t, s, large+1)
		costs := map[int]map[string]int64{}
		for _, size := range []int{small, large} {
			id, err := s.Rooms.Create(t.Context(), users[0], room.Creation{Preset: room.PublicChat})
			if err != nil {
				t.Fatal(err)
			}
			for _, who := range users[1:size] {
				if err := s.Rooms.Join(t.Context(), who, id, room.Joining{}); err != nil {
					t.Fatal(err)
				}
			}
			last := users[size]
			costs[size] = map[string]int64{
				"send": statements(t, s, func() error {
					_, err := s.Rooms.Send(t.Context(), users[0], id, "m.room.message", []byte(`{"body":"x"}`), fmt.Sprint("t", size))
					return err
				}),
				"join":   statements(t, s, func() error { return s.Rooms.Join(t.Context(), last, id, room.Joining{}) }),
				"leave":  statements(t, s, func() error { return s.Rooms.Leave(t.Context(), last, id, "") }),
				"invite": statements(t, s, func() error { return s.Rooms.Invite(t.Context(), users[0], id, last.User, "") }),
			}
		}
		for what, n := range costs[small] {
			if many := costs[large][what]; many != n || n > 20 {
				t.Errorf("a %s takes %d statements in a room of %d and %d in one of %d; want the same, at most 20",
					what, n, small, many, large)
			}
		}
	})
}

// statements is how many statements do takes, in the one transaction that it is.
func statements(t *testing.T, s *hstest.Server, do func() error) int64 {
	t.Helper()
	before := s.DB.Stats()
	if err := do(); err != nil {
		t.Fatal(err)
	}
	after := s.DB.Stats()
	if n := after.Updates - before.Updates; n != 1 {
		t.Fatalf("it took %d transactions", n)
	}
	return after.Statements - before.Statements
}
