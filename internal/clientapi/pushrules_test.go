package clientapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const rulesPath = v3 + "pushrules/"

// ruleIDs are the ids of the rules of a kind, in their order.
func ruleIDs(a hstest.Answer, kind string) (ids []string) {
	list, _ := a.Get("global", kind).([]any)
	for _, r := range list {
		ids = append(ids, r.(object)["rule_id"].(string))
	}
	return ids
}

func TestPushRulesAreTheSpecificationsAtFirst(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		all := s.Want(http.StatusOK, "", get, rulesPath, alice.Token, nil)
		want := map[string][]string{
			"override": {
				".m.rule.master", ".m.rule.suppress_notices", ".m.rule.invite_for_me", ".m.rule.member_event",
				".m.rule.is_user_mention", ".m.rule.is_room_mention", ".m.rule.tombstone", ".m.rule.reaction",
				".m.rule.room.server_acl", ".m.rule.suppress_edits",
			},
			"content": nil, "room": nil, "sender": nil,
			"underride": {
				".m.rule.call", ".m.rule.encrypted_room_one_to_one", ".m.rule.room_one_to_one", ".m.rule.message",
				".m.rule.encrypted",
			},
		}
		for kind, ids := range want {
			if diff := cmp.Diff(ids, ruleIDs(all, kind)); diff != "" {
				t.Errorf("%s: %s", kind, diff)
			}
			if _, isList := all.Get("global", kind).([]any); !isList {
				t.Errorf("%s is %v, not a list", kind, all.Get("global", kind))
			}
		}
		global := s.Want(http.StatusOK, "", get, rulesPath+"global/", alice.Token, nil)
		if diff := cmp.Diff(all.Get("global"), any(global.Body)); diff != "" {
			t.Error(diff)
		}
		mention := s.Want(http.StatusOK, "", get, rulesPath+"global/override/.m.rule.is_user_mention", alice.Token, nil)
		rule := object{
			"rule_id": ".m.rule.is_user_mention", "default": true, "enabled": true,
			"conditions": []any{object{
				"kind": "event_property_contains", "key": `content.m\.mentions.user_ids`, "value": alice.UserID,
			}},
			"actions": []any{
				"notify", object{"set_tweak": "sound", "value": "default"}, object{"set_tweak": "highlight"},
			},
		}
		if diff := cmp.Diff(rule, mention.Body); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPushRulesComeBackAsTheyWereSet(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		sound := []any{"notify", object{"set_tweak": "sound", "value": "cakealarm.wav"}}
		conditions := []any{
			object{"kind": "event_match", "key": "content.body", "pattern": "beer"},
			object{"kind": "room_member_count", "is": "<=10"},
			object{"kind": "org.example.moon", "phase": []any{1.0}},
		}
		for path, rule := range map[string]struct{ sent, want object }{
			"content/SSByZWFsbHk": {object{"pattern": "cake", "actions": sound}, object{"pattern": "cake", "actions": sound}},
			"override/U2VlIHlvdQ": {
				object{"conditions": conditions, "actions": sound}, object{"conditions": conditions, "actions": sound},
			},
			"underride/bare":                       {object{"actions": sound, "conditions": nil}, object{"conditions": []any{}, "actions": sound}},
			"room/%21dj234r78wl45Gh4D:example.org": {object{"actions": []any{}}, object{"actions": []any{}}},
			"sender/%40spambot%3Aexample.org":      {object{"actions": []any{"dont_notify", "coalesce"}}, object{"actions": []any{}}},
		} {
			path = rulesPath + "global/" + path
			check(t, s,
				row{404, "M_NOT_FOUND", get, path, alice.Token, nil},
				row{200, "", put, path, alice.Token, rule.sent},
				row{404, "M_NOT_FOUND", get, path, bob.Token, nil},
				row{404, "M_NOT_FOUND", drop, path, bob.Token, nil})
			got := s.Want(http.StatusOK, "", get, path, alice.Token, nil)
			id, _ := got.Get("rule_id").(string)
			if !strings.Contains("SSByZWFsbHk U2VlIHlvdQ bare !dj234r78wl45Gh4D:example.org @spambot:example.org", id) || id == "" {
				t.Errorf("%s has the id %q", path, id)
			}
			delete(got.Body, "rule_id")
			if diff := cmp.Diff(with(rule.want, object{"default": false, "enabled": true}), got.Body); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
		}
		// m.push_rules is the same, wherever it is asked.
		all := s.Want(http.StatusOK, "", get, rulesPath, alice.Token, nil)
		data := s.Want(http.StatusOK, "", get, v3+"user/"+alice.UserID+"/account_data/m.push_rules", alice.Token, nil)
		if diff := cmp.Diff(all.Body, data.Body); diff != "" {
			t.Error(diff)
		}
		s.Stop()
		s.Start()
		if again := s.Want(http.StatusOK, "", get, rulesPath, alice.Token, nil); !cmp.Equal(all.Body, again.Body) {
			t.Error(cmp.Diff(all.Body, again.Body))
		}
	})
}

func TestPushRulesAreOrderedAndDeleted(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		path := rulesPath + "global/content/"
		rule := object{"pattern": "x", "actions": []any{"notify"}}
		check(t, s,
			row{200, "", put, path + "one", alice.Token, rule},
			row{200, "", put, path + "two", alice.Token, rule},
			row{200, "", put, path + "three?after=two", alice.Token, rule},
			row{200, "", put, path + "four?before=three&after=one", alice.Token, rule},
			row{200, "", put, path + "two/enabled", alice.Token, object{"enabled": false}},
			row{200, "", put, path + "two", alice.Token, with(rule, object{"pattern": "y"})}, // stays where it is
			row{400, "M_UNKNOWN", put, path + "five?before=none", alice.Token, rule},
			row{400, "M_UNKNOWN", put, path + "five?after=none", alice.Token, rule},
			row{400, "M_INVALID_PARAM", put, path + "five?before=.m.rule.message", alice.Token, rule})
		want := []string{"two", "four", "three", "one"}
		all := s.Want(http.StatusOK, "", get, rulesPath, alice.Token, nil)
		if diff := cmp.Diff(want, ruleIDs(all, "content")); diff != "" {
			t.Error(diff)
		}
		two := s.Want(http.StatusOK, "", get, path+"two", alice.Token, nil)
		if two.Get("pattern") != "y" || two.Get("enabled") != false {
			t.Errorf("a rule that was changed is %s", two.Raw)
		}
		check(t, s,
			row{200, "", drop, path + "two", alice.Token, nil},
			row{404, "M_NOT_FOUND", drop, path + "two", alice.Token, nil},
			row{404, "M_NOT_FOUND", get, path + "two", alice.Token, nil},
			row{200, "", put, path + "two", alice.Token, rule}, // a new one is enabled
		)
		if enabled := s.Want(http.StatusOK, "", get, path+"two/enabled", alice.Token, nil); enabled.Get("enabled") != true {
			t.Errorf("a rule that came back is %s", enabled.Raw)
		}
	})
}

// TestPredefinedPushRulesAreChanged in their actions and state, and in nothing
// else.
func TestPredefinedPushRulesAreChanged(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		message, master := rulesPath+"global/underride/.m.rule.message", rulesPath+"global/override/.m.rule.master"
		check(t, s,
			row{200, "", put, message + "/actions", alice.Token, object{"actions": []any{"dont_notify"}}},
			row{200, "", put, message + "/enabled", alice.Token, object{"enabled": false}},
			row{200, "", put, master + "/enabled", alice.Token, object{"enabled": true}},
			row{400, "M_INVALID_PARAM", put, message, alice.Token, object{"actions": []any{}}},
			row{400, "M_INVALID_PARAM", drop, message, alice.Token, nil},
			row{404, "M_NOT_FOUND", put, rulesPath + "global/override/.m.rule.message/enabled", alice.Token, object{"enabled": true}},
			row{404, "M_NOT_FOUND", drop, rulesPath + "global/override/.m.rule.message", alice.Token, nil})
		for path, want := range map[string]object{
			message + "/actions": {"actions": []any{}}, message + "/enabled": {"enabled": false},
			master + "/actions": {"actions": []any{}}, master + "/enabled": {"enabled": true},
		} {
			got := s.Want(http.StatusOK, "", get, path, alice.Token, nil)
			if diff := cmp.Diff(want, got.Body); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
		}
	})
}

func TestBadPushRulesAreRefused(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, guest := s.Register("alice"), guest(s)
		global := rulesPath + "global/"
		good := object{"actions": []any{"notify"}}
		list := func(v ...any) object { return object{"actions": []any{"notify"}, "conditions": v} }
		check(t, s,
			row{401, "M_MISSING_TOKEN", get, rulesPath, "", nil},
			row{401, "M_MISSING_TOKEN", put, global + "room/x", "", good},
			row{403, "M_GUEST_ACCESS_FORBIDDEN", get, rulesPath, guest.Token, nil},
			row{404, "M_UNRECOGNIZED", get, rulesPath + "device/", alice.Token, nil},
			row{404, "M_UNRECOGNIZED", get, rulesPath + "global", alice.Token, nil},
			row{404, "M_UNRECOGNIZED", get, global + "override/x/conditions", alice.Token, nil},
			row{405, "M_UNRECOGNIZED", put, rulesPath, alice.Token, good},
			row{400, "M_INVALID_PARAM", get, global + "overrule/x", alice.Token, nil},
			row{400, "M_INVALID_PARAM", put, global + "overrule/x", alice.Token, good},
			row{400, "M_INVALID_PARAM", put, global + "override/.x", alice.Token, good},
			row{400, "M_INVALID_PARAM", put, global + "override/a%2Fb", alice.Token, good},
			row{400, "M_INVALID_PARAM", put, global + "override/a%5Cb", alice.Token, good},
			row{400, "M_MISSING_PARAM", put, global + "override/x", alice.Token, object{}},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, object{"actions": "notify"}},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, object{"actions": []any{"stamp"}}},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, object{"actions": []any{5}}},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, object{"actions": []any{object{}}}},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, object{"actions": []any{object{"set_tweak": 5}}}},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, list("event_match")},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, list(object{"key": "type", "pattern": "x"})},
			row{400, "M_BAD_JSON", put, global + "override/x", alice.Token, list(object{"kind": "event_match", "key": "type"})},
			row{400, "M_BAD_JSON", put, global + "underride/x", alice.Token, list(object{"kind": "room_member_count", "is": "2 or so"})},
			row{400, "M_BAD_JSON", put, global + "underride/x", alice.Token, list(object{"kind": "event_property_is", "key": "x", "value": 1.5})},
			row{400, "M_BAD_JSON", put, global + "content/x", alice.Token, good}, // no pattern
			row{400, "M_NOT_JSON", put, global + "room/x", alice.Token, `{`},
			row{404, "M_NOT_FOUND", get, global + "room/x/enabled", alice.Token, nil},
			row{404, "M_NOT_FOUND", get, global + "room/x/actions", alice.Token, nil},
			row{404, "M_NOT_FOUND", put, global + "room/x/enabled", alice.Token, object{"enabled": true}},
			row{404, "M_NOT_FOUND", put, global + "room/x/actions", alice.Token, good},
			row{400, "M_MISSING_PARAM", put, global + "override/.m.rule.master/enabled", alice.Token, object{}},
			row{400, "M_BAD_JSON", put, global + "override/.m.rule.master/enabled", alice.Token, object{"enabled": "true"}},
			row{400, "M_MISSING_PARAM", put, global + "override/.m.rule.master/actions", alice.Token, object{}},
			row{400, "M_BAD_JSON", put, global + "override/.m.rule.master/actions", alice.Token, object{"actions": []any{"stamp"}}},
			row{413, "M_TOO_LARGE", put, global + "content/x", alice.Token, object{"actions": []any{}, "pattern": strings.Repeat("x", 300_000)}},
		)
		// None of it has changed anything.
		if all := s.Want(http.StatusOK, "", get, rulesPath, alice.Token, nil); len(ruleIDs(all, "override")) != 10 {
			t.Errorf("rules: %s", all.Raw)
		}
	}, hstest.Set(func(c *config.Settings) { c.Guests = true }))
}

// TestAChangeOfPushRulesIsInTheStream: each takes a position, for /sync, and one
// that is refused does not.
func TestAChangeOfPushRulesIsInTheStream(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		pos := func() (pos int64) {
			update(t, s, func(tx *storage.Tx) (err error) {
				pos, err = tx.Pos()
				return err
			})
			return pos
		}
		path := rulesPath + "global/room/!a:example.org"
		for _, r := range []row{
			{200, "", put, path, alice.Token, object{"actions": []any{}}},
			{200, "", put, path + "/enabled", alice.Token, object{"enabled": false}},
			{200, "", put, path + "/actions", alice.Token, object{"actions": []any{"notify"}}},
			{200, "", drop, path, alice.Token, nil},
			{404, "M_NOT_FOUND", drop, path, alice.Token, nil},
		} {
			before := pos()
			check(t, s, r)
			if moved := pos() - before; moved != map[int]int64{200: 1}[r.status] {
				t.Errorf("%s %s moves the stream by %d", r.method, r.path, moved)
			}
		}
	})
}

// TestPushRulesGoWithTheAccount: what was stored is gone with the ending.
func TestPushRulesGoWithTheAccount(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		check(t, s, row{200, "", put, rulesPath + "global/sender/@bob:example.org", alice.Token, object{"actions": []any{}}})
		stored := func() (all []storage.AccountData) {
			update(t, s, func(tx *storage.Tx) (err error) {
				all, err = tx.AllAccountData(matrix.UserID(alice.UserID))
				return err
			})
			return all
		}
		if all := stored(); len(all) != 1 || all[0].Type != "m.push_rules" || all[0].RoomID != "" {
			t.Fatalf("stored: %+v", all)
		}
		s.Want(http.StatusOK, "", post, endPath, alice.Token, object{"auth": proof(alice, "")})
		check(t, s, row{401, "M_UNKNOWN_TOKEN", get, rulesPath, alice.Token, nil})
		s.Eventually("the push rules are gone", func() bool { return len(stored()) == 0 })
	})
}
