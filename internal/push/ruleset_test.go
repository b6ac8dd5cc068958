package push

import (
	"fmt"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

var _ Event = (*event.Event)(nil)

// testEvent is an event of a test.
type testEvent struct {
	kind, sender, room, content string
	state                       *string
}

func (e testEvent) ID() string                  { return "$event" }
func (e testEvent) RoomID() matrix.RoomID       { return matrix.RoomID(orElse(e.room, "!room:example.org")) }
func (e testEvent) Type() string                { return orElse(e.kind, "m.room.message") }
func (e testEvent) Sender() matrix.UserID       { return matrix.UserID(orElse(e.sender, "@bob:example.org")) }
func (e testEvent) Timestamp() matrix.Timestamp { return 1432735824653 }
func (e testEvent) Content() jsontext.Value     { return jsontext.Value(orElse(e.content, "{}")) }
func (e testEvent) StateKey() (string, bool) {
	if e.state == nil {
		return "", false
	}
	return *e.state, true
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

const alice matrix.UserID = "@alice:example.org"

// conditionHolds evaluates a rule that has one condition.
func conditionHolds(t *testing.T, condition string, ev Event, ctx Context) bool {
	t.Helper()
	rule := Rule{
		ID: "x", Enabled: true, Conditions: []jsontext.Value{jsontext.Value(condition)},
		Actions: []jsontext.Value{jsontext.Value(`"notify"`)},
	}
	return Compile(alice, Rules{Override: []Rule{rule}}).Evaluate(Prepare(ev), ctx).Notify
}

func TestConditions(t *testing.T) {
	empty := ""
	text := func(body string) testEvent { return testEvent{content: `{"msgtype":"m.text","body":"` + body + `"}`} }
	create := testEvent{
		kind: "m.room.create", state: &empty,
		content: `{"m.federate":true,"n":5,"f":5.5,"z":null,"s":"true","a.b\\c":{"d":"x"},"list":["a",5,true,null,[1],{"b":1}],"o":{}}`,
	}
	for _, c := range []struct {
		condition string
		event     testEvent
		holds     bool
	}{
		{`{"kind":"event_match","key":"type","pattern":"m.room.*"}`, text(""), true},
		{`{"kind":"event_match","key":"type","pattern":"M.ROOM.MESSAGE"}`, text(""), true},
		{`{"kind":"event_match","key":"type","pattern":"message"}`, text(""), false},
		{`{"kind":"event_match","key":"sender","pattern":"@bob:*"}`, text(""), true},
		{`{"kind":"event_match","key":"room_id","pattern":"!room:example.org"}`, text(""), true},
		{`{"kind":"event_match","key":"event_id","pattern":"$*"}`, text(""), true},
		{`{"kind":"event_match","key":"state_key","pattern":"*"}`, text(""), false}, // absent
		{`{"kind":"event_match","key":"state_key","pattern":""}`, create, true},
		{`{"kind":"event_match","key":"content","pattern":"*"}`, text(""), false}, // not a string
		{`{"kind":"event_match","key":"origin_server_ts","pattern":"*"}`, text(""), false},
		{`{"kind":"event_match","key":"content.body","pattern":"cake"}`, text("a Cake."), true},
		{`{"kind":"event_match","key":"content.body","pattern":"cake"}`, text(`a\ncake`), true},
		{`{"kind":"event_match","key":"content.body","pattern":"cake"}`, text("cupcake"), false},
		{`{"kind":"event_match","key":"content.body","pattern":"*"}`, testEvent{content: `{"body":5}`}, false},
		{`{"kind":"event_match","key":"content.body","pattern":"*"}`, testEvent{}, false},
		{`{"kind":"event_match","key":"content.msgtype","pattern":"text"}`, text(""), false}, // only the body has words
		{`{"kind":"event_match","key":"content.msgtype","pattern":"m.t?xt"}`, text(""), true},
		{`{"kind":"event_match","key":"content.z","pattern":"*"}`, create, false},
		{`{"kind":"event_match","key":"content.a\\.b\\\\c.d","pattern":"x"}`, create, true},
		{`{"kind":"event_match","key":"content.a.b\\\\c.d","pattern":"x"}`, create, false},
		{`{"kind":"event_match","key":"content.m.federate","pattern":"*"}`, create, false},
		{`{"kind":"event_match","key":"content.s.length","pattern":"*"}`, create, false},
		{`{"kind":"event_match","key":"content.list.0","pattern":"a"}`, create, false},
		{`{"kind":"event_match","key":"content.@this.s","pattern":"*"}`, create, false}, // gjson's, not ours
		{`{"kind":"event_match","key":"unsigned.age","pattern":"*"}`, create, false},
		{`{"kind":"event_match","key":"content.s"}`, create, false},
		{`{"kind":"event_match","pattern":"*"}`, create, false},
		{`{"kind":"event_match","key":5,"pattern":"*"}`, create, false},
		// What predefined rules have for the user is a text in others.
		{`{"kind":"event_match","key":"content.body","pattern":"[the user's Matrix ID]"}`, text("@alice:example.org"), false},

		{`{"kind":"event_property_is","key":"content.m\\.federate","value":true}`, create, true},
		{`{"kind":"event_property_is","key":"content.m\\.federate","value":"true"}`, create, false},
		{`{"kind":"event_property_is","key":"content.m\\.federate","value":1}`, create, false},
		{`{"kind":"event_property_is","key":"content.m\\.federate","value":false}`, create, false},
		{`{"kind":"event_property_is","key":"content.s","value":"true"}`, create, true},
		{`{"kind":"event_property_is","key":"content.s","value":"TRUE"}`, create, false},
		{`{"kind":"event_property_is","key":"content.n","value":5}`, create, true},
		{`{"kind":"event_property_is","key":"content.n","value":6}`, create, false},
		{`{"kind":"event_property_is","key":"content.f","value":5.5}`, create, false},
		{`{"kind":"event_property_is","key":"content.z","value":null}`, create, true},
		{`{"kind":"event_property_is","key":"content.absent","value":null}`, create, false},
		{`{"kind":"event_property_is","key":"content.o","value":{}}`, create, false},
		{`{"kind":"event_property_is","key":"content.n"}`, create, false},
		{`{"kind":"event_property_is","key":"type","value":"m.room.create"}`, create, true},
		{`{"kind":"event_property_is","key":"origin_server_ts","value":1432735824653}`, create, true},

		{`{"kind":"event_property_contains","key":"content.list","value":"a"}`, create, true},
		{`{"kind":"event_property_contains","key":"content.list","value":5}`, create, true},
		{`{"kind":"event_property_contains","key":"content.list","value":true}`, create, true},
		{`{"kind":"event_property_contains","key":"content.list","value":null}`, create, true},
		{`{"kind":"event_property_contains","key":"content.list","value":false}`, create, false},
		{`{"kind":"event_property_contains","key":"content.list","value":[1]}`, create, false},
		{`{"kind":"event_property_contains","key":"content.list","value":1}`, create, false},
		{`{"kind":"event_property_contains","key":"content.s","value":"true"}`, create, false},
		{`{"kind":"event_property_contains","key":"content.o","value":null}`, create, false},
		{`{"kind":"event_property_contains","key":"content.absent","value":null}`, create, false},

		{`{"kind":"contains_display_name"}`, text("hi a*e? ...!"), true},
		{`{"kind":"contains_display_name"}`, text("A*E?"), true},
		{`{"kind":"contains_display_name"}`, text("alice"), false}, // a name is no pattern
		{`{"kind":"contains_display_name"}`, text("ba*e?"), false},
		{`{"kind":"contains_display_name"}`, testEvent{}, false},

		{`{"kind":"room_member_count","is":"3"}`, text(""), true},
		{`{"kind":"room_member_count","is":"==3"}`, text(""), true},
		{`{"kind":"room_member_count","is":"2"}`, text(""), false},
		{`{"kind":"room_member_count","is":"<3"}`, text(""), false},
		{`{"kind":"room_member_count","is":"<4"}`, text(""), true},
		{`{"kind":"room_member_count","is":"<=3"}`, text(""), true},
		{`{"kind":"room_member_count","is":">3"}`, text(""), false},
		{`{"kind":"room_member_count","is":">2"}`, text(""), true},
		{`{"kind":"room_member_count","is":">=3"}`, text(""), true},
		{`{"kind":"room_member_count","is":"<>3"}`, text(""), false},
		{`{"kind":"room_member_count","is":">=-3"}`, text(""), false},
		{`{"kind":"room_member_count","is":"many"}`, text(""), false},
		{`{"kind":"room_member_count","is":3}`, text(""), false},
		{`{"kind":"room_member_count"}`, text(""), false},

		{`{"kind":"sender_notification_permission","key":"room"}`, text(""), true},
		{`{"kind":"sender_notification_permission","key":"other"}`, text(""), false},
		{`{"kind":"sender_notification_permission"}`, text(""), false},

		{`{"kind":"org.example.future","key":"type","pattern":"*"}`, text(""), false},
		{`{"kind":null}`, text(""), false},
		{`[]`, text(""), false},
	} {
		ctx := Context{DisplayName: "A*e?", Members: 3, SenderMay: func(key string) bool { return key == "room" }}
		if got := conditionHolds(t, c.condition, c.event, ctx); got != c.holds {
			t.Errorf("%s of %+v: %v", c.condition, c.event, got)
		}
	}
	if conditionHolds(t, `{"kind":"contains_display_name"}`, text("x"), Context{}) {
		t.Error("a user without a display name is found in a message")
	}
	if conditionHolds(t, `{"kind":"sender_notification_permission","key":"room"}`, text("x"), Context{}) {
		t.Error("a sender of whom nothing is known may notify the room")
	}
}

// TestPredefinedRules goes through what a user who has changed nothing is told of
// (CS API, Push notifications: Predefined Rules).
func TestPredefinedRules(t *testing.T) {
	silent, notify := Actions{}, Actions{Notify: true}
	sound := Actions{Notify: true, Sound: "default"}
	loud := Actions{Notify: true, Sound: "default", Highlight: true}
	highlight := Actions{Notify: true, Highlight: true}
	empty, me, other := "", string(alice), "@carol:example.org"
	for name, c := range map[string]struct {
		event   testEvent
		members int
		want    Actions
	}{
		"a message":               {testEvent{content: `{"msgtype":"m.text","body":"x"}`}, 3, notify},
		"a message to one":        {testEvent{content: `{"msgtype":"m.text","body":"x"}`}, 2, sound},
		"an encrypted one":        {testEvent{kind: "m.room.encrypted"}, 3, notify},
		"an encrypted one to one": {testEvent{kind: "m.room.encrypted"}, 2, sound},
		"one's own":               {testEvent{sender: me}, 2, silent},
		"a notice":                {testEvent{content: `{"msgtype":"m.notice"}`}, 2, silent},
		"an invitation":           {testEvent{kind: "m.room.member", state: &me, content: `{"membership":"invite"}`}, 1, sound},
		"another's invitation":    {testEvent{kind: "m.room.member", state: &other, content: `{"membership":"invite"}`}, 2, silent},
		"a join":                  {testEvent{kind: "m.room.member", state: &me, content: `{"membership":"join"}`}, 2, silent},
		"a mention":               {testEvent{content: `{"m.mentions":{"user_ids":["@carol:example.org","@alice:example.org"]}}`}, 3, loud},
		"another's mention":       {testEvent{content: `{"m.mentions":{"user_ids":["@carol:example.org"]}}`}, 3, notify},
		"a mention in an edit": {
			testEvent{content: `{"m.mentions":{"user_ids":["@alice:example.org"]},"m.relates_to":{"rel_type":"m.replace"}}`}, 3, loud,
		},
		"an edit":               {testEvent{content: `{"m.mentions":{},"m.relates_to":{"rel_type":"m.replace"}}`}, 2, silent},
		"a reply in a thread":   {testEvent{content: `{"m.relates_to":{"rel_type":"m.thread"}}`}, 3, notify},
		"the room":              {testEvent{content: `{"m.mentions":{"room":true}}`}, 3, highlight},
		"the room, not really":  {testEvent{content: `{"m.mentions":{"room":"true"}}`}, 3, notify},
		"the room, by a nobody": {testEvent{content: `{"m.mentions":{"room":true}}`, sender: "@nobody:example.org"}, 3, notify},
		"the name in the text":  {testEvent{content: `{"body":"Alice @alice:example.org alice @room"}`}, 3, notify},
		"a tombstone":           {testEvent{kind: "m.room.tombstone", state: &empty}, 3, highlight},
		"no tombstone":          {testEvent{kind: "m.room.tombstone"}, 3, silent},
		"a reaction":            {testEvent{kind: "m.reaction"}, 2, silent},
		"an access list":        {testEvent{kind: "m.room.server_acl", state: &empty}, 2, silent},
		"a call":                {testEvent{kind: "m.call.invite"}, 3, Actions{Notify: true, Sound: "ring"}},
		"a name":                {testEvent{kind: "m.room.name", state: &empty}, 2, silent},
		"anything else":         {testEvent{kind: "org.example.x"}, 2, silent},
	} {
		rules, err := RulesOf(alice, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := Compile(alice, rules).Evaluate(Prepare(c.event), Context{
			DisplayName: "Alice", Members: c.members,
			SenderMay: func(string) bool { return c.event.sender != "@nobody:example.org" },
		})
		got.Tweaks, got.List = nil, nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestPredefinedRulesAreUnlikeAnyOthers: each has an id of its own that begins
// with a dot and parameters that this server would take.
func TestPredefinedRulesAreUnlikeAnyOthers(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range predefined {
		if !isReserved(p.ID) || seen[p.ID] {
			t.Errorf("the id %q", p.ID)
		}
		seen[p.ID] = true
		if p.Enabled == (p.ID == master) {
			t.Errorf("%s is enabled: %v", p.ID, p.Enabled)
		}
		for _, c := range p.Conditions {
			if _, err := parseCondition(c, ""); err != nil {
				t.Errorf("%s: %v", p.ID, err)
			}
		}
		actions, err := checkActions(slices.Clone(p.Actions))
		if err != nil || len(actions) != len(p.Actions) {
			t.Errorf("%s: the actions %s are %s: %v", p.ID, p.Actions, actions, err)
		}
	}
	if len(predefined) != 15 {
		t.Errorf("%d predefined rules, the specification has 15", len(predefined))
	}
}

// ruleFor is a rule that plays a sound.
func ruleFor(id, sound string, more Rule) Rule {
	more.ID, more.Enabled = id, true
	more.Actions = []jsontext.Value{
		jsontext.Value(`"notify"`), jsontext.Value(`{"set_tweak":"sound","value":"` + sound + `"}`),
	}
	return more
}

// TestTheFirstRuleDecides: the order of kinds, and that within them; rules that
// are disabled are not there.
func TestTheFirstRuleDecides(t *testing.T) {
	never := Rule{Conditions: []jsontext.Value{jsontext.Value(`{"kind":"org.example"}`)}}
	rules := Rules{
		Override:  []Rule{ruleFor("a", "never", never), ruleFor("b", "override", Rule{}), ruleFor("c", "later", Rule{})},
		Content:   []Rule{ruleFor("a", "other", Rule{Pattern: "tea"}), ruleFor("b", "content", Rule{Pattern: "time"})},
		Room:      []Rule{ruleFor("!other:example.org", "other", Rule{}), ruleFor("!room:example.org", "room", Rule{})},
		Sender:    []Rule{ruleFor("@carol:example.org", "other", Rule{}), ruleFor("@bob:example.org", "sender", Rule{})},
		Underride: []Rule{ruleFor("a", "never", never), ruleFor("b", "underride", Rule{})},
	}
	ev := Prepare(testEvent{content: `{"body":"what's the time?"}`})
	for _, k := range kinds {
		if got := Compile(alice, rules).Evaluate(ev, Context{}).Sound; got != string(k) {
			t.Errorf("the rule that decides is %q, want %q", got, k)
		}
		for i := range *rules.of(k) {
			(*rules.of(k))[i].Enabled = false
		}
	}
	if got := Compile(alice, rules).Evaluate(ev, Context{}); got.Notify {
		t.Errorf("without rules: %+v", got)
	}
}

func TestActions(t *testing.T) {
	for list, want := range map[string]Actions{
		`[]`:         {},
		`["notify"]`: {Notify: true, Tweaks: map[string]jsontext.Value{}},
		`[{"set_tweak":"highlight"},{"set_tweak":"sound","value":"x"}]`: {}, // nothing to tweak
		`["notify",{"set_tweak":"highlight"}]`: {
			Notify: true, Highlight: true, Tweaks: map[string]jsontext.Value{"highlight": jsontext.Value("true")},
		},
		`["notify",{"set_tweak":"highlight","value":false}]`: {
			Notify: true, Tweaks: map[string]jsontext.Value{"highlight": jsontext.Value("false")},
		},
		`["notify",{"set_tweak":"sound","value":5},{"set_tweak":"org.example.light","value":{"a":[1]}},{"set_tweak":"x"}]`: {
			Notify: true, Tweaks: map[string]jsontext.Value{
				"sound": jsontext.Value("5"), "org.example.light": jsontext.Value(`{"a":[1]}`), "x": jsontext.Value("null"),
			},
		},
	} {
		if want.Notify {
			want.List = jsontext.Value(list)
		}
		if diff := cmp.Diff(want, *compileActions(values(t, list))); diff != "" {
			t.Errorf("%s: %s", list, diff)
		}
	}
}

// BenchmarkEvaluate is a plain message for one user who has changed nothing, from
// the event's bytes on, and for each further user in the room.
func BenchmarkEvaluate(b *testing.B) {
	ev := testEvent{content: `{"body":"Good morning, how was the journey? We thought of you all day.",` +
		`"format":"org.matrix.custom.html","formatted_body":"Good morning, <b>how</b> was the journey?",` +
		`"m.mentions":{},"msgtype":"m.text"}`}
	ctx := Context{DisplayName: "Alice", Members: 30, SenderMay: func(string) bool { return false }}
	for _, own := range []int{0, 20} {
		var c changes
		for i := range own {
			c.Own.Content = append(c.Own.Content, ruleFor(fmt.Sprint(i), "x", Rule{Pattern: fmt.Sprint("word", i)}))
			c.Own.Room = append(c.Own.Room, ruleFor(fmt.Sprintf("!%d:example.org", i), "x", Rule{}))
		}
		set := Compile(alice, c.rules(alice))
		b.Run(fmt.Sprintf("event/own=%d", own), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !set.Evaluate(Prepare(ev), ctx).Notify {
					b.Fatal("not notified")
				}
			}
		})
		b.Run(fmt.Sprintf("user/own=%d", own), func(b *testing.B) {
			b.ReportAllocs()
			prepared := Prepare(ev)
			for b.Loop() {
				if !set.Evaluate(prepared, ctx).Notify {
					b.Fatal("not notified")
				}
			}
		})
	}
}

// BenchmarkCompile is what a user costs whose rules are in no cache.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		rules, err := RulesOf(alice, nil)
		if err != nil || Compile(alice, rules) == nil {
			b.Fatal(err)
		}
	}
}
