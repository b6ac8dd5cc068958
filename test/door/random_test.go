package door_test

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lethe/internal/hstest"
	"lethe/internal/storage/storagetest"
)

// checks is how many rooms are tried on each engine, unless the flag says more.
var checks = map[string]string{"sqlite": "25", "postgres": "8"}

// cast is who plays: an owner, readers who stay, and some who are erased.
type cast struct {
	owner   hstest.Session
	readers []hstest.Session
	erased  []hstest.Session
}

func (c cast) all() []hstest.Session {
	return slices.Concat([]hstest.Session{c.owner}, c.readers, c.erased)
}

// TestRandomRoomsAreReadAsTheModelSays plays random histories of rooms on a real
// server, and compares what every user can read with what the model allows.
func TestRandomRoomsAreReadAsTheModelSays(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			few(t, checks[engine])
			s := hstest.New(t, engine)
			people := cast{owner: s.Register("owner")}
			for i := range 3 {
				people.readers = append(people.readers, s.Register(fmt.Sprintf("reader%d", i)))
			}
			n := 0
			rapid.Check(t, func(rt *rapid.T) {
				n++
				one := people
				one.erased = []hstest.Session{s.Register(fmt.Sprintf("s%d-a", n)), s.Register(fmt.Sprintf("s%d-b", n))}
				c := play(rt, s, one)
				if rapid.Bool().Draw(rt, "after the work of the ending") {
					if err := s.Jobs.Drain(t.Context()); err != nil {
						rt.Fatal(err)
					}
				}
				for _, who := range append(slices.Clone(one.readers), one.owner) {
					c.compare(who)
				}
			})
		})
	}
}

// few sets the number of checks, unless the command line did.
func few(t *testing.T, n string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if given {
		return
	}
	f := flag.Lookup("rapid.checks")
	old := f.Value.String()
	if err := f.Value.Set(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(old) })
}

// visibilities are the settings, one that nobody understands included.
var visibilities = []string{"shared", "joined", "invited", "world_readable", "none of them"}

// play lets a room's history happen.
func play(rt *rapid.T, s *hstest.Server, people cast) *scene {
	creator := rapid.SampledFrom([]hstest.Session{people.owner, people.owner, people.erased[0]}).Draw(rt, "creator")
	body := object{
		"preset":                       "public_chat",
		"power_level_content_override": object{"users_default": 50, "state_default": 50, "events": object{}, "invite": 0},
	}
	if v := rapid.SampledFrom(append([]string{""}, visibilities...)).Draw(rt, "from the start"); v != "" {
		body["initial_state"] = []object{{"type": "m.room.history_visibility", "state_key": "", "content": object{"history_visibility": v}}}
	}
	c := open(rt, s, creator, body)
	live := people.all()
	for range rapid.IntRange(8, 25).Draw(rt, "length") {
		c.step(rt, live, creator)
		if len(live) > 4 && rapid.IntRange(0, 9).Draw(rt, "erase") == 0 {
			live = c.eraseOne(live, people)
		}
	}
	for len(live) > 5 { // one at least is erased
		live = c.eraseOne(live, people)
	}
	for range rapid.IntRange(0, 6).Draw(rt, "afterwards") {
		c.step(rt, live, creator)
	}
	return c
}

// eraseOne ends the first of the accounts that are to end.
func (c *scene) eraseOne(live []hstest.Session, people cast) []hstest.Session {
	for _, who := range people.erased {
		if i := slices.Index(live, who); i >= 0 {
			erase(c.s, who, c)
			return slices.Delete(slices.Clone(live), i, i+1)
		}
	}
	return live
}

// step lets one thing happen, or be refused.
func (c *scene) step(rt *rapid.T, live []hstest.Session, creator hstest.Session) {
	who := rapid.SampledFrom(live).Draw(rt, "who")
	target := rapid.SampledFrom(live).Draw(rt, "whom")
	mark := c.mark()
	switch rapid.SampledFrom([]string{
		"join", "join", "join", "message", "message", "message", "edit", "reaction", "topic", "name", "rename",
		"visibility", "leave", "invite", "kick", "ban", "unban", "redact",
	}).Draw(rt, "what") {
	case "join":
		c.become(who, who.UserID, "join")
	case "message":
		c.send(who, "m.room.message", object{"msgtype": "m.text", "body": mark})
	case "edit":
		if i := c.messageOf(rt, who.UserID); i >= 0 {
			c.send(who, "m.room.message", object{
				"msgtype": "m.text", "body": "* " + mark, "m.new_content": object{"msgtype": "m.text", "body": mark},
				"m.relates_to": object{"rel_type": "m.replace", "event_id": c.past[i].id},
			})
		}
	case "reaction":
		if i := c.messageOf(rt, ""); i >= 0 {
			c.send(who, "m.reaction", object{
				"m.relates_to": object{"rel_type": "m.annotation", "event_id": c.past[i].id, "key": mark},
			})
		}
	case "topic":
		c.set(who, "m.room.topic", "", object{"topic": mark})
	case "name":
		c.set(who, "m.room.name", "", object{"name": mark})
	case "rename":
		if c.past.membership(who.UserID, len(c.past)) == "join" {
			c.become(who, who.UserID, "join")
		}
	case "visibility":
		v := rapid.SampledFrom(visibilities).Draw(rt, "visibility")
		c.set(who, "m.room.history_visibility", "", object{"history_visibility": v, "x": mark})
	case "leave":
		c.become(who, who.UserID, "leave")
	case "invite":
		c.become(who, target.UserID, "invite")
	case "kick", "unban":
		if slices.Contains(live, creator) {
			c.become(creator, target.UserID, "leave")
		}
	case "ban":
		if slices.Contains(live, creator) && target != creator {
			c.become(creator, target.UserID, "ban")
		}
	case "redact":
		if i := c.messageOf(rt, who.UserID); i >= 0 {
			c.redact(who, i, mark)
		}
	}
}

// messageOf is the place of a message of a user, or of anybody, or -1.
func (c *scene) messageOf(rt *rapid.T, user string) int {
	var all []int
	for i, h := range c.past {
		if h.typ == "m.room.message" && !h.redacted && (user == "" || h.sender == user) {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return -1
	}
	return rapid.SampledFrom(all).Draw(rt, "message")
}

func (c *scene) redact(who hstest.Session, i int, mark string) {
	path := hstest.RoomPath(c.room, "redact", c.past[i].id, fmt.Sprintf("r%dx%d", c.n, c.marks))
	a := c.s.Do(http.MethodPut, path, who.Token, object{"reason": mark})
	if c.done(a) {
		c.past[i].redacted = true
		c.marked(happening{id: a.String("event_id"), typ: "m.room.redaction", sender: who.UserID})
	}
}

// compare reads the room as a user, every way, and fails the test for what the
// model does not say.
func (c *scene) compare(who hstest.Session) {
	c.t.Helper()
	membership := c.past.membership(who.UserID, len(c.past))
	for i, h := range c.past {
		if h.id != "" {
			a := c.s.Do(http.MethodGet, hstest.RoomPath(c.room, "event", h.id), who.Token, nil)
			c.leaks(who, "/event", a.Raw)
			c.seen(who, "/event", i, a.Status == http.StatusOK)
			if a.Status == http.StatusOK {
				c.form(who, "/event", i, a.Body)
			}
		}
	}
	for _, dir := range []string{"b", "f"} {
		a := c.s.Do(http.MethodGet, hstest.RoomPath(c.room, "messages")+query("dir", dir, "limit", "200"), who.Token, nil)
		c.leaks(who, "/messages", a.Raw)
		if c.done(a) {
			// How far those see who left a room that all the world can read, the
			// specification does not say clearly: up to their leave at least.
			left := membership != "join" && c.past.joins(who.UserID, 0)
			c.timeline(who, "/messages "+dir, list(a.Get("chunk")), !left)
		} else if membership == "join" {
			c.t.Fatalf("/messages refused a member: %s", a.Raw)
		}
	}
	a := c.s.Do(http.MethodGet, hstest.RoomPath(c.room, "state"), who.Token, nil)
	c.leaks(who, "/state", a.Raw)
	if strings.HasPrefix(string(a.Raw), "[") != (a.Status == http.StatusOK) || membership == "join" && a.Status != http.StatusOK {
		c.t.Fatalf("/state as %s: %d %s", who.UserID, a.Status, a.Raw)
	}
	c.compareSync(who, membership)
}

func (c *scene) compareSync(who hstest.Session, membership string) {
	c.t.Helper()
	filter := fmt.Sprintf(`{"room":{"rooms":[%q],"include_leave":true,"timeline":{"limit":200}}}`, c.room)
	a := c.s.Do(http.MethodGet, v3+"sync"+query("filter", filter), who.Token, nil)
	c.leaks(who, "/sync", a.Raw)
	section, _ := map[string]string{"join": "join", "leave": "leave", "ban": "leave"}[membership]
	joined, _ := a.Get("rooms", section, c.room).(object)
	if joined == nil && membership == "join" {
		c.t.Fatalf("/sync as %s, who is %s: %s", who.UserID, membership, a.Raw)
	}
	if joined == nil {
		return
	}
	timeline, _ := joined["timeline"].(object)
	c.timeline(who, "/sync", list(timeline["events"]), membership == "join" && timeline["limited"] != true)
	state, _ := joined["state"].(object)
	for _, e := range list(state["events"]) {
		if i, ok := c.index[str(e, "event_id")]; ok {
			c.form(who, "/sync state", i, e)
		}
	}
}

// timeline compares a list of events with the model: which, and how.
func (c *scene) timeline(who hstest.Session, from string, events []object, complete bool) {
	c.t.Helper()
	there := map[int]bool{}
	for _, e := range events {
		if i, ok := c.index[str(e, "event_id")]; ok {
			there[i] = true
			c.form(who, from, i, e)
		}
	}
	for i, h := range c.past {
		if h.id != "" && (complete || there[i]) {
			c.seen(who, from, i, there[i])
		}
	}
}

// leaks fails the test for every mark in an answer of an event which the reader
// may not have whole.
func (c *scene) leaks(who hstest.Session, from string, raw []byte) {
	c.t.Helper()
	for i := range c.found(raw) {
		if !c.past.whole(who.UserID, i) {
			c.t.Fatalf("%s tells %s what %s says, which it must not: %.2000s\n%s", from, who.UserID, c.tell(i), raw, c)
		}
	}
}

// seen compares whether somebody got an event.
func (c *scene) seen(who hstest.Session, from string, i int, got bool) {
	c.t.Helper()
	if want := c.past.sees(who.UserID, i); got != want {
		c.t.Fatalf("%s: %s got %s: %v, want %v\n%s", from, who.UserID, c.tell(i), got, want, c)
	}
}

// form compares whether somebody got an event whole.
func (c *scene) form(who hstest.Session, from string, i int, e object) {
	c.t.Helper()
	mark := -1
	for n, at := range c.at {
		if at == i {
			mark = n
		}
	}
	if mark < 0 {
		return // of the room's start: nothing in it can be redacted
	}
	content := fmt.Sprint(e["content"])
	got := strings.Contains(content, fmt.Sprintf("zq%dx%dqz", c.n, mark))
	may := c.past.whole(who.UserID, i)
	must := may && c.past.kept(i)
	if got && !may || !got && must {
		c.t.Fatalf("%s: %s got %s whole: %v, may %v, must %v: %v\n%s", from, who.UserID, c.tell(i), got, may, must, e, c)
	}
	if !got && len(content) > len("map[membership:invite]") && !slices.Contains(protocol, c.past[i].typ) {
		c.t.Fatalf("%s: %s is not in its redacted form: %v", from, c.tell(i), e)
	}
}

// tell is an event in words.
func (c *scene) tell(i int) string {
	h := c.past[i]
	if h.erases != "" {
		return fmt.Sprintf("#%d ERASES %s", i, h.erases)
	}
	return fmt.Sprintf("#%d %s of %s %s%s%s", i, h.typ, h.sender, h.key, " "+h.membership, h.visibility)
}

// String is all that happened.
func (c *scene) String() string {
	var b strings.Builder
	for i := range c.past {
		fmt.Fprintln(&b, "   ", c.tell(i))
	}
	return b.String()
}
