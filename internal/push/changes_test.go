package push

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lethe/internal/matrix"
)

func values(t *testing.T, list string) (v []jsontext.Value) {
	t.Helper()
	if err := json.Unmarshal([]byte(list), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func ids(rules []Rule) string {
	var list []string
	for _, r := range rules {
		list = append(list, r.ID)
	}
	return strings.Join(list, " ")
}

// TestRulesHaveTheirPlaces: new ones are the most important, before and after are
// next to the one they name, and a change moves nothing that it does not name.
func TestRulesHaveTheirPlaces(t *testing.T) {
	var c changes
	for _, step := range []struct {
		id, before, after string
		want              string
		code              matrix.Code
	}{
		{id: "a", want: "a"},
		{id: "b", want: "b a"},
		{id: "c", before: "a", want: "b c a"},
		{id: "d", after: "b", want: "b d c a"},
		{id: "e", after: "a", want: "b d c a e"},
		{id: "f", before: "b", after: "e", want: "f b d c a e"},
		{id: "c", want: "f b d c a e"},
		{id: "c", before: "f", want: "c f b d a e"},
		{id: "c", after: "e", want: "f b d a e c"},
		{id: "g", before: "none", code: matrix.CodeUnknown, want: "f b d a e c"},
		{id: "g", after: "none", code: matrix.CodeUnknown, want: "f b d a e c"},
		{id: "f", before: "f", code: matrix.CodeUnknown, want: "f b d a e c"},
		{id: "g", before: ".m.rule.message", code: matrix.CodeInvalidParam, want: "f b d a e c"},
		{id: "g", after: master, code: matrix.CodeInvalidParam, want: "f b d a e c"},
	} {
		err := c.put(KindUnderride, Rule{ID: step.id, Enabled: true}, step.before, step.after)
		if code := matrix.CodeOf(err); code != step.code {
			t.Errorf("%+v: %v", step, err)
		}
		if got := ids(c.Own.Underride); got != step.want {
			t.Errorf("%+v: %s", step, got)
		}
	}
	const own = "f b d a e c"
	const predefined = " .m.rule.call .m.rule.encrypted_room_one_to_one .m.rule.room_one_to_one .m.rule.message .m.rule.encrypted"
	if got := ids(c.rules(alice).Underride); got != own+predefined {
		t.Errorf("all underride rules: %s", got)
	}
	c.Own.Override = c.Own.Underride
	if got := ids(c.rules(alice).Override); !strings.HasPrefix(got, master+" "+own+" .m.rule.suppress_notices ") {
		t.Errorf("all override rules: %s", got)
	}
}

// TestPredefinedRulesReachOldUsers: what is stored has none of them, only what the
// user has changed; a rule that is predefined no more is gone, and what was not
// changed is as the specification has it now.
func TestPredefinedRulesReachOldUsers(t *testing.T) {
	stored := `{"own":{"room":[{"rule_id":"!a:b","default":false,"enabled":true,"actions":[]}]},"predefined":{` +
		`".m.rule.contains_user_name":{"enabled":false},".m.rule.message":{"actions":[]},".m.rule.call":{"enabled":false}}}`
	rules, err := RulesOf(alice, []byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := RulesOf(alice, nil)
	if err != nil {
		t.Fatal(err)
	}
	fresh.Room = []Rule{{ID: "!a:b", Enabled: true, Actions: []jsontext.Value{}}}
	for i, r := range fresh.Underride {
		switch r.ID {
		case ".m.rule.message":
			fresh.Underride[i].Actions = []jsontext.Value{}
		case ".m.rule.call":
			fresh.Underride[i].Enabled = false
		}
	}
	if diff := cmp.Diff(fresh, rules); diff != "" {
		t.Error(diff)
	}
	if _, err := RulesOf(alice, []byte(`{"own":5}`)); err == nil {
		t.Error("what is broken was read")
	}
	c, err := parseChanges([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.store()
	if err != nil || strings.Contains(string(again), "suppress_edits") {
		t.Errorf("stored: %s (%v)", again, err)
	}
	back, err := RulesOf(alice, again)
	if diff := cmp.Diff(rules, back, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("what is stored is not what was: %s (%v)", diff, err)
	}
}

// TestChangesAddUp: of a predefined rule, state and actions are changed apart.
func TestChangesAddUp(t *testing.T) {
	c, err := parseChanges(nil)
	if err != nil {
		t.Fatal(err)
	}
	no, yes := false, true
	for _, to := range []change{{Enabled: &no}, {Actions: values(t, `["notify"]`)}, {Enabled: &yes}, {Enabled: &no}} {
		if err := c.change(KindOverride, ".m.rule.reaction", to); err != nil {
			t.Fatal(err)
		}
	}
	rules := c.rules(alice)
	r, err := rules.find(KindOverride, ".m.rule.reaction")
	if err != nil || r.Enabled || len(r.Actions) != 1 {
		t.Errorf("the rule is %+v (%v)", r, err)
	}
	for _, k := range []Kind{KindUnderride, KindContent} {
		if err := c.change(k, ".m.rule.reaction", change{Enabled: &no}); matrix.CodeOf(err) != matrix.CodeNotFound {
			t.Errorf("a rule of another kind: %v", err)
		}
	}
}

// TestTheUserIsInTheirRules, as they are: an id may have characters that JSON
// escapes.
func TestTheUserIsInTheirRules(t *testing.T) {
	const odd matrix.UserID = `@a"\b*:example.org`
	content, err := AccountData(odd, nil)
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct{ Global Rules }
	if err := json.Unmarshal(content, &parsed, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), me) {
		t.Errorf("a rule has nobody's id: %s", content)
	}
	r, err := parsed.Global.find(KindOverride, ".m.rule.is_user_mention")
	if err != nil {
		t.Fatal(err)
	}
	want := values(t, `[{"kind":"event_property_contains","key":"content.m\\.mentions.user_ids","value":"@a\"\\b*:example.org"}]`)
	if diff := cmp.Diff(want, r.Conditions); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAUserStoresIsBounded(t *testing.T) {
	long := Rule{ID: "x", Pattern: strings.Repeat("x", maxStored)}
	many := Rule{ID: "x", Conditions: make([]jsontext.Value, maxConditions)}
	for i := range many.Conditions {
		many.Conditions[i] = jsontext.Value(`{}`)
	}
	for name, own := range map[string]Rules{
		"bytes": {Content: []Rule{long}}, "conditions": {Underride: []Rule{many}},
		"patterns": {Content: make([]Rule, maxConditions+1)},
	} {
		c := changes{Own: own}
		if _, err := c.store(); matrix.CodeOf(err) != matrix.CodeTooLarge {
			t.Errorf("too many %s: %v", name, err)
		}
	}
	rooms := changes{Own: Rules{Room: make([]Rule, maxConditions+1)}}
	if _, err := rooms.store(); err != nil {
		t.Errorf("rooms: %v", err)
	}
}
