package event_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/event"
)

func ruleOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "-"
	}
	var refused *event.AuthError
	if !errors.As(err, &refused) || refused.Message == "" || !strings.Contains(err.Error(), refused.Message) {
		t.Fatalf("not an error of a rule that says what is wrong: %v", err)
	}
	return refused.Rule
}

func TestEachAuthRuleRefusesByItsNumber(t *testing.T) {
	met := map[string]map[string]bool{}
	for family, ids := range families {
		for _, id := range ids {
			met[id] = map[string]bool{}
			for _, tc := range slices.Concat(authCases, thirdPartyCases(t)) {
				t.Run(id+"/"+tc.name, func(t *testing.T) {
					v := version(t, id)
					want := strings.Fields(tc.want)
					e := tc.e
					e.content = withCreator(v, e.content)
					got := ruleOf(t, event.Authorize(load(t, v, e), aRoom(t, v, tc.room...)))
					if w := want[min(family, len(want)-1)]; got != w {
						t.Errorf("got rule %s, want %s", got, w)
					}
					met[id][got] = true
				})
			}
			for _, rule := range authEventRules(version(t, id)) {
				met[id][rule] = true // TestAuthEventsAreThoseThatAllow
			}
			for _, rule := range event.RuleNumbers(version(t, id)) {
				if !met[id][rule] {
					t.Errorf("no case is refused by rule %s of room version %s", rule, id)
				}
			}
		}
	}
}

// thirdPartyCases are of invites of third-party identifiers.
func thirdPartyCases(t *testing.T) []authCase {
	key, another := event.NewSigningKey(), event.NewSigningKey()
	sign := func(k event.SigningKey, signed string) string {
		raw, err := event.SignJSON([]byte(signed), "id.example", k)
		if err != nil {
			t.Fatal(err)
		}
		return `,"third_party_invite":{"display_name":"S.","signed":` + string(raw) + `}`
	}
	public := func(k event.SigningKey, encode func([]byte) string) string { return encode(k.Public()) }
	third := func(content string) []fields {
		return []fields{{id: "$third", typ: "m.room.third_party_invite", key: "token", sender: "@user:b", content: content}}
	}
	list := third(fmt.Sprintf(`{"public_key":%q,"public_keys":[{"public_key":"x"},{"public_key":%q},7]}`,
		public(another, event.EncodeBase64), public(key, event.EncodeBase64)))
	single := third(fmt.Sprintf(`{"public_key":%q}`, public(key, urlSafe)))
	of := `{"mxid":"@stranger:b","token":"token"}`
	invite := func(more string) fields { return membership("@user:b", "@stranger:b", "invite", more) }
	rule := func(n int) string {
		return strings.ReplaceAll("5.3.1.N 5.3.1.N 4.3.1.N 4.3.1.N 4.4.1.N 4.4.1.N 4.4.1.N 5.4.1.N", "N", fmt.Sprint(n))
	}
	banned := membership("@user:b", "@banned:b", "invite", sign(key, `{"mxid":"@banned:b","token":"token"}`))
	byAnother := invite(sign(key, of))
	byAnother.sender = "@mod:a"
	return []authCase{
		{"third party, key of the list", invite(sign(key, of)), list, "-"},
		{"third party, the single key, URL-safe", invite(sign(key, of)), single, "-"},
		{"third party, banned", banned, list, rule(1)},
		{"third party, not signed", invite(`,"third_party_invite":{}`), list, rule(2)},
		{"third party that is nothing", invite(`,"third_party_invite":null`), list, rule(2)},
		{"third party, without a token", invite(sign(key, `{"mxid":"@stranger:b"}`)), list, rule(3)},
		{"third party, without a user", invite(sign(key, `{"token":"token"}`)), list, rule(3)},
		{"third party, another user", invite(sign(key, `{"mxid":"@user:b","token":"token"}`)), list, rule(4)},
		{"third party, another token", invite(sign(key, `{"mxid":"@stranger:b","token":"x"}`)), list, rule(5)},
		{"third party, another inviter", byAnother, list, rule(6)},
		{"third party, another key", invite(sign(another, of)), single, rule(8)},
		{"third party, changed since", invite(strings.Replace(sign(key, of), `"token"`, `"more":1,"token"`, 1)), list, rule(8)},
		{"third party, no signatures", invite(`,"third_party_invite":{"signed":` + of + `}`), list, rule(8)},
	}
}

func urlSafe(b []byte) string {
	return strings.NewReplacer("+", "-", "/", "_").Replace(event.EncodeBase64(b))
}

// authEventRules are the numbers of the rules about auth_events.
func authEventRules(v *event.Version) []string {
	if v.RoomIDFromCreate {
		return []string{"3.1", "3.2", "3.3", "3.4"}
	}
	return []string{"2.1", "2.2", "2.3", "2.4", "2.5"}
}

func TestAuthEventsAreThoseThatAllow(t *testing.T) {
	for _, id := range event.Versions() {
		v := version(t, id)
		room := aRoom(t, v)
		create, power := room(event.Key{Type: "m.room.create"}), room(event.Key{Type: "m.room.power_levels"})
		member := room(event.Key{Type: "m.room.member", StateKey: "@user:b"})
		another := load(t, v, fields{id: "$2", typ: "m.room.member", key: "@user:b", sender: "@user:b", content: `{}`})
		elsewhere := load(t, v, fields{
			id: "$3", typ: "m.room.member", key: "@user:b", sender: "@user:b", content: `{}`,
			more: map[string]any{"room_id": "!else:a"},
		})
		stateless := load(t, v, fields{id: "$4", typ: "m.room.power_levels", key: "-", sender: "@mod:a", content: `{}`})
		with := func(more ...*event.Event) []*event.Event {
			if v.RoomIDFromCreate {
				return more
			}
			return append([]*event.Event{create}, more...)
		}
		refused := func(id string) bool { return id == power.ID() }
		old, strict := "2.", "2."
		if v.RoomIDFromCreate {
			strict = "3."
		}
		room4 := map[bool]string{false: "5", true: "4"}[v.RoomIDFromCreate]
		for _, tc := range []struct {
			name     string
			auth     []*event.Event
			rejected func(string) bool
			want     string
		}{
			{"those that allow", with(power, member), nil, "-"},
			{"two for one key", with(power, member, another), nil, strict + "1"},
			{"one that does not matter", with(room(event.Key{Type: "m.room.join_rules"})), nil, strict + "2"},
			{"another's membership", with(room(event.Key{Type: "m.room.member", StateKey: "@mod:a"})), nil, strict + "2"},
			{"what is not state", with(stateless), nil, strict + "2"},
			{"a rejected one", with(power, member), refused, strict + "3"},
			{"of another room", with(power, elsewhere), nil, strict + room4},
			{"create", append(with(), create), nil, map[bool]string{false: old + "1", true: strict + "2"}[v.RoomIDFromCreate]},
			{"no create", []*event.Event{power, member}, nil, map[bool]string{false: "2.4", true: "-"}[v.RoomIDFromCreate]},
		} {
			t.Run(id+"/"+tc.name, func(t *testing.T) {
				if got := ruleOf(t, event.CheckAuthEvents(load(t, v, message("@user:b")), tc.auth, tc.rejected)); got != tc.want {
					t.Errorf("got rule %s, want %s", got, tc.want)
				}
			})
		}
	}
}

func TestAuthEventsSelection(t *testing.T) {
	const (
		c, p, s, j = "m.room.create ", "m.room.power_levels ", "m.room.member @s:a", "m.room.join_rules "
		target     = "m.room.member @t:a"
	)
	for _, tc := range []struct {
		name    string
		version string
		typ     string
		key     string
		content string
		want    []string
	}{
		{"create", "11", "m.room.create", "", `{}`, nil},
		{"message", "11", "m.room.message", "-", `{}`, []string{c, p, s}},
		{"message, v12", "12", "m.room.message", "-", `{}`, []string{p, s}},
		{"join", "6", "m.room.member", "@s:a", `{"membership":"join"}`, []string{c, p, s, j}},
		{"ban", "12", "m.room.member", "@t:a", `{"membership":"ban"}`, []string{p, s, target}},
		{"leave", "12", "m.room.member", "@s:a", `{"membership":"leave"}`, []string{p, s}},
		{"knock", "7", "m.room.member", "@s:a", `{"membership":"knock"}`, []string{c, p, s, j}},
		{"invite", "1", "m.room.member", "@t:a", `{"membership":"invite"}`, []string{c, p, s, target, j}},
		{
			"third-party invite", "1", "m.room.member", "@t:a",
			`{"membership":"invite","third_party_invite":{"signed":{"token":"x"}}}`,
			[]string{c, p, s, target, j, "m.room.third_party_invite x"},
		},
		{
			"restricted join", "8", "m.room.member", "@s:a", `{"membership":"join","join_authorised_via_users_server":"@v:a"}`,
			[]string{c, p, s, j, "m.room.member @v:a"},
		},
		{
			"restricted join, v7", "7", "m.room.member", "@s:a", `{"membership":"join","join_authorised_via_users_server":"@v:a"}`,
			[]string{c, p, s, j},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := version(t, tc.version)
			e := load(t, v, fields{typ: tc.typ, key: tc.key, sender: "@s:a", content: tc.content})
			p := event.Proto{Type: tc.typ, Sender: "@s:a", Content: []byte(tc.content)}
			if tc.key != "-" {
				p.StateKey = &tc.key
			}
			for _, keys := range [][]event.Key{event.AuthKeysOf(e), event.AuthKeys(v, p)} {
				var got []string
				for _, key := range keys {
					got = append(got, key.Type+" "+key.StateKey)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestManySignaturesOfAnInviteEnd: an event has room for so many signatures and
// keys that trying all of them would take a minute.
func TestManySignaturesOfAnInviteEnd(t *testing.T) {
	v := version(t, "12")
	sigs := map[string]map[string]string{"id.example": {}}
	var keys []map[string]string
	for i := range 400 {
		sigs["id.example"][fmt.Sprintf("ed25519:%d", i)] = event.EncodeBase64(make([]byte, ed25519.SignatureSize))
		key := make([]byte, ed25519.PublicKeySize)
		key[0], key[1] = byte(i), byte(i>>8)
		keys = append(keys, map[string]string{"public_key": event.EncodeBase64(key)})
	}
	signed, _ := json.Marshal(map[string]any{"mxid": "@stranger:b", "token": "token", "signatures": sigs})
	content, _ := json.Marshal(map[string]any{"public_keys": keys})
	room := aRoom(t, v, fields{typ: "m.room.third_party_invite", key: "token", sender: "@user:b", content: string(content)})
	e := load(t, v, membership("@user:b", "@stranger:b", "invite", `,"third_party_invite":{"signed":`+string(signed)+`}`))
	if got := ruleOf(t, event.Authorize(e, room)); got != "5.4.1.8" {
		t.Errorf("got rule %s", got)
	}
}
