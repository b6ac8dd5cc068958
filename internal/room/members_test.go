package room_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage"
)

func TestWhetherSomebodyOfAnotherServerMeetsTheConditions(t *testing.T) {
	const stranger = matrix.UserID("@stranger:elsewhere.example")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := people(t, s, 1)[0]
		create := func(c room.Creation) matrix.RoomID {
			t.Helper()
			id, err := s.Rooms.Create(t.Context(), alice, c)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		seen, left := create(room.Creation{}), create(room.Creation{})
		if err := s.Rooms.Leave(t.Context(), alice, left, ""); err != nil {
			t.Fatal(err)
		}
		restricted := func(allow string) matrix.RoomID {
			return create(room.Creation{Initial: []room.State{{
				Type: "m.room.join_rules", Content: jsontext.Value(`{"join_rule":"restricted","allow":` + allow + `}`),
			}}})
		}
		condition := func(id matrix.RoomID) string {
			return `{"type":"m.room_membership","room_id":"` + string(id) + `"}`
		}
		for name, tt := range map[string]struct {
			room matrix.RoomID
			code matrix.Code
		}{
			"not in the room that it sees":   {restricted(`[` + condition(seen) + `]`), matrix.CodeForbidden},
			"a room that it has left":        {restricted(`[` + condition(seen) + `,` + condition(left) + `]`), matrix.CodeUnableToAuthorise},
			"a room that it has not seen":    {restricted(`[` + condition("!unseen:elsewhere.example") + `]`), matrix.CodeUnableToAuthorise},
			"conditions it does not know of": {restricted(`[{"type":"m.other"},1]`), matrix.CodeForbidden},
			"no list":                        {restricted(`"x"`), matrix.CodeForbidden},
		} {
			if err := s.Rooms.MeetsConditions(t.Context(), tt.room, stranger); matrix.CodeOf(err) != tt.code {
				t.Errorf("%s: %v; want %s", name, err, tt.code)
			}
		}
		if err := s.Rooms.MeetsConditions(t.Context(), restricted(`[`+condition(seen)+`]`), alice.User); err != nil {
			t.Errorf("alice, who is in it: %v", err)
		}
	})
}

func TestInvitesThatTheirReceiverDoesNotSee(t *testing.T) {
	const friend, foe = matrix.UserID("@friend:example.org"), matrix.UserID("@foe:example.org")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := people(t, s, 1)[0].User
		for name, tt := range map[string]struct {
			permission, ignored string
			friend, foe         bool // hidden
		}{
			"nothing set":      {`{}`, `{}`, false, false},
			"ignored":          {`{}`, `{"ignored_users":{"@foe:example.org":{}}}`, false, true},
			"all blocked":      {`{"default_action":"block"}`, `{}`, true, true},
			"settings of junk": {`{"default_action":7}`, `{"ignored_users":7}`, false, false},
		} {
			var screen room.Screen
			err := s.DB.Update(t.Context(), func(tx *storage.Tx) (err error) {
				for kind, content := range map[string]string{
					"m.invite_permission_config": tt.permission, "m.ignored_user_list": tt.ignored,
				} {
					if err := tx.SetAccountData(alice, storage.AccountData{Type: kind, Content: []byte(content)}, 1); err != nil {
						return err
					}
				}
				screen, err = room.InviteScreen(tx, alice)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if screen.Hides(friend) != tt.friend || screen.Hides(foe) != tt.foe {
				t.Errorf("%s: hides the friend's %v, the foe's %v", name, screen.Hides(friend), screen.Hides(foe))
			}
		}
	})
}
