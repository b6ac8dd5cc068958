package door

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/storage"
)

// aggregate is what relates to one event, of what the reader sees, and whole, by
// users whom they do not ignore (CS API, Aggregations of child events).
type aggregate struct {
	references []string
	edit       storage.Children // the newest; its EventID is "" for none
	latest     storage.Children // of the thread, the same
	replies    int64
	took       bool // the reader has replied
}

// bundle finds the aggregations of events. State has none.
func (v *Visit) bundle(list []outgoing, f Format) error {
	all, err := v.aggregates(list)
	if err != nil || len(all) == 0 {
		return err
	}
	var edits, latest []string
	for _, a := range all {
		if a.edit.EventID != "" {
			edits = append(edits, a.edit.EventID)
		}
		if a.latest.EventID != "" {
			latest = append(latest, a.latest.EventID)
		}
	}
	quotes, err := v.quote(edits, Format{Kind: f.Kind, quoted: true})
	if err != nil {
		return err
	}
	// The newest reply has aggregations of its own. It is the root of no thread, so
	// that ends here.
	replies, err := v.quote(latest, Format{Kind: f.Kind, Bundle: true})
	if err != nil {
		return err
	}
	for i := range list {
		if a := all[list[i].e.ID()]; a != nil {
			list[i].relations = a.json(quotes[a.edit.EventID], replies[a.latest.EventID],
				a.took || list[i].e.Sender() == v.who.User)
			list[i].thread = replies[a.latest.EventID] != nil
		}
	}
	return nil
}

// aggregates are those of the events that have some, by their ids.
func (v *Visit) aggregates(list []outgoing) (map[string]*aggregate, error) {
	parents := make(map[string]*outgoing, len(list))
	var ids []string
	for i := range list {
		id := list[i].e.ID()
		if _, isState := list[i].e.StateKey(); isState {
			continue
		}
		if _, none := v.d.childless.get(id, id); !none || !v.tx.ReadOnly() {
			parents[id] = &list[i]
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil //nolint:nilnil // no map is an empty one
	}
	children, err := v.tx.Children(v.id, ids)
	if err != nil {
		return nil, err
	}
	all := map[string]*aggregate{}
	for _, c := range children {
		reaches, err := v.reaches(c)
		if err != nil {
			return nil, err
		}
		if all[c.Parent] == nil {
			all[c.Parent] = &aggregate{}
		}
		if reaches {
			all[c.Parent].add(c, parents[c.Parent], c.Sender == v.who.User)
		}
	}
	for _, id := range ids {
		if all[id] == nil {
			if err := v.d.childless.put(v.tx, id, struct{}{}); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// reaches tells whether the reader sees, and whole, what c stands for. That is
// events that are not state, under one state of the room and from one sender, so
// that what is so of the newest is so of all.
func (v *Visit) reaches(c storage.Children) (bool, error) {
	known, err := v.knows(max(c.Pos, -c.Pos))
	if err != nil || !known || v.ignored[c.Sender] {
		return false, err
	}
	m, ok, err := v.moment(c.State, false)
	if err != nil || !ok || !v.who.Service && !visible(m, c.Pos, v.end(), true) {
		return false, err
	}
	cut, erased, err := v.erasedAt(c.Sender)
	return err == nil && (!erased || v.entitled(m, c.Pos, cut)), err
}

// add takes children of the event o into its aggregate, where the rules of their
// relation let them.
func (a *aggregate) add(c storage.Children, o *outgoing, own bool) {
	switch c.RelType {
	case storage.RelReference:
		a.references = append(a.references, c.EventID)
	case storage.RelReplace:
		// Validity of replacement events. Those of a redacted event are not bundled.
		_, relType, _, related := storage.RelationOf(o.e.Event)
		if o.redacted || c.Sender != o.e.Sender() || c.Type != o.e.Type() || related && relType == storage.RelReplace {
			return
		}
		if a.edit.EventID == "" || newer(c, a.edit) {
			a.edit = c
		}
	case storage.RelThread:
		if _, _, _, related := storage.RelationOf(o.e.Event); related {
			return // "It is not possible to create a thread from an event which itself is the child"
		}
		a.replies += c.Count
		a.took = a.took || own
		if a.latest.EventID == "" || c.Pos > a.latest.Pos {
			a.latest = c
		}
	}
}

// newer compares edits: by timestamp, and then by id (CS API, Server-side
// aggregation of m.replace relationships).
func newer(a, b storage.Children) bool {
	if a.Timestamp != b.Timestamp {
		return a.Timestamp > b.Timestamp
	}
	return a.EventID > b.EventID
}

// json is m.relations: with the edit and the newest reply as the reader gets
// them, or nil. It is nil if nothing relates to the event.
func (a *aggregate) json(edit, latest []byte, participated bool) []byte {
	out := []byte{'{'}
	if len(a.references) > 0 {
		out = append(out, `"m.reference":{"chunk":[`...)
		for i, id := range a.references {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, `{"event_id":`...)
			out, _ = jsontext.AppendQuote(out, id)
			out = append(out, '}')
		}
		out = append(out, `]},`...)
	}
	if edit != nil {
		out = append(append(append(out, `"m.replace":`...), edit...), ',')
	}
	if latest != nil {
		out = append(append(out, `"m.thread":{"latest_event":`...), latest...)
		out = strconv.AppendInt(append(out, `,"count":`...), a.replies, 10)
		out = strconv.AppendBool(append(out, `,"current_user_participated":`...), participated)
		out = append(out, `},`...)
	}
	if len(out) == 1 {
		return nil
	}
	out[len(out)-1] = '}' // in the place of the last comma
	return out
}
