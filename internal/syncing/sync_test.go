package syncing_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

// TestAGapIsFilledByMessages: where a timeline is limited, /messages has the rest
// from its prev_batch on, all of it and nothing twice.
func TestAGapIsFilledByMessages(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		c := newClient(s, alice).filter(`{"room":{"timeline":{"limit":4}}}`)
		c.sync()
		var sent []string
		for range 23 {
			sent = append(sent, s.SendText(alice.Token, room, "x"))
		}
		before := c.since
		a := c.sync()
		shown := a.timeline(room)
		if !cmp.Equal(shown, sent[19:]) || a.Get("rooms", "join", room, "timeline", "limited") != true {
			t.Errorf("the timeline is %v; want the last four of %v, limited", shown, sent)
		}
		prev := a.String("rooms", "join", room, "timeline", "prev_batch")
		if diff := cmp.Diff(sent[:19], messages(s, alice.Token, room, prev, before)); diff != "" {
			t.Errorf("the gap (-want +got)\n%s", diff)
		}
		sent = []string{s.SendText(alice.Token, room, "x"), s.SendText(alice.Token, room, "y")}
		a = c.sync()
		if !cmp.Equal(a.timeline(room), sent) || a.Get("rooms", "join", room, "timeline", "limited") != false {
			t.Errorf("without a gap the timeline is %v; want %v", a.timeline(room), sent)
		}
	})
}

// TestWhoIsAskedInJoinsAndLeaves: a room goes through the sections of the answer.
func TestWhoIsAskedInJoinsAndLeaves(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(alice.Token, object{"name": "the room"})
		s.SendText(alice.Token, room, "before")
		c := newClient(s, bob)
		c.sync()

		s.Invite(alice.Token, room, bob.UserID)
		a := c.sync()
		if got := a.rooms("invite"); !cmp.Equal(got, []string{room}) {
			t.Fatalf("invited to %v: %s", got, a.Raw)
		}
		var stripped []string
		for _, e := range a.events("rooms", "invite", room, "invite_state") {
			stripped = append(stripped, e["type"].(string))
			if e["event_id"] != nil || e["origin_server_ts"] != nil {
				t.Errorf("stripped state has more than it may: %v", e)
			}
		}
		slices.Sort(stripped)
		want := []string{"m.room.create", "m.room.join_rules", "m.room.member", "m.room.member", "m.room.name"}
		if diff := cmp.Diff(want, stripped); diff != "" {
			t.Errorf("the state that comes with an invite (-want +got)\n%s", diff)
		}

		s.Join(bob.Token, room)
		a = c.sync()
		if !cmp.Equal(a.rooms("join"), []string{room}) || len(a.rooms("invite")) != 0 {
			t.Fatalf("after the join: %s", a.Raw)
		}
		if got := len(a.timeline(room)) + len(a.state(room, "state")); got < 9 {
			t.Errorf("who joins hears of %d events; they know nothing yet", got)
		}
		if a.Get("rooms", "join", room, "summary", "m.joined_member_count") != 2.0 {
			t.Errorf("the summary of a room that was joined: %v", a.Get("rooms", "join", room, "summary"))
		}

		s.SendText(alice.Token, room, "while")
		s.Leave(bob.Token, room)
		after := s.SendText(alice.Token, room, "after")
		a = c.sync()
		if got := a.ids("rooms", "leave", room, "timeline"); len(got) != 2 || len(a.rooms("join")) != 0 {
			t.Errorf("who leaves hears of %v: %s", got, a.Raw)
		}
		if a = c.sync(); len(a.rooms("leave")) != 0 {
			t.Errorf("they hear of it twice: %s", a.Raw)
		}

		fresh := newClient(s, bob)
		if a = fresh.sync(); len(a.rooms("leave")) != 0 {
			t.Errorf("rooms that were left are in a first answer: %s", a.Raw)
		}
		fresh = newClient(s, bob).filter(`{"room":{"include_leave":true}}`)
		if a = fresh.sync(); !cmp.Equal(a.rooms("leave"), []string{room}) {
			t.Errorf("with include_leave there is no room that was left: %s", a.Raw)
		}
		if got := a.ids("rooms", "leave", room, "timeline"); slices.Contains(got, after) {
			t.Errorf("they hear of what came after they left: %v", got)
		}
		s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(room, "forget"), bob.Token, object{})
		fresh = newClient(s, bob).filter(`{"room":{"include_leave":true}}`)
		if a = fresh.sync(); len(a.rooms("leave")) != 0 {
			t.Errorf("a room that was forgotten is there: %s", a.Raw)
		}
	})
}

// TestAnInviteThatIsRefusedIsOver: also one that is withdrawn.
func TestAnInviteThatIsRefusedIsOver(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		for _, end := range []func(room string){
			func(room string) { s.Leave(bob.Token, room) },
			func(room string) {
				s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(room, "kick"), alice.Token, object{"user_id": bob.UserID})
			},
		} {
			room := s.CreateRoom(alice.Token, object{"invite": []string{bob.UserID}})
			c := newClient(s, bob)
			if a := c.sync(); !slices.Contains(a.rooms("invite"), room) {
				t.Fatalf("not invited: %s", a.Raw)
			}
			end(room)
			a := c.sync()
			if !cmp.Equal(a.rooms("leave"), []string{room}) || len(a.events("rooms", "leave", room, "state")) != 0 {
				t.Errorf("an invite that is over: %s", a.Raw)
			}
			if got := a.ids("rooms", "leave", room, "timeline"); len(got) != 1 {
				t.Errorf("of a room in which they never were they hear of %v", got)
			}
		}
	})
}

// TestInvitesOfIgnoredUsersDoNotCome: CS API, Ignoring Users.
func TestInvitesOfIgnoredUsersDoNotCome(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, mallory := s.Register("alice"), s.Register("bob"), s.Register("mallory")
		c := newClient(s, bob)
		c.sync()
		s.Want(http.StatusOK, "", http.MethodPut, v3+"user/"+bob.UserID+"/account_data/m.ignored_user_list", bob.Token,
			object{"ignored_users": object{mallory.UserID: object{}}})
		s.CreateRoom(mallory.Token, object{"invite": []string{bob.UserID}})
		room := s.CreateRoom(alice.Token, object{"invite": []string{bob.UserID}})
		if got := c.sync().rooms("invite"); !cmp.Equal(got, []string{room}) {
			t.Errorf("invited to %v, want %v", got, room)
		}
		if got := newClient(s, bob).sync().rooms("invite"); !cmp.Equal(got, []string{room}) {
			t.Errorf("at first invited to %v, want %v", got, room)
		}
	})
}

// TestMembersAreLoadedLazily: those whose events are shown, once; all in a gap.
func TestMembersAreLoadedLazily(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, carol, dora := s.Register("alice"), s.Register("bob"), s.Register("carol"), s.Register("dora")
		room := s.CreateRoom(alice.Token, object{"preset": "public_chat", "name": "named"})
		for _, who := range []hstest.Session{bob, carol, dora} {
			s.Join(who.Token, room)
		}
		s.SendText(bob.Token, room, "x")
		member := func(who hstest.Session) string { return "m.room.member/" + who.UserID }
		members := func(a answer) []string {
			return slices.DeleteFunc(a.state(room, "state"), func(key string) bool { return !strings.HasPrefix(key, "m.room.member/") })
		}
		check := func(what string, got []string, want ...string) {
			t.Helper()
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: members %v; want %v", what, got, want)
			}
		}
		lazy := newClient(s, alice).filter(`{"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true}}}`)
		redundant := newClient(s, alice).filter(
			`{"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true,"include_redundant_members":true}}}`)
		first := lazy.sync()
		heroes, _ := first.Get("rooms", "join", room, "summary", "m.heroes").([]any)
		if !cmp.Equal(heroes, []any{bob.UserID, carol.UserID, dora.UserID}) {
			t.Errorf("heroes %v", heroes)
		}
		check("at first, with the heroes and the reader", members(first), member(alice), member(bob), member(carol), member(dora))
		redundant.sync()
		s.SendText(bob.Token, room, "y")
		check("one who is known", members(lazy.sync()))
		check("one who is known, asked for again", members(redundant.sync()), member(bob))

		// A client that has not got the answer, and asks again, is told again.
		s.Want(http.StatusOK, "", http.MethodPut, v3+"profile/"+carol.UserID+"/displayname", carol.Token, object{"displayname": "C"})
		s.Eventually("the room has the new name", func() bool {
			path := hstest.RoomPath(room, "state", "m.room.member", carol.UserID)
			return s.Do(http.MethodGet, path, alice.Token, nil).String("displayname") == "C"
		})
		s.SendText(carol.Token, room, "z")
		since := lazy.since
		check("one who has changed, in a gap", members(lazy.sync()), member(carol))
		lazy.since = since
		check("the same again", members(lazy.sync()), member(carol))
		s.SendText(carol.Token, room, "z")
		check("and after that", members(lazy.sync()))

		// What has happened in a gap comes whether it is known or not.
		s.Leave(dora.Token, room)
		s.SendText(bob.Token, room, "1")
		s.SendText(bob.Token, room, "2")
		check("in a gap", members(lazy.sync()), member(dora))
	})
}

// TestTransactionIDsAreTheDevicesOwn: nobody else gets them.
func TestTransactionIDsAreTheDevicesOwn(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		other := alice
		a := s.Want(http.StatusOK, "", http.MethodPost, v3+"login", "", object{
			"type": "m.login.password", "password": alice.Password, "identifier": object{"type": "m.id.user", "user": "alice"},
		})
		other.Token, other.DeviceID = a.String("access_token"), a.String("device_id")
		room := s.CreateRoom(alice.Token, nil)
		mine, theirs := newClient(s, alice), newClient(s, other)
		mine.sync()
		theirs.sync()
		s.Want(http.StatusOK, "", http.MethodPut, hstest.RoomPath(room, "send", "m.room.message", "txn7"), alice.Token, one("x"))
		for want, c := range map[string]*client{"txn7": mine, "": theirs} {
			e := c.sync().events("rooms", "join", room, "timeline")
			if len(e) != 1 {
				t.Fatalf("%d events", len(e))
			}
			if got, _ := e[0]["unsigned"].(object)["transaction_id"].(string); got != want {
				t.Errorf("the transaction id is %q, want %q", got, want)
			}
		}
	})
}
