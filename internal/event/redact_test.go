package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/internal/event"
)

// numbered is a room version as a number.
func numbered(v *event.Version) int { return slices.Index(event.Versions(), v.ID) + 1 }

func TestRedactionKeepsTheContentThatThePageNames(t *testing.T) {
	for _, tc := range []struct {
		typ, content string
		since        map[int]string // what stays, from that version on
	}{
		{
			"m.room.message", `{"body":"secret","msgtype":"m.text","membership":"join"}`,
			map[int]string{1: `{}`},
		},
		{
			"m.room.member", `{"membership":"join","displayname":"secret","avatar_url":"mxc://secret/1","reason":"secret",` +
				`"join_authorised_via_users_server":"@a:b","third_party_invite":{"display_name":"secret","signed":{"token":"t"}}}`,
			map[int]string{
				1: `{"membership":"join"}`, 9: `{"membership":"join","join_authorised_via_users_server":"@a:b"}`,
				11: `{"membership":"join","join_authorised_via_users_server":"@a:b","third_party_invite":{"signed":{"token":"t"}}}`,
			},
		},
		{
			"m.room.member", `{"membership":"invite","third_party_invite":{"display_name":"secret"}}`,
			map[int]string{1: `{"membership":"invite"}`, 11: `{"membership":"invite","third_party_invite":{}}`},
		},
		{
			"m.room.member", `{"membership":"invite","third_party_invite":"secret"}`,
			map[int]string{1: `{"membership":"invite"}`},
		},
		{
			"m.room.create", `{"creator":"@a:b","m.federate":false,"room_version":"9","predecessor":{"room_id":"!x:y"},"other":1}`,
			map[int]string{
				1:  `{"creator":"@a:b"}`,
				11: `{"creator":"@a:b","m.federate":false,"room_version":"9","predecessor":{"room_id":"!x:y"},"other":1}`,
			},
		},
		{
			"m.room.join_rules", `{"join_rule":"restricted","allow":[{"type":"m.room_membership"}],"other":1}`,
			map[int]string{1: `{"join_rule":"restricted"}`, 8: `{"join_rule":"restricted","allow":[{"type":"m.room_membership"}]}`},
		},
		{
			"m.room.power_levels", `{"ban":1,"events":{"a":2},"events_default":3,"invite":4,"kick":5,"notifications":{"room":6},` +
				`"redact":7,"state_default":8,"users":{"@a:b":9},"users_default":10,"other":11}`,
			map[int]string{
				1: `{"ban":1,"events":{"a":2},"events_default":3,"kick":5,"redact":7,"state_default":8,"users":{"@a:b":9},"users_default":10}`,
				11: `{"ban":1,"events":{"a":2},"events_default":3,"invite":4,"kick":5,"redact":7,"state_default":8,` +
					`"users":{"@a:b":9},"users_default":10}`,
			},
		},
		{"m.room.aliases", `{"aliases":["#a:b"],"other":1}`, map[int]string{1: `{"aliases":["#a:b"]}`, 6: `{}`}},
		{"m.room.history_visibility", `{"history_visibility":"shared","other":1}`, map[int]string{1: `{"history_visibility":"shared"}`}},
		{"m.room.redaction", `{"redacts":"$x","reason":"secret"}`, map[int]string{1: `{}`, 11: `{"redacts":"$x"}`}},
		{"m.room.encryption", `{"algorithm":"m.megolm.v1.aes-sha2"}`, map[int]string{1: `{}`}},
		{"m.room.third_party_invite", `{"display_name":"secret","public_key":"k"}`, map[int]string{1: `{}`}},
	} {
		var want string
		for n, id := range event.Versions() {
			if content, ok := tc.since[n+1]; ok {
				want = content
			}
			raw := fmt.Sprintf(`{"type":%q,"content":%s}`, tc.typ, tc.content)
			got, err := event.RedactJSON(mustVersion(t, id), []byte(raw))
			if want := fmt.Sprintf(`{"type":%q,"content":%s}`, tc.typ, want); err != nil || !sameJSON([]byte(want), got) {
				t.Errorf("version %s: %s became %s, %v, want %s", id, raw, got, err, want)
			}
		}
	}
}

func TestRedactionKeepsTheFieldsThatThePageNames(t *testing.T) {
	const raw = `{"age_ts":1,"auth_events":["$a"],"content":{"body":"secret"},"depth":3,"event_id":"$e:d","hashes":{"sha256":"h"},` +
		`"membership":"join","origin":"d","origin_server_ts":4,"other":5,"prev_events":["$p"],"prev_state":[],"redacts":"$r:d",` +
		`"replaces_state":"$s","room_id":"!r:d","sender":"@s:d","signatures":{"d":{"ed25519:1":"s"}},"state_key":"","type":"m.room.redaction",` +
		`"unsigned":{"age":6}}`
	const always = `"auth_events":["$a"],"content":{},"depth":3,"event_id":"$e:d","hashes":{"sha256":"h"},"origin_server_ts":4,` +
		`"prev_events":["$p"],"room_id":"!r:d","sender":"@s:d","signatures":{"d":{"ed25519:1":"s"}},"state_key":"","type":"m.room.redaction"`
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		want := `{` + always + `}`
		if numbered(v) < 11 {
			want = `{"membership":"join","origin":"d","prev_state":[],` + always + `}`
		}
		got, err := event.RedactJSON(v, []byte(raw))
		if canonical, err := event.Canonical([]byte(want)); err != nil || string(got) != string(canonical) {
			t.Errorf("became %s, %v, want %s", got, err, canonical)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

func TestRedactionLeavesTheBytesThatStay(t *testing.T) {
	v := mustVersion(t, "5")
	for _, tc := range []struct{ in, want string }{
		{ // numbers that no float holds, and floats
			`{"content":{"users":{"@a:b":123456789012345678901234567890},"users_default":1.0,"x":1},"depth":9223372036854775807,"type":"m.room.power_levels"}`,
			`{"content":{"users":{"@a:b":123456789012345678901234567890},"users_default":1.0},"depth":9223372036854775807,"type":"m.room.power_levels"}`,
		},
		{ // order, space and escapes
			"{ \"type\" :\"m.room.member\",\n\"x\":[1,{\"a\":\"]}\\\"\"}], \"content\": {\"a\":1, \"membership\" : \"\\u006aoin\", \"b\":{}} , \"sender\":\"@\\\\\" }",
			"{\"type\" :\"m.room.member\",\"content\": {\"membership\" : \"\\u006aoin\"},\"sender\":\"@\\\\\"}",
		},
		{ // escaped keys are the keys they say
			`{"\u0074ype":"m.room.\u006dember","content":{"m\u0065mbership":"join"},"\u0078":1}`,
			`{"\u0074ype":"m.room.\u006dember","content":{"m\u0065mbership":"join"}}`,
		},
		{`{"type":"m.room.member","content":7}`, `{"type":"m.room.member","content":{}}`},
		{`{"type":"m.room.create","content":null}`, `{"type":"m.room.create","content":{}}`},
		{`{"type":7,"content":{"a":1}}`, `{"type":7,"content":{}}`},
		{`{}`, `{}`},
		{`{"x":1}`, `{}`},
	} {
		for _, v := range []*event.Version{v, mustVersion(t, "11")} {
			if got, err := event.RedactJSON(v, []byte(tc.in)); err != nil || string(got) != tc.want {
				t.Errorf("%s became %s, %v, want %s", tc.in, got, err, tc.want)
			}
		}
	}
	for _, broken := range []string{``, `[]`, `7`, `{`, `{"type"`, `{"type":"x`, `{"type":}`, `{"a":1}x`, `{"a":{]}`, `{7:1}`, `"x"`} {
		if got, err := event.RedactJSON(v, []byte(broken)); err == nil && !bytes.Equal(got, []byte(`{}`)) {
			t.Errorf("%q became %s", broken, got)
		}
	}
}

// redactModel is redaction as the pages tell it, on what encoding/json reads.
func redactModel(v *event.Version, raw []byte) string {
	var e map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&e) != nil {
		return ""
	}
	keys := strings.Fields("event_id type room_id sender state_key content hashes signatures depth prev_events auth_events origin_server_ts")
	if numbered(v) <= 10 {
		keys = append(keys, "prev_state", "origin", "membership")
	}
	e = only(e, keys...)
	if content, ok := e["content"]; ok {
		object, ok := content.(map[string]any)
		if !ok {
			object = map[string]any{}
		}
		e["content"] = redactContentModel(numbered(v), e["type"], object)
	}
	out, _ := json.Marshal(e)
	return string(out)
}

func only(m map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, key := range keys {
		if value, ok := m[key]; ok {
			out[key] = value
		}
	}
	return out
}

func redactContentModel(n int, typ any, content map[string]any) map[string]any {
	var keys string
	since := func(first int, more string) {
		if n >= first {
			keys += " " + more
		}
	}
	switch typ {
	case "m.room.member":
		since(1, "membership")
		since(9, "join_authorised_via_users_server")
	case "m.room.create":
		if n >= 11 {
			return content
		}
		since(1, "creator")
	case "m.room.join_rules":
		since(1, "join_rule")
		since(8, "allow")
	case "m.room.power_levels":
		since(1, "ban events events_default kick redact state_default users users_default")
		since(11, "invite")
	case "m.room.history_visibility":
		since(1, "history_visibility")
	case "m.room.aliases":
		if n < 6 {
			since(1, "aliases")
		}
	case "m.room.redaction":
		since(11, "redacts")
	}
	out := only(content, strings.Fields(keys)...)
	if invite, ok := content["third_party_invite"].(map[string]any); ok && typ == "m.room.member" && n >= 11 {
		out["third_party_invite"] = only(invite, "signed")
	}
	return out
}

func TestRedactionIsThatOfTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyVersion.Draw(t, "version")
		e := anyEvent(v).Draw(t, "event")
		got, err := event.RedactJSON(v, e.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if v.StrictCanonicalJSON {
			checkForm(t, got)
		}
		if want := redactModel(v, e.JSON()); !sameJSON([]byte(want), got) {
			t.Fatalf("%s became %s, want %s", e.JSON(), got, want)
		}
	})
}

func TestRedactionKeepsIDAndSignaturesAndIsDoneOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyVersion.Draw(t, "version")
		e := anyEvent(v).Draw(t, "event")
		redacted, err := e.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		if err := event.VerifySignatures(redacted, testKeys); err != nil {
			t.Fatalf("%s: %v", redacted.JSON(), err)
		}
		parsed, err := event.Parse(v, redacted.JSON())
		if err != nil {
			t.Fatalf("%s: %v", redacted.JSON(), err)
		}
		if parsed.ID() != e.ID() || redacted.ID() != e.ID() || redacted.ReferenceHash() != e.ReferenceHash() {
			t.Fatalf("the id was %s, and is %s, %s", e.ID(), redacted.ID(), parsed.ID())
		}
		again, err := redacted.Redacted()
		if err != nil || again != redacted {
			t.Fatalf("redacted again: %v, %v, want the same", again, err)
		}
		if !parsed.HashMismatch() && !bytes.Equal(e.JSON(), redacted.JSON()) {
			t.Fatalf("%s has the hash of %s", redacted.JSON(), e.JSON())
		}
		for _, e := range []*event.Event{redacted, parsed} {
			if diff := cmp.Diff(string(redacted.JSON()), string(e.JSON())); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func FuzzRedact(f *testing.F) {
	for i := range event.Versions() {
		f.Add(uint8(i), []byte(`{"type":"m.room.member","content":{"membership":"join","third_party_invite":{"signed":{},"x":1}},"depth":1e3}`))
	}
	f.Add(uint8(10), []byte(`{"content":{"a":"\\\""},"\u0074ype":"m.room.create"}`))
	f.Add(uint8(10), []byte(`{"type":"m.room.create","content":}`))
	f.Fuzz(func(t *testing.T, n uint8, in []byte) {
		v := mustVersion(t, event.Versions()[int(n)%len(event.Versions())])
		got, err := event.RedactJSON(v, in)
		if err != nil {
			return
		}
		again, err := event.RedactJSON(v, got)
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("%q became %q, and then %q, %v", in, got, again, err)
		}
		canonical, err := event.Canonical(in)
		if err != nil || canonical[0] != '{' {
			return
		}
		got, err = event.RedactJSON(v, canonical)
		if err != nil {
			t.Fatalf("%s: %v", canonical, err)
		}
		checkForm(t, got)
		if want := redactModel(v, canonical); !sameJSON([]byte(want), got) {
			t.Fatalf("%s became %s, want %s", canonical, got, want)
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	e := benchEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Redacted(); err != nil {
			b.Fatal(err)
		}
	}
}
