package door_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/door"
	"lethe/internal/door/doortest"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// serve is one event as a reader gets it, or nil.
func serve(t *testing.T, s *stage, who door.Reader, e *storage.Event, f door.Format) map[string]any {
	t.Helper()
	var got map[string]any
	s.Enter(who, s.ID, func(v *door.Visit) error {
		served, err := v.Serve([]*storage.Event{s.Read(e)}, f)
		if len(served) == 1 {
			got = fields(t, served[0])
		}
		return err
	})
	return got
}

func unsigned(t *testing.T, got map[string]any) map[string]any {
	t.Helper()
	u, ok := got["unsigned"].(map[string]any)
	if !ok {
		t.Fatalf("no unsigned in %v", got)
	}
	return u
}

func TestFormats(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		for _, version := range []string{"1", "11"} {
			s := newStage(h, version)
			s.Join(s.vera)
			message := s.Send(s.sam, "m.room.message", doortest.Content{"body": `quote " and \ and 👍`, "n": 1 << 40})
			topic := s.Set(s.sam, "m.room.topic", "", doortest.Content{"topic": "x"})
			ts := func(e *storage.Event) float64 { return float64(e.Timestamp()) }
			age := func(e *storage.Event) float64 { return float64(matrix.TimestampOf(s.Now()) - e.Timestamp()) }
			body := map[string]any{"body": `quote " and \ and 👍`, "n": float64(1 << 40)}
			member := map[string]any{"age": age(message), "membership": "join"}
			pdu := fields(t, jsontext.Value(message.JSON()))
			for _, tc := range []struct {
				name   string
				who    door.Reader
				e      *storage.Event
				format door.Format
				want   map[string]any
			}{
				{"client", door.Reader{User: s.vera}, message, door.Format{}, map[string]any{
					"content": body, "event_id": message.ID(), "origin_server_ts": ts(message), "room_id": string(s.ID),
					"sender": string(s.sam), "type": "m.room.message", "unsigned": member,
				}},
				{"sync", door.Reader{User: s.vera}, topic, door.Format{Kind: door.Sync}, map[string]any{
					"content": map[string]any{"topic": "x"}, "event_id": topic.ID(), "origin_server_ts": ts(topic),
					"sender": string(s.sam), "type": "m.room.topic", "state_key": "",
					"unsigned": map[string]any{"age": age(topic), "membership": "join"},
				}},
				{"stripped", door.Reader{User: s.vera}, topic, door.Format{Kind: door.Stripped}, map[string]any{
					"content": map[string]any{"topic": "x"}, "sender": string(s.sam), "type": "m.room.topic", "state_key": "",
				}},
				{"of a service", door.Reader{Service: true}, message, door.Format{}, map[string]any{
					"content": body, "event_id": message.ID(), "origin_server_ts": ts(message), "room_id": string(s.ID),
					"sender": string(s.sam), "type": "m.room.message", "unsigned": map[string]any{"age": age(message)},
				}},
				{"for a server", door.Reader{Server: "elsewhere"}, message, door.Format{Kind: door.Federation}, pdu},
				{
					"federation for a client",
					door.Reader{User: s.vera},
					message,
					door.Format{Kind: door.Federation},
					with(pdu, "event_id", message.ID(), "unsigned", member),
				},
			} {
				if diff := cmp.Diff(tc.want, serve(t, s, tc.who, tc.e, tc.format)); diff != "" {
					t.Errorf("version %s, %s (-want +got)\n%s", version, tc.name, diff)
				}
			}
		}
	})
}

// with is m with more in it.
func with(m map[string]any, more ...any) map[string]any {
	all := map[string]any{}
	maps.Copy(all, m)
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

func TestTransactionIDsAreTheDevicesOwn(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(s.sam, "hello")
		s.Join(s.vera)
		s.Update(func(tx *storage.Tx) error {
			return tx.AddTransaction(storage.Transaction{User: s.sam, Device: "PHONE", Scope: "send", TxnID: "t1"}, e.ID(), 1)
		})
		for who, want := range map[door.Reader]any{
			{User: s.sam, Device: "PHONE"}:  "t1",
			{User: s.sam, Device: "LAPTOP"}: nil,
			{User: s.sam}:                   nil,
			{User: s.vera, Device: "PHONE"}: nil,
		} {
			if got := unsigned(t, serve(t, s, who, e, door.Format{}))["transaction_id"]; got != want {
				t.Errorf("%+v gets the transaction id %v, want %v", who, got, want)
			}
		}
	})
}

func TestMembershipIsTheReadersAfterTheEvent(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("a +invite b +join c +leave d +join")
		want := []string{"leave", "invite", "invite", "join", "join", "leave", "leave", "join"}
		var got []string
		for _, e := range s.Timeline() {
			if s.words[e.ID()] != "" {
				got = append(got, unsigned(t, serve(t, s, door.Reader{User: s.vera}, e, door.Format{}))["membership"].(string))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPreviousContentGoesThroughTheDoor(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		for name, tc := range map[string]struct {
			told string
			want bool
		}{
			"seen":                             {"+join =a =b", true},
			"before the reader could see":      {"@joined =a +join =b", false},
			"of the erased, for a member":      {"+join ^a =b !", true},
			"of the erased, for a newcomer":    {"^a =b ! +join", false},
			"an erased name, for a newcomer":   {"%join ! +join %kick", false},
			"in what is redacted itself":       {"=a ^b =c ! +join", true},
			"an event that others have set":    {"^a ! +join =b", false},
			"state that was taken back before": {"^a ! * +join =b", true},
		} {
			s := newStage(h, "11")
			s.tell(tc.told)
			words := strings.Fields(tc.told)
			last := words[len(words)-1]
			for _, word := range words {
				if strings.ContainsAny(word[:1], "=%") {
					last = word
				}
			}
			var e *storage.Event
			for _, one := range s.Timeline() {
				if s.words[one.ID()] == last {
					e = one
				}
			}
			u := unsigned(t, serve(t, s, door.Reader{User: s.vera}, e, door.Format{}))
			prev, has := u["prev_content"].(map[string]any)
			if u["replaces_state"] == nil {
				t.Errorf("%s: no replaces_state in %v", name, u)
			}
			if name == "in what is redacted itself" {
				tc.want = false // the one before is sam's, and superseded
			}
			if has != tc.want || has && (prev["secret"] != "s3cret" || u["prev_sender"] == nil) {
				t.Errorf("%s: prev_content of %s is %v, want some: %v", name, last, prev, tc.want)
			}
		}
	})
}

func TestRedactedEventsSayWhy(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		for _, version := range []string{"10", "11"} {
			s := newStage(h, version)
			s.Join(s.vera)
			e := s.Say(creator, "spam")
			by := s.Redact(s.sam, e, "s3cret")
			vera := door.Reader{User: s.vera}

			got := serve(t, s, vera, e, door.Format{})
			because, ok := unsigned(t, got)["redacted_because"].(map[string]any)
			if !ok || because["event_id"] != by.ID() || because["content"].(map[string]any)["reason"] != "s3cret" {
				t.Errorf("version %s: redacted_because is %v", version, because)
			}
			if len(got["content"].(map[string]any)) != 0 {
				t.Errorf("version %s: the content is %v", version, got["content"])
			}
			// Old and new clients both find what was redacted.
			redaction := serve(t, s, vera, by, door.Format{})
			if redaction["redacts"] != e.ID() || redaction["content"].(map[string]any)["redacts"] != e.ID() {
				t.Errorf("version %s: the redaction is %v", version, redaction)
			}

			s.Erase(s.sam)
			late := door.Reader{User: matrix.UserID("@late" + version + ":x")}
			s.Join(late.User)
			because = unsigned(t, serve(t, s, late, e, door.Format{}))["redacted_because"].(map[string]any)
			if because["event_id"] != by.ID() || strings.Contains(text(t, because), "s3cret") {
				t.Errorf("version %s: to a newcomer the redaction of the erased says %v", version, because)
			}
			if version == "11" && because["redacts"] != e.ID() {
				t.Errorf("the redacted form of a redaction has lost what it redacts: %v", because)
			}
		}
	})
}

func TestTwoRedactionsOfEachOtherAreServed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(creator, "x")
		by := s.Redact(creator, e, "one")
		again := s.Redact(creator, by, "two")
		s.Update(func(tx *storage.Tx) error {
			redacted, err := again.Redacted()
			if err != nil {
				return err
			}
			return tx.ReplaceEvent(again, redacted, by.ID())
		})
		u := unsigned(t, serve(t, s, door.Reader{User: creator}, again, door.Format{}))
		if because := u["redacted_because"].(map[string]any); because["event_id"] != by.ID() {
			t.Errorf("got %v", because)
		}
	})
}

func TestIgnoredUsersAreLeftOutButForState(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("+join A a ^b")
		vera := door.Reader{User: s.vera}
		if got, want := s.seen(vera), "+join A a ^b"; got != want {
			t.Fatalf("before: %q", got)
		}
		s.Ignore(s.vera, s.sam, s.vera)
		if got, want := s.seen(vera), "+join a ^b"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		s.Visit(s.vera, func(v *door.Visit) error {
			if !v.Ignores(s.sam) || v.Ignores(s.vera) {
				t.Errorf("vera ignores sam: %v, herself: %v", v.Ignores(s.sam), v.Ignores(s.vera))
			}
			served, err := v.Serve(s.Timeline()[4:5], door.Format{KeepIgnored: true})
			if len(served) != 1 || strings.Contains(text(t, served[0]), "s3cret") {
				t.Errorf("kept, it is %s", text(t, served))
			}
			return err
		})
		s.Ignore(s.vera)
		if got, want := s.seen(vera), "+join A a ^b"; got != want {
			t.Errorf("not ignored any more: %q", got)
		}
	})
}

func TestEventFieldsKeepWhatTheyName(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Send(creator, "m.room.message", doortest.Content{
			"body": "b", "a.b": "dot", `a\b`: "slash", "in": map[string]any{"x": 1, "y": 2}, "plain": "p",
		})
		base := map[string]any{
			"content": map[string]any{}, "event_id": e.ID(), "origin_server_ts": float64(e.Timestamp()),
			"room_id": string(s.ID), "sender": string(creator), "type": "m.room.message",
		}
		inner := map[string]any{"x": 1.0, "y": 2.0}
		for _, tc := range []struct {
			paths []string
			want  map[string]any
		}{
			{[]string{"type"}, base},
			{[]string{"none", "sender.x", "content.none", "content.plain.x"}, base},
			{[]string{"content.body"}, with(base, "content", map[string]any{"body": "b"})},
			{[]string{`content.a\.b`, `content.a\\b`}, with(base, "content", map[string]any{"a.b": "dot", `a\b`: "slash"})},
			{[]string{"content.in.x"}, with(base, "content", map[string]any{"in": map[string]any{"x": 1.0}})},
			{[]string{"content.in.x", "content.in"}, with(base, "content", map[string]any{"in": inner})},
			{[]string{"content.in", "content.in.x"}, with(base, "content", map[string]any{"in": inner})},
			{[]string{"unsigned.membership"}, with(base, "unsigned", map[string]any{"membership": "join"})},
		} {
			if diff := cmp.Diff(tc.want, serve(t, s, door.Reader{User: creator}, e, door.Format{Fields: tc.paths})); diff != "" {
				t.Errorf("%v (-want +got)\n%s", tc.paths, diff)
			}
		}
	})
}

func TestNothingIsWrittenThatHasNotComeThroughTheDoor(t *testing.T) {
	e, err := event.Load(must(event.VersionOf("11")), "$x", []byte(`{"content":{"secret":"s3cret"},"type":"m.x"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"no event": door.Event{}, "no content": door.Content{}, "in a list": []door.Event{{}},
		"a PDU": e, "a stored event": &storage.Event{Event: e}, "its value": storage.Event{Event: e},
		"in a map": map[string]any{"e": e},
	} {
		if raw, err := json.Marshal(v); err == nil {
			t.Errorf("%s is written as %s", name, raw)
		}
	}
}

func must[T any](v T, ok bool) T {
	if !ok {
		panic("not there")
	}
	return v
}

func TestContentIsForThoseWhoSeeTheEvent(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("A ! +join")
		e := s.Timeline()[3]
		for user, want := range map[matrix.UserID]string{creator: `{"body":"A","secret":"s3cret"}`, s.vera: `{}`, "@none:x": ""} {
			s.Visit(user, func(v *door.Visit) error {
				content, ok, err := v.Content(e)
				if ok != (want != "") || ok && text(t, content) != want {
					t.Errorf("%s gets %v %s, want %s", user, ok, text(t, content), want)
				}
				return err
			})
		}
	})
}

func TestStrippedStateOfOtherServersIsPruned(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.Erase(s.sam)
		list := []map[string]any{
			{"type": "m.room.name", "state_key": "", "sender": "@a:y", "content": map[string]any{"name": "n"}, "event_id": "$x", "signatures": 1},
			{"type": "m.room.member", "state_key": s.sam, "sender": "@a:y", "content": map[string]any{"displayname": "s3cret"}},
			{"type": "m.room.topic", "state_key": "", "sender": s.sam, "content": map[string]any{"topic": "s3cret"}},
			{"type": "m.room.topic", "sender": "@a:y", "content": map[string]any{"topic": "no state"}},
			{"type": "m.room.topic", "state_key": "", "sender": "@a:y", "content": "no object"},
		}
		s.Visit(s.vera, func(v *door.Visit) error {
			got, err := v.StrippedState([]byte(text(t, list)))
			want := `[{"content":{"name":"n"},"state_key":"","type":"m.room.name","sender":"@a:y"}]`
			if text(t, got) != want {
				t.Errorf("got %s, want %s", text(t, got), want)
			}
			return err
		})
	})
}

func TestARedactionIsNotUndoneByTheCache(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(creator, "s3cret")
		read := func(tx *storage.Tx) (got *storage.Event) {
			got, err := s.Door.Event(tx, e.ID())
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		whole := func(tx *storage.Tx) bool { return strings.Contains(string(read(tx).Content()), "s3cret") }
		s.View(func(tx *storage.Tx) error {
			if !whole(tx) {
				t.Error("the event is not whole before it is redacted")
			}
			return nil
		})
		// A reader who began before the redaction puts what it sees into the cache
		// after it.
		s.View(func(tx *storage.Tx) error {
			if _, err := tx.Pos(); err != nil {
				return err
			}
			s.Redact(creator, e, "")
			if !whole(tx) {
				t.Error("a reader from before the redaction does not see the event as it was")
			}
			return nil
		})
		s.View(func(tx *storage.Tx) error {
			if whole(tx) {
				t.Error("a reader from after the redaction gets the content")
			}
			return nil
		})
	})
}

// TestWhatIsCommittedIsSeenBeforeTheDoorIsTold: a reader who says up to where they
// have read would else miss it for ever.
func TestWhatIsCommittedIsSeenBeforeTheDoorIsTold(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		untold := door.New(db, s.Trees, door.Options{ServerName: doortest.Server, Now: s.Now, Readers: door.ReadersSpec})
		e := s.Say(creator, "before")
		check := func(asked bool, topic string) {
			t.Helper()
			s.View(func(tx *storage.Tx) error {
				if asked {
					if _, err := tx.Pos(); err != nil {
						return err
					}
				}
				v, err := untold.Enter(tx, door.Reader{User: creator}, s.ID)
				if err != nil {
					return err
				}
				served, err := v.Serve([]*storage.Event{e}, door.Format{Kind: door.Sync})
				if err != nil || len(served) != 1 {
					t.Errorf("of one event %d are served, %v", len(served), err)
				}
				if room, err := tx.Room(s.ID); err != nil || asked && v.Room().State != room.State {
					t.Errorf("the room has the state from before %q, %v", topic, err)
				}
				return nil
			})
		}
		untold.Changed([]storage.Change{{Pos: db.Delivered(), Kind: storage.ChangeHidden}})
		check(true, "anything")
		e = s.Set(creator, "m.room.topic", "", doortest.Content{"topic": "one"})
		check(false, "one")
		e = s.Set(creator, "m.room.topic", "", doortest.Content{"topic": "two"})
		check(true, "two")
	})
}

func TestWhatIsRolledBackIsNotCached(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		e := s.Say(creator, "s3cret")
		redacted, err := e.Redacted()
		if err != nil {
			t.Fatal(err)
		}
		err = s.DB.Update(t.Context(), func(tx *storage.Tx) error {
			if _, err := tx.NextPos(storage.Change{Kind: storage.ChangeRedacted, Room: s.ID}); err != nil {
				return err
			}
			if err := tx.ReplaceEvent(e, redacted, "$by"); err != nil {
				return err
			}
			if got, err := s.Door.Event(tx, e.ID()); err != nil || got.RedactedBy != "$by" {
				t.Errorf("the transaction does not see what it has done: %v", err)
			}
			return storage.ErrNotFound
		})
		if err == nil {
			t.Fatal("the transaction was not rolled back")
		}
		s.View(func(tx *storage.Tx) error {
			got, err := s.Door.Event(tx, e.ID())
			if err == nil && got.RedactedBy != "" {
				t.Error("the redaction that was rolled back is in the cache")
			}
			return err
		})
	})
}
