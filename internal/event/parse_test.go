package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/event"
)

// pdu is a JSON object of an event, as its fields were written.
type pdu map[string]json.RawMessage

// goodPDU is a message that another server sent, for a version.
func goodPDU(v *event.Version) pdu {
	e := pdu{
		"auth_events": []byte(`["$a"]`), "content": []byte(`{"body":"hello"}`), "depth": []byte(`12`),
		"hashes": []byte(`{"sha256":"x"}`), "origin_server_ts": []byte(`1404838188000`), "prev_events": []byte(`["$p"]`),
		"room_id": []byte(`"!room:example.org"`), "sender": []byte(`"@alice:example.org"`),
		"signatures": []byte(`{"example.org":{"ed25519:test":"x"}}`), "type": []byte(`"m.room.message"`),
	}
	if v.EventIDs == event.IDsGiven {
		e["event_id"] = []byte(`"$e:example.org"`)
		e["auth_events"], e["prev_events"] = []byte(`[["$a:b",{"sha256":"x"}]]`), []byte(`[["$p:b",{"sha256":"x"}]]`)
	}
	return e
}

// with is the event with fields set, or left out for "".
func (p pdu) with(fields ...string) pdu {
	out := maps.Clone(p)
	for i := 0; i < len(fields); i += 2 {
		if out[fields[i]] = []byte(fields[i+1]); fields[i+1] == "" {
			delete(out, fields[i])
		}
	}
	return out
}

// JSON is the event, its fields in no order.
func (p pdu) JSON() []byte {
	var b bytes.Buffer
	sep := byte('{')
	for key, value := range p {
		b.WriteByte(sep)
		fmt.Fprintf(&b, "%q:%s", key, value)
		sep = ','
	}
	b.WriteByte('}')
	return b.Bytes()
}

// list is a JSON array of n times an item.
func list(n int, item string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
}

func TestParseTakesTheFormatOfEachVersion(t *testing.T) {
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		link := `"$x"`
		if v.EventIDs == event.IDsGiven {
			link = `["$x:y",{}]`
		}
		good := goodPDU(v)
		for name, e := range map[string]pdu{
			"plain":          good,
			"most links":     good.with("prev_events", list(20, link), "auth_events", list(10, link)),
			"no links":       good.with("prev_events", `[]`, "auth_events", `[]`),
			"depth 0":        good.with("depth", `0`),
			"largest depth":  good.with("depth", fmt.Sprint(v.MaxDepth)),
			"before 1970":    good.with("origin_server_ts", `-1`),
			"state":          good.with("state_key", `""`),
			"longest texts":  good.with("state_key", `"`+strings.Repeat("k", 255)+`"`, "type", `"`+strings.Repeat("t", 255)+`"`),
			"other fields":   good.with("x", `[null]`, "zzz", `{}`, "origin", `7`, "prev_state", `[]`),
			"unsigned":       good.with("unsigned", `{"age":1}`),
			"many levels":    good.with("content", strings.Repeat(`{"a":`, 998)+"1"+strings.Repeat("}", 998)),
			"no signatures":  good.with("signatures", `{}`),
			"old localpart":  good.with("sender", `"@Ünïcode and space:example.org"`),
			"escapes":        good.with("type", `"m.room.\u006dessage"`),
			"other hash":     good.with("hashes", `{"sha256":"","md5":"x"}`),
			"foreign create": good.with("type", `"m.room.create"`),
		} {
			if _, err := event.Parse(v, e.JSON()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestParseRefusesWhatIsNotInTheFormat(t *testing.T) {
	for name, change := range map[string][]string{
		"no auth_events": {"auth_events", ``}, "no content": {"content", ``}, "no depth": {"depth", ``},
		"no hashes": {"hashes", ``}, "no origin_server_ts": {"origin_server_ts", ``}, "no prev_events": {"prev_events", ``},
		"no room_id": {"room_id", ``}, "no sender": {"sender", ``}, "no signatures": {"signatures", ``}, "no type": {"type", ``},
		"content is a list": {"content", `[]`}, "content is null": {"content", `null`}, "content is text": {"content", `"{}"`},
		"depth below 0": {"depth", `-1`}, "depth is text": {"depth", `"1"`}, "depth has a fraction": {"depth", `1.0`},
		"depth with exponent": {"depth", `1e1`}, "depth beyond int64": {"depth", `9223372036854775808`}, "depth is null": {"depth", `null`},
		"time is text": {"origin_server_ts", `"1"`}, "time with a fraction": {"origin_server_ts", `1.5`},
		"time beyond int64": {"origin_server_ts", `9223372036854775808`},
		"hashes is text":    {"hashes", `"x"`}, "hashes without sha256": {"hashes", `{}`}, "sha256 is a number": {"hashes", `{"sha256":1}`},
		"sender is no user id": {"sender", `"alice"`}, "sender is null": {"sender", `null`}, "sender has a bad server": {"sender", `"@a:b c"`},
		"sender too long":       {"sender", `"@` + strings.Repeat("a", 243) + `:example.org"`},
		"room_id is no room id": {"room_id", `"x"`}, "room_id is a number": {"room_id", `1`},
		"room_id too long": {"room_id", `"!` + strings.Repeat("a", 243) + `:example.org"`},
		"type is null":     {"type", `null`}, "type too long": {"type", `"` + strings.Repeat("t", 256) + `"`},
		"type too long in bytes": {"type", `"` + strings.Repeat("é", 128) + `"`},
		"state_key is null":      {"state_key", `null`}, "state_key is a number": {"state_key", `0`},
		"state_key too long":          {"state_key", `"` + strings.Repeat("k", 256) + `"`},
		"state_key too long in bytes": {"state_key", `"` + strings.Repeat("日", 86) + `"`},
		"prev_events is an object":    {"prev_events", `{}`}, "prev_events is null": {"prev_events", `null`},
		"prev_events of numbers": {"prev_events", `[1]`}, "prev_events of text": {"prev_events", `["x"]`},
		"prev_events of nothing": {"prev_events", `["$"]`}, "auth_events of long ids": {"auth_events", `["$` + strings.Repeat("a", 255) + `"]`},
		"auth_events of null": {"auth_events", `[null]`}, "prev_events of empty lists": {"prev_events", `[[]]`},
		"signatures is a list": {"signatures", `[]`}, "signatures of text": {"signatures", `{"a":"b"}`},
		"signatures of numbers": {"signatures", `{"a":{"b":1}}`}, "unsigned is text": {"unsigned", `"x"`},
		"too many levels": {"content", strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)},
		"lone surrogate":  {"content", `{"a":"\ud800"}`}, "not UTF-8": {"content", "{\"a\":\"\xff\"}"}, "duplicate keys": {"content", `{"a":1,"a":1}`},
		"duplicate by escape": {"content", `{"a":1,"\u0061":1}`}, "control character": {"content", "{\"a\":\"\n\"}"},
		"NaN": {"content", `{"a":NaN}`}, "infinite": {"content", `{"a":1e999}`}, "too large": {"x", `"` + strings.Repeat("x", event.MaxSize) + `"`},
	} {
		eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
			if e, err := event.Parse(v, goodPDU(v).with(change...).JSON()); err == nil {
				t.Errorf("%s: it is taken: %.300s", name, e.JSON())
			}
		})
	}
	v := mustVersion(t, "12")
	for _, raw := range []string{``, `null`, `7`, `[]`, `"x"`, `{}`, `{}{}`, `{"type"`, string(goodPDU(v).JSON()) + "x", strings.Repeat("[", 1e6)} {
		if _, err := event.Parse(v, []byte(raw)); err == nil {
			t.Errorf("%.50s: it is taken", raw)
		}
	}
	if _, err := event.Parse(v, append(goodPDU(v).JSON()[:1], append([]byte(`"type":"x",`), goodPDU(v).JSON()[1:]...)...)); err == nil {
		t.Error("an event with two types is taken")
	}
}

func TestParseHoldsLinksToTheirFormAndNumber(t *testing.T) {
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		bad, link := []string{`[["$x:y",{}]]`}, `"$x"`
		if v.EventIDs == event.IDsGiven {
			bad = []string{`["$x:y"]`, `[["$x:y"]]`, `[["$x:y",{},{}]]`, `[["$x:y","hash"]]`, `[[{},"$x:y"]]`, `[["x",{}]]`, `[{}]`}
			link = `["$x:y",{}]`
		}
		for _, links := range append(bad, list(21, link)) {
			if _, err := event.Parse(v, goodPDU(v).with("prev_events", links).JSON()); err == nil {
				t.Errorf("prev_events %s are taken", links)
			}
		}
		for _, links := range append(bad, list(11, link)) {
			if _, err := event.Parse(v, goodPDU(v).with("auth_events", links).JSON()); err == nil {
				t.Errorf("auth_events %s are taken", links)
			}
		}
	})
}

func TestParseHoldsGivenIDsToTheirForm(t *testing.T) {
	eachVersion(t, "1", "2", func(t *testing.T, v *event.Version) {
		for _, id := range []string{``, `null`, `"e:d"`, `"$e"`, `"$e:"`, `"$e:b c"`, `"$"`, `"$` + strings.Repeat("e", 250) + `:d.org"`} {
			if _, err := event.Parse(v, goodPDU(v).with("event_id", id).JSON()); err == nil {
				t.Errorf("the id %s is taken", id)
			}
		}
		e, err := event.Parse(v, goodPDU(v).JSON())
		if err != nil || e.ID() != "$e:example.org" {
			t.Errorf("the id is %v, %v", e, err)
		}
		if diff := cmp.Diff([][]string{{"$p:b"}, {"$a:b"}}, [][]string{e.PrevEvents(), e.AuthEvents()}); diff != "" {
			t.Error(diff)
		}
	})
}

// TestStrictVersionsTakeCanonicalNumbersOnly: rooms/v6, Canonical JSON.
func TestStrictVersionsTakeCanonicalNumbersOnly(t *testing.T) {
	for _, number := range []string{"1.5", "1.0", "1e3", "1E3", "1e+3", "-0", "9007199254740992", "-9007199254740992", "123456789012345678901234567890"} {
		eachVersion(t, "6", "12", func(t *testing.T, v *event.Version) {
			for _, field := range []string{"content", "x"} {
				if _, err := event.Parse(v, goodPDU(v).with(field, `{"a":[`+number+`]}`).JSON()); err == nil {
					t.Errorf("%s in %s is taken", number, field)
				}
			}
		})
	}
	eachVersion(t, "6", "12", func(t *testing.T, v *event.Version) {
		for _, number := range []string{"0", "-1", "9007199254740991", "-9007199254740991"} {
			if _, err := event.Parse(v, goodPDU(v).with("content", `{"a":`+number+`}`).JSON()); err != nil {
				t.Errorf("%s: %v", number, err)
			}
		}
		if _, err := event.Parse(v, goodPDU(v).with("depth", "9007199254740992").JSON()); err == nil {
			t.Error("a depth of 2^53 is taken")
		}
	})
}

// TestOldRoomsKeepTheirNumbers: rooms/v1, Canonical JSON. The floats on the right
// are what Python's json writes, as the code in the specification does.
func TestOldRoomsKeepTheirNumbers(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"123456789012345678901234567890", "123456789012345678901234567890"},
		{"-9007199254740993", "-9007199254740993"},
		{"9223372036854775808", "9223372036854775808"},
		{"0", "0"},
		{"-0", "0"},
		{"-0.0", "-0.0"},
		{"50.57", "50.57"},
		{"1.0", "1.0"},
		{"1.50", "1.5"},
		{"1E3", "1000.0"},
		{"1e+3", "1000.0"},
		{"5.114698E4", "51146.98"},
		{"1e15", "1000000000000000.0"},
		{"1e16", "1e+16"},
		{"12345678901234567.0", "1.2345678901234568e+16"},
		{"9007199254740993.0", "9007199254740992.0"},
		{"0.0001", "0.0001"},
		{"0.00001", "1e-05"},
		{"1.5e-7", "1.5e-07"},
		{"1.7976931348623157e308", "1.7976931348623157e+308"},
		{"5e-324", "5e-324"},
		{"1e-999", "0.0"},
	} {
		eachVersion(t, "1", "5", func(t *testing.T, v *event.Version) {
			e, err := event.Parse(v, goodPDU(v).with("type", `"m.room.power_levels"`, "content", `{"users_default": `+tc.in+` }`).JSON())
			if err != nil {
				t.Fatalf("%s: %v", tc.in, err)
			}
			if want := `{"users_default":` + tc.want + `}`; string(e.Content()) != want {
				t.Errorf("%s became %s, want %s", tc.in, e.Content(), want)
			}
			redacted, err := e.Redacted()
			if err != nil || !bytes.Contains(redacted.JSON(), e.Content()) {
				t.Errorf("%s became %s by redaction, %v", e.Content(), redacted.JSON(), err)
			}
			again, err := event.Parse(v, e.JSON())
			if err != nil || again.ID() != e.ID() || !bytes.Equal(again.JSON(), e.JSON()) {
				t.Errorf("%s is not the same read again: %v", e.JSON(), err)
			}
		})
	}
}

func TestSizeIsWithoutUnsignedAndToTheByte(t *testing.T) {
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		const maxSize = 65536 // Client-Server API, Size limits
		sized := func(n int) pdu { return goodPDU(v).with("x", `"`+strings.Repeat("x", n)+`"`) }
		bare := len(sized(0).JSON())
		for _, e := range []pdu{
			sized(maxSize - bare),
			sized(maxSize-bare).with("unsigned", `{"a":"`+strings.Repeat("x", 1000)+`"}`),
			sized(maxSize-bare-1).with("type", " \"m.room\\u002emessage\"\n"),
		} {
			parsed, err := event.Parse(v, e.with("hashes", string(e["hashes"])).JSON())
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(parsed.JSON(), []byte("unsigned")) {
				t.Error("unsigned is in the event")
			}
		}
		var size *event.SizeError
		if _, err := event.Parse(v, sized(maxSize-bare+1).JSON()); !errors.As(err, &size) || size.Size != maxSize+1 {
			t.Errorf("one byte more: %v", err)
		}
	})
}

func TestAChangedContentIsRedacted(t *testing.T) {
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		key := ""
		p := benchProto()
		p.Type, p.StateKey, p.PrevEvents, p.AuthEvents = "m.room.join_rules", &key, nil, nil
		p.Content = []byte(`{"join_rule":"invite","note":"true"}`)
		e, err := event.Build(v, p, testServer, testKey)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := event.Parse(v, bytes.Replace(e.JSON(), []byte("true"), []byte("lie!"), 1))
		if err != nil {
			t.Fatal(err)
		}
		redacted, err := e.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		if !changed.HashMismatch() || string(changed.Content()) != `{"join_rule":"invite"}` || e.HashMismatch() || redacted.HashMismatch() {
			t.Errorf("the content is %s, mismatch %v", changed.Content(), changed.HashMismatch())
		}
		if diff := cmp.Diff(whatSays(redacted), whatSays(changed)); diff != "" {
			t.Errorf("(-redacted +changed):\n%s", diff)
		}
		if err := event.VerifySignatures(changed, testKeys); err != nil {
			t.Error(err)
		}
		for _, hash := range []string{`""`, `"not base64!"`, `"aaaa"`} {
			bad, err := event.Parse(v, goodPDU(v).with("hashes", `{"sha256":`+hash+`}`).JSON())
			if err != nil || !bad.HashMismatch() {
				t.Errorf("the hash %s: %v, %v", hash, bad, err)
			}
		}
	})
}

func TestRedactsIsWhereTheVersionHasIt(t *testing.T) {
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		e := goodPDU(v).with("type", `"m.room.redaction"`, "redacts", `"$top"`, "content", `{"redacts":"$content"}`)
		want := "$top"
		if numbered(v) >= 11 {
			want = "$content"
		}
		load := func(e pdu) *event.Event {
			canonical, err := event.Canonical(e.JSON())
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := event.Load(v, "$id", canonical)
			if err != nil {
				t.Fatal(err)
			}
			return loaded
		}
		if got := load(e).Redacts(); got != want {
			t.Errorf("Redacts = %q, want %q", got, want)
		}
		if got := load(e.with("type", `"m.room.message"`)).Redacts(); got != "" {
			t.Errorf("a message redacts %q", got)
		}
		if got := load(e.with("redacts", ``, "content", `{}`)).Redacts(); got != "" {
			t.Errorf("Redacts of nothing = %q", got)
		}
		_, err := event.Parse(v, e.with("redacts", `7`, "content", `{"redacts":[]}`).JSON())
		if (err == nil) != (numbered(v) >= 11) {
			t.Errorf("redacts of another type: %v", err)
		}
	})
}

func TestTheRoomOfACreateEventIsItsID(t *testing.T) {
	v := mustVersion(t, "12")
	create := goodPDU(v).with("type", `"m.room.create"`, "state_key", `""`, "room_id", ``, "auth_events", `[]`, "prev_events", `[]`)
	e, err := event.Parse(v, create.JSON())
	if err != nil {
		t.Fatal(err)
	}
	if e.HasRoomID() || string(e.RoomID()) != "!"+e.ID()[1:] || len(e.RoomID()) != 44 || event.RoomIDOf(e) != e.RoomID() {
		t.Errorf("the room of %s is %s", e.ID(), e.RoomID())
	}
	// One that names a room is an event, which auth rule 1.2 rejects.
	e, err = event.Parse(v, create.with("room_id", `"!x"`).JSON())
	if err != nil || !e.HasRoomID() || e.RoomID() != "!x" {
		t.Errorf("with a room_id: %v, %v", e, err)
	}
	eachVersion(t, "1", "11", func(t *testing.T, v *event.Version) {
		if _, err := event.Parse(v, goodPDU(v).with("type", `"m.room.create"`, "room_id", ``).JSON()); err == nil {
			t.Error("a create event without room_id is taken")
		}
		if e, err := event.Load(v, "$x", []byte(`{"type":"m.room.create"}`)); err != nil || e.RoomID() != "" {
			t.Errorf("its room is %v, %v", e, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for i, id := range event.Versions() {
		v, _ := event.VersionOf(id)
		f.Add(uint8(i), goodPDU(v).with("unsigned", `{}`, "state_key", `"\u0000é"`, "x", `[1,{}]`).JSON())
		f.Add(uint8(i), goodPDU(v).with("type", `"m.room.create"`, "room_id", ``, "content", `{"a":1.5e3}`).JSON())
	}
	f.Fuzz(func(t *testing.T, n uint8, in []byte) {
		v := mustVersion(t, event.Versions()[int(n)%len(event.Versions())])
		e, err := event.Parse(v, in)
		if err != nil {
			return
		}
		if len(e.JSON()) > event.MaxSize {
			t.Fatalf("it has %d bytes", len(e.JSON()))
		}
		loaded, err := event.Load(v, e.ID(), e.JSON())
		if err != nil {
			t.Fatalf("%q became %q: %v", in, e.JSON(), err)
		}
		again, err := event.Parse(v, e.JSON())
		if err != nil {
			t.Fatalf("%q became %q: %v", in, e.JSON(), err)
		}
		redacted, err := e.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		if redacted, err = event.Parse(v, redacted.JSON()); err != nil || redacted.ID() != e.ID() {
			t.Fatalf("%q redacted has another id: %v", in, err)
		}
		for _, other := range []*event.Event{loaded, again} {
			if diff := cmp.Diff(whatSays(e), whatSays(other)); diff != "" {
				t.Fatalf("%q: %s", in, diff)
			}
		}
		if e.RoomID() == "" || e.Sender() == "" || e.ID() == "" || len(e.PrevEvents()) > 20 || len(e.AuthEvents()) > 10 {
			t.Fatalf("%q has no room, sender or id, or too many links", in)
		}
		_ = event.VerifySignatures(e, testKeys)
	})
}
