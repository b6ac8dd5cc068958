package room_test

import (
	"net/http"
	"testing"

	"lethe/internal/event"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// stored is an event as it is on disk.
func stored(t *testing.T, s *hstest.Server, id string) (e *storage.Event) {
	t.Helper()
	err := s.DB.View(t.Context(), func(tx *storage.Tx) (err error) {
		e, err = tx.Event(id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestARedactionReplacesTheEventOnDisk(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		for _, version := range event.Versions() {
			id := s.CreateRoom(alice.Token, map[string]any{"room_version": version})
			target := s.SendText(alice.Token, id, "secret")
			path := hstest.RoomPath(id, "redact", target, "1")
			by := s.Want(http.StatusOK, "", http.MethodPut, path, alice.Token, map[string]any{}).String("event_id")
			if e := stored(t, s, target); string(e.Content()) != `{}` || e.RedactedBy != by || e.ID() != target {
				t.Errorf("version %s: the event is %s, redacted by %s", version, e.JSON(), e.RedactedBy)
			}
		}
	})
}

// TestARedactionMayComeBeforeItsEvent, as events of other servers do. It applies
// if its sender has the power, or is of the server of the event's sender.
func TestARedactionMayComeBeforeItsEvent(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		id := matrix.RoomID(s.CreateRoom(alice.Token, map[string]any{"room_version": "11"}))
		for _, tc := range []struct {
			by      matrix.UserID
			applies bool
		}{{matrix.UserID(alice.UserID), true}, {"@mod:far", true}, {"@other:farther", false}} {
			target := far(t, id, "@bob:far", event.Proto{Type: "m.room.message", Content: []byte(`{"body":"` + tc.by + `"}`)})
			redaction := far(t, id, tc.by, event.Proto{
				Type: "m.room.redaction", Content: []byte(`{"redacts":"` + target.ID() + `"}`),
			})
			for _, e := range []*event.Event{redaction, target} {
				if err := s.Rooms.Receive(t.Context(), id, e); err != nil {
					t.Fatal(err)
				}
			}
			if e := stored(t, s, target.ID()); (e.RedactedBy == redaction.ID()) != tc.applies {
				t.Errorf("by %s: %s, redacted by %q", tc.by, e.JSON(), e.RedactedBy)
			}
		}
	})
}

// far is an event of another server.
func far(t *testing.T, room matrix.RoomID, sender matrix.UserID, p event.Proto) *event.Event {
	t.Helper()
	v, _ := event.VersionOf("11")
	p.RoomID, p.Sender, p.Depth, p.Timestamp = room, sender, 10, 1
	p.PrevEvents = []string{"$of-" + string(sender)} // so that no two are the same
	e, err := event.Build(v, p, sender.Server(), event.NewSigningKey())
	if err != nil {
		t.Fatal(err)
	}
	return e
}
