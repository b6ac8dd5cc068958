package event_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"lethe/internal/event"
)

// fields are those of an event, as a test writes them: content as JSON text, and
// a state key that is "-" for none.
type fields struct {
	id, typ, key, sender, content string
	prev, auth                    []string
	depth, ts                     int64
	more                          map[string]any
}

// roomOf is the id of the room that all tests are in: its create event is
// $create.
func roomOf(v *event.Version) string {
	if v.RoomIDFromCreate {
		return "!create"
	}
	return "!room:a"
}

func version(t testing.TB, id string) *event.Version {
	v, ok := event.VersionOf(id)
	if !ok {
		t.Fatalf("room version %s is not known", id)
	}
	return v
}

// load makes an event of the given id.
func load(t testing.TB, v *event.Version, f fields) *event.Event {
	links := func(ids []string) any {
		if v.EventIDs != event.IDsGiven {
			return append([]string{}, ids...)
		}
		pairs := [][]any{}
		for _, id := range ids {
			pairs = append(pairs, []any{id, map[string]string{}})
		}
		return pairs
	}
	raw := map[string]any{
		"room_id": roomOf(v), "type": f.typ, "sender": f.sender, "content": json.RawMessage(f.content),
		"prev_events": links(f.prev), "auth_events": links(f.auth), "depth": f.depth, "origin_server_ts": f.ts,
	}
	if f.key != "-" {
		raw["state_key"] = f.key
	}
	if v.RoomIDFromCreate && f.typ == "m.room.create" {
		delete(raw, "room_id")
	}
	maps.Copy(raw, f.more)
	text, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Load(v, f.id, text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

// aRoom is a room as the tests of the rules have it, with one user in each
// situation. its are changes to it: another event for a key, or none if the
// content is empty.
func aRoom(t testing.TB, v *event.Version, its ...fields) event.StateFn {
	users := `"@admin:a":100,"@other:a":100,"@mod:a":50,"@deputy:b":50`
	if !v.PrivilegedCreators {
		users += `,"@creator:a":100`
	}
	all := []fields{
		{id: "$create", typ: "m.room.create", sender: "@creator:a", content: `{"creator":"@creator:a"}`},
		{id: "$levels", typ: "m.room.power_levels", sender: "@creator:a", content: fmt.Sprintf(`{"users":{%s},"ban":50,
			"redact":70,"invite":20,"events":{"m.room.power_levels":50,"m.room.name":10,"m.room.server_acl":100},
			"notifications":{"room":60}}`, users)},
		{id: "$rules", typ: "m.room.join_rules", sender: "@creator:a", content: `{"join_rule":"invite"}`},
	}
	for user, membership := range map[string]string{
		"@creator:a": "join", "@admin:a": "join", "@other:a": "join", "@mod:a": "join", "@deputy:b": "join",
		"@user:b": "join", "@invited:b": "invite", "@banned:b": "ban", "@knocking:b": "knock", "@left:b": "leave",
	} {
		all = append(all, fields{
			id: "$" + user, typ: "m.room.member", key: user, sender: user,
			content: fmt.Sprintf(`{"membership":%q}`, membership),
		})
	}
	state := map[event.Key]*event.Event{}
	for _, f := range append(all, its...) {
		key := event.Key{Type: f.typ, StateKey: f.key}
		delete(state, key)
		if f.content != "" {
			state[key] = load(t, v, f)
		}
	}
	return func(key event.Key) *event.Event { return state[key] }
}
