package push

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// changes are what a user has changed of the predefined rules: all that is stored
// of them, so that those that a later version of this server has reach everybody.
type changes struct {
	// Own are the rules that the user has made.
	Own Rules `json:"own"`
	// Predefined are changes of predefined rules, by their ids.
	Predefined map[string]change `json:"predefined"`
}

// change is of one predefined rule; nil is as it is predefined.
type change struct {
	Enabled *bool            `json:"enabled,omitzero"`
	Actions []jsontext.Value `json:"actions,omitzero"`
}

// parseChanges reads what is stored; nil for nothing.
func parseChanges(stored []byte) (*changes, error) {
	c := &changes{Predefined: map[string]change{}}
	if stored == nil {
		return c, nil
	}
	if err := json.Unmarshal(stored, c); err != nil {
		return nil, fmt.Errorf("stored push rules: %w", err)
	}
	return c, nil
}

// rules are all of the rules of user: the master rule, their own, and the other
// predefined ones (CS API, Push notifications: Predefined Rules).
func (c *changes) rules(user matrix.UserID) Rules {
	var all Rules
	for _, k := range kinds {
		list := all.of(k)
		*list = slices.Clone(*c.Own.of(k))
		for _, p := range predefined {
			switch {
			case p.kind != k:
			case p.ID == master:
				*list = slices.Insert(*list, 0, c.predefined(p, user))
			default:
				*list = append(*list, c.predefined(p, user))
			}
		}
	}
	return all
}

// predefined is a predefined rule as user has changed it.
func (c *changes) predefined(p *predefinedRule, user matrix.UserID) Rule {
	r := p.of(user)
	changed := c.Predefined[p.ID]
	if changed.Enabled != nil {
		r.Enabled = *changed.Enabled
	}
	if changed.Actions != nil {
		r.Actions = changed.Actions
	}
	return r
}

// put adds a rule, or changes the one that has its id, whose place and state stay
// unless the request says otherwise (CS API, PUT /pushrules).
func (c *changes) put(k Kind, r Rule, before, after string) error {
	list := slices.Clone(*c.Own.of(k))
	at := 0
	if i := indexOf(list, r.ID); i >= 0 {
		at, r.Enabled = i, list[i].Enabled
		list = slices.Delete(list, i, i+1)
	}
	neighbour, behind := before, 0
	if before == "" {
		neighbour, behind = after, 1
	}
	if neighbour != "" {
		if isReserved(neighbour) {
			return matrix.Errorf(matrix.CodeInvalidParam, "A rule cannot be put before or after a predefined rule.")
		}
		i := indexOf(list, neighbour)
		if i < 0 {
			return matrix.Errorf(matrix.CodeUnknown, "The rule to put it before or after was not found: %s", neighbour).
				WithStatus(http.StatusBadRequest)
		}
		at = i + behind
	}
	*c.Own.of(k) = slices.Insert(list, at, r)
	return nil
}

// remove deletes one of the user's own rules.
func (c *changes) remove(k Kind, id string) error {
	list := c.Own.of(k)
	i := indexOf(*list, id)
	if i < 0 {
		return errNotFound
	}
	*list = slices.Delete(*list, i, i+1)
	return nil
}

// change changes a rule, which may be a predefined one.
func (c *changes) change(k Kind, id string, to change) error {
	if p := predefinedByID(id); p != nil && p.kind == k {
		was := c.Predefined[id]
		if to.Enabled == nil {
			to.Enabled = was.Enabled
		}
		if to.Actions == nil {
			to.Actions = was.Actions
		}
		c.Predefined[id] = to
		return nil
	}
	r, err := c.Own.find(k, id)
	if err != nil {
		return err
	}
	if to.Enabled != nil {
		r.Enabled = *to.Enabled
	}
	if to.Actions != nil {
		r.Actions = to.Actions
	}
	return nil
}

// Bounds of what a user stores. Rules that have conditions or patterns are looked
// at one after the other for every event, so there are fewer of them.
const (
	maxStored     = 256 << 10 // bytes
	maxConditions = 1000
)

// store is what is stored.
func (c *changes) store() ([]byte, error) {
	n := len(c.Own.Content)
	for _, r := range slices.Concat(c.Own.Override, c.Own.Underride) {
		n += 1 + len(r.Conditions)
	}
	stored, err := json.Marshal(c, json.Deterministic(true))
	if err == nil && (len(stored) > maxStored || n > maxConditions) {
		err = matrix.Errorf(matrix.CodeTooLarge,
			"Your push rules would have more than %d bytes, or %d conditions.", maxStored, maxConditions)
	}
	return stored, err
}

// checkRuleID checks the id of a user's own rule (CS API, PUT /pushrules).
func checkRuleID(id string) error {
	switch {
	case isReserved(id):
		return matrix.Errorf(matrix.CodeInvalidParam, "The id of a predefined push rule begins with a dot, and no other's does.")
	case strings.ContainsAny(id, `/\`):
		return matrix.Errorf(matrix.CodeInvalidParam, "The id of a push rule has neither slashes nor backslashes.")
	}
	return nil
}
