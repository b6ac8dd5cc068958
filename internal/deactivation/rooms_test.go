package deactivation_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/deactivation"
	"lethe/internal/event"
	"lethe/internal/hstest"
	"lethe/internal/job"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// memberEvents are the memberships in the member events about user in a room, in
// order.
func memberEvents(t *testing.T, s *hstest.Server, room, user string) (list []string) {
	t.Helper()
	view(t, s.DB, func(tx *storage.Tx) error {
		events, err := tx.Timeline(matrix.RoomID(room), 0, 1<<60, 1<<20)
		for _, e := range events {
			if key, ok := e.StateKey(); ok && e.Type() == "m.room.member" && key == user {
				var content struct {
					Membership string `json:"membership"`
				}
				if err := json.Unmarshal(e.Content(), &content); err != nil {
					return err
				}
				list = append(list, content.Membership)
			}
		}
		return err
	})
	return list
}

// endNow ends an account and waits for the final receipt.
func endNow(t *testing.T, s *hstest.Server, user string, erase bool) deactivation.Receipt {
	t.Helper()
	result, err := s.Deactivations.Deactivate(t.Context(), deactivation.Request{
		User: matrix.UserID(user), Erase: erase, By: deactivation.Operator,
	})
	if err != nil {
		t.Fatal(err)
	}
	receipt, _ := finalReceipt(t, s, result.ID)
	return receipt
}

func setName(s *hstest.Server, who hstest.Session, name string) {
	s.Want(http.StatusOK, "", http.MethodPut, "/_matrix/client/v3/profile/"+who.UserID+"/displayname", who.Token,
		object{"displayname": name})
}

// TestAnEndingLeavesEveryRoomByOneEvent: whatever the person is to it, in rooms of
// each way of having power, and nothing else of them is sent into any.
func TestAnEndingLeavesEveryRoomByOneEvent(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		public := func(by hstest.Session, version string) string {
			return s.CreateRoom(by.Token, object{"preset": "public_chat", "room_version": version})
		}
		own, ownOld, joined := public(alice, "12"), public(alice, "10"), public(bob, "11")
		s.Join(bob.Token, own)
		s.Join(bob.Token, ownOld)
		s.Join(alice.Token, joined)
		invited := s.CreateRoom(bob.Token, object{"invite": []string{alice.UserID}})
		knocked := public(bob, "11")
		s.SetState(bob.Token, knocked, "m.room.join_rules", "", object{"join_rule": "knock"})
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/knock/"+knocked, alice.Token, object{})
		left, banned := public(bob, "11"), public(bob, "11")
		s.Join(alice.Token, left)
		s.Leave(alice.Token, left)
		s.Join(alice.Token, banned)
		s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(banned, "ban"), bob.Token, object{"user_id": alice.UserID})
		before := map[string][]string{}
		for _, room := range []string{own, ownOld, joined, invited, knocked, left, banned} {
			before[room] = memberEvents(t, s, room, alice.UserID)
		}
		preview, err := s.Deactivations.Preview(t.Context(), deactivation.Request{
			User: matrix.UserID(alice.UserID), By: deactivation.Operator,
		})
		if err != nil {
			t.Fatal(err)
		}
		receipt := endNow(t, s, alice.UserID, false)
		for category, want := range map[string]int64{"rooms": 3, "invites": 1, "knocks": 1} {
			if got := receipt.Gone[category]; got != want || preview.Goes[category] != want {
				t.Errorf("%s: the preview says %d, the receipt %d, want %d", category, preview.Goes[category], got, want)
			}
		}
		for room, old := range before {
			want := old
			if room != left && room != banned {
				want = append(slices.Clone(old), "leave")
			}
			if diff := cmp.Diff(want, memberEvents(t, s, room, alice.UserID)); diff != "" {
				t.Errorf("member events (-want +got):\n%s", diff)
			}
		}
		view(t, s.DB, func(tx *storage.Tx) error {
			rooms, err := tx.UnforgottenRooms(matrix.UserID(alice.UserID), "", 10)
			if len(rooms) != 0 {
				t.Errorf("%d rooms are not forgotten", len(rooms))
			}
			return err
		})
		levels := s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(ownOld, "state", "m.room.power_levels", ""), bob.Token, nil)
		if users, _ := levels.Get("users").(object); len(users) != 0 {
			t.Errorf("the power levels have %v", users)
		}
	})
}

// TestTheAnswerOfAnEndingDoesNotDependOnRooms: its transaction takes as many
// statements with forty rooms as with one.
func TestTheAnswerOfAnEndingDoesNotDependOnRooms(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		costs := map[int]int64{}
		for _, rooms := range []int{1, 40} {
			who := s.Register(fmt.Sprintf("alice%d", rooms))
			for range rooms {
				s.CreateRoom(who.Token, nil)
			}
			// With a runner of its own that does not run: what comes after the answer
			// is not counted.
			service := deactivation.New(s.DB, job.NewRunner(s.DB, job.Options{Now: time.Now}), s.Accounts, nil, nil, nil,
				deactivation.Options{ServerName: hstest.ServerName, Now: time.Now, Key: event.NewSigningKey()})
			before := s.DB.Stats()
			_, err := service.Deactivate(t.Context(), deactivation.Request{
				User: matrix.UserID(who.UserID), Erase: true, By: deactivation.Self,
			})
			if err != nil {
				t.Fatal(err)
			}
			costs[rooms] = s.DB.Stats().Statements - before.Statements
		}
		if costs[1] != costs[40] {
			t.Errorf("with one room it takes %d statements, with 40 %d", costs[1], costs[40])
		}
	})
}
