package event_test

import (
	"errors"
	"strings"
	"testing"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

func TestTheFormOfAnEventIsThatOfItsVersion(t *testing.T) {
	key := ""
	p := event.Proto{
		RoomID: "!r:example.org", Type: "m.room.redaction", StateKey: &key, Sender: "@a:example.org", Content: []byte(` { "reason" : "spam" } `),
		Redacts: "$x", PrevEvents: []string{"$p"}, AuthEvents: []string{"$a", "$b"}, Depth: 7, Timestamp: 8,
		ReferenceHashes: map[string]string{"$p": "hp", "$a": "ha", "$b": "hb"},
	}
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		e, err := event.Build(v, p, testServer, testKey)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"auth_events":["$a","$b"],"content":{"reason":"spam"},"depth":7,"hashes":H,"origin_server_ts":8,"prev_events":["$p"],` +
			`"redacts":"$x","room_id":"!r:example.org","sender":"@a:example.org","signatures":S,"state_key":"","type":"m.room.redaction"}`
		if numbered(v) >= 11 {
			want = strings.Replace(want, `"redacts":"$x",`, ``, 1)
			want = strings.Replace(want, `"reason":"spam"`, `"reason":"spam","redacts":"$x"`, 1)
		}
		if numbered(v) < 3 {
			want = strings.Replace(want, `["$a","$b"]`, `[["$a",{"sha256":"ha"}],["$b",{"sha256":"hb"}]]`, 1)
			want = strings.Replace(want, `["$p"]`, `[["$p",{"sha256":"hp"}]]`, 1)
			want = strings.Replace(want, `"hashes"`, `"event_id":"`+e.ID()+`","hashes"`, 1)
		}
		if got := blank(blank(string(e.JSON()), `"hashes":`, "H"), `"signatures":`, "S"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		id := e.ID()
		switch n := numbered(v); {
		case n < 3 && !strings.HasSuffix(id, ":example.org"), n >= 3 && len(id) != 44, n >= 4 && strings.ContainsAny(id, "+/="):
			t.Errorf("the id is %s", id)
		}
	})
}

// blank puts a word in the place of the object that follows name.
func blank(s, name, word string) string {
	before, rest, _ := strings.Cut(s, name)
	end := strings.Index(rest, "},") + 1
	for strings.Count(rest[:end], "{") != strings.Count(rest[:end], "}") {
		end++
	}
	return before + name + word + rest[end:]
}

func TestIDsDifferInTheirAlphabetOnly(t *testing.T) {
	p := benchProto()
	id := func(version string, ts int) string {
		p.Timestamp = matrix.Timestamp(ts)
		e, err := event.Build(mustVersion(t, version), p, testServer, testKey)
		if err != nil {
			t.Fatal(err)
		}
		return e.ID()
	}
	urlSafe := strings.NewReplacer("+", "-", "/", "_")
	replaced := 0
	for ts := range 50 {
		three, four := id("3", ts), id("4", ts)
		if urlSafe.Replace(three) != four {
			t.Errorf("the ids are %s and %s", three, four)
		}
		if three != four {
			replaced++
		}
	}
	if replaced == 0 {
		t.Error("no id had a character that URLs do not")
	}
}

func TestGivenIDsAreOfTheWholeEvent(t *testing.T) {
	eachVersion(t, "1", "2", func(t *testing.T, v *event.Version) {
		seen := map[string]bool{}
		p := benchProto()
		p.PrevEvents, p.AuthEvents = nil, nil
		for range 2 {
			for _, body := range []string{`{"body":"a"}`, `{"body":"b"}`} {
				p.Content = []byte(body)
				e, err := event.Build(v, p, testServer, testKey)
				if err != nil {
					t.Fatal(err)
				}
				seen[e.ID()] = true
			}
		}
		if len(seen) != 2 {
			t.Errorf("two events, made twice, have the ids %v", seen)
		}
	})
}

func TestBuildRefusesWhatIsNoEvent(t *testing.T) {
	long := strings.Repeat("x", 256)
	ids := func(n int) []string { return strings.Fields(strings.Repeat("$x ", n)) }
	for name, tc := range map[string]struct {
		change func(*event.Proto)
		field  string // of the SizeError; "-" for another error
	}{
		"type too long":       {func(p *event.Proto) { p.Type = long }, "type"},
		"type in bytes":       {func(p *event.Proto) { p.Type = strings.Repeat("é", 128) }, "type"},
		"state key too long":  {func(p *event.Proto) { p.StateKey = &long }, "state_key"},
		"sender too long":     {func(p *event.Proto) { p.Sender = "@" + matrix.UserID(long) + ":b" }, "sender"},
		"room id too long":    {func(p *event.Proto) { p.RoomID = "!" + matrix.RoomID(long) }, "room_id"},
		"redacts too long":    {func(p *event.Proto) { p.Redacts = long }, "redacts"},
		"event too large":     {func(p *event.Proto) { p.Content = []byte(`{"body":"` + strings.Repeat("x", 65536) + `"}`) }, ""},
		"no room":             {func(p *event.Proto) { p.RoomID = "" }, "-"},
		"content is a list":   {func(p *event.Proto) { p.Content = []byte(`[]`) }, "-"},
		"content is nothing":  {func(p *event.Proto) { p.Content = nil }, "-"},
		"content is null":     {func(p *event.Proto) { p.Content = []byte(`null`) }, "-"},
		"content is cut":      {func(p *event.Proto) { p.Content = []byte(`{"a":1`) }, "-"},
		"content has doubles": {func(p *event.Proto) { p.Content = []byte(`{"a":1,"a":2}`) }, "-"},
		"content too deep": {func(p *event.Proto) {
			p.Content = []byte(strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101))
		}, "-"},
		"depth below 0":       {func(p *event.Proto) { p.Depth = -1 }, "-"},
		"many parents":        {func(p *event.Proto) { p.PrevEvents = ids(21) }, "-"},
		"many auth events":    {func(p *event.Proto) { p.AuthEvents = ids(11) }, "-"},
		"long parent":         {func(p *event.Proto) { p.PrevEvents = []string{"$" + long} }, "-"},
		"parent is not UTF-8": {func(p *event.Proto) { p.PrevEvents = []string{"$\xff"} }, "-"},
		"type is not UTF-8":   {func(p *event.Proto) { p.Type = "\xff" }, "-"},
		"state key not UTF-8": {func(p *event.Proto) { bad := "\xc3"; p.StateKey = &bad }, "-"},
	} {
		eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
			p := benchProto()
			p.ReferenceHashes = map[string]string{"$x": "h", "$" + long: "h", "$\xff": "h"}
			p.PrevEvents, p.AuthEvents = ids(1), nil
			tc.change(&p)
			e, err := event.Build(v, p, testServer, testKey)
			if err == nil {
				t.Fatalf("%s: made %.300s", name, e.JSON())
			}
			size, isSize := errors.AsType[*event.SizeError](err)
			if isSize != (tc.field != "-") || isSize && size.Field != tc.field || isSize && size.Size <= size.Max {
				t.Errorf("%s: the error is %v", name, err)
			}
		})
	}
	eachVersion(t, "1", "2", func(t *testing.T, v *event.Version) {
		if _, err := event.Build(v, benchProto(), testServer, testKey); err == nil {
			t.Error("an event whose parents' hashes are not known is made")
		}
	})
}

// TestBuildWritesNumbersAsTheVersionHasThem: a client may write an integer with
// an exponent; floats are for old rooms.
func TestBuildWritesNumbersAsTheVersionHasThem(t *testing.T) {
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		p := benchProto()
		p.PrevEvents, p.AuthEvents = nil, nil
		strict := numbered(v) >= 6
		for in, want := range map[string][2]string{ // in old rooms, and since version 6
			`{"a":1e3}`: {`{"a":1000.0}`, `{"a":1000}`}, `{"a":-0}`: {`{"a":0}`, `{"a":0}`}, `{"a":1.5}`: {`{"a":1.5}`, ``},
			`{"a":9007199254740993}`: {`{"a":9007199254740993}`, ``},
		} {
			p.Content = []byte(in)
			wanted := want[0]
			if strict {
				wanted = want[1]
			}
			e, err := event.Build(v, p, testServer, testKey)
			if (err != nil) != (wanted == "") || err == nil && string(e.Content()) != wanted {
				t.Errorf("%s: %v, %v, want %s", in, e, err, wanted)
			}
		}
		p.Content = []byte(`{}`)
		for _, p.Timestamp = range []matrix.Timestamp{1 << 53, -1 << 53} {
			if _, err := event.Build(v, p, testServer, testKey); (err != nil) != strict {
				t.Errorf("a time of %d: %v", p.Timestamp, err)
			}
		}
	})
}

func TestDepthStaysAtItsLargest(t *testing.T) {
	eachVersion(t, "1", "12", func(t *testing.T, v *event.Version) {
		p := benchProto()
		p.PrevEvents, p.AuthEvents, p.Depth = nil, nil, 1<<63-1
		e, err := event.Build(v, p, testServer, testKey)
		if err != nil || e.Depth() != v.MaxDepth {
			t.Errorf("%v, %v, want the depth %d", e, err, v.MaxDepth)
		}
	})
}

func TestACreateEventMakesItsRoomID(t *testing.T) {
	key := ""
	p := event.Proto{Type: "m.room.create", StateKey: &key, Sender: "@a:example.org", Content: []byte(`{"room_version":"12"}`)}
	e, err := event.Build(mustVersion(t, "12"), p, testServer, testKey)
	if err != nil || e.HasRoomID() || strings.Contains(string(e.JSON()), "room_id") || string(e.RoomID()) != "!"+e.ID()[1:] {
		t.Errorf("%v, %v", e, err)
	}
	if _, err := event.Build(mustVersion(t, "11"), p, testServer, testKey); err == nil {
		t.Error("a create event without room is made in version 11")
	}
}

func TestRedactsIsWrittenOnce(t *testing.T) {
	v := mustVersion(t, "11")
	for _, content := range []string{`{}`, `{"redacts":"$other"}`, `{"redacts":7,"z":1,"a":2}`} {
		p := benchProto()
		p.Type, p.Redacts, p.Content = "m.room.redaction", "$x", []byte(content)
		e, err := event.Build(v, p, testServer, testKey)
		if err != nil || e.Redacts() != "$x" || strings.Count(string(e.JSON()), "redacts") != 1 {
			t.Errorf("%s: %v, %v", content, e, err)
		}
	}
}
