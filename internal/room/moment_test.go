package room_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/room"
	"lethe/internal/storage"
)

const client = "/_matrix/client/v3/"

// sync asks for what is new since a token, and waits for it where wait is not 0,
// in milliseconds.
func sync(s *hstest.Server, token, since string, wait int) hstest.Answer {
	q := url.Values{"timeout": {fmt.Sprint(wait)}}
	if since != "" {
		q.Set("since", since)
	}
	return s.Want(http.StatusOK, "", http.MethodGet, client+"sync?"+q.Encode(), token, nil)
}

// typing is who is typing in a room, as an answer to /sync says; nil where it does
// not.
func typing(a hstest.Answer, room string) any {
	list, _ := a.Get("rooms", "join", room, "ephemeral", "events").([]any)
	for _, e := range list {
		if e := e.(map[string]any); e["type"] == "m.typing" {
			return e["content"].(map[string]any)["user_ids"]
		}
	}
	return nil
}

func setTyping(s *hstest.Server, who hstest.Session, room string, body map[string]any) {
	s.Want(http.StatusOK, "", http.MethodPut, hstest.RoomPath(room, "typing", who.UserID), who.Token, body)
}

// pair are two people in a room, and the room.
func pair(s *hstest.Server) (alice, bob hstest.Session, room string) {
	alice, bob = s.Register("alice"), s.Register("bob")
	room = s.CreateRoom(alice.Token, map[string]any{"preset": "public_chat"})
	s.Join(bob.Token, room)
	return alice, bob, room
}

func TestWhoIsTypingIsToldWhenItChanges(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, room := pair(s)
		off := []any{}
		since := sync(s, bob.Token, "", 0).String("next_batch")
		step := func(what string, do func(), want any) {
			t.Helper()
			do()
			a := sync(s, bob.Token, since, 0)
			if got := typing(a, room); !cmp.Equal(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
			since = a.String("next_batch")
		}
		on := []any{alice.UserID}
		step("she begins", func() { setTyping(s, alice, room, map[string]any{"typing": true, "timeout": 60000}) }, on)
		step("she says so again", func() { setTyping(s, alice, room, map[string]any{"typing": true}) }, nil)
		if got := typing(sync(s, bob.Token, "", 0), room); !cmp.Equal(got, any(on)) {
			t.Errorf("to one who comes: %v", got)
		}
		step("she stops", func() { setTyping(s, alice, room, map[string]any{"typing": false}) }, off)
		step("she stops again", func() { setTyping(s, alice, room, map[string]any{"typing": false}) }, nil)
		step("she sends it", func() {
			setTyping(s, alice, room, map[string]any{"typing": true})
			s.SendText(alice.Token, room, "x")
		}, off)
		step("she leaves", func() {
			setTyping(s, alice, room, map[string]any{"typing": true})
			s.Leave(alice.Token, room)
		}, off)
		path := hstest.RoomPath(room, "typing", alice.UserID)
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPut, path, alice.Token, map[string]any{"typing": true})
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPut, path, bob.Token, map[string]any{"typing": true})
		s.Want(http.StatusBadRequest, "M_MISSING_PARAM", http.MethodPut,
			hstest.RoomPath(room, "typing", bob.UserID), bob.Token, map[string]any{})
	})
}

func TestTypingEndsByItself(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, room := pair(s)
		since := sync(s, bob.Token, "", 0).String("next_batch")
		setTyping(s, alice, room, map[string]any{"typing": true, "timeout": 60000})
		carol := s.Register("carol")
		s.Join(carol.Token, room)
		setTyping(s, carol, room, map[string]any{"typing": true, "timeout": 1})
		s.Eventually("bob hears that carol has stopped", func() bool {
			a := sync(s, bob.Token, since, 10000)
			since = a.String("next_batch")
			return cmp.Equal(typing(a, room), any([]any{alice.UserID}))
		})
		// What a process leaves that has died ends in time after the start.
		setTyping(s, alice, room, map[string]any{"typing": true, "timeout": 1000})
		s.Stop()
		s.Start()
		s.Eventually("it has ended", func() bool {
			a := sync(s, bob.Token, since, 10000)
			since = a.String("next_batch")
			return cmp.Equal(typing(a, room), any([]any{}))
		})
	})
}

func TestTheTypingOfTheIgnoredIsNotTold(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, room := pair(s)
		s.Want(http.StatusOK, "", http.MethodPut, client+"user/"+bob.UserID+"/account_data/m.ignored_user_list", bob.Token,
			map[string]any{"ignored_users": map[string]any{alice.UserID: map[string]any{}}})
		since := sync(s, bob.Token, "", 0).String("next_batch")
		setTyping(s, alice, room, map[string]any{"typing": true})
		for _, from := range []string{since, ""} {
			if got := typing(sync(s, bob.Token, from, 0), room); got != nil {
				t.Errorf("since %q: %v", from, got)
			}
		}
	})
}

// nameIn is what a room calls somebody.
func nameIn(s *hstest.Server, token, room, user string) string {
	return s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(room, "state", "m.room.member", user), token, nil).
		String("displayname")
}

func rename(s *hstest.Server, who hstest.Session, name string) {
	s.Want(http.StatusOK, "", http.MethodPut, client+"profile/"+who.UserID+"/displayname", who.Token,
		map[string]any{"displayname": name})
}

func pendingProfiles(t *testing.T, s *hstest.Server) (n int) {
	t.Helper()
	err := s.DB.View(t.Context(), func(tx *storage.Tx) error {
		users, err := tx.ChangedProfiles(10)
		n = len(users)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestANewNameGoesIntoAllRooms(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, first := pair(s)
		rooms := []string{first}
		for range 5 {
			room := s.CreateRoom(alice.Token, map[string]any{"preset": "public_chat"})
			s.Join(bob.Token, room)
			rooms = append(rooms, room)
		}
		left := s.CreateRoom(bob.Token, map[string]any{"preset": "public_chat"})
		s.Join(alice.Token, left)
		s.Leave(alice.Token, left)
		for _, name := range []string{"Alice", "Alicia", "Lissy"} {
			rename(s, alice, name)
		}
		s.Eventually("the name is in all rooms", func() bool { return pendingProfiles(t, s) == 0 })
		for _, room := range rooms {
			if got := nameIn(s, bob.Token, room, alice.UserID); got != "Lissy" {
				t.Errorf("%s calls her %q", room, got)
			}
		}
		if got := nameIn(s, bob.Token, left, alice.UserID); got == "Lissy" {
			t.Error("a room that she has left calls her by the new name")
		}
		// Gone on with after a restart.
		s.Stop()
		s.Start()
		err := s.DB.Update(t.Context(), func(tx *storage.Tx) error {
			user := matrix.UserID(alice.UserID)
			if err := tx.SetProfileField(user, "displayname", []byte(`"Later"`)); err != nil {
				return err
			}
			return tx.AddProfileChange(user)
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Stop()
		s.Start()
		s.Eventually("what was left is done", func() bool { return pendingProfiles(t, s) == 0 })
		if got := nameIn(s, bob.Token, first, alice.UserID); got != "Later" {
			t.Errorf("after the restart: %q", got)
		}
	})
}

func TestANameOfAnEndedAccountGoesNowhere(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, room := pair(s)
		s.Want(http.StatusOK, "", http.MethodPost, client+"account/deactivate", alice.Token,
			map[string]any{"auth": hstest.PasswordAuth("alice", alice.Password, "")})
		err := s.DB.Update(t.Context(), func(tx *storage.Tx) error { return tx.AddProfileChange(matrix.UserID(alice.UserID)) })
		if err != nil {
			t.Fatal(err)
		}
		s.Rooms.Renamed()
		s.Eventually("it is dropped", func() bool { return pendingProfiles(t, s) == 0 })
		s.Eventually("she has left", func() bool {
			return s.Do(http.MethodGet, hstest.RoomPath(room, "state", "m.room.member", alice.UserID), bob.Token, nil).
				String("membership") == "leave"
		})
	})
}

func TestReportsAreKeptOfWhatTheReporterCanSee(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob, room := pair(s)
		carol := s.Register("carol")
		event := s.SendText(alice.Token, room, "x")
		why := map[string]any{"reason": "rude"}
		for _, test := range []struct {
			path, token string
			body        any
			status      int
			code        string
		}{
			{hstest.RoomPath(room, "report", event), bob.Token, map[string]any{}, http.StatusOK, ""},
			{hstest.RoomPath(room, "report", event), carol.Token, why, http.StatusNotFound, "M_NOT_FOUND"},
			{hstest.RoomPath(room, "report", "$none"), bob.Token, why, http.StatusNotFound, "M_NOT_FOUND"},
			{hstest.RoomPath(room, "report"), carol.Token, why, http.StatusOK, ""},
			{hstest.RoomPath(room, "report"), carol.Token, map[string]any{}, http.StatusBadRequest, "M_MISSING_PARAM"},
			{hstest.RoomPath("!none:example.org", "report"), carol.Token, why, http.StatusNotFound, "M_NOT_FOUND"},
			{client + "users/" + alice.UserID + "/report", carol.Token, why, http.StatusOK, ""},
			{client + "users/@none:example.org/report", carol.Token, why, http.StatusNotFound, "M_NOT_FOUND"},
		} {
			s.Want(test.status, test.code, http.MethodPost, test.path, test.token, test.body)
		}
		list, err := s.Rooms.Reports(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range list {
			got = append(got, fmt.Sprint(r.Reporter, r.Room, r.EventID, r.User, r.Reason))
		}
		want := map[string]bool{
			fmt.Sprint(bob.UserID, room, event, "", ""):            true,
			fmt.Sprint(carol.UserID, room, "", "", "rude"):         true,
			fmt.Sprint(carol.UserID, "", "", alice.UserID, "rude"): true,
		}
		for _, r := range got {
			if !want[r] {
				t.Errorf("there is a report %s", r)
			}
			delete(want, r)
		}
		if len(want) > 0 {
			t.Errorf("there is no report %v", want)
		}
	})
}

func TestNoticesComeInARoomOfTheirOwn(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		bob := s.Register("bob")
		s.Want(http.StatusBadRequest, "M_USER_IN_USE", http.MethodPost, client+"register", "", map[string]any{
			"username": "notices", "password": "correct-horse", "auth": map[string]any{"type": "m.login.dummy"},
		})
		room := notify(t, s, bob.UserID, "one")
		first := sync(s, bob.Token, "", 0)
		if first.Get("rooms", "invite", room) == nil {
			t.Fatalf("bob is not asked into the room: %s", first.Raw)
		}
		s.Want(http.StatusForbidden, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM", http.MethodPost, hstest.RoomPath(room, "leave"),
			bob.Token, map[string]any{})
		s.Join(bob.Token, room)
		tags := s.Want(http.StatusOK, "", http.MethodGet, client+"user/"+bob.UserID+"/rooms/"+url.PathEscape(room)+"/tags",
			bob.Token, nil)
		if tags.Get("tags", "m.server_notice") == nil {
			t.Errorf("the tags are %s", tags.Raw)
		}
		if again := notify(t, s, bob.UserID, "two"); again != room {
			t.Errorf("the next notice comes in %s, not in %s", again, room)
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPut, hstest.RoomPath(room, "send", "m.room.message", "t"),
			bob.Token, map[string]any{"body": "who is there?", "msgtype": "m.text"})
		s.Leave(bob.Token, room)
		if again := notify(t, s, bob.UserID, "three"); again != room {
			t.Errorf("after he has left, the next notice comes in %s, not in %s", again, room)
		}
		if a := sync(s, bob.Token, "", 0); a.Get("rooms", "invite", room) == nil {
			t.Error("he is not asked in again")
		}
	})
}

// notify sends a notice, and returns its room.
func notify(t *testing.T, s *hstest.Server, user, body string) string {
	t.Helper()
	in, _, err := s.Rooms.Notify(t.Context(), room.Notice{User: matrix.UserID(user), Body: body, By: "operator"})
	if err != nil {
		t.Fatal(err)
	}
	return string(in)
}

func TestTagsAreAccountDataOfTheRoom(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		tags := client + "user/" + alice.UserID + "/rooms/" + url.PathEscape(room) + "/tags"
		for _, test := range []struct {
			tag    string
			body   any
			status int
			code   string
		}{
			{"m.favourite", map[string]any{"order": 0.25}, http.StatusOK, ""},
			{"u.work", map[string]any{"colour": "red"}, http.StatusOK, ""},
			{"u.gone", map[string]any{}, http.StatusOK, ""},
			{"u.x", map[string]any{"order": 1.5}, http.StatusBadRequest, "M_INVALID_PARAM"},
			{"u.x", map[string]any{"order": "0.5"}, http.StatusBadRequest, "M_BAD_JSON"},
		} {
			s.Want(test.status, test.code, http.MethodPut, tags+"/"+test.tag, alice.Token, test.body)
		}
		s.Want(http.StatusOK, "", http.MethodDelete, tags+"/u.gone", alice.Token, nil)
		want := map[string]any{
			"m.favourite": map[string]any{"order": 0.25}, "u.work": map[string]any{"colour": "red"},
		}
		if got := s.Want(http.StatusOK, "", http.MethodGet, tags, alice.Token, nil).Get("tags"); !cmp.Equal(got, any(want)) {
			t.Errorf("the tags are %v", got)
		}
		list, _ := sync(s, alice.Token, "", 0).Get("rooms", "join", room, "account_data", "events").([]any)
		event := []any{map[string]any{"type": "m.tag", "content": map[string]any{"tags": want}}}
		if !cmp.Equal(list, event) {
			t.Errorf("in /sync: %v", list)
		}
	})
}
