package door

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Names are what members of the room are called, by their member events: objects
// with avatar_url, as far as they have one, and display_name (CS API, GET
// /rooms/{roomId}/joined_members), which is empty where they have none: released
// matrix-nio takes no answer without it. As for [Visit.ServeState] the caller
// knows that the reader may see them.
func (v *Visit) Names(members []storage.Membership) (map[matrix.UserID]Content, error) {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.EventID
	}
	events, err := v.d.Events(v.tx, ids)
	if err != nil {
		return nil, err
	}
	names := make(map[matrix.UserID]Content, len(members))
	for _, m := range members {
		names[m.User] = Content{[]byte(`{"display_name":""}`)}
		e := events[m.EventID]
		if e == nil {
			continue
		}
		o, err := v.form(e, false)
		if err != nil {
			return nil, err
		}
		if names[m.User], err = nameOf(o.e.Content()); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// nameOf is what the content of a member event calls its user; what is no text is
// left out.
func nameOf(member jsontext.Value) (Content, error) {
	var fields struct {
		Name   jsontext.Value `json:"displayname"`
		Avatar jsontext.Value `json:"avatar_url"`
	}
	if err := json.Unmarshal(member, &fields); err != nil {
		return Content{}, err
	}
	name := struct {
		Name   jsontext.Value `json:"display_name"`
		Avatar jsontext.Value `json:"avatar_url,omitzero"`
	}{text(fields.Name), text(fields.Avatar)}
	if name.Name == nil {
		name.Name = jsontext.Value(`""`)
	}
	raw, err := json.Marshal(name)
	return Content{raw}, err
}

func text(v jsontext.Value) jsontext.Value {
	if v.Kind() != '"' {
		return nil
	}
	return v
}
