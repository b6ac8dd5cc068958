package syncing_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	"lethe/internal/hstest"
)

type object = map[string]any

const v3 = "/_matrix/client/v3/"

// client is somebody who syncs.
type client struct {
	s     *hstest.Server
	who   hstest.Session
	since string
	// more is what else is in the query.
	more url.Values
}

// newClient makes a client. It leaves presence as it is: what it changes itself
// would be news.
func newClient(s *hstest.Server, who hstest.Session) *client {
	return &client{s: s, who: who, more: url.Values{"set_presence": {"offline"}}}
}

// filter sets a filter.
func (c *client) filter(f string) *client {
	c.more.Set("filter", f)
	return c
}

func (c *client) path() string {
	q := url.Values{}
	maps.Copy(q, c.more)
	if c.since != "" {
		q.Set("since", c.since)
	}
	return v3 + "sync?" + q.Encode()
}

// sync asks for what is new, and goes on from there.
func (c *client) sync() answer {
	a := answer{c.s.Want(http.StatusOK, "", http.MethodGet, c.path(), c.who.Token, nil)}
	c.since = a.String("next_batch")
	return a
}

// answer is an answer to /sync.
type answer struct{ hstest.Answer }

// ids are the event ids of a list in the answer.
func (a answer) ids(path ...string) (ids []string) {
	for _, e := range a.events(path...) {
		id, _ := e["event_id"].(string)
		ids = append(ids, id)
	}
	return ids
}

func (a answer) events(path ...string) (events []object) {
	list, _ := a.Get(append(path, "events")...).([]any)
	for _, e := range list {
		events = append(events, e.(object))
	}
	return events
}

func (a answer) timeline(room string) []string { return a.ids("rooms", "join", room, "timeline") }

// state are the keys of the state events of a joined room.
func (a answer) state(room, section string) (keys []string) {
	for _, e := range a.events("rooms", "join", room, section) {
		keys = append(keys, fmt.Sprintf("%v/%v", e["type"], e["state_key"]))
	}
	slices.Sort(keys)
	return keys
}

// rooms are the rooms of a section.
func (a answer) rooms(section string) (rooms []string) {
	m, _ := a.Get("rooms", section).(object)
	for room := range m {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	return rooms
}

// messages pages through a room from a token to another, backwards, and returns
// the event ids in the order of the timeline.
func messages(s *hstest.Server, token, room, from, to string) (ids []string) {
	for {
		q := url.Values{"dir": {"b"}, "from": {from}, "limit": {"7"}}
		if to != "" {
			q.Set("to", to)
		}
		a := s.Want(http.StatusOK, "", http.MethodGet, hstest.RoomPath(room, "messages")+"?"+q.Encode(), token, nil)
		chunk, _ := a.Get("chunk").([]any)
		for _, e := range chunk {
			ids = append([]string{e.(object)["event_id"].(string)}, ids...)
		}
		if from = a.String("end"); from == "" || len(chunk) == 0 {
			return ids
		}
	}
}

// roomState is the state of a room as GET /state has it: event ids by key.
func roomState(t *testing.T, s *hstest.Server, token, room string) map[string]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+hstest.RoomPath(room, "state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var events []object
	if err := json.UnmarshalRead(resp.Body, &events); err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for _, e := range events {
		state[fmt.Sprintf("%v/%v", e["type"], e["state_key"])] = e["event_id"].(string)
	}
	return state
}

func one(body string) object { return object{"msgtype": "m.text", "body": body} }
