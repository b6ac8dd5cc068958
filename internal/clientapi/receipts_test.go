package clientapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

// withThreads is a /sync that asks for counts by thread.
var withThreads = "/_matrix/client/v3/sync?filter=" +
	url.QueryEscape(`{"room":{"timeline":{"unread_thread_notifications":true}}}`)

// joinedRoom is a room of a first /sync.
func joinedRoom(s *hstest.Server, who hstest.Session, room string) map[string]any {
	a := s.Want(http.StatusOK, "", http.MethodGet, withThreads, who.Token, nil)
	r, _ := a.Get("rooms", "join", room).(map[string]any)
	return r
}

// counts are the counts of a room in /sync: those of the main timeline and of a
// thread.
func counts(s *hstest.Server, who hstest.Session, room, thread string) [4]any {
	a := hstest.Answer{Body: joinedRoom(s, who, room)}
	return [4]any{
		a.Get("unread_notifications", "notification_count"), a.Get("unread_notifications", "highlight_count"),
		a.Get("unread_thread_notifications", thread, "notification_count"),
		a.Get("unread_thread_notifications", thread, "highlight_count"),
	}
}

// receiptsIn are the m.receipt events that somebody gets of a room: by event, type
// and user the thread, "-" for none.
func receiptsIn(s *hstest.Server, who hstest.Session, room string) map[string]string {
	found := map[string]string{}
	a := hstest.Answer{Body: joinedRoom(s, who, room)}
	events, _ := a.Get("ephemeral", "events").([]any)
	for _, e := range events {
		content, _ := e.(map[string]any)["content"].(map[string]any)
		for id, types := range content {
			for typ, users := range types.(map[string]any) {
				for user, body := range users.(map[string]any) {
					thread, ok := body.(map[string]any)["thread_id"].(string)
					if !ok {
						thread = "-"
					}
					found[id+" "+typ+" "+user+" "+thread] = thread
				}
			}
		}
	}
	return found
}

func inThread(root, text string, mention ...string) map[string]any {
	content := map[string]any{"msgtype": "m.text", "body": text, "m.mentions": map[string]any{"user_ids": mention}}
	if root != "" {
		content["m.relates_to"] = map[string]any{"rel_type": "m.thread", "event_id": root}
	}
	return content
}

// TestReceiptsClearCountsAndPrivateOnesAreNobodyElses follows one room through
// receipts of all kinds, and over a restart.
func TestReceiptsClearCountsAndPrivateOnesAreNobodyElses(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room := s.CreateRoom(bob.Token, map[string]any{"preset": "public_chat"})
		s.Join(alice.Token, room)
		root := s.SendText(bob.Token, room, "root")
		main := s.SendEvent(bob.Token, room, "m.room.message", inThread("", "look", alice.UserID))
		reply := s.SendEvent(bob.Token, room, "m.room.message", inThread(root, "reply", alice.UserID))
		want := func(what string, counted [4]any) {
			t.Helper()
			if diff := cmp.Diff(counted, counts(s, alice, room, root)); diff != "" {
				t.Errorf("%s: want (-), got (+):\n%s", what, diff)
			}
		}
		read := func(typ, id string, body any) {
			t.Helper()
			s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(room, "receipt", typ, id), alice.Token, body)
		}
		want("at first", [4]any{2.0, 1.0, 1.0, 1.0})
		s.Stop()
		s.Start()
		want("after a restart", [4]any{2.0, 1.0, 1.0, 1.0})
		read("m.read.private", root, map[string]any{"thread_id": "main"})
		want("the root is read", [4]any{1.0, 1.0, 1.0, 1.0})
		read("m.read.private", reply, map[string]any{"thread_id": root})
		want("the thread is read", [4]any{1.0, 1.0, nil, nil})
		read("m.read", main, map[string]any{})
		want("all is read", [4]any{0.0, 0.0, nil, nil})
		read("m.read", root, map[string]any{}) // goes back, and so changes nothing
		want("all is read still", [4]any{0.0, 0.0, nil, nil})

		public := main + " m.read @alice:example.org -"
		if diff := cmp.Diff(map[string]string{public: "-"}, receiptsIn(s, bob, room)); diff != "" {
			t.Errorf("bob should get alice's public receipt alone (-), gets (+):\n%s", diff)
		}
		own := map[string]string{
			public: "-", root + " m.read.private @alice:example.org main": "main",
			reply + " m.read.private @alice:example.org " + root: root,
		}
		if diff := cmp.Diff(own, receiptsIn(s, alice, room)); diff != "" {
			t.Errorf("alice should get all of hers (-), gets (+):\n%s", diff)
		}
		s.Want(http.StatusOK, "", http.MethodPut, "/_matrix/client/v3/user/"+bob.UserID+"/account_data/m.ignored_user_list",
			bob.Token, map[string]any{"ignored_users": map[string]any{alice.UserID: map[string]any{}}})
		if got := receiptsIn(s, bob, room); len(got) != 0 {
			t.Errorf("bob ignores alice, and gets %v", got)
		}
		s.SendText(bob.Token, room, "new")
		want("something new", [4]any{1.0, 0.0, nil, nil})
		s.SendText(alice.Token, room, "an answer")
		want("after an answer", [4]any{0.0, 0.0, nil, nil})
	})
}

func TestReceiptsThatCannotBe(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		room, other := s.CreateRoom(alice.Token, nil), s.CreateRoom(alice.Token, nil)
		root := s.SendText(alice.Token, room, "root")
		reply := s.SendEvent(alice.Token, room, "m.room.message", inThread(root, "reply"))
		elsewhere := s.SendText(alice.Token, other, "elsewhere")
		for _, c := range []struct {
			what, typ, id string
			body          any
			token         string
			status        int
			code          string
		}{
			{"an unknown type", "m.seen", root, nil, alice.Token, http.StatusBadRequest, "M_INVALID_PARAM"},
			{"an empty thread", "m.read", root, `{"thread_id":""}`, alice.Token, http.StatusBadRequest, "M_INVALID_PARAM"},
			{"a thread that is no text", "m.read", root, `{"thread_id":1}`, alice.Token, http.StatusBadRequest, "M_INVALID_PARAM"},
			{"another thread", "m.read", reply, `{"thread_id":"$x"}`, alice.Token, http.StatusBadRequest, "M_INVALID_PARAM"},
			{"not in the main timeline", "m.read", reply, `{"thread_id":"main"}`, alice.Token, http.StatusBadRequest, "M_INVALID_PARAM"},
			{"a marker for a thread", "m.fully_read", root, `{"thread_id":"main"}`, alice.Token, http.StatusBadRequest, "M_INVALID_PARAM"},
			{"an event that is not", "m.read", "$nothing", nil, alice.Token, http.StatusNotFound, "M_NOT_FOUND"},
			{"an event of another room", "m.read", elsewhere, nil, alice.Token, http.StatusNotFound, "M_NOT_FOUND"},
			{"somebody who is not in the room", "m.read", root, nil, bob.Token, http.StatusForbidden, "M_FORBIDDEN"},
			{"the root, for its thread", "m.read", root, map[string]any{"thread_id": root}, alice.Token, http.StatusOK, ""},
		} {
			t.Run(c.what, func(*testing.T) {
				s.Want(c.status, c.code, http.MethodPost, hstest.RoomPath(room, "receipt", c.typ, c.id), c.token, c.body)
			})
		}
	})
}

// TestTheFullyReadMarkerOnlyGoesForward, and is account data of the room.
func TestTheFullyReadMarkerOnlyGoesForward(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		first, second := s.SendText(alice.Token, room, "1"), s.SendText(alice.Token, room, "2")
		path := "/_matrix/client/v3/user/" + alice.UserID + "/rooms/" + room + "/account_data/m.fully_read"
		for _, step := range []struct{ mark, want string }{{first, first}, {second, second}, {first, second}} {
			s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(room, "read_markers"), alice.Token,
				map[string]any{"m.fully_read": step.mark, "m.read": step.mark, "m.read.private": step.mark})
			got := s.Want(http.StatusOK, "", http.MethodGet, path, alice.Token, nil).String("event_id")
			if got != step.want {
				t.Errorf("after the marker at %s it is %s, want %s", step.mark, got, step.want)
			}
		}
		own := map[string]string{
			second + " m.read @alice:example.org -": "-", second + " m.read.private @alice:example.org -": "-",
		}
		if diff := cmp.Diff(own, receiptsIn(s, alice, room)); diff != "" {
			t.Errorf("want (-), got (+):\n%s", diff)
		}
	})
}

// TestNotificationsArePagedNewestFirst over all rooms, with what is read.
func TestNotificationsArePagedNewestFirst(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		var rooms, sent []string
		for range 2 {
			room := s.CreateRoom(bob.Token, map[string]any{"preset": "public_chat"})
			s.SendText(bob.Token, room, "before alice came")
			s.Join(alice.Token, room)
			rooms = append(rooms, room)
		}
		for i := range 6 {
			mention := []string{}
			if i%3 == 0 {
				mention = []string{alice.UserID}
			}
			sent = append(sent, s.SendEvent(bob.Token, rooms[i%2], "m.room.message", inThread("", "x", mention...)))
			s.SendText(alice.Token, rooms[0], "mine")
		}
		s.Want(http.StatusOK, "", http.MethodPost, hstest.RoomPath(rooms[1], "receipt", "m.read", sent[3]), alice.Token, nil)
		list := func(query string) (found []string, next string) {
			a := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/notifications?"+query, alice.Token, nil)
			for _, n := range a.Get("notifications").([]any) {
				n := hstest.Answer{Body: n.(map[string]any)}
				read := ""
				if n.Get("read") == true {
					read = " read"
				}
				found = append(found, n.String("event", "event_id")+read)
			}
			return found, a.String("next_token")
		}
		var all []string
		for query := "limit=4"; ; {
			page, next := list(query)
			if all = append(all, page...); next == "" {
				break
			}
			query = "limit=4&from=" + next
		}
		want := []string{
			sent[5], sent[4] + " read", sent[3] + " read", sent[2] + " read", sent[1] + " read", sent[0] + " read",
		}
		if diff := cmp.Diff(want, all); diff != "" {
			t.Errorf("want (-), got (+):\n%s", diff)
		}
		highlights, _ := list("only=highlight")
		if diff := cmp.Diff([]string{sent[3] + " read", sent[0] + " read"}, highlights); diff != "" {
			t.Errorf("highlights: want (-), got (+):\n%s", diff)
		}
	})
}
