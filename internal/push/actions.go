package push

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"

	"lethe/internal/matrix"
)

// Actions are what an event does for a user. The zero value is nothing.
type Actions struct {
	// Notify is for the others to have a meaning: without it all are zero.
	Notify    bool
	Highlight bool
	// Sound is the sound to play, "" for none.
	Sound string
	// Tweaks are for the push gateway, sound and highlight among them; not to be
	// changed.
	Tweaks map[string]jsontext.Value
	// List is the actions of the rule, a JSON array (CS API, GET /notifications).
	List jsontext.Value
}

// tweak is the action set_tweak.
type tweak struct {
	Name  *string        `json:"set_tweak"`
	Value jsontext.Value `json:"value"`
}

// parseTweak reads an action that is an object.
func parseTweak(raw jsontext.Value) (name string, value jsontext.Value, ok bool) {
	var t tweak
	if err := json.Unmarshal(raw, &t); err != nil || t.Name == nil {
		return "", nil, false
	}
	if t.Value == nil {
		t.Value = jsontext.Value("null")
		if *t.Name == "highlight" {
			t.Value = jsontext.Value("true") // CS API, Push notifications: Actions
		}
	}
	return *t.Name, t.Value, true
}

// checkActions returns the actions to store, without the historical ones, which
// do nothing (CS API, Push notifications: Historical Actions); one that this
// server does not know is M_BAD_JSON.
func checkActions(list []jsontext.Value) ([]jsontext.Value, error) {
	kept := []jsontext.Value{}
	for _, raw := range list {
		switch name := gjson.ParseBytes(raw); {
		case name.Type == gjson.String && slices.Contains([]string{"dont_notify", "coalesce"}, name.Str):
			continue
		case name.Type == gjson.String && name.Str == "notify":
		default:
			if _, _, ok := parseTweak(raw); !ok {
				return nil, matrix.Errorf(matrix.CodeBadJSON,
					`The actions of a push rule are "notify" and objects with the name of a tweak at set_tweak.`)
			}
		}
		kept = append(kept, raw)
	}
	return kept, compact(kept)
}

// compileActions makes actions ready that checkActions has passed.
func compileActions(list []jsontext.Value) *Actions {
	a := &Actions{Tweaks: map[string]jsontext.Value{}, List: joined(list)}
	for _, raw := range list {
		name, value, ok := parseTweak(raw)
		if !ok {
			a.Notify = true
			continue
		}
		switch name {
		case "highlight":
			a.Highlight = string(value) == "true"
		case "sound":
			a.Sound = gjson.ParseBytes(value).Str
		}
		a.Tweaks[name] = value
	}
	if !a.Notify {
		return &Actions{}
	}
	return a
}

// joined is the values as a JSON array.
func joined(list []jsontext.Value) jsontext.Value {
	array := jsontext.Value("[")
	for i, raw := range list {
		if i > 0 {
			array = append(array, ',')
		}
		array = append(array, raw...)
	}
	return append(array, ']')
}
