package door_test

import (
	"net/http"
	"testing"

	"lethe/internal/hstest"
)

// TestTheRoomStaysWhatItWasForNewcomers: the erasure of the one who made a room
// turns nothing of the room off: its encryption above all.
func TestTheRoomStaysWhatItWasForNewcomers(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		creator, member, newcomer := s.Register("creator"), s.Register("member"), s.Register("newcomer")
		c := open(t, s, creator, object{"preset": "public_chat"})
		kept := map[string]object{
			"m.room.encryption":         {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_ms": 604800000.0},
			"m.room.guest_access":       {"guest_access": "forbidden", "x": c.mark()},
			"m.room.join_rules":         {"join_rule": "public", "x": c.mark()},
			"m.room.history_visibility": {"history_visibility": "shared", "x": c.mark()},
			"m.room.server_acl":         {"allow": []any{"*"}, "deny": []any{"evil.example.com"}},
			// A redaction would take the notifications away.
			"m.room.power_levels": {"ban": 60.0, "notifications": object{"room": 90.0}},
			"m.room.name":         {"name": c.mark()},
		}
		for typ, content := range kept {
			if c.set(creator, typ, "", content) < 0 {
				t.Fatalf("%s was refused", typ)
			}
		}
		c.become(member, member.UserID, "join")
		superseded := c.set(creator, "m.room.topic", "", object{"topic": c.mark()})
		c.set(creator, "m.room.topic", "", object{"topic": "current"})
		erase(s, creator, c)
		c.become(newcomer, newcomer.UserID, "join")
		if err := s.Jobs.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		for typ, content := range kept {
			a := s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(c.room, "state", typ, ""), newcomer.Token, nil)
			for name := range content {
				if a.Body[name] == nil {
					t.Errorf("%s has lost %s for a newcomer: %s", typ, name, a.Raw)
				}
			}
		}
		c.stateOfSync(t, newcomer, kept)
		a := s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(c.room, "event", c.past[superseded].id), newcomer.Token, nil)
		if topic, has := a.Get("content").(object)["topic"]; has {
			t.Errorf("a newcomer reads the topic that was superseded: %v", topic)
		}
		a = s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(c.room, "event", c.past[superseded].id), member.Token, nil)
		if a.String("content", "topic") == "" {
			t.Errorf("a member from before does not read the topic any more: %s", a.Raw)
		}
	})
}

// stateOfSync checks that the state of a /sync without a timeline to speak of has
// all that is kept.
func (c *scene) stateOfSync(t *testing.T, who hstest.Session, kept map[string]object) {
	t.Helper()
	for _, more := range []string{"false", "true"} {
		a := c.s.Want(http.StatusOK, "", http.MethodGet, v3+"sync"+query("filter", `{"room":{"timeline":{"limit":1}}}`, "use_state_after", more), who.Token, nil)
		room, _ := a.Get("rooms", "join", c.room).(object)
		seen := map[string]object{}
		each(room, func(e object) {
			if content, ok := e["content"].(object); ok && e["state_key"] == "" {
				seen[str(e, "type")] = content
			}
		})
		for typ, content := range kept {
			for name := range content {
				if seen[typ][name] == nil {
					t.Errorf("%s has lost %s in a newcomer's /sync, use_state_after=%s: %v", typ, name, more, seen[typ])
				}
			}
		}
	}
}
