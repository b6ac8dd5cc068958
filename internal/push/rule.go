package push

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// Kind is a kind of push rules.
type Kind string

// The kinds, in the order in which they are checked.
const (
	KindOverride  Kind = "override"
	KindContent   Kind = "content"
	KindRoom      Kind = "room"
	KindSender    Kind = "sender"
	KindUnderride Kind = "underride"
)

var kinds = []Kind{KindOverride, KindContent, KindRoom, KindSender, KindUnderride}

// ParseKind is the kind that a path names.
func ParseKind(s string) (Kind, error) {
	if slices.Contains(kinds, Kind(s)) {
		return Kind(s), nil
	}
	return "", matrix.Errorf(matrix.CodeInvalidParam, "The kinds of push rules are override, content, room, sender and underride.")
}

// Rule is a push rule as clients get it.
type Rule struct {
	ID      string `json:"rule_id"`
	Default bool   `json:"default"`
	Enabled bool   `json:"enabled"`
	// Conditions are JSON objects, those of kinds that this server does not know
	// included; nil in content, room and sender rules, which have none.
	Conditions []jsontext.Value `json:"conditions,omitzero"`
	// Pattern is for content rules.
	Pattern string           `json:"pattern,omitempty"`
	Actions []jsontext.Value `json:"actions"`
}

// Rules are push rules, those of each kind from the most important one on.
type Rules struct {
	Override  []Rule `json:"override"`
	Content   []Rule `json:"content"`
	Room      []Rule `json:"room"`
	Sender    []Rule `json:"sender"`
	Underride []Rule `json:"underride"`
}

// of is the list of a kind.
func (r *Rules) of(k Kind) *[]Rule {
	switch k {
	case KindOverride:
		return &r.Override
	case KindContent:
		return &r.Content
	case KindRoom:
		return &r.Room
	case KindSender:
		return &r.Sender
	default:
		return &r.Underride
	}
}

var errNotFound = matrix.Errorf(matrix.CodeNotFound, "The push rule was not found.")

// find is a rule, or M_NOT_FOUND.
func (r *Rules) find(k Kind, id string) (*Rule, error) {
	list := *r.of(k)
	if i := indexOf(list, id); i >= 0 {
		return &list[i], nil
	}
	return nil, errNotFound
}

func indexOf(rules []Rule, id string) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
}
