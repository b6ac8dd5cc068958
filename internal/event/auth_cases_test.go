package event_test

import (
	"fmt"
	"strings"

	"lethe/internal/event"
)

// families are the room versions with the same numbers of rules. The column of a
// case's want is that of the family.
var families = [][]string{{"1", "2"}, {"3", "4", "5"}, {"6"}, {"7"}, {"8", "9"}, {"10"}, {"11"}, {"12"}}

// authCase is an event, what else the room has, and by which rule each family
// refuses it: one number for all, or one for each; "-" is allowed.
type authCase struct {
	name string
	e    fields
	room []fields
	want string
}

// The numbers of points that most cases end in, by family.
const (
	joinOtherwise = "5.2.6 5.2.6 4.2.6 4.2.6 4.3.7 4.3.7 4.3.7 5.3.7"
	unknown       = "5.6 5.6 4.6 4.7 4.8 4.8 4.8 5.8"
)

func joins(user string, more string) fields { return membership(user, user, "join", more) }

func membership(sender, user, membership, more string) fields {
	return fields{typ: "m.room.member", key: user, sender: sender, content: fmt.Sprintf(`{"membership":%q%s}`, membership, more)}
}

func joinRule(rule string) []fields {
	return []fields{{id: "$rules", typ: "m.room.join_rules", sender: "@creator:a", content: fmt.Sprintf(`{"join_rule":%q}`, rule)}}
}

func createEvent(content string, more map[string]any) fields {
	return fields{id: "$create", typ: "m.room.create", sender: "@creator:a", content: content, more: more}
}

var authCases = []authCase{
	{"create", createEvent(`{"creator":"@creator:a","room_version":"1"}`, nil), nil, "-"},
	{"create after something", func() fields {
		f := createEvent(`{"creator":"@creator:a"}`, nil)
		f.prev = []string{"$x"}
		return f
	}(), nil, "1.1"},
	{"create in a room of another server, or with an id", createEvent(`{"creator":"@creator:a"}`,
		map[string]any{"room_id": "!room:b"}), nil, "1.2"},
	{"create of an unknown version", createEvent(`{"creator":"@creator:a","room_version":"0"}`, nil), nil, "1.3"},
	{"create of a version that is no text", createEvent(`{"creator":"@creator:a","room_version":1}`, nil), nil, "1.3"},
	{"create without creator", createEvent(`{}`, nil), nil, "1.4 1.4 1.4 1.4 1.4 1.4 - -"},
	{
		"create with creators that are no list", createEvent(`{"creator":"@creator:a","additional_creators":"@b:a"}`, nil), nil,
		"- - - - - - - 1.4",
	},
	{
		"create with creators that are no users", createEvent(`{"creator":"@creator:a","additional_creators":["@b:a","b"]}`, nil),
		nil, "- - - - - - - 1.4",
	},
	{
		"create with a creator that is no text", createEvent(`{"creator":"@creator:a","additional_creators":[1]}`, nil),
		nil, "- - - - - - - 1.4",
	},
	{"create with creators", createEvent(`{"creator":"@creator:a","additional_creators":["@b:a"]}`, nil), nil, "-"},

	{"in no room", message("@user:b"), []fields{{typ: "m.room.create"}}, "2.4 2.4 2.4 2.4 2.4 2.4 2.4 2"},
	{"in a room of another create event", message("@user:b"), []fields{{
		id: "$else", typ: "m.room.create", sender: "@creator:a", content: `{"creator":"@creator:a"}`,
	}}, "- - - - - - - 2"},
	{"from outside into a room that does not federate", message("@user:b"), []fields{
		createEvent(`{"creator":"@creator:a","m.federate":false}`, nil),
	}, "3 3 3 3 3 3 3 4"},
	{"from inside in a room that does not federate", message("@mod:a"), []fields{
		createEvent(`{"creator":"@creator:a","m.federate":false}`, nil),
	}, "-"},
	{"m.federate is something", message("@user:b"), []fields{
		createEvent(`{"creator":"@creator:a","m.federate":"false"}`, nil),
	}, "-"},

	{
		"aliases without a state key",
		fields{typ: "m.room.aliases", key: "-", sender: "@user:b", content: `{}`},
		nil,
		"4.1 4.1 - - - - - -",
	},
	{
		"aliases of another server",
		fields{typ: "m.room.aliases", key: "a", sender: "@user:b", content: `{}`},
		nil,
		"4.2 4.2 7 7 7 7 7 8",
	},
	{
		"aliases by a stranger",
		fields{typ: "m.room.aliases", key: "b", sender: "@stranger:b", content: `{}`},
		nil,
		"- - 5 5 5 5 5 6",
	},

	{
		"membership of nobody",
		fields{typ: "m.room.member", key: "-", sender: "@user:b", content: `{"membership":"join"}`},
		nil,
		"5.1 5.1 4.1 4.1 4.1 4.1 4.1 5.1",
	},
	{
		"no membership",
		fields{typ: "m.room.member", key: "@user:b", sender: "@user:b", content: `{}`},
		nil,
		"5.1 5.1 4.1 4.1 4.1 4.1 4.1 5.1",
	},
	{"membership that is not known", membership("@user:b", "@user:b", "dance", ""), nil, unknown},
	{
		"membership that is no text",
		fields{typ: "m.room.member", key: "@user:b", sender: "@user:b", content: `{"membership":1}`},
		nil, unknown,
	},

	{"the creator's first join", func() fields {
		f := joins("@creator:a", "")
		f.prev = []string{"$create"}
		return f
	}(), []fields{{typ: "m.room.member", key: "@creator:a"}}, "-"},
	{"another's first join", func() fields {
		f := joins("@stranger:b", "")
		f.prev = []string{"$create"}
		return f
	}(), nil, joinOtherwise},
	{"the creator's later join", func() fields {
		f := joins("@creator:a", "")
		f.prev = []string{"$create", "$x"}
		return f
	}(), []fields{{typ: "m.room.member", key: "@creator:a"}}, joinOtherwise},
	{
		"join of another", membership("@user:b", "@stranger:b", "join", ""), joinRule("public"),
		"5.2.2 5.2.2 4.2.2 4.2.2 4.3.2 4.3.2 4.3.2 5.3.2",
	},
	{
		"join of the banned", joins("@banned:b", ""), joinRule("public"),
		"5.2.3 5.2.3 4.2.3 4.2.3 4.3.3 4.3.3 4.3.3 5.3.3",
	},
	{"public", joins("@stranger:b", ""), joinRule("public"), "-"},
	{"invite, invited", joins("@invited:b", ""), nil, "-"},
	{"invite, in the room", joins("@user:b", ""), nil, "-"},
	{"invite, not invited", joins("@stranger:b", ""), nil, joinOtherwise},
	{"no join rules, invited", joins("@invited:b", ""), []fields{{typ: "m.room.join_rules"}}, "-"},
	{"no join rules, not invited", joins("@stranger:b", ""), []fields{{typ: "m.room.join_rules"}}, joinOtherwise},
	{"knock, invited", joins("@invited:b", ""), joinRule("knock"), "5.2.6 5.2.6 4.2.6 - - - - -"},
	{"knock, knocking", joins("@knocking:b", ""), joinRule("knock"), joinOtherwise},
	{"private, invited", joins("@invited:b", ""), joinRule("private"), joinOtherwise},
	{"a rule that is no text, invited", joins("@invited:b", ""), []fields{
		{typ: "m.room.join_rules", sender: "@creator:a", content: `{"join_rule":["invite"]}`},
	}, joinOtherwise},
	{"restricted, invited", joins("@invited:b", ""), joinRule("restricted"), "5.2.6 5.2.6 4.2.6 4.2.6 - - - -"},
	{
		"restricted, by nobody", joins("@stranger:b", ""), joinRule("restricted"),
		"5.2.6 5.2.6 4.2.6 4.2.6 4.3.5.2 4.3.5.2 4.3.5.2 5.3.5.2",
	},
	{
		"restricted, by one who can", joins("@stranger:b", `,"join_authorised_via_users_server":"@mod:a"`), joinRule("restricted"),
		"5.2.6 5.2.6 4.2.6 4.2.6 - - - -",
	},
	{
		"restricted, by the creator", joins("@stranger:b", `,"join_authorised_via_users_server":"@creator:a"`),
		joinRule("restricted"), "5.2.6 5.2.6 4.2.6 4.2.6 - - - -",
	},
	{
		"restricted, by one who cannot", joins("@stranger:b", `,"join_authorised_via_users_server":"@user:b"`),
		joinRule("restricted"), "5.2.6 5.2.6 4.2.6 4.2.6 4.3.5.2 4.3.5.2 4.3.5.2 5.3.5.2",
	},
	{
		"restricted, by one who left", joins("@stranger:b", `,"join_authorised_via_users_server":"@left:b"`), append(
			joinRule("restricted"), fields{typ: "m.room.power_levels", sender: "@creator:a", content: `{}`}),
		"5.2.6 5.2.6 4.2.6 4.2.6 4.3.5.2 4.3.5.2 4.3.5.2 5.3.5.2",
	},
	{
		"by what is no user", joins("@stranger:b", `,"join_authorised_via_users_server":"b"`), joinRule("public"),
		"- - - - 4.2.1 4.2.1 4.2.1 5.2.1",
	},
	{
		"by what is no text", joins("@stranger:b", `,"join_authorised_via_users_server":{}`), joinRule("public"),
		"- - - - 4.2.1 4.2.1 4.2.1 5.2.1",
	},
	{
		"knock_restricted, by one who can", joins("@stranger:b", `,"join_authorised_via_users_server":"@mod:a"`),
		joinRule("knock_restricted"), "5.2.6 5.2.6 4.2.6 4.2.6 4.3.7 - - -",
	},

	{"invite", membership("@mod:a", "@stranger:b", "invite", ""), nil, "-"},
	{"invite of one who left", membership("@mod:a", "@left:b", "invite", ""), nil, "-"},
	{
		"invite by an outsider", membership("@left:b", "@stranger:b", "invite", ""), nil,
		"5.3.2 5.3.2 4.3.2 4.3.2 4.4.2 4.4.2 4.4.2 5.4.2",
	},
	{
		"invite of one in the room", membership("@mod:a", "@user:b", "invite", ""), nil,
		"5.3.3 5.3.3 4.3.3 4.3.3 4.4.3 4.4.3 4.4.3 5.4.3",
	},
	{
		"invite of the banned", membership("@mod:a", "@banned:b", "invite", ""), nil,
		"5.3.3 5.3.3 4.3.3 4.3.3 4.4.3 4.4.3 4.4.3 5.4.3",
	},
	{
		"invite without the level", membership("@user:b", "@stranger:b", "invite", ""), nil,
		"5.3.5 5.3.5 4.3.5 4.3.5 4.4.5 4.4.5 4.4.5 5.4.5",
	},

	{"leave", membership("@user:b", "@user:b", "leave", ""), nil, "-"},
	{"leave of the invited", membership("@invited:b", "@invited:b", "leave", ""), nil, "-"},
	{"leave of one who knocks", membership("@knocking:b", "@knocking:b", "leave", ""), nil, "5.4.1 5.4.1 4.4.1 - - - - -"},
	{
		"leave of one who left", membership("@left:b", "@left:b", "leave", ""), nil,
		"5.4.1 5.4.1 4.4.1 4.4.1 4.5.1 4.5.1 4.5.1 5.5.1",
	},
	{
		"leave of the banned", membership("@banned:b", "@banned:b", "leave", ""), nil,
		"5.4.1 5.4.1 4.4.1 4.4.1 4.5.1 4.5.1 4.5.1 5.5.1",
	},
	{"kick", membership("@mod:a", "@user:b", "leave", ""), nil, "-"},
	{
		"kick by an outsider", membership("@left:b", "@user:b", "leave", ""), nil,
		"5.4.2 5.4.2 4.4.2 4.4.2 4.5.2 4.5.2 4.5.2 5.5.2",
	},
	{"unban", membership("@mod:a", "@banned:b", "leave", ""), nil, "-"},
	{"unban without the level", membership("@mod:a", "@banned:b", "leave", ""), []fields{
		{typ: "m.room.power_levels", sender: "@creator:a", content: `{"ban":60,"users":{"@mod:a":50}}`},
	}, "5.4.3 5.4.3 4.4.3 4.4.3 4.5.3 4.5.3 4.5.3 5.5.3"},
	{
		"kick without the level", membership("@user:b", "@invited:b", "leave", ""), nil,
		"5.4.5 5.4.5 4.4.5 4.4.5 4.5.5 4.5.5 4.5.5 5.5.5",
	},
	{
		"kick of an equal", membership("@mod:a", "@deputy:b", "leave", ""), nil,
		"5.4.5 5.4.5 4.4.5 4.4.5 4.5.5 4.5.5 4.5.5 5.5.5",
	},
	{
		"kick of the creator by an admin", membership("@admin:a", "@creator:a", "leave", ""), nil,
		"5.4.5 5.4.5 4.4.5 4.4.5 4.5.5 4.5.5 4.5.5 5.5.5",
	},
	{
		"kick of an admin by the creator", membership("@creator:a", "@admin:a", "leave", ""), nil,
		"5.4.5 5.4.5 4.4.5 4.4.5 4.5.5 4.5.5 4.5.5 -",
	},

	{"ban", membership("@mod:a", "@user:b", "ban", ""), nil, "-"},
	{"ban of a stranger", membership("@mod:a", "@stranger:b", "ban", ""), nil, "-"},
	{
		"ban by an outsider", membership("@left:b", "@user:b", "ban", ""), nil,
		"5.5.1 5.5.1 4.5.1 4.5.1 4.6.1 4.6.1 4.6.1 5.6.1",
	},
	{
		"ban without the level", membership("@user:b", "@stranger:b", "ban", ""), nil,
		"5.5.3 5.5.3 4.5.3 4.5.3 4.6.3 4.6.3 4.6.3 5.6.3",
	},
	{
		"ban of an equal", membership("@mod:a", "@deputy:b", "ban", ""), nil,
		"5.5.3 5.5.3 4.5.3 4.5.3 4.6.3 4.6.3 4.6.3 5.6.3",
	},

	{"knock", membership("@stranger:b", "@stranger:b", "knock", ""), joinRule("knock"), "5.6 5.6 4.6 - - - - -"},
	{
		"knock in a knock_restricted room", membership("@stranger:b", "@stranger:b", "knock", ""), joinRule("knock_restricted"),
		"5.6 5.6 4.6 4.6.1 4.7.1 - - -",
	},
	{
		"knock in an invite room", membership("@stranger:b", "@stranger:b", "knock", ""), nil,
		"5.6 5.6 4.6 4.6.1 4.7.1 4.7.1 4.7.1 5.7.1",
	},
	{
		"knock for another", membership("@user:b", "@stranger:b", "knock", ""), joinRule("knock"),
		"5.6 5.6 4.6 4.6.2 4.7.2 4.7.2 4.7.2 5.7.2",
	},
	{
		"knock from the inside", membership("@user:b", "@user:b", "knock", ""), joinRule("knock"),
		"5.6 5.6 4.6 4.6.4 4.7.4 4.7.4 4.7.4 5.7.4",
	},
	{
		"knock of the banned", membership("@banned:b", "@banned:b", "knock", ""), joinRule("knock"),
		"5.6 5.6 4.6 4.6.4 4.7.4 4.7.4 4.7.4 5.7.4",
	},

	{"message", message("@user:b"), nil, "-"},
	{"message of an outsider", message("@left:b"), nil, "6 6 5 5 5 5 5 6"},
	{"message of the invited", message("@invited:b"), nil, "6 6 5 5 5 5 5 6"},
	{"third-party invite", state("@mod:a", "m.room.third_party_invite", "token", `{}`), nil, "-"},
	{
		"third-party invite without the level", state("@user:b", "m.room.third_party_invite", "token", `{}`), nil,
		"7.1 7.1 6.1 6.1 6.1 6.1 6.1 7.1",
	},
	{"state without the level", state("@user:b", "m.room.topic", "", `{}`), nil, "8 8 7 7 7 7 7 8"},
	{"state with a level of its own", state("@mod:a", "m.room.server_acl", "", `{}`), nil, "8 8 7 7 7 7 7 8"},
	{
		"state in a room without levels", state("@user:b", "m.room.topic", "", `{}`),
		[]fields{{typ: "m.room.power_levels"}},
		"8 8 7 7 7 7 7 8",
	},
	{
		"state by the creator of a room without levels", state("@creator:a", "m.room.topic", "", `{}`),
		[]fields{{typ: "m.room.power_levels"}},
		"-",
	},
	{"state of another", state("@mod:a", "org.example", "@user:b", `{}`), nil, "9 9 8 8 8 8 8 9"},
	{"state of oneself", state("@mod:a", "org.example", "@mod:a", `{}`), nil, "-"},

	{"first levels", levels("@creator:a", `{"users":{"@admin:a":1000}}`), []fields{{typ: "m.room.power_levels"}}, "-"},
	{"a level that is text", levels("@admin:a", roomLevels(`"ban":" +050 "`)), nil, "- - - - - 9.1 9.1 10.1"},
	{
		"a level that is nothing", levels("@admin:a", roomLevels(`"ban":null`)), nil,
		"10.3.2 10.3.2 9.3.2 9.3.2 9.3.2 9.1 9.1 10.1",
	},
	{
		"an event's level that is text", levels("@admin:a", roomLevels(`"events":{"m.room.power_levels":"50"}`)), nil,
		"- - - - - 9.2 9.2 10.2",
	},
	{
		"events that are none", levels("@admin:a", roomLevels(`"events":[]`)), nil,
		"10.5.1 10.5.1 9.5.1 9.5.1 9.5.1 9.2 9.2 10.2",
	},
	{
		"a notification's level that is text", levels("@admin:a", roomLevels(`"notifications":{"room":"60"}`)), nil,
		"- - - - - 9.2 9.2 10.2",
	},
	{
		"a notification's level that is a word", levels("@admin:a", roomLevels(`"notifications":{"room":"all"}`)), nil,
		"- - 9.5.1 9.5.1 9.5.1 9.2 9.2 10.2",
	},
	{"users that are none", levels("@admin:a", `{"users":[]}`), nil, "10.1 10.1 9.1 9.1 9.1 9.3 9.3 10.3"},
	{"a user who is none", levels("@admin:a", roomUsers(`"someone":1`)), nil, "10.1 10.1 9.1 9.1 9.1 9.3 9.3 10.3"},
	{
		"a user's level that is a word", levels("@admin:a", roomUsers(`"@user:b":"one"`)), nil,
		"10.1 10.1 9.1 9.1 9.1 9.3 9.3 10.3",
	},
	{"a user's level that is text", levels("@admin:a", roomUsers(`"@user:b":"1"`)), nil, "- - - - - 9.3 9.3 10.3"},
	{"a creator's level", levels("@admin:a", roomUsers(`"@creator:a":100`)), nil, "- - - - - - - 10.4"},
	{"an additional creator's level", levels("@creator:a", roomUsers(`"@user:b":1`)), []fields{
		createEvent(`{"creator":"@creator:a","additional_creators":["@user:b"]}`, nil),
	}, "- - - - - - - 10.4"},
	{
		"change of a level above", levels("@mod:a", roomLevels(`"redact":50`)), nil,
		"10.3.1 10.3.1 9.3.1 9.3.1 9.3.1 9.5.1 9.5.1 10.6.1",
	},
	{
		"removal of a level above", levels("@mod:a", strings.Replace(roomLevels(``), `"redact":70,`, "", 1)), nil,
		"10.3.1 10.3.1 9.3.1 9.3.1 9.3.1 9.5.1 9.5.1 10.6.1",
	},
	{
		"change to a level above", levels("@mod:a", roomLevels(`"ban":51`)), nil,
		"10.3.2 10.3.2 9.3.2 9.3.2 9.3.2 9.5.2 9.5.2 10.6.2",
	},
	{
		"a level above is added", levels("@mod:a", roomLevels(`"kick":51`)), nil,
		"10.3.2 10.3.2 9.3.2 9.3.2 9.3.2 9.5.2 9.5.2 10.6.2",
	},
	{"levels are changed and added", levels("@mod:a", roomLevels(`"ban":40,"kick":50,"users_default":-1`)), nil, "-"},
	{
		"an event's level above is removed", levels("@mod:a", roomLevels(`"events":{"m.room.power_levels":50}`)), nil,
		"10.4.1 10.4.1 9.4.1 9.4.1 9.4.1 9.6.1 9.6.1 10.7.1",
	},
	{
		"an event's level above is added", levels("@mod:a", roomLevels(
			`"events":{"m.room.power_levels":50,"m.room.name":10,"m.room.server_acl":100,"m.room.topic":51}`)), nil,
		"10.5.1 10.5.1 9.5.1 9.5.1 9.5.1 9.7.1 9.7.1 10.8.1",
	},
	{"an event's level is changed", levels("@mod:a", roomLevels(
		`"events":{"m.room.power_levels":50,"m.room.name":50,"m.room.server_acl":100}`)), nil, "-"},
	{
		"a notification's level above is changed", levels("@mod:a", roomLevels(`"notifications":{"room":1}`)), nil,
		"- - 9.4.1 9.4.1 9.4.1 9.6.1 9.6.1 10.7.1",
	},
	{
		"a notification's level above is added", levels("@mod:a", roomLevels(`"notifications":{"room":60,"x":51}`)), nil,
		"- - 9.5.1 9.5.1 9.5.1 9.7.1 9.7.1 10.8.1",
	},
	{
		"an equal is removed", levels("@admin:a", strings.Replace(roomUsers(``), `"@other:a":100,`, "", 1)), nil,
		"10.6.1 10.6.1 9.6.1 9.6.1 9.6.1 9.8.1 9.8.1 10.9.1",
	},
	{
		"an equal is lowered", levels("@mod:a", roomUsers(`"@deputy:b":0`)), nil,
		"10.6.1 10.6.1 9.6.1 9.6.1 9.6.1 9.8.1 9.8.1 10.9.1",
	},
	{
		"one above is lowered", levels("@mod:a", roomUsers(`"@admin:a":50`)), nil,
		"10.6.1 10.6.1 9.6.1 9.6.1 9.6.1 9.8.1 9.8.1 10.9.1",
	},
	{
		"one raises oneself", levels("@mod:a", roomUsers(`"@mod:a":51`)), nil,
		"10.7.1 10.7.1 9.7.1 9.7.1 9.7.1 9.9.1 9.9.1 10.10.1",
	},
	{
		"one raises another above oneself", levels("@mod:a", roomUsers(`"@user:b":51`)), nil,
		"10.7.1 10.7.1 9.7.1 9.7.1 9.7.1 9.9.1 9.9.1 10.10.1",
	},
	{"one lowers oneself", levels("@mod:a", roomUsers(`"@mod:a":0`)), nil, "-"},
	{"one raises another to one's own", levels("@mod:a", roomUsers(`"@user:b":50`)), nil, "-"},
	{
		"a creator lowers an admin", levels("@creator:a", roomUsers(`"@admin:a":0`)), nil,
		"10.6.1 10.6.1 9.6.1 9.6.1 9.6.1 9.8.1 9.8.1 -",
	},
	{"without the level for levels", levels("@user:b", roomLevels(``)), nil, "8 8 7 7 7 7 7 8"},

	{"redaction of another server's event", fields{
		id: "$r:b", typ: "m.room.redaction", key: "-", sender: "@user:b", content: `{}`, more: map[string]any{"redacts": "$x:a"},
	}, nil, "11.3 - - - - - - -"},
	{"redaction of an event of the same server", fields{
		id: "$r:b", typ: "m.room.redaction", key: "-", sender: "@user:b", content: `{}`, more: map[string]any{"redacts": "$x:b"},
	}, nil, "-"},
	{"redaction by one who may", fields{
		id: "$r:a", typ: "m.room.redaction", key: "-", sender: "@admin:a", content: `{}`, more: map[string]any{"redacts": "$x:b"},
	}, nil, "-"},
}

func message(sender string) fields {
	return fields{id: "$m", typ: "m.room.message", key: "-", sender: sender, content: `{"body":"hello"}`}
}

func state(sender, typ, key, content string) fields {
	return fields{id: "$s", typ: typ, key: key, sender: sender, content: content}
}

func levels(sender, content string) fields { return state(sender, "m.room.power_levels", "", content) }

// roomLevels are the levels of aRoom with others of the single ones. CREATOR is
// for those who have one.
func roomLevels(changes string) string {
	return changedLevels(changes, "")
}

// roomUsers are the levels of aRoom with others for users.
func roomUsers(changes string) string {
	return changedLevels("", changes)
}

func changedLevels(changes, users string) string {
	all := `{"users":{"@admin:a":100,"@other:a":100,"@mod:a":50,"@deputy:b":50CREATOR},"redact":70,"ban":50,"invite":20,
		"events":{"m.room.power_levels":50,"m.room.name":10,"m.room.server_acl":100},"notifications":{"room":60}}`
	for _, change := range splitMembers(changes) {
		name, value, _ := strings.Cut(change, ":")
		all = replaceMember(all, name, value)
	}
	for _, change := range splitMembers(users) {
		i := strings.LastIndex(change, ":")
		name, value := change[:i], change[i+1:]
		if before, after, ok := strings.Cut(all, name+":"); ok {
			rest := strings.TrimLeft(after, "0123456789")
			all = before + name + ":" + value + rest
		} else {
			all = strings.Replace(all, "CREATOR", ","+change+"CREATOR", 1)
		}
	}
	return all
}

// splitMembers splits the members of an object at its commas, not at those inside.
func splitMembers(s string) (members []string) {
	depth, from := 0, 0
	for i, c := range s + "," {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				if i > from {
					members = append(members, s[from:i])
				}
				from = i + 1
			}
		}
	}
	return members
}

// replaceMember sets a member of the outer object.
func replaceMember(object, name, value string) string {
	inner := object[1 : len(object)-1]
	var members []string
	for _, m := range splitMembers(inner) {
		if !strings.HasPrefix(strings.TrimSpace(m), name+":") {
			members = append(members, strings.TrimSpace(m))
		}
	}
	return "{" + strings.Join(append(members, name+":"+value), ",") + "}"
}

// withCreator names the creator where creators have a level in the event.
func withCreator(v *event.Version, content string) string {
	creator := `,"@creator:a":100`
	if v.PrivilegedCreators || strings.Contains(content, `"@creator:a"`) {
		creator = ""
	}
	return strings.Replace(content, "CREATOR", creator, 1)
}
