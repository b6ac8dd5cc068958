package door_test

import (
	"strings"
	"testing"

	"lethe/internal/door"
	"lethe/internal/door/doortest"
	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestWhatTheErasedHaveSentIsWholeForThoseWhoCouldReadIt(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		tell(t, doortest.New(t, db, nil), []story{
			{"a member then", "+join A !", "+join A"},
			{"joined after the message", "A +join !", "A +join"},
			{"joined after the erasure", "A ! +join", "A- +join"},
			{"came back after the erasure", "+join A +leave B ! +join", "+join A +leave B- +join"},
			{"came back before it", "+join A +leave B +join C !", "+join A +leave B +join C"},
			{"left before it", "A +join B +leave C !", "A +join B +leave"},
			{"banned before it", "A +join B +ban C !", "A +join B +ban"},
			{"in and out after it", "+join +leave A ! +join +leave +join", "+join +leave A- +join +leave +join"},
			{"peeks", "@world_readable A !", "@world_readable A-"},
			{"peeked, and joined after it", "@world_readable A ! +join", "@world_readable A- +join"},
			{"peeked, and joined before it", "@world_readable A +join !", "@world_readable A +join"},
			{"peeks after leaving", "@world_readable A +join B +leave C !", "@world_readable A +join B +leave C-"},
			{"invited then, joined after it", "@invited +invite A ! +join", "@invited +invite A- +join"},
			{"invited then, joined before it", "@invited +invite A +join !", "@invited +invite A +join"},
			{"joined alone", "@joined A +join B ! c", "@joined +join B c"},
			{"taken back", "A ! * +join", "A +join"},
			{"taken back and done again", "A ! * +join B !", "A +join B"},

			{"a name, for a newcomer", "%join ! +join", "%join- +join"},
			{"a name, for a member", "+join %join !", "+join %join"},
			{"the leave after the erasure", "+join ! %leave", "+join %leave-"},
			{"what others say of them: before it", "+join %kick !", "+join %kick"},
			{"what others say of them: to newcomers", "%kick ! +join", "%kick- +join"},
			{"what others say of them: after it", "+join ! %ban", "+join %ban-"},
			{"an invite by them, taken after it", "&invite ! +join", "&invite- +join"},
			{"an invite by them, taken before it", "&invite +join !", "&invite +join"},
			{"an invite by them, refused", "@world_readable &invite ! +leave", "@world_readable &invite- +leave"},

			{"state stays while it is current", "^a ! +join", "^a +join"},
			{"superseded state does not", "^a ^b ! +join", "^a- ^b +join"},
			{"superseded after it", "^a ! =b +join", "^a- =b +join"},
			{"superseded, for a member", "+join ^a ^b !", "+join ^a ^b"},
			{"what the protocol lives on stays", "~a ~b ! +join", "~a ~b +join"},
		})
	})
}

func TestWithReadersAtEventOnlyThoseWhoWereThere(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		tell(t, doortest.New(t, db, func(o *door.Options) { o.Readers = door.ReadersAtEvent }), []story{
			{"a member then", "+join A !", "+join A"},
			{"joined after the message", "A +join !", "A- +join"},
			{"joined after the erasure", "A ! +join", "A- +join"},
			{"came back", "+join A +leave B +join !", "+join A +leave B- +join"},
			{"invited then", "@invited +invite A +join B !", "@invited +invite A- +join B"},
			{"a member, and what came after", "+join ! %leave", "+join %leave-"},
			{"state stays the room's", "^a ~b ! +join", "^a ~b +join"},
		})
	})
}

func TestServersAndServicesGetRedactedForms(t *testing.T) {
	for _, tc := range []struct{ servers, elsewhere string }{
		{door.ServersAll, "A- b ^a- B- ^b c"},
		{door.ServersJoinedLater, "A- b ^a- B ^b c"},
	} {
		t.Run(tc.servers, func(t *testing.T) {
			storagetest.Each(t, func(t *testing.T, db *storage.DB) {
				s := newStage(doortest.New(t, db, func(o *door.Options) { o.Servers = tc.servers }), "11")
				s.tell("A b ^a")
				s.Join("@far:elsewhere")
				s.tell("B ^b ! c")
				for name, want := range map[matrix.ServerName]string{"elsewhere": tc.elsewhere, "nowhere": "A- b ^a- B- ^b c"} {
					if got := s.seen(door.Reader{Server: name}); got != want {
						t.Errorf("%s gets %q, want %q", name, got, want)
					}
				}
				if got, want := s.seen(door.Reader{Service: true}), "A- b ^a- B- ^b c"; got != want {
					t.Errorf("a service gets %q, want %q", got, want)
				}
			})
		})
	}
}

func TestProtocolBearingStateOfTheErasedStaysWhole(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		for typ, whole := range map[string]bool{
			"m.room.power_levels": true, "m.room.join_rules": true, "m.room.history_visibility": true,
			"m.room.encryption": true, "m.room.server_acl": true, "m.room.guest_access": true, "m.room.tombstone": true,
			"m.room.canonical_alias": true, "m.space.child": true, "m.space.parent": true,
			"m.room.third_party_invite": true, "m.policy.rule.user": true, "m.policy.rule.server": true,
			"m.policy.rule.room": true,
			"m.room.name":        false, "m.room.avatar": false, "m.room.pinned_events": false, "org.example": false,
		} {
			s := newStage(h, "11")
			old := s.Set(s.sam, typ, "k", doortest.Content{"secret": "s3cret"})
			s.Set(s.sam, typ, "k", doortest.Content{})
			message := s.Send(s.sam, typ, doortest.Content{"secret": "s3cret"})
			s.Erase(s.sam)
			s.Join(s.vera)
			s.Visit(s.vera, func(v *door.Visit) error {
				got, err := v.Whole(old)
				if got != whole {
					t.Errorf("superseded %s of the erased is whole: %v", typ, got)
				}
				if err != nil {
					return err
				}
				if got, err = v.Whole(message); got {
					t.Errorf("an event with the name of state, %s, is whole without being state", typ)
				}
				return err
			})
		}
	})
}

func TestTheRedactedFormIsThatOfTheVersion(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		h := doortest.New(t, db, nil)
		for _, version := range event.Versions() {
			s := newStage(h, version)
			e := s.Member(s.sam, s.sam, "join", secret, doortest.Content{"join_authorised_via_users_server": string(creator)})
			s.Erase(s.sam)
			s.Join(s.vera)
			form, err := e.Redacted()
			if err != nil {
				t.Fatal(err)
			}
			want := fields(t, doortest.Content{"content": form.Content()})["content"]
			s.Visit(s.vera, func(v *door.Visit) error {
				served, err := v.Serve([]*storage.Event{e}, door.Format{})
				if err != nil {
					return err
				}
				got := fields(t, served[0])
				if text(t, got["content"]) != text(t, want) || got["event_id"] != e.ID() {
					t.Errorf("version %s: %v, want the content %v", version, got, want)
				}
				return nil
			})
			s.Enter(door.Reader{Server: "elsewhere"}, s.ID, func(v *door.Visit) error {
				served, err := v.Serve([]*storage.Event{e}, door.Format{Kind: door.Federation})
				if got := text(t, served[0]); got != string(form.JSON()) {
					t.Errorf("version %s: a server gets %s, want %s", version, got, form.JSON())
				}
				return err
			})
		}
	})
}

func TestAnErasureHoldsFromItsCommitOn(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("@world_readable A")
		vera := door.Reader{User: s.vera}
		if got, want := s.seen(vera), "@world_readable A"; got != want {
			t.Fatalf("before: %q", got)
		}
		s.Erase(s.sam)
		if got, want := s.seen(vera), "@world_readable A-"; got != want {
			t.Errorf("after: %q, want %q", got, want)
		}
		// A door that begins with the erasure finds it.
		again := door.New(db, s.Trees, door.Options{Now: s.Now, Readers: door.ReadersSpec})
		s.Door = again
		if got, want := s.seen(vera), "@world_readable A-"; got != want {
			t.Errorf("after a restart: %q, want %q", got, want)
		}
	})
}

// What other processes have done holds from their commit on, though it comes to
// Changed later: here never.
func TestWhatOtherProcessesHaveDoneHoldsBeforeItIsTold(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	here, there := storagetest.Open(t, url), storagetest.Open(t, url)
	h := doortest.New(t, there, nil)
	s := newStage(h, "11")
	local := *h
	local.DB = here
	local.Door = door.New(here, s.Trees, door.Options{Now: h.Now, Readers: door.ReadersSpec})
	at := *s
	room := *s.Room
	room.House, at.Room = &local, &room

	s.tell("+join A +leave")
	vera, late := door.Reader{User: s.vera}, door.Reader{User: "@late:x"}
	for _, step := range []struct {
		do   func()
		who  door.Reader
		want string
	}{
		{func() {}, vera, "+join A +leave"},
		{func() {}, late, ""},
		{func() { s.Join(late.User) }, late, "+join A +leave"},
		{func() { s.Leave(late.User); s.tell("B") }, late, "+join A +leave"},
		{func() { s.Erase(s.sam) }, late, "+join A +leave"},
		{func() { s.Join(late.User) }, late, "+join A +leave B-"},
	} {
		step.do()
		if got := at.seen(step.who); got != step.want {
			t.Errorf("%s gets %q, want %q", step.who.User, got, step.want)
		}
	}
}

func TestStateOfTheErasedInServedState(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newStage(doortest.New(t, db, nil), "11")
		s.tell("%join ^a")
		before := s.State
		s.tell("~a ^b ! +join")
		s.Visit(s.vera, func(v *door.Visit) error {
			for _, tc := range []struct {
				key   event.Key
				old   bool
				whole bool
			}{
				{key: event.Key{Type: "m.room.topic"}, whole: true},
				{key: event.Key{Type: "m.room.topic"}, old: true, whole: false},
				{key: event.Key{Type: "m.room.encryption"}, whole: true},
				{key: event.Key{Type: "m.room.member", StateKey: string(s.sam)}, whole: false},
				{key: event.Key{Type: "m.room.member", StateKey: string(s.vera)}, whole: true},
			} {
				root := s.State
				if tc.old {
					root = before
				}
				content, err := v.StateContent(root, tc.key)
				if err != nil {
					return err
				}
				served, err := v.ServeState(root, []event.Key{tc.key, {Type: "none"}}, door.Format{Kind: door.Stripped})
				if err != nil {
					return err
				}
				if len(served) != 1 {
					t.Fatalf("%v: %d events", tc.key, len(served))
				}
				for _, got := range []string{text(t, content), text(t, served[0])} {
					if strings.Contains(got, "s3cret") != tc.whole {
						t.Errorf("%v, of before %v: %s", tc.key, tc.old, got)
					}
				}
			}
			all, err := v.ServeState(s.State, nil, door.Format{})
			if want := 6; len(all) != want {
				t.Errorf("all state is %d events, want %d", len(all), want)
			}
			if _, err := v.StateContent(s.State, event.Key{Type: "none"}); matrix.CodeOf(err) != matrix.CodeNotFound {
				t.Errorf("state that is not there: %v", err)
			}
			return err
		})
	})
}
