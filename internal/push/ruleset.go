package push

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// Context is what rules look at beside the event, in the state before it.
type Context struct {
	// DisplayName is the user's in the room, "" for none.
	DisplayName string
	// Members is how many have joined the room.
	Members int
	// SenderMay tells whether the sender's power level is that of notifications.KEY
	// in m.room.power_levels, which is 50 where it is not there; nil: it is not.
	SenderMay func(key string) bool
}

// Ruleset is a user's rules, made ready to be evaluated. It is safe for
// concurrent use.
type Ruleset struct {
	user         matrix.UserID
	override     []compiled
	content      []compiled
	room, sender map[string]*Actions
	underride    []compiled
}

// compiled is a rule that is enabled. Predefined rules share what they have.
type compiled struct {
	conditions []condition
	actions    *Actions
}

// Compile makes the rules of user ready. A condition that cannot be read never
// holds.
func Compile(user matrix.UserID, rules Rules) *Ruleset {
	return &Ruleset{
		user:      user,
		override:  compileAll(rules.Override, KindOverride),
		content:   compileAll(rules.Content, KindContent),
		room:      byID(rules.Room),
		sender:    byID(rules.Sender),
		underride: compileAll(rules.Underride, KindUnderride),
	}
}

func compileAll(rules []Rule, k Kind) []compiled {
	list := make([]compiled, 0, len(rules))
	for _, r := range rules {
		if !r.Enabled {
			continue // disabled rules never match
		}
		list = append(list, compileShared(r, k))
	}
	return list
}

// compileShared is compileRule, with the parts of predefined rules that are the
// same for all users.
func compileShared(r Rule, k Kind) compiled {
	p := predefinedByID(r.ID)
	if p == nil {
		return compileRule(r, k, "")
	}
	c := p.compiled
	same := func(a, b jsontext.Value) bool { return bytes.Equal(a, b) }
	if !slices.EqualFunc(r.Actions, p.Actions, same) {
		c.actions = compileActions(r.Actions)
	}
	return c
}

// compileRule makes a rule ready. user is the text that stands for the user, "" for
// none.
func compileRule(r Rule, k Kind, user string) compiled {
	c := compiled{actions: compileActions(r.Actions)}
	if k == KindContent {
		c.conditions = []condition{bodyMatches{newGlob(r.Pattern)}}
		return c
	}
	for _, raw := range r.Conditions {
		parsed, err := parseCondition(raw, user)
		if err != nil {
			parsed = never{}
		}
		c.conditions = append(c.conditions, parsed)
	}
	return c
}

// byID are the actions of the rules that are enabled, by the id of the room or
// sender that they are for.
func byID(rules []Rule) map[string]*Actions {
	actions := make(map[string]*Actions, len(rules))
	for _, r := range rules {
		if r.Enabled {
			actions[r.ID] = compileActions(r.Actions)
		}
	}
	return actions
}

// Evaluate tells what an event does for the user: the actions of the first rule
// that matches. Their own events do nothing.
func (s *Ruleset) Evaluate(p *Prepared, ctx Context) Actions {
	if a := s.match(p, ctx); a != nil {
		return *a
	}
	return Actions{}
}

func (s *Ruleset) match(p *Prepared, ctx Context) *Actions {
	if p.sender == s.user {
		return nil
	}
	if a := s.first(s.override, p, ctx); a != nil {
		return a
	}
	if a := s.first(s.content, p, ctx); a != nil {
		return a
	}
	if a := s.room[p.room]; a != nil {
		return a
	}
	if a := s.sender[string(p.sender)]; a != nil {
		return a
	}
	return s.first(s.underride, p, ctx)
}

// first is the actions of the first rule all of whose conditions hold.
func (s *Ruleset) first(rules []compiled, p *Prepared, ctx Context) *Actions {
	for i := range rules {
		holds := true
		for _, c := range rules[i].conditions {
			if holds = c.holds(p, s.user, ctx); !holds {
				break
			}
		}
		if holds {
			return rules[i].actions
		}
	}
	return nil
}
