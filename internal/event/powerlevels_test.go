package event_test

import (
	"testing"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

func TestPowerLevelsAsEachVersionWritesThem(t *testing.T) {
	const none = 7 // users_default: what is no level is not there
	for _, tc := range []struct {
		value string
		want  map[string]int64 // by version
	}{
		{`50`, map[string]int64{"1": 50, "6": 50, "10": 50, "12": 50}},
		{`-5`, map[string]int64{"1": -5, "6": -5, "10": -5}},
		{`"100"`, map[string]int64{"1": 100, "9": 100, "10": none}},
		{`"000100"`, map[string]int64{"1": 100, "9": 100, "10": none}},
		{`"+100"`, map[string]int64{"1": 100, "9": 100}},
		{`" -00100 "`, map[string]int64{"1": -100, "9": -100}},
		{`"\t100\n"`, map[string]int64{"1": 100, "9": 100}},
		{`"1.0"`, map[string]int64{"1": none, "9": none}},
		{`"1_0"`, map[string]int64{"1": none}},
		{`"+-1"`, map[string]int64{"1": none}},
		{`""`, map[string]int64{"1": none}},
		{`50.57`, map[string]int64{"1": 50, "5": 50, "6": none, "10": none}},
		{`-50.57`, map[string]int64{"1": -50}},
		{`5.114698E4`, map[string]int64{"1": 51146, "5": 51146}},
		{`1e400`, map[string]int64{"1": none}},
		{`1e100`, map[string]int64{"1": event.InfiniteLevel - 1}},
		{`-1e100`, map[string]int64{"1": 1 - event.InfiniteLevel}},
		{`9223372036854775807`, map[string]int64{"1": event.InfiniteLevel - 1}},
		{`"-99999999999999999999"`, map[string]int64{"1": 1 - event.InfiniteLevel}},
		{`null`, map[string]int64{"1": none, "12": none}},
		{`true`, map[string]int64{"1": none, "12": none}},
		{`[1]`, map[string]int64{"1": none, "12": none}},
	} {
		for id, want := range tc.want {
			v := version(t, id)
			e := load(t, v, levels("@creator:a", `{"users":{"@user:b":`+tc.value+`},"users_default":7}`))
			if got := event.NewPowerLevels(nil, e).User("@user:b"); got != want {
				t.Errorf("%s in version %s is %d, want %d", tc.value, id, got, want)
			}
		}
	}
}

// TestLevelOutOfRangeIsRefused: rooms/v1, power levels as floats.
func TestLevelOutOfRangeIsRefused(t *testing.T) {
	v := version(t, "1")
	room := aRoom(t, v, fields{typ: "m.room.power_levels"})
	if got := ruleOf(t, event.Authorize(load(t, v, levels("@creator:a", `{"ban":1e400}`)), room)); got != "10.1" {
		t.Errorf("got rule %s", got)
	}
}

func TestPowerLevelsThatNothingSays(t *testing.T) {
	for _, tc := range []struct {
		version             string
		creator, additional int64
	}{{"1", 100, 0}, {"11", 100, 0}, {"12", event.InfiniteLevel, event.InfiniteLevel}} {
		v := version(t, tc.version)
		create := load(t, v, createEvent(`{"creator":"@creator:a","additional_creators":["@user:b"]}`, nil))
		for name, p := range map[string]event.PowerLevels{
			"no event": event.NewPowerLevels(create, nil),
			"empty":    event.NewPowerLevels(create, load(t, v, levels("@creator:a", `{}`))),
		} {
			creator := tc.creator
			if name == "empty" && !v.PrivilegedCreators {
				creator = 0 // the event says nothing of them
			}
			for what, got := range map[string][2]int64{
				"creator":            {p.User("@creator:a"), creator},
				"additional creator": {p.User("@user:b"), tc.additional},
				"another":            {p.User("@left:b"), 0},
				"users_default":      {p.UsersDefault(), 0},
				"message":            {p.EventLevel("m.room.message", false), 0},
				"state":              {p.EventLevel("m.room.topic", true), 50},
				"ban":                {p.Ban(), 50},
				"kick":               {p.Kick(), 50},
				"redact":             {p.Redact(), 50},
				"invite":             {p.Invite(), 0},
				"room":               {p.Notifications("room"), 50},
			} {
				if got[0] != got[1] {
					t.Errorf("version %s, %s: %s is %d, want %d", tc.version, name, what, got[0], got[1])
				}
			}
		}
	}
}

func TestPowerLevelsThatTheEventSays(t *testing.T) {
	v := version(t, "11")
	p := event.NewPowerLevels(nil, load(t, v, levels("@creator:a", `{"users":{"@user:b":9},"users_default":1,
		"events_default":2,"state_default":3,"ban":4,"redact":5,"kick":6,"invite":7,"events":{"a":8},
		"notifications":{"room":10}}`)))
	for what, got := range map[string][2]int64{
		"user":     {p.User("@user:b"), 9},
		"another":  {p.User("@left:b"), 1},
		"message":  {p.EventLevel("b", false), 2},
		"state":    {p.EventLevel("b", true), 3},
		"listed":   {p.EventLevel("a", false), 8},
		"listed s": {p.EventLevel("a", true), 8},
		"ban":      {p.Ban(), 4}, "redact": {p.Redact(), 5}, "kick": {p.Kick(), 6}, "invite": {p.Invite(), 7},
		"room": {p.Notifications("room"), 10},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %d, want %d", what, got[0], got[1])
		}
	}
}

func TestContentThatIsNotUnderstoodIsTheDefault(t *testing.T) {
	v := version(t, "12")
	of := func(typ, content string) *event.Event {
		return load(t, v, fields{typ: typ, sender: "@creator:a", content: content})
	}
	for _, tc := range []struct{ name, got, want string }{
		{"no membership", event.MembershipOf(nil), ""},
		{"membership", event.MembershipOf(of("m.room.member", `{"membership":"join"}`)), "join"},
		{"membership of a list", event.MembershipOf(of("m.room.member", `{"membership":[]}`)), ""},
		{"membership of another type", event.MembershipOf(of("m.room.topic", `{"membership":"join"}`)), ""},
		{"no join rules", event.JoinRule(nil), "invite"},
		{"empty join rules", event.JoinRule(of("m.room.join_rules", `{}`)), "invite"},
		{"join rule", event.JoinRule(of("m.room.join_rules", `{"join_rule":"knock"}`)), "knock"},
		{"another join rule", event.JoinRule(of("m.room.join_rules", `{"join_rule":"org.example"}`)), "org.example"},
		{"join rule of a list", event.JoinRule(of("m.room.join_rules", `{"join_rule":[]}`)), ""},
		{"no visibility", event.HistoryVisibility(nil), "shared"},
		{"visibility", event.HistoryVisibility(of("m.room.history_visibility", `{"history_visibility":"joined"}`)), "joined"},
		{"another", event.HistoryVisibility(of("m.room.history_visibility", `{"history_visibility":"x"}`)), "shared"},
		{"visibility of a number", event.HistoryVisibility(of("m.room.history_visibility", `{"history_visibility":1}`)), "shared"},
		{"no guest access", event.GuestAccess(nil), "forbidden"},
		{"guest access", event.GuestAccess(of("m.room.guest_access", `{"guest_access":"can_join"}`)), "can_join"},
		{"another", event.GuestAccess(of("m.room.guest_access", `{"guest_access":"x"}`)), "forbidden"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, tc.got, tc.want)
		}
	}
	if !event.Federates(of("m.room.create", `{"m.federate":null}`)) || event.Federates(of("m.room.create", `{"m.federate":false}`)) {
		t.Error("only false is false")
	}
}

func TestCreators(t *testing.T) {
	for id, want := range map[string][]matrix.UserID{
		"10": {"@old:a"}, "11": {"@creator:a"}, "12": {"@creator:a", "@user:b"},
	} {
		create := load(t, version(t, id), createEvent(`{"creator":"@old:a","additional_creators":["@user:b"]}`, nil))
		got := event.Creators(create)
		if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
			t.Errorf("version %s: %v, want %v", id, got, want)
		}
	}
}
