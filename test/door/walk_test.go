package door_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

// reader is one who reads, by how they came to a room.
type reader struct {
	name string
	hstest.Session
	since string // a token of /sync from before all rooms
}

// profileMark is in the profile of the erased, and in no event.
const profileMark = "zq-profile-qz"

// bridge is the registration of the application service.
const bridge = `
id: bridge
url: null
as_token: bridge-token
hs_token: other-token
sender_localpart: bridgebot
namespaces:
  users: [{exclusive: true, regex: "@bridge.*"}]
`

// stage is a server with everybody in it.
type stage struct {
	*hstest.Server
	t      *testing.T
	owner  hstest.Session
	erased hstest.Session
	people map[string]reader
}

// names are the readers: when they were in the room is what script does.
var names = []string{"before", "after", "late", "away", "again", "gone", "invited", "stranger", "ignorer"}

func newStage(t *testing.T, s *hstest.Server) *stage {
	t.Helper()
	st := &stage{Server: s, t: t, owner: s.Register("owner"), erased: s.Register("secretive"), people: map[string]reader{}}
	sessions := map[string]hstest.Session{"owner": st.owner}
	for _, name := range names {
		sessions[name] = s.Register(name)
	}
	guest := s.Want(http.StatusOK, "", http.MethodPost, v3+"register?kind=guest", "", object{})
	sessions["guest"] = hstest.Session{UserID: guest.String("user_id"), Token: guest.String("access_token")}
	ghost := s.Want(http.StatusOK, "", http.MethodPost, v3+"register", "bridge-token", object{
		"type": "m.login.application_service", "username": "bridge_ghost",
	})
	sessions["bridge"] = hstest.Session{UserID: ghost.String("user_id"), Token: ghost.String("access_token")}
	for name, session := range sessions {
		since := s.Want(http.StatusOK, "", http.MethodGet, v3+"sync", session.Token, nil).String("next_batch")
		st.people[name] = reader{name, session, since}
	}
	ignorer := st.people["ignorer"]
	s.Want(http.StatusOK, "", http.MethodPut, v3+"user/"+ignorer.UserID+"/account_data/m.ignored_user_list", ignorer.Token,
		object{"ignored_users": object{st.erased.UserID: object{}}})
	return st
}

// script lets happen in a room what happens before the erasure. Everything that
// the one to be erased says has a mark.
func (st *stage) script(settings ...string) *scene {
	st.t.Helper()
	c := open(st.t, st.Server, st.owner, object{
		"preset": "public_chat", "visibility": "public",
		"initial_state": []object{
			{"type": "m.room.history_visibility", "state_key": "", "content": object{"history_visibility": settings[0]}},
			{"type": "m.room.guest_access", "state_key": "", "content": object{"guest_access": "can_join"}},
		},
		"power_level_content_override": object{"users_default": 50, "events": object{}},
	})
	s := st.erased
	st.must(c.become(st.owner, s.UserID, "invite"))
	st.must(c.become(s, s.UserID, "join"))
	for _, name := range []string{"before", "away", "again", "gone", "ignorer", "bridge"} {
		st.joins(c, name)
	}
	for i, setting := range settings {
		if i > 0 {
			st.must(c.set(st.owner, "m.room.history_visibility", "", object{"history_visibility": setting, "x": c.mark()}))
		}
		st.says(c)
	}
	st.must(c.become(st.people["away"].Session, st.people["away"].UserID, "leave"))
	st.must(c.become(st.people["again"].Session, st.people["again"].UserID, "leave"))
	st.says(c)
	st.must(c.become(s, st.people["invited"].UserID, "invite"))
	st.joins(c, "after")
	st.joins(c, "away")
	st.must(c.become(s, st.people["gone"].UserID, "invite") + 1) // refused: is a member
	st.must(c.become(st.people["gone"].Session, st.people["gone"].UserID, "leave"))
	st.must(c.become(st.owner, s.UserID, "leave")) // a kick, with what others say of them
	st.must(c.become(s, s.UserID, "join"))         // another name
	return c
}

// joins has a reader join a room.
func (st *stage) joins(c *scene, name string) {
	st.t.Helper()
	st.must(c.become(st.people[name].Session, st.people[name].UserID, "join"))
}

func (st *stage) must(i int) {
	st.t.Helper()
	if i < 0 {
		st.t.Fatal("what the test wants to happen was refused")
	}
}

// says is everything that can have something of a person in it.
func (st *stage) says(c *scene) {
	st.t.Helper()
	s, before := st.erased, st.people["before"]
	mark := c.mark()
	root := c.send(s, "m.room.message", object{"msgtype": "m.text", "body": mark, "formatted_body": "<b>" + mark + "</b>"})
	others := c.send(st.owner, "m.room.message", object{"msgtype": "m.text", "body": c.mark(), "m.mentions": object{"user_ids": []string{before.UserID}}})
	mark = c.mark()
	edited := c.send(s, "m.room.message", object{
		"msgtype": "m.text", "body": "* " + mark, "m.new_content": object{"msgtype": "m.text", "body": mark},
		"m.relates_to": object{"rel_type": "m.replace", "event_id": c.past[root].id},
	})
	mark = c.mark()
	key := c.send(s, "m.reaction", object{"m.relates_to": object{"rel_type": "m.annotation", "event_id": c.past[others].id, "key": mark}})
	mark = c.mark()
	thread := c.send(s, "m.room.message", object{
		"msgtype": "m.text", "body": mark + " " + before.UserID, "m.mentions": object{"user_ids": []string{before.UserID}},
		"m.relates_to": object{"rel_type": "m.thread", "event_id": c.past[others].id},
	})
	mark = c.mark()
	file := c.send(s, "m.room.message", object{"msgtype": "m.file", "body": mark, "filename": mark, "url": "mxc://example.org/" + mark})
	topic := c.set(s, "m.room.topic", "", object{"topic": c.mark()})
	name := c.set(s, "m.room.name", "", object{"name": c.mark()})
	own := c.set(s, "org.example.state", s.UserID, object{"text": c.mark()})
	for _, i := range []int{root, others, edited, key, thread, file, topic, name, own} {
		st.must(i)
	}
}

// afterwards is what happens after the erasure.
func (st *stage) afterwards(c *scene) {
	st.t.Helper()
	st.joins(c, "late")
	st.joins(c, "again")
	st.must(c.set(st.owner, "m.room.topic", "", object{"topic": c.mark()})) // the erased one's is superseded
}

// TestNoAnswerTellsWhatTheErasedSaid plants marks in everything that a person can
// say, ends the account with erase, and reads every operation of the server as
// every kind of reader: at once, and after the work of the ending.
func TestNoAnswerTellsWhatTheErasedSaid(t *testing.T) {
	registration := filepath.Join(t.TempDir(), "bridge.yaml")
	if err := os.WriteFile(registration, []byte(bridge), 0o600); err != nil {
		t.Fatal(err)
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		st := newStage(t, s)
		for _, field := range []string{"displayname", "avatar_url"} {
			s.Want(http.StatusOK, "", http.MethodPut, v3+"profile/"+st.erased.UserID+"/"+field, st.erased.Token,
				object{field: "mxc://example.org/" + profileMark})
		}
		scenes := map[string]*scene{"changing": st.script("joined", "world_readable", "invited", "shared")}
		if strings.HasSuffix(t.Name(), "/sqlite") { // the door is the same on both, and what it asks is in the one room
			for _, setting := range []string{"shared", "joined", "invited", "world_readable"} {
				scenes[setting] = st.script(setting)
			}
		}
		erase(s, st.erased, slices.Collect(maps.Values(scenes))...)
		st.walk("at once", scenes)
		for _, c := range scenes {
			st.afterwards(c)
		}
		st.walk("after newcomers", scenes)
		if err := s.Jobs.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		st.walk("after the work", scenes)
	}, hstest.Set(func(set *config.Settings) { set.Guests, set.Appservices = true, []string{registration} }))
}

// walk asks every operation as everybody.
func (st *stage) walk(when string, scenes map[string]*scene) {
	st.t.Helper()
	for setting, c := range scenes {
		for pattern, asks := range walks {
			answered := 0
			for _, who := range st.people {
				for _, q := range asks(c, who.since) {
					a := st.Do(q.method, q.path, who.Token, q.body)
					if a.Status >= http.StatusInternalServerError {
						st.t.Errorf("%s %s as %s: %d %s", q.method, q.path, who.name, a.Status, a.Raw)
					}
					if a.Status == http.StatusOK {
						answered++
					}
					st.check(fmt.Sprintf("%s, %s: %s as %s", when, setting, q.path, who.name), scenes, who, a)
				}
			}
			if strings.HasSuffix(pattern, "/messages") {
				st.keeps(when+", "+setting, c)
				st.finds(when+", "+setting, c)
			}
			if answered == 0 && !strings.Contains(pattern, "/profile/") {
				st.t.Errorf("%s, %s: %s answered nobody", when, setting, pattern)
			}
		}
	}
}

// keeps checks that those who were in the room before still read what they may: an
// answer that had nothing in it would tell nothing.
func (st *stage) keeps(when string, c *scene) {
	st.t.Helper()
	read := 0
	for _, name := range []string{"before", "after", "late", "again", "away"} {
		who := st.people[name]
		if c.past.membership(who.UserID, len(c.past)) != "join" {
			continue
		}
		a := st.Do(http.MethodGet, hstest.RoomPath(c.room, "messages")+"?dir=b&limit=200", who.Token, nil)
		found := c.found(a.Raw)
		for i, h := range c.past {
			if h.id == "" {
				continue
			}
			if sees := c.past.sees(who.UserID, i); strings.Contains(string(a.Raw), `"event_id":"`+h.id+`"`) != sees {
				st.t.Errorf("%s: %s sees %s: %v, want %v", when, name, c.tell(i), !sees, sees)
			} else if sees && c.marksOf(i) && c.past.whole(who.UserID, i) && c.past.kept(i) {
				read++
				if !found[i] {
					st.t.Errorf("%s: %s has lost %s", when, name, c.tell(i))
				}
			}
		}
	}
	if read < 10 {
		st.t.Errorf("%s: only %d events were to be read whole", when, read)
	}
}

// finds checks what a search finds: nothing that the erasure covers, whoever may
// still read it, and what others said to those who see it.
func (st *stage) finds(when string, c *scene) {
	st.t.Helper()
	who := st.people["before"]
	for n, i := range c.at {
		if c.past[i].typ != "m.room.message" {
			continue
		}
		a := st.Want(http.StatusOK, "", http.MethodPost, v3+"search", who.Token, object{
			"search_categories": object{"room_events": object{"search_term": c.text(n)}},
		})
		found := len(list(a.Get("search_categories", "room_events", "results"))) > 0
		if want := !c.past[i].covers(st.erased.UserID) && c.past.sees(who.UserID, i); found != want {
			st.t.Errorf("%s: a search for %s finds it: %v, want %v: %s", when, c.tell(i), found, want, a.Raw)
		}
	}
	ignorer := st.people["ignorer"]
	a := st.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(c.room, "messages")+"?dir=b&limit=200", ignorer.Token, nil)
	for _, e := range list(a.Get("chunk")) {
		if _, isState := e["state_key"]; !isState && str(e, "sender") == st.erased.UserID {
			st.t.Errorf("%s: one who ignores the sender gets %v", when, e)
		}
	}
}

// check looks into an answer for what the reader may not have, of any room.
func (st *stage) check(what string, scenes map[string]*scene, who reader, a hstest.Answer) {
	st.t.Helper()
	if strings.Contains(string(a.Raw), profileMark) {
		st.t.Errorf("%s has the profile: %.600s", what, a.Raw)
	}
	for _, c := range scenes {
		for i := range c.found(a.Raw) {
			if !c.past.whole(who.UserID, i) {
				st.t.Errorf("%s tells what %s says", what, c.tell(i))
			}
		}
		each(a.Body, func(e object) {
			i, ok := c.index[str(e, "event_id")]
			if ok && e["content"] != nil && !c.past[i].state && !c.past.sees(who.UserID, i) {
				st.t.Errorf("%s has %s, which is not for them to see", what, c.tell(i))
			}
		})
	}
}

// each calls f for every object in a JSON value.
func each(v any, f func(object)) {
	switch v := v.(type) {
	case object:
		f(v)
		for _, inner := range v {
			each(inner, f)
		}
	case []any:
		for _, inner := range v {
			each(inner, f)
		}
	}
}
