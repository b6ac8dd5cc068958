package push

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	"lethe/internal/matrix"
)

// condition is one condition of a rule (CS API, Push notifications: Conditions).
type condition interface {
	holds(p *Prepared, user matrix.UserID, ctx Context) bool
}

// parameters are those of all kinds of conditions.
type parameters struct {
	Kind    string         `json:"kind"`
	Key     *string        `json:"key"`
	Pattern *string        `json:"pattern"`
	Value   jsontext.Value `json:"value"`
	Is      string         `json:"is"`
}

// parseCondition reads a condition. One of a kind that is not known never holds;
// what is wrong with the parameters of one that is known is M_BAD_JSON. user is
// the text that stands for the user, "" for none.
func parseCondition(raw jsontext.Value, user string) (condition, error) {
	kind := gjson.ParseBytes(raw).Get("kind")
	if raw.Kind() != '{' || kind.Type != gjson.String {
		return nil, matrix.Errorf(matrix.CodeBadJSON, "A condition of a push rule is an object with a kind.")
	}
	parse, known := conditionKinds[kind.Str]
	if !known {
		return never{}, nil
	}
	var p parameters
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, wrongParameter(kind.Str, "strings for its key, pattern and is").Because(err)
	}
	return parse(p, user)
}

func wrongParameter(kind, needs string) *matrix.Error {
	return matrix.Errorf(matrix.CodeBadJSON, "A push rule's condition of the kind %s needs %s.", kind, needs)
}

var conditionKinds = map[string]func(p parameters, user string) (condition, error){
	"event_match": parseEventMatch,
	"event_property_is": func(p parameters, _ string) (condition, error) {
		path, value, err := parseProperties(p)
		return propertyIs{path, value}, err
	},
	"event_property_contains": func(p parameters, user string) (condition, error) {
		path, value, err := parseProperties(p)
		if user != "" && value.text == user {
			return mentionsUser{path}, err
		}
		return propertyContains{path, value}, err
	},
	"contains_display_name": func(parameters, string) (condition, error) { return containsDisplayName{}, nil },
	"room_member_count":     parseMemberCount,
	"sender_notification_permission": func(p parameters, _ string) (condition, error) {
		if p.Key == nil {
			return nil, wrongParameter(p.Kind, "a key")
		}
		return senderMay{*p.Key}, nil
	},
}

// never is a condition that is not known.
type never struct{}

func (never) holds(*Prepared, matrix.UserID, Context) bool { return false }

func parseEventMatch(p parameters, user string) (condition, error) {
	if p.Key == nil || p.Pattern == nil {
		return nil, wrongParameter(p.Kind, "a key and a pattern")
	}
	path := parseProperty(*p.Key)
	switch {
	case user != "" && *p.Pattern == user:
		return isUser{path}, nil
	case *p.Key == "content.body":
		return bodyMatches{newGlob(*p.Pattern)}, nil
	}
	return eventMatches{path, newGlob(*p.Pattern)}, nil
}

// eventMatches is event_match of the whole of a text.
type eventMatches struct {
	path    property
	pattern glob
}

func (c eventMatches) holds(p *Prepared, _ matrix.UserID, _ Context) bool {
	text, ok := p.text(c.path)
	return ok && c.pattern.matches(text)
}

// bodyMatches is event_match of content.body, and the condition of content rules:
// a part of it that is between word boundaries.
type bodyMatches struct{ pattern glob }

func (c bodyMatches) holds(p *Prepared, _ matrix.UserID, _ Context) bool {
	body, ok := p.lowerBody()
	return ok && c.pattern.in(body, atWord)
}

// isUser is a predefined rule's event_match of the user's id.
type isUser struct{ path property }

func (c isUser) holds(p *Prepared, user matrix.UserID, _ Context) bool {
	text, ok := p.text(c.path)
	return ok && strings.EqualFold(text, string(user))
}

// propertyIs is event_property_is.
type propertyIs struct {
	path property
	want scalar
}

func (c propertyIs) holds(p *Prepared, _ matrix.UserID, _ Context) bool {
	return c.want.is(p.value(c.path))
}

// propertyContains is event_property_contains.
type propertyContains struct {
	path property
	want scalar
}

func (c propertyContains) holds(p *Prepared, _ matrix.UserID, _ Context) bool {
	return contains(p.value(c.path), c.want)
}

// mentionsUser is a predefined rule's event_property_contains of the user's id.
type mentionsUser struct{ path property }

func (c mentionsUser) holds(p *Prepared, user matrix.UserID, _ Context) bool {
	return contains(p.value(c.path), scalar{kind: gjson.String, text: string(user)})
}

func contains(list gjson.Result, want scalar) (found bool) {
	if !list.IsArray() {
		return false
	}
	list.ForEach(func(_, v gjson.Result) bool {
		found = want.is(v)
		return !found
	})
	return found
}

// scalar is a JSON value that is compared exactly: a string, an integer, a
// boolean or null.
type scalar struct {
	kind   gjson.Type
	text   string
	number int64
}

// parseProperties reads the parameters of event_property_is and
// event_property_contains.
func parseProperties(p parameters) (property, scalar, error) {
	v := gjson.ParseBytes(p.Value)
	want := scalar{kind: v.Type, text: v.Str}
	number, isInteger := integer(v)
	want.number = number
	if p.Key == nil || len(p.Value) == 0 || v.Type == gjson.JSON || v.Type == gjson.Number && !isInteger {
		return nil, want, wrongParameter(p.Kind, "a key, and a value that is a string, an integer, a boolean or null")
	}
	return parseProperty(*p.Key), want, nil
}

// integer is the value of an integer of canonical JSON.
func integer(v gjson.Result) (int64, bool) {
	const most = 1<<53 - 1
	if v.Type != gjson.Number {
		return 0, false
	}
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	return n, err == nil && -most <= n && n <= most
}

func (s scalar) is(v gjson.Result) bool {
	switch {
	case v.Type != s.kind || !v.Exists():
		return false
	case s.kind == gjson.String:
		return v.Str == s.text
	case s.kind == gjson.Number:
		n, ok := integer(v)
		return ok && n == s.number
	}
	return true
}

// containsDisplayName is contains_display_name.
type containsDisplayName struct{}

func (containsDisplayName) holds(p *Prepared, _ matrix.UserID, ctx Context) bool {
	if ctx.DisplayName == "" {
		return false
	}
	body, ok := p.lowerBody()
	// A name is no pattern: what looks like one is as it is.
	return ok && find(body, segment{text: strings.ToLower(ctx.DisplayName)}, 0, atWord, atWord) >= 0
}

// memberCount is room_member_count: the count is between both, inclusively.
type memberCount struct{ least, most int }

func parseMemberCount(p parameters, _ string) (condition, error) {
	const all = 1<<53 - 1
	digits := strings.TrimLeft(p.Is, "=<>")
	n, err := strconv.ParseUint(digits, 10, 52)
	if err == nil {
		i := int(n)
		switch strings.TrimSuffix(p.Is, digits) {
		case "", "==":
			return memberCount{i, i}, nil
		case "<":
			return memberCount{0, i - 1}, nil
		case "<=":
			return memberCount{0, i}, nil
		case ">":
			return memberCount{i + 1, all}, nil
		case ">=":
			return memberCount{i, all}, nil
		}
	}
	return nil, wrongParameter(p.Kind, "an is such as 2, ==2, <2, <=2, >2 or >=2")
}

func (c memberCount) holds(_ *Prepared, _ matrix.UserID, ctx Context) bool {
	return c.least <= ctx.Members && ctx.Members <= c.most
}

// senderMay is sender_notification_permission.
type senderMay struct{ key string }

func (c senderMay) holds(_ *Prepared, _ matrix.UserID, ctx Context) bool {
	return ctx.SenderMay != nil && ctx.SenderMay(c.key)
}
