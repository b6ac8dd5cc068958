package push

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// predefinedJSON is the specification's list (CS API, Push notifications:
// Predefined Rules), in its order.
//
//go:embed predefined.json
var predefinedJSON []byte

const (
	// me stands for the user in the conditions of predefined rules.
	me = "[the user's Matrix ID]"
	// master is the one predefined rule that comes before the user's own.
	master = ".m.rule.master"
)

// predefinedRule is a predefined rule, compiled once for all users.
type predefinedRule struct {
	Rule
	kind     Kind
	compiled compiled
}

// predefined are the predefined rules, each kind's in order of importance. No two
// have the same id.
var predefined = func() (list []*predefinedRule) {
	var rules Rules
	if err := json.Unmarshal(predefinedJSON, &rules); err != nil {
		panic(fmt.Sprintf("push: predefined.json: %v", err)) // the program is wrong
	}
	for _, k := range kinds {
		for _, r := range *rules.of(k) {
			for _, values := range [][]jsontext.Value{r.Conditions, r.Actions} {
				if err := compact(values); err != nil {
					panic(fmt.Sprintf("push: %s: %v", r.ID, err))
				}
			}
			r.Default = true
			list = append(list, &predefinedRule{Rule: r, kind: k, compiled: compileRule(r, k, me)})
		}
	}
	return list
}()

// compact takes the space out of values.
func compact(values []jsontext.Value) error {
	for i := range values {
		if err := values[i].Compact(); err != nil {
			return err
		}
	}
	return nil
}

// isReserved tells whether only predefined rules may have an id (CS API, PUT
// /pushrules).
func isReserved(id string) bool { return strings.HasPrefix(id, ".") }

// predefinedByID is a predefined rule, nil if there is none.
func predefinedByID(id string) *predefinedRule {
	for _, p := range predefined {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// of is the rule as user gets it. Its actions are not to be changed.
func (p *predefinedRule) of(user matrix.UserID) Rule {
	r := p.Rule
	r.Conditions = slices.Clone(r.Conditions)
	for i, c := range r.Conditions {
		if bytes.Contains(c, []byte(me)) {
			r.Conditions[i] = bytes.ReplaceAll(c, quote(me), quote(string(user)))
		}
	}
	return r
}

// quote is an id, which is UTF-8, as JSON.
func quote(id string) []byte {
	quoted, err := jsontext.AppendQuote(nil, id)
	if err != nil {
		panic(fmt.Sprintf("push: %v", err)) // the caller is wrong
	}
	return quoted
}
