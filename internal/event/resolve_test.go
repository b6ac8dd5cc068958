package event_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"lethe/internal/event"
)

const (
	theTopic  = "m.room.topic "
	theLevels = "m.room.power_levels "
	theRules  = "m.room.join_rules "
	alice     = "m.room.member @alice:a"
	bob       = "m.room.member @bob:a"
	carol     = "m.room.member @carol:b"
)

// modern are versions of each algorithm after the first.
var modern = []string{"2", "6", "11", "12"}

func TestStatesThatAgreeNeedNoEvents(t *testing.T) {
	state := statemap{{Type: "m.room.topic"}: "$t"}
	for _, id := range event.Versions() {
		for _, sets := range [][]statemap{nil, {state}, {state, state}} {
			got, err := event.Resolve(version(t, id), sets, nil, nil)
			if err != nil || len(got) != min(len(sets), 1) {
				t.Errorf("version %s: of %d states %v, %v", id, len(sets), got, err)
			}
		}
	}
}

// TestSoftFailedTopic is the example of Server-Server API, Soft failure: B bans X,
// C is a topic that X sets at the same time.
func TestSoftFailedTopic(t *testing.T) {
	for _, id := range append([]string{"1"}, modern...) {
		s := newStory(t, id)
		a := s.begin("invite")
		b := s.then(a, memberBy("$ban", "@alice:a", "@bob:a", "ban"))
		c := s.then(a, topicBy("$topic", "@bob:a"))
		topic := ""
		if id == "1" {
			topic = "$topic" // one topic is no conflict there
		}
		s.expect(s.resolve(b, c), map[string]string{bob: "$ban", theTopic: topic})
	}
}

func TestBanWinsOverATopicThatWasChanged(t *testing.T) {
	for _, id := range append([]string{"1"}, modern...) {
		s := newStory(t, id)
		a := s.then(s.begin("invite"), topicBy("$old", "@alice:a"))
		b := s.then(a, memberBy("$ban", "@alice:a", "@bob:a", "ban"))
		c := s.then(a, topicBy("$new", "@bob:a"))
		s.expect(s.resolve(b, c), map[string]string{bob: "$ban", theTopic: "$old"})
	}
}

func TestOfTwoBansThatOfTheMorePowerfulCounts(t *testing.T) {
	for _, id := range modern {
		s := newStory(t, id)
		a := s.then(s.begin("public"), memberBy("$carol", "@carol:b", "@carol:b", "join"))
		// Bob's is the earlier one, and he is not there any more when it is judged.
		byBob := s.then(a, memberBy("$banbybob", "@bob:a", "@carol:b", "ban"))
		byAlice := s.then(a, memberBy("$banbyalice", "@alice:a", "@bob:a", "ban"))
		s.expect(s.resolve(byBob, byAlice), map[string]string{bob: "$banbyalice", carol: "$carol"})
	}
}

func TestBanIsNotEvadedByJoiningElsewhere(t *testing.T) {
	for _, id := range append([]string{"1"}, modern...) {
		s := newStory(t, id)
		a := s.then(s.begin("public"), memberBy("$carol", "@carol:b", "@carol:b", "join"))
		b := s.then(a, memberBy("$ban", "@alice:a", "@carol:b", "ban"))
		left := s.then(a, memberBy("$leave", "@carol:b", "@carol:b", "leave"))
		back := s.then(left, memberBy("$back", "@carol:b", "@carol:b", "join"))
		s.expect(s.resolve(b, back), map[string]string{carol: "$ban"})
	}
}

func TestRaceOfPowerLevels(t *testing.T) {
	for _, id := range modern {
		s := newStory(t, id)
		a := s.then(s.begin("invite"), state100("$l1", withAlice(s.v, `"@bob:a":50,"@carol:b":0`, `"m.room.power_levels":50`)))
		l := state100("$bobs", withAlice(s.v, `"@bob:a":50,"@carol:b":50`, `"m.room.power_levels":50`))
		l.sender = "@bob:a"
		byBob := s.then(a, l)
		byAlice := s.then(a, state100("$alices", withAlice(s.v, `"@bob:a":0,"@carol:b":0`, `"m.room.power_levels":50`)))
		s.expect(s.resolve(byBob, byAlice), map[string]string{theLevels: "$alices"})
	}
}

// withAlice are levels with her in versions that name creators.
func withAlice(v *event.Version, users, events string) string {
	if !v.PrivilegedCreators {
		users += `,"@alice:a":100`
	}
	return fmt.Sprintf(`{"users":{%s},"events":{%s}}`, users, events)
}

func TestOfTwoTopicsThatUnderTheNewerLevelsCounts(t *testing.T) {
	for _, id := range modern {
		s := newStory(t, id)
		a := s.then(s.begin("invite"), topicBy("$old", "@alice:a"))
		under := s.then(s.then(a, state100("$l1", withAlice(s.v, `"@bob:a":60`, ``))), topicBy("$under", "@bob:a"))
		late := topicBy("$late", "@bob:a")
		late.ts = 1000
		s.expect(s.resolve(s.then(a, late), under), map[string]string{theTopic: "$under", theLevels: "$l1"})
		// Under the same ones it is the later.
		first, second := topicBy("$first", "@bob:a"), topicBy("$second", "@bob:a")
		first.ts, second.ts = 500, 500
		s.expect(s.resolve(s.then(a, first), s.then(a, second)), map[string]string{theTopic: "$second"})
		first.id, first.ts = "$zfirst", 499
		s.expect(s.resolve(s.then(a, first), s.then(a, second)), map[string]string{theTopic: "$second"})
	}
}

func TestJoinWhileTheRoomIsClosed(t *testing.T) {
	for _, id := range modern {
		s := newStory(t, id)
		a := s.begin("public")
		closed := s.then(a, joinRuleBy("$closed", "invite"))
		joined := s.then(a, memberBy("$carol", "@carol:b", "@carol:b", "join"))
		s.expect(s.resolve(closed, joined), map[string]string{theRules: "$closed", carol: ""})
	}
}

// TestMemberIsNotLostByRulesThatCameLater is problem A of MSC4297: a server does
// not know of a join that was allowed, and all agree on the rules since.
func TestMemberIsNotLostByRulesThatCameLater(t *testing.T) {
	for id, want := range map[string]string{"2": "", "11": "", "12": "$carol"} {
		s := newStory(t, id)
		joined := s.then(s.begin("public"), memberBy("$carol", "@carol:b", "@carol:b", "join"))
		closed := s.then(joined, joinRuleBy("$closed", "invite"))
		forgetful := maps.Clone(closed)
		delete(forgetful, event.Key{Type: "m.room.member", StateKey: "@carol:b"})
		s.expect(s.resolve(closed, forgetful), map[string]string{carol: want, theRules: "$closed"})
	}
}

// TestLevelsAreNotLostForWhatStandsBetween is problem B of MSC4297: what allows
// the newer of two events is older than all that is in conflict, as all chains
// have it.
func TestLevelsAreNotLostForWhatStandsBetween(t *testing.T) {
	for id, want := range map[string]string{"2": "$levels", "11": "$levels", "12": "$l3"} {
		s := newStory(t, id)
		a := s.begin("public")
		l2 := s.then(a, state100("$l2", withAlice(s.v, `"@bob:a":100`, ``)))
		l2 = s.then(l2, topicBy("$topic", "@alice:a"))
		l := state100("$l3", withAlice(s.v, `"@bob:a":100`, `"m.room.topic":100`))
		l.sender = "@bob:a"
		l3 := s.then(l2, l)
		reset := maps.Clone(l3)
		reset[event.Key{Type: "m.room.power_levels"}] = "$levels"
		s.expect(s.resolve(l3, reset), map[string]string{theLevels: want, theTopic: "$topic"})
	}
}

func TestRejectedAuthEventsAllowNothing(t *testing.T) {
	for id, without := range map[string]string{"11": "$carol", "12": ""} {
		for _, rejected := range []bool{false, true} {
			s := newStory(t, id)
			open := s.begin("public")
			joined := s.then(open, memberBy("$carol", "@carol:b", "@carol:b", "join"))
			s.rejected["$rules"] = rejected
			want := without
			if !rejected {
				want = "$carol"
			}
			// In v11 the rules are a part of the state that the states agree on, and
			// stay; in v12 the join has only its own auth events.
			s.expect(s.resolve(open, joined), map[string]string{carol: want})
		}
	}
}

func TestRejectedEventsMayBecomeState(t *testing.T) {
	for _, id := range modern {
		s := newStory(t, id)
		open := s.begin("public")
		joined := s.then(open, memberBy("$carol", "@carol:b", "@carol:b", "join"))
		s.rejected["$carol"] = true // by the state at it, not by its auth events
		s.expect(s.resolve(open, joined), map[string]string{carol: "$carol"})
	}
}

// TestForkOfARoomOfVersion12 is what makes another implementation panic.
func TestForkOfARoomOfVersion12(t *testing.T) {
	s := newStory(t, "12")
	a := s.begin("public")
	b := s.then(s.then(a, topicBy("$topic", "@alice:a")), memberBy("$carol", "@carol:b", "@carol:b", "join"))
	c := s.then(a, state100("$l1", withAlice(s.v, `"@bob:a":100`, ``)))
	s.expect(s.resolve(b, c), map[string]string{
		theTopic: "$topic", carol: "$carol", theLevels: "$l1", "m.room.create ": "$create", alice: "$alice",
	})
}

// TestRejectedCreateMakesNoRoom: rooms/v12, auth rule 2.
func TestRejectedCreateMakesNoRoom(t *testing.T) {
	s := newStory(t, "12")
	a := s.begin("public")
	b := s.then(a, topicBy("$topic", "@alice:a"))
	s.rejected["$create"] = true
	s.expect(s.resolve(a, b), map[string]string{theTopic: ""})
}

func TestVersion1TakesTheOldestIfNoneIsAllowed(t *testing.T) {
	s := newStory(t, "1")
	a := s.begin("invite")
	b := s.then(a, topicBy("$b", "@bob:a"))
	c := s.then(a, topicBy("$c", "@bob:a"))
	c = s.then(c, topicBy("$d", "@bob:a"))
	b = s.then(b, memberBy("$ban", "@alice:a", "@bob:a", "ban"))
	s.expect(s.resolve(b, c), map[string]string{bob: "$ban", theTopic: "$b"})
}

// TestVersion1StopsAtWhatIsNotAllowed: what comes behind it in the line is not
// looked at.
func TestVersion1StopsAtWhatIsNotAllowed(t *testing.T) {
	s := newStory(t, "1")
	a := s.begin("invite")
	first := s.then(a, state100("$l1", withAlice(s.v, `"@bob:a":0`, ``)))
	l := state100("$l2", withAlice(s.v, `"@bob:a":50,"@carol:b":50`, ``))
	l.sender = "@bob:a"
	second := s.then(a, l)
	third := s.then(a, state100("$l3", withAlice(s.v, `"@bob:a":50`, ``)))
	s.expect(s.resolve(third, second, first), map[string]string{theLevels: "$l1"})
	s.expect(s.resolve(third, first), map[string]string{theLevels: "$l3"})
}

// TestVersion1OrdersBySHA1: of two events of one depth, the one with the lowest
// hash of its id is the newest.
func TestVersion1OrdersBySHA1(t *testing.T) {
	s := newStory(t, "1")
	a := s.begin("invite")
	one, two := topicBy("$b", "@bob:a"), topicBy("$c", "@bob:a")
	one.depth, two.depth = 99, 99

	want := "$c"
	if sha1Of("$b") < sha1Of("$c") {
		want = "$b"
	}
	s.expect(s.resolve(s.then(a, one), s.then(a, two)), map[string]string{theTopic: want})
}

// TestLongChainsAreWalkedInGenerations: no step of the chain is a level of the
// stack, and no event is asked for again and again.
func TestLongChainsAreWalkedInGenerations(t *testing.T) {
	for _, id := range []string{"2", "12"} {
		s := newStory(t, id)
		a := s.begin("public")
		b := a
		for i := range 3000 {
			b = s.then(b, state100(fmt.Sprintf("$l%d", i), withAlice(s.v, fmt.Sprintf(`"@bob:a":%d`, i%90), ``)))
		}
		b = s.then(b, topicBy("$topic", "@alice:a"))
		clear(s.fetched)
		state, err := event.Resolve(s.v, []statemap{a, b}, s.fetch, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.expect(state, map[string]string{theLevels: "$l2999", theTopic: "$topic"})
		for id, n := range s.fetched {
			if n > 2 {
				t.Errorf("%s was fetched %d times", id, n)
			}
		}
	}
}

// TestAuthEventsThatGoRound: before rooms/v3 servers name their events, and two
// can name each other.
func TestAuthEventsThatGoRound(t *testing.T) {
	for _, id := range []string{"1", "2"} {
		s := newStory(t, id)
		a := s.begin("public")
		one := state100("$one", withAlice(s.v, `"@bob:a":1`, ``))
		two := state100("$two", withAlice(s.v, `"@bob:a":2`, ``))
		one.auth = []string{"$create", "$two", "$alice"}
		two.auth = []string{"$create", "$one", "$alice"}
		b, c := s.then(a, one), s.then(a, two)
		c = s.then(c, topicBy("$topic", "@alice:a"))
		if got := s.resolve(b, c)[event.Key{Type: "m.room.power_levels"}]; got != "$one" && got != "$two" {
			t.Errorf("version %s: the levels are %s", id, got)
		}
	}
}

func TestEventsThatAreNotThereAreAnError(t *testing.T) {
	for _, missing := range []string{"$topic", "$levels"} {
		s := newStory(t, "11")
		a := s.begin("public")
		b := s.then(a, topicBy("$topic", "@alice:a"))
		delete(s.events, missing)
		if _, err := event.Resolve(s.v, []statemap{a, b}, s.fetch, nil); err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	broken := errors.New("the database is gone")
	_, err := event.Resolve(version(t, "11"), []statemap{{}, {{Type: "a"}: "$a"}},
		func([]string) (map[string]*event.Event, error) { return nil, broken }, nil)
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
