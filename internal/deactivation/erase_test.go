package deactivation_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"lethe/internal/deactivation"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// plantInRoom has alice leave what is planted in every kind of event that can
// have it, in a room of hers that the others join first, and returns a message.
func plantInRoom(s *hstest.Server, alice hstest.Session, others ...hstest.Session) (room, message string) {
	setName(s, alice, planted+" name")
	s.Want(http.StatusOK, "", http.MethodPut, "/_matrix/client/v3/profile/"+alice.UserID+"/avatar_url", alice.Token,
		object{"avatar_url": "mxc://example.org/" + planted})
	room = s.CreateRoom(alice.Token, object{"preset": "public_chat", "topic": planted + " topic"})
	for _, who := range others {
		s.Join(who.Token, room)
	}
	s.SetState(alice.Token, room, "m.room.topic", "", object{"topic": "the river"})
	s.SetState(alice.Token, room, "m.room.encryption", "", object{"algorithm": "m.megolm.v1.aes-sha2"})
	message = s.SendText(alice.Token, room, planted+" message")
	relates := func(relType string, more object) object {
		rel := object{"rel_type": relType, "event_id": message}
		maps.Copy(rel, more)
		return rel
	}
	s.SendEvent(alice.Token, room, "m.room.message", object{
		"msgtype": "m.text", "body": "* " + planted, "m.relates_to": relates("m.replace", nil),
		"m.new_content": object{"msgtype": "m.text", "body": planted + " edit"},
	})
	s.SendEvent(alice.Token, room, "m.reaction", object{"m.relates_to": relates("m.annotation", object{"key": planted})})
	s.SendEvent(alice.Token, room, "m.room.message", object{
		"msgtype": "m.text", "body": planted + " thread", "m.relates_to": relates("m.thread", nil),
	})
	s.SendEvent(alice.Token, room, "m.room.message", object{
		"msgtype": "m.file", "body": planted + ".pdf", "filename": planted + ".pdf", "url": "mxc://example.org/x",
	})
	// A reason of hers, and one of others about her.
	s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(room, "leave"), alice.Token, object{"reason": planted + " reason"})
	s.Join(alice.Token, room)
	return room, message
}

func body(t *testing.T, s *hstest.Server, who hstest.Session, room, event string) string {
	t.Helper()
	return s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(room, "event", event), who.Token, nil).String("content", "body")
}

// TestWhatTheErasedHaveSentGoesFromTheDiskWithItsLastReader: as long as one is
// joined who could read it, it is there; when the last one falls away, by whatever
// way, it is nowhere: in no byte of SQLite's files, in no column of PostgreSQL.
func TestWhatTheErasedHaveSentGoesFromTheDiskWithItsLastReader(t *testing.T) {
	for name, fall := range map[string]func(t *testing.T, s *hstest.Server, who hstest.Session, room string){
		"leaves": func(_ *testing.T, s *hstest.Server, who hstest.Session, room string) { s.Leave(who.Token, room) },
		"leaves and forgets": func(_ *testing.T, s *hstest.Server, who hstest.Session, room string) {
			s.Leave(who.Token, room)
			s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(room, "forget"), who.Token, object{})
		},
		"is ended": func(t *testing.T, s *hstest.Server, who hstest.Session, _ string) { endNow(t, s, who.UserID, false) },
	} {
		t.Run(name, func(t *testing.T) {
			hstest.Each(t, func(t *testing.T, s *hstest.Server) {
				alice, bob, carol := s.Register("alice"), s.Register("bob"), s.Register("carol")
				room, message := plantInRoom(s, alice, bob, carol)
				receipt := endNow(t, s, alice.UserID, true)
				if receipt.Kept == nil || receipt.Kept.Messages != 5 || receipt.Kept.Rooms != 1 || receipt.Gone["messages"] != 0 {
					t.Errorf("the receipt says %+v are kept, and %d gone", receipt.Kept, receipt.Gone["messages"])
				}
				dave := s.Register("dave")
				s.Join(dave.Token, room)
				if got := body(t, s, dave, room, message); got != "" {
					t.Errorf("a newcomer reads %q", got)
				}
				s.Leave(bob.Token, room)
				drain(t, s)
				if got := body(t, s, carol, room, message); !strings.HasPrefix(got, planted) {
					t.Errorf("who was there reads %q", got)
				}
				if len(search(t, s)) == 0 {
					t.Error("it is gone from the disk, and somebody may read it")
				}
				fall(t, s, carol, room)
				drain(t, s)
				s.Eventually("it is gone from the disk", func() bool { return len(search(t, s)) == 0 })
				if got := body(t, s, dave, room, message); got != "" {
					t.Errorf("a newcomer reads %q", got)
				}
				encryption := s.Want(http.StatusOK, "", http.MethodGet,
					hstest.RoomPath(room, "state", "m.room.encryption", ""), dave.Token, nil)
				if encryption.String("algorithm") == "" {
					t.Errorf("the room is not encrypted any more: %s", encryption.Raw)
				}
				view(t, s.DB, func(tx *storage.Tx) error {
					messages, rooms, err := tx.Kept(matrix.UserID(alice.UserID))
					if messages != 0 || rooms != 0 {
						t.Errorf("%d messages in %d rooms are said to be kept", messages, rooms)
					}
					return err
				})
			})
		})
	}
}

func drain(t *testing.T, s *hstest.Server) {
	t.Helper()
	if err := s.Jobs.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestStateOfTheErasedGoesWhenItIsReplaced: while it is the room's it stays.
func TestStateOfTheErasedGoesWhenItIsReplaced(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{
			"preset": "public_chat", "topic": planted, "power_level_content_override": object{"events": object{"m.room.topic": 0}},
		})
		endNow(t, s, alice.UserID, true)
		s.Join(bob.Token, room)
		if len(search(t, s)) == 0 {
			t.Error("the topic of the room is gone")
		}
		s.SetState(bob.Token, room, "m.room.topic", "", object{"topic": "the river"})
		drain(t, s)
		s.Eventually("the topic before is gone from the disk", func() bool { return len(search(t, s)) == 0 })
	})
}

// TestWhatIsSaidOfTheErasedLaterIsForNobody: the reason of a ban, say.
func TestWhatIsSaidOfTheErasedLaterIsForNobody(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(bob.Token, object{"preset": "public_chat"})
		s.Join(alice.Token, room)
		endNow(t, s, alice.UserID, true)
		s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(room, "ban"), bob.Token,
			object{"user_id": alice.UserID, "reason": planted})
		drain(t, s)
		s.Eventually("the reason is gone from the disk", func() bool { return len(search(t, s)) == 0 })
	})
}

// TestAnEndingThatIsTakenBackIsTakenBackInRooms: in the grace period newcomers
// read nothing, and nothing happens in rooms; afterwards everybody reads all.
func TestAnEndingThatIsTakenBackIsTakenBackInRooms(t *testing.T) {
	inGrace(t, func(t *testing.T, g *grace) {
		bob := g.Register("bob" + g.DB.Engine())
		room := g.CreateRoom(g.who.Token, object{"preset": "public_chat"})
		message := g.SendText(g.who.Token, room, planted)
		d := g.end(t)
		g.Join(bob.Token, room)
		if got := body(t, g.Server, bob, room, message); got != "" {
			t.Errorf("in the grace period a newcomer reads %q", got)
		}
		if got := memberEvents(t, g.Server, room, g.who.UserID); len(got) != 1 {
			t.Errorf("in the grace period the person became %v", got)
		}
		if err := g.Deactivations.UndoByID(t.Context(), d.ID, deactivation.Operator); err != nil {
			t.Fatal(err)
		}
		if got := body(t, g.Server, bob, room, message); got != planted {
			t.Errorf("after it was taken back a newcomer reads %q", got)
		}
	})
}
