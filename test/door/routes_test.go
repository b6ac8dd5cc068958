package door_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"lethe/internal/adminapi"
	"lethe/internal/clientapi"
	"lethe/internal/federationapi"
	"lethe/internal/hstest"
	"lethe/internal/web"
)

// ask is one request that reads.
type ask struct {
	method, path string
	body         any
}

func get(paths ...string) []ask {
	asks := make([]ask, 0, len(paths))
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		asks = append(asks, ask{method: http.MethodGet, path: p})
	}
	return asks
}

// of is a path below a room for each of its events.
func (c *scene) of(format ...string) []ask {
	var paths []string
	for _, h := range c.past {
		if h.id == "" {
			continue
		}
		parts := slices.Clone(format)
		for i, p := range parts {
			parts[i] = strings.ReplaceAll(p, "{}", h.id)
		}
		paths = append(paths, hstest.RoomPath(c.room, parts...))
	}
	return get(paths...)
}

// related is a path below a room for each of its messages.
func (c *scene) related(parts ...string) []ask {
	var paths []string
	for _, h := range c.past {
		if h.typ == "m.room.message" {
			path := append([]string{"relations", h.id}, parts...)
			paths = append(paths, strings.Replace(hstest.RoomPath(c.room, path...), v3, "/_matrix/client/v1/", 1))
		}
	}
	return get(paths...)
}

// walks tells for every operation that can carry an event how to ask it for all
// that it has of a room. since is a token of /sync from before the room.
var walks = map[string]func(c *scene, since string) []ask{
	"GET /_matrix/client/v3/sync":                                                     askSync,
	"GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}":                           func(c *scene, _ string) []ask { return c.of("event", "{}") },
	"GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}":                         func(c *scene, _ string) []ask { return c.of("context", "{}") },
	"GET /_matrix/client/v3/events/{eventId}":                                         askAnyEvent,
	"GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}":                       func(c *scene, _ string) []ask { return c.related() },
	"GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}":             func(c *scene, _ string) []ask { return c.related("m.replace") },
	"GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}": func(c *scene, _ string) []ask { return c.related("m.annotation", "m.reaction") },
	"GET /_matrix/client/v1/rooms/{roomId}/threads":                                   func(c *scene, _ string) []ask { return v1(get(hstest.RoomPath(c.room, "threads"))) },
	"GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event": func(c *scene, _ string) []ask {
		return v1(get(hstest.RoomPath(c.room, "timestamp_to_event") + "?ts=0&dir=f"))
	},
	"GET /_matrix/client/v3/rooms/{roomId}/messages":       askMessages,
	"GET /_matrix/client/v3/rooms/{roomId}/members":        func(c *scene, _ string) []ask { return get(hstest.RoomPath(c.room, "members")) },
	"GET /_matrix/client/v3/rooms/{roomId}/joined_members": func(c *scene, _ string) []ask { return get(hstest.RoomPath(c.room, "joined_members")) },
	"GET /_matrix/client/v3/rooms/{roomId}/aliases":        func(c *scene, _ string) []ask { return get(hstest.RoomPath(c.room, "aliases")) },
	"GET /_matrix/client/v3/rooms/{roomId}/initialSync":    func(c *scene, _ string) []ask { return get(hstest.RoomPath(c.room, "initialSync") + "?limit=100") },
	"GET /_matrix/client/v3/initialSync":                   func(*scene, string) []ask { return get(v3 + "initialSync?limit=100&archived=true") },
	"GET /_matrix/client/v3/events": func(c *scene, since string) []ask {
		return get(v3 + "events" + query("from", since, "timeout", "0", "room_id", c.room))
	},
	"GET /_matrix/client/v3/rooms/{roomId}/state":                        func(c *scene, _ string) []ask { return get(hstest.RoomPath(c.room, "state")) },
	"GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}":            askState,
	"GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{$}":        askState,
	"GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}": askState,
	"POST /_matrix/client/v3/search":                                     askSearch,
	"GET /_matrix/client/v3/notifications": func(*scene, string) []ask {
		return get(v3+"notifications?limit=100", v3+"notifications?only=highlight")
	},
	"GET /_matrix/client/v1/rooms/{roomId}/hierarchy": func(c *scene, _ string) []ask { return v1(get(hstest.RoomPath(c.room, "hierarchy"))) },
	"GET /_matrix/client/v1/room_summary/{roomIdOrAlias}": func(c *scene, _ string) []ask {
		return get("/_matrix/client/v1/room_summary/" + url.PathEscape(c.room))
	},
	"GET /_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}":       func(c *scene, _ string) []ask { return get(nheko + "summary/" + url.PathEscape(c.room)) },
	"GET /_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary": func(c *scene, _ string) []ask { return get(nheko + "rooms/" + url.PathEscape(c.room) + "/summary") },
	"GET /_matrix/client/v3/publicRooms":                                          func(*scene, string) []ask { return get(v3 + "publicRooms") },
	"POST /_matrix/client/v3/publicRooms":                                         func(*scene, string) []ask { return []ask{{http.MethodPost, v3 + "publicRooms", object{}}} },
	"GET /_matrix/client/v3/profile/{userId}":                                     askProfile,
	"GET /_matrix/client/v3/profile/{userId}/{keyName}":                           askProfile,
}

const nheko = "/_matrix/client/unstable/im.nheko.summary/"

// v1 is the same below another version.
func v1(asks []ask) []ask {
	for i := range asks {
		asks[i].path = strings.Replace(asks[i].path, v3, "/_matrix/client/v1/", 1)
	}
	return asks
}

func askSync(c *scene, since string) []ask {
	room := `"rooms":["` + c.room + `"],"include_leave":true`
	all := `{"room":{` + room + `,"timeline":{"limit":100}}}`
	few := `{"room":{` + room + `,"timeline":{"limit":1}}}`
	federation := `{"event_format":"federation","room":{` + room + `,"timeline":{"limit":100}}}`
	fields := `{"event_fields":["content","event_id","type","unsigned"],"room":{` + room + `,"timeline":{"limit":100}}}`
	lazy := `{"room":{` + room + `,"timeline":{"limit":100},"state":{"lazy_load_members":true}}}`
	const s = v3 + "sync"
	return get(
		s+query("filter", all), s+query("filter", few), s+query("filter", federation), s+query("filter", fields),
		s+query("filter", lazy), s+query("filter", all, "since", since), s+query("filter", few, "since", since),
		s+query("filter", few, "since", since, "full_state", "true"), s+query("filter", few, "use_state_after", "true"),
		s+query("filter", all, "since", since, "use_state_after", "true"),
	)
}

func askAnyEvent(c *scene, _ string) []ask {
	var paths []string
	for _, h := range c.past {
		if h.id != "" {
			paths = append(paths, v3+"events/"+url.PathEscape(h.id))
		}
	}
	return get(paths...)
}

func askMessages(c *scene, _ string) []ask {
	path := hstest.RoomPath(c.room, "messages")
	return get(
		path+"?dir=b&limit=100", path+"?dir=f&limit=100",
		path+query("dir", "b", "limit", "100", "filter", `{"lazy_load_members":true}`),
		path+query("dir", "b", "limit", "100", "filter", `{"types":["m.room.message"]}`),
	)
}

func askState(c *scene, _ string) []ask {
	var paths []string
	for _, h := range c.past {
		if h.state {
			paths = append(paths, hstest.RoomPath(c.room, "state", h.typ, h.key), hstest.RoomPath(c.room, "state", h.typ, h.key)+"?format=event")
		}
	}
	return get(paths...)
}

// askSearch looks for what the messages say, each mark by itself.
func askSearch(c *scene, _ string) []ask {
	asks := make([]ask, 0, c.marks)
	for n := range c.at {
		asks = append(asks, ask{http.MethodPost, v3 + "search", object{"search_categories": object{"room_events": object{
			"search_term": c.text(n), "event_context": object{"include_profile": true}, "include_state": true,
		}}}})
	}
	return asks
}

func askProfile(c *scene, _ string) []ask {
	var paths []string
	for _, h := range c.past {
		if h.erases != "" {
			path := v3 + "profile/" + url.PathEscape(h.erases)
			paths = append(paths, path, path+"/displayname", path+"/avatar_url")
		}
	}
	return get(paths...)
}

// noEvent is the operations whose answers carry no event, by how their pattern
// starts, and why.
var noEvent = map[string]string{
	"/_lethe/":                                      "accounts and endings, for people and operators",
	"/_synapse/admin/v1/register":                   "makes an account",
	"/_matrix/federation/":                          "the server's version and proofs of identity: no rooms yet",
	"/_matrix/key/":                                 "keys of the server",
	"/.well-known/":                                 "where the server is",
	"/{$}":                                          "a page",
	"/_matrix/client/versions":                      "what the server can do",
	"/_matrix/client/v3/capabilities":               "what the server can do",
	"/_matrix/client/v3/account/":                   "one's own account",
	"/_matrix/client/v3/register":                   "makes an account",
	"/_matrix/client/v1/register":                   "makes an account",
	"/_matrix/client/v3/login":                      "makes a session",
	"/_matrix/client/v1/login":                      "makes a session",
	"/_matrix/client/v3/refresh":                    "keeps a session",
	"/_matrix/client/v3/logout":                     "ends a session",
	"/_matrix/client/v3/auth/":                      "a page",
	"/_matrix/client/v3/device":                     "one's own devices",
	"/_matrix/client/v3/delete_devices":             "one's own devices",
	"/_matrix/client/v3/admin/whois":                "one's own sessions",
	"/_matrix/client/v1/admin/":                     "what accounts may do",
	"/_matrix/client/v3/user/":                      "one's own data",
	"/_matrix/client/v3/pushrules":                  "one's own rules",
	"/_matrix/client/v3/presence":                   "says whether somebody is there; it ends with the account",
	"/_matrix/client/v3/directory/":                 "an alias's room, or whether one is listed",
	"/_matrix/client/v3/joined_rooms":               "ids of rooms",
	"/_matrix/client/unstable/uk.half-shot.msc2666": "ids of rooms",
}

// TestEveryRouteIsWalkedOrCarriesNoEvent fails when the server has an operation
// that this package does not know: tell walks how to read with it, or noEvent why
// there is nothing in it.
func TestEveryRouteIsWalkedOrCarriesNoEvent(t *testing.T) {
	known := map[string]bool{}
	for _, r := range slices.Concat(
		(&clientapi.API{}).Routes(), (&federationapi.API{}).Routes(),
		(&adminapi.API{SharedSecret: "x"}).Routes(), (&web.API{}).Routes(),
	) {
		pattern := r.Method + " " + r.Path
		known[pattern] = true
		_, walked := walks[pattern]
		switch {
		case walked, strings.Contains(r.Path, "/client/r0/"): // the same as v3
		case r.Method != http.MethodGet && strings.HasPrefix(r.Path, "/_matrix/client/"): // writes answer with ids
			if strings.HasSuffix(r.Path, "/search") || strings.Contains(r.Path, "ublicRooms") {
				t.Errorf("%s reads, and nothing here walks it", pattern)
			}
		default:
			if !isFree(r.Path) {
				t.Errorf("%s is not known here: is there an event in its answer?", pattern)
			}
		}
	}
	for pattern := range walks {
		if !known[pattern] {
			t.Errorf("%s is walked, and the server does not have it", pattern)
		}
	}
}

func isFree(path string) bool {
	for start := range noEvent {
		if strings.HasPrefix(path, start) {
			return true
		}
	}
	return false
}
