// Package door_test holds the proof that nothing leaves a server around the door:
// what an erased user has said is looked for in every answer.
package door_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync/atomic"

	"pgregory.net/rapid"

	"lethe/internal/hstest"
)

const v3 = "/_matrix/client/v3/"

type object = map[string]any

// rooms numbers the rooms of this process, for their marks.
var rooms atomic.Int64

// scene is a room, with all that happened in it. Each event of a test has a mark
// of its own in what it says, by which it is known wherever it comes out.
type scene struct {
	t     rapid.TB
	s     *hstest.Server
	room  string
	n     int64
	past  past
	index map[string]int // of an event, by its id
	marks int
	at    map[int]int // where the event with a mark is
}

// mark is the text of the next event's own.
func (c *scene) mark() string { c.marks++; return c.text(c.marks) }

// text is a mark by its number.
func (c *scene) text(n int) string { return fmt.Sprintf("zq%dx%dqz", c.n, n) }

var markPattern = regexp.MustCompile(`zq(\d+)x(\d+)qz`)

// found is the events of this room whose marks are in an answer.
func (c *scene) found(raw []byte) map[int]bool {
	all := map[int]bool{}
	for _, m := range markPattern.FindAllSubmatch(raw, -1) {
		room, _ := strconv.ParseInt(string(m[1]), 10, 64)
		n, _ := strconv.Atoi(string(m[2]))
		if i, ok := c.at[n]; ok && room == c.n {
			all[i] = true
		}
	}
	return all
}

// open makes a room and notes what that is made of.
func open(t rapid.TB, s *hstest.Server, creator hstest.Session, body object) *scene {
	t.Helper()
	c := &scene{t: t, s: s, n: rooms.Add(1), index: map[string]int{}, at: map[int]int{}}
	c.room = s.CreateRoom(creator.Token, body)
	a := s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(c.room, "messages")+"?dir=f&limit=100", creator.Token, nil)
	for _, e := range list(a.Get("chunk")) {
		h := happening{id: str(e, "event_id"), typ: str(e, "type"), sender: str(e, "sender")}
		h.key, h.state = e["state_key"].(string)
		h.membership, h.visibility = str(e, "content", "membership"), str(e, "content", "history_visibility")
		c.add(h)
	}
	if len(c.past) < 4 {
		t.Fatalf("the room's start has %d events: %s", len(c.past), a.Raw)
	}
	return c
}

func (c *scene) add(h happening) int {
	c.past = append(c.past, h)
	if h.id != "" {
		c.index[h.id] = len(c.past) - 1
	}
	return len(c.past) - 1
}

// marked notes an event whose content has the last mark.
func (c *scene) marked(h happening) int {
	i := c.add(h)
	c.at[c.marks] = i
	return i
}

// marksOf tells whether an event has a mark.
func (c *scene) marksOf(i int) bool {
	for _, at := range c.at {
		if at == i {
			return true
		}
	}
	return false
}

// send sends an event, if its sender may, and returns its place, or -1.
func (c *scene) send(who hstest.Session, typ string, content object) int {
	c.t.Helper()
	a := c.s.Do(http.MethodPut, hstest.RoomPath(c.room, "send", typ, fmt.Sprintf("m%dx%d", c.n, c.marks)), who.Token, content)
	if !c.done(a) {
		return -1
	}
	return c.marked(happening{id: a.String("event_id"), typ: typ, sender: who.UserID})
}

// set sets state, if its sender may.
func (c *scene) set(who hstest.Session, typ, key string, content object) int {
	c.t.Helper()
	a := c.s.Do(http.MethodPut, hstest.RoomPath(c.room, "state", typ, key), who.Token, content)
	if !c.done(a) {
		return -1
	}
	h := happening{id: a.String("event_id"), typ: typ, sender: who.UserID, state: true, key: key}
	h.membership, _ = content["membership"].(string)
	h.visibility, _ = content["history_visibility"].(string)
	if _, known := c.index[h.id]; known {
		return -1 // nothing changed
	}
	return c.marked(h)
}

// become sets the membership of a user, with a name or a reason that is marked.
func (c *scene) become(who hstest.Session, user, membership string) int {
	c.t.Helper()
	content := object{"membership": membership, "reason": c.mark()}
	if membership == "join" {
		content["displayname"] = content["reason"]
	}
	return c.set(who, "m.room.member", user, content)
}

// done tells success from refusal. Everything else ends the test.
func (c *scene) done(a hstest.Answer) bool {
	c.t.Helper()
	switch {
	case a.Status == http.StatusOK:
		return true
	case a.Status == http.StatusForbidden:
		return false
	}
	c.t.Fatalf("%d %s", a.Status, a.Raw)
	return false
}

// erase ends an account with erase. It is ended in all rooms of who is given.
func erase(s *hstest.Server, who hstest.Session, in ...*scene) {
	for _, c := range in {
		c.add(happening{erases: who.UserID})
	}
	s.Want(http.StatusOK, "", http.MethodPost, v3+"account/deactivate", who.Token, object{
		"auth": hstest.PasswordAuth(who.UserID, who.Password, ""), "erase": true,
	})
}

// list is the objects of a list.
func list(v any) []object {
	all, _ := v.([]any)
	objects := make([]object, 0, len(all))
	for _, v := range all {
		if o, ok := v.(object); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// str is a string in an object, by the names on the way to it.
func str(o object, path ...string) string {
	for _, name := range path[:len(path)-1] {
		o, _ = o[name].(object)
	}
	text, _ := o[path[len(path)-1]].(string)
	return text
}

// query is values as the query of a path.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return "?" + q.Encode()
}
