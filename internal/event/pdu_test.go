package event_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

// testServer is who makes the events of the tests, with testKey.
const testServer = matrix.ServerName("example.org")

var testKey = func() event.SigningKey {
	key, err := event.KeyFromSeed("ed25519:test", bytes.Repeat([]byte{7}, ed25519.SeedSize))
	if err != nil {
		panic(err)
	}
	return key
}()

func testKeys(server matrix.ServerName, id string) (ed25519.PublicKey, bool) {
	return testKey.Public(), server == testServer && id == testKey.ID
}

var anyVersion = rapid.Custom(func(t *rapid.T) *event.Version {
	v, _ := event.VersionOf(rapid.SampledFrom(event.Versions()).Draw(t, "version"))
	return v
})

// anyContent draws the content of an event of a type, with the keys that matter
// and with others.
func anyContent(typ string) *rapid.Generator[[]byte] {
	keys := map[string]string{
		"m.room.create":             "creator room_version m.federate additional_creators predecessor",
		"m.room.member":             "membership displayname avatar_url join_authorised_via_users_server",
		"m.room.join_rules":         "join_rule allow",
		"m.room.power_levels":       "ban events events_default invite kick redact state_default users users_default notifications",
		"m.room.aliases":            "aliases",
		"m.room.history_visibility": "history_visibility",
		"m.room.redaction":          "redacts reason",
	}
	known := append(strings.Fields(keys[typ]), "body", "m.relates_to")
	return rapid.Custom(func(t *rapid.T) []byte {
		content := rapid.MapOfN(rapid.OneOf(rapid.SampledFrom(known), rapid.String()), anyJSON(2), 0, 8).Draw(t, "content")
		delete(content, "join_authorised_via_users_server") // it wants a signature
		if typ == "m.room.member" && rapid.Bool().Draw(t, "invited") {
			content["membership"] = "join"
			content["third_party_invite"] = anyJSON(2).Draw(t, "third_party_invite")
			if rapid.Bool().Draw(t, "signed") {
				content["third_party_invite"] = map[string]any{"display_name": "x", "signed": anyJSON(1).Draw(t, "signed")}
			}
		}
		var b bytes.Buffer
		write(t, &b, content)
		return b.Bytes()
	})
}

// anyProto draws an event to be made.
func anyProto(v *event.Version) *rapid.Generator[event.Proto] {
	ids := rapid.StringMatching(`\$[A-Za-z0-9_-]{43}`)
	return rapid.Custom(func(t *rapid.T) event.Proto {
		p := event.Proto{
			RoomID: "!room:example.org", Sender: "@alice:example.org",
			Type: rapid.OneOf(rapid.SampledFrom([]string{
				"m.room.create", "m.room.member", "m.room.join_rules", "m.room.power_levels", "m.room.aliases",
				"m.room.history_visibility", "m.room.redaction", "m.room.message",
			}), rapid.StringN(0, 20, 60)).Draw(t, "type"),
			PrevEvents: rapid.SliceOfN(ids, 0, 20).Draw(t, "prev_events"),
			AuthEvents: rapid.SliceOfN(ids, 0, 10).Draw(t, "auth_events"),
			Depth:      rapid.Int64Range(0, v.MaxDepth).Draw(t, "depth"),
			Timestamp:  matrix.Timestamp(rapid.Int64Range(-1<<53+1, 1<<53-1).Draw(t, "origin_server_ts")),
		}
		p.Content = anyContent(p.Type).Draw(t, "content")
		if rapid.Bool().Draw(t, "is state") {
			key := rapid.StringN(0, 30, 100).Draw(t, "state_key")
			p.StateKey = &key
		}
		if p.Type == "m.room.redaction" {
			p.Redacts = ids.Draw(t, "redacts")
		}
		p.ReferenceHashes = map[string]string{}
		for _, id := range append(p.PrevEvents, p.AuthEvents...) {
			p.ReferenceHashes[id] = "hash of " + id
		}
		return p
	})
}

func anyEvent(v *event.Version) *rapid.Generator[*event.Event] {
	return rapid.Custom(func(t *rapid.T) *event.Event {
		e, err := event.Build(v, anyProto(v).Draw(t, "proto"), testServer, testKey)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

// said is what an event says through its methods.
type said struct {
	ID, Type, StateKey, Redacts, Content string
	Room                                 matrix.RoomID
	Sender                               matrix.UserID
	IsState, HasRoom                     bool
	Prev, Auth                           []string
	Depth                                int64
	Timestamp                            matrix.Timestamp
	JSON                                 string
	Hash                                 string
}

func whatSays(e *event.Event) said {
	key, isState := e.StateKey()
	return said{
		e.ID(), e.Type(), key, e.Redacts(), string(e.Content()), e.RoomID(), e.Sender(), isState, e.HasRoomID(),
		e.PrevEvents(), e.AuthEvents(), e.Depth(), e.Timestamp(), string(e.JSON()), e.ReferenceHash(),
	}
}

func TestAnEventSaysWhatItWasMadeOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyVersion.Draw(t, "version")
		p := anyProto(v).Draw(t, "proto")
		e, err := event.Build(v, p, testServer, testKey)
		if err != nil {
			t.Fatal(err)
		}
		got := whatSays(e)
		want := said{
			ID: got.ID, Type: p.Type, Redacts: p.Redacts, Room: p.RoomID, Sender: p.Sender, HasRoom: true, IsState: p.StateKey != nil,
			Prev: p.PrevEvents, Auth: p.AuthEvents, Depth: p.Depth, Timestamp: p.Timestamp, JSON: got.JSON, Hash: got.Hash, Content: got.Content,
		}
		if p.StateKey != nil {
			want.StateKey = *p.StateKey
		}
		if v.RoomIDFromCreate && p.Type == "m.room.create" {
			want.Room, want.HasRoom = matrix.RoomID("!"+e.ID()[1:]), false
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if key, ok := e.Key(); ok != want.IsState || key != (event.Key{Type: want.Type, StateKey: want.StateKey}) {
			t.Fatalf("Key = %v, %v", key, ok)
		}
		if e.IsState(p.Type) != want.IsState || e.IsState(p.Type+"x") || e.Version() != v || e.HashMismatch() {
			t.Fatal("it is of another kind, or version")
		}
		content := map[string]any{}
		if err := json.Unmarshal(p.Content, &content); err != nil {
			t.Fatal(err)
		}
		if v.UpdatedRedaction && p.Redacts != "" {
			content["redacts"] = p.Redacts
		}
		if raw, _ := json.Marshal(content); !sameJSON(raw, e.Content()) {
			t.Fatalf("the content is %s, want %s", e.Content(), raw)
		}
	})
}

func TestAnEventIsTheSameFromTheStoreAndFromAnotherServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyVersion.Draw(t, "version")
		e := anyEvent(v).Draw(t, "event")
		if v.StrictCanonicalJSON {
			checkForm(t, e.JSON())
		}
		loaded, err := event.Load(v, e.ID(), bytes.Clone(e.JSON()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whatSays(e), whatSays(loaded)); diff != "" {
			t.Fatalf("from the store (-made +loaded):\n%s", diff)
		}
		// As another server may write it: in any order, with space, and with an unsigned.
		var fields map[string]any
		dec := json.NewDecoder(bytes.NewReader(e.JSON()))
		dec.UseNumber()
		if err := dec.Decode(&fields); err != nil {
			t.Fatal(err)
		}
		fields["unsigned"] = map[string]any{"age": 1}
		var b bytes.Buffer
		write(t, &b, fields)
		parsed, err := event.Parse(v, b.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", b.Bytes(), err)
		}
		if parsed.HashMismatch() {
			t.Fatalf("%s is said to be changed", b.Bytes())
		}
		if diff := cmp.Diff(whatSays(e), whatSays(parsed)); diff != "" {
			t.Fatalf("from another server (-made +parsed):\n%s", diff)
		}
		if err := event.VerifySignatures(parsed, testKeys); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLoadRefusesWhatIsNoEvent(t *testing.T) {
	v := mustVersion(t, "11")
	for name, raw := range map[string]string{
		"nothing": ``, "array": `[]`, "cut": `{"type":"x"`, "text after": `{"type":"x"}x`, "bad depth": `{"depth":1.5}`,
		"type is a number": `{"type":7}`, "state_key is null": `{"state_key":null}`, "time is text": `{"origin_server_ts":"1"}`,
		"two values": `{"type":"x" "y"}`, "no value": `{"type":}`, "lone surrogate": `{"type":"\ud800"}`,
	} {
		if e, err := event.Load(v, "$x", []byte(raw)); err == nil {
			t.Errorf("%s: loaded %s", name, e.JSON())
		}
	}
}

// benchProto is a message with a long list of parents.
func benchProto() event.Proto {
	id := func(c string) string { return "$" + strings.Repeat(c, 43) }
	return event.Proto{
		RoomID: "!" + matrix.RoomID(strings.Repeat("r", 43)), Type: "m.room.message", Sender: "@alice:example.org",
		Content: []byte(`{"msgtype":"m.text","body":"` + strings.Repeat("Lethe ", 30) + `","m.mentions":{"user_ids":["@bob:example.org"]},` +
			`"m.relates_to":{"rel_type":"m.thread","event_id":"` + id("t") + `","is_falling_back":true}}`),
		PrevEvents: []string{id("a")}, AuthEvents: []string{id("b"), id("c")}, Depth: 4711, Timestamp: 1767225600000,
	}
}

func benchEvent(b *testing.B) *event.Event {
	b.Helper()
	e, err := event.Build(mustVersion(b, event.DefaultVersion), benchProto(), testServer, testKey)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func BenchmarkBuild(b *testing.B) {
	v, p := mustVersion(b, event.DefaultVersion), benchProto()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Build(v, p, testServer, testKey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	e := benchEvent(b)
	b.SetBytes(int64(len(e.JSON())))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Load(e.Version(), e.ID(), e.JSON()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	e := benchEvent(b)
	b.SetBytes(int64(len(e.JSON())))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Parse(e.Version(), e.JSON()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifySignatures(b *testing.B) {
	e := benchEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := event.VerifySignatures(e, testKeys); err != nil {
			b.Fatal(err)
		}
	}
}
