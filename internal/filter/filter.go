// Package filter is what clients ask to be left out (CS API, Filtering).
//
// Holds: [Filter] and its parts, as in JSON, and whether they let an event
// through.
//
// May import: event, matrix.
//
// Never: I/O; who may see an event, which is the door's.
package filter

import (
	"slices"
	"strings"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

const (
	// DefaultLimit is how many events a timeline has, where the filter does not
	// say.
	DefaultLimit = 20
	// MaxLimit is how many events anything has, whatever the filter says.
	MaxLimit = 1000
)

// Filter is the filter of a /sync. The zero value lets everything through. Decode
// it strictly, and call [Filter.Check].
type Filter struct {
	EventFields []string `json:"event_fields"`
	// EventFormat is "client", "federation" or "" for client.
	EventFormat string `json:"event_format"`
	Presence    Events `json:"presence"`
	AccountData Events `json:"account_data"`
	Room        Room   `json:"room"`
}

// Room is the part of a [Filter] that is about rooms.
type Room struct {
	Rooms        *[]string `json:"rooms"`
	NotRooms     []string  `json:"not_rooms"`
	IncludeLeave bool      `json:"include_leave"`
	AccountData  Events    `json:"account_data"`
	Ephemeral    Events    `json:"ephemeral"`
	State        Events    `json:"state"`
	Timeline     Events    `json:"timeline"`
}

// Events says which events are wanted. Decode it strictly, and call
// [Events.Check]. A list that is missing is not the same as an empty one, which
// lets nothing through.
type Events struct {
	Limit                   *int64    `json:"limit"`
	Types                   *[]string `json:"types"`
	NotTypes                []string  `json:"not_types"`
	Senders                 *[]string `json:"senders"`
	NotSenders              []string  `json:"not_senders"`
	Rooms                   *[]string `json:"rooms"`
	NotRooms                []string  `json:"not_rooms"`
	ContainsURL             *bool     `json:"contains_url"`
	LazyLoadMembers         bool      `json:"lazy_load_members"`
	IncludeRedundantMembers bool      `json:"include_redundant_members"`
	UnreadThreads           bool      `json:"unread_thread_notifications"`
	// Events to which others relate, of these kinds and from these senders: no part
	// of the specification, but clients ask /messages for it where there are
	// threads (MSC3440).
	RelatedByTypes   []string `json:"related_by_rel_types"`
	RelatedBySenders []string `json:"related_by_senders"`
}

// Check refuses what has the right types and still makes no sense.
func (f *Filter) Check() error {
	if f.EventFormat != "" && f.EventFormat != "client" && f.EventFormat != "federation" {
		return matrix.Errorf(matrix.CodeBadJSON, "The event_format of a filter is client or federation.")
	}
	for _, part := range []*Events{
		&f.Presence, &f.AccountData, &f.Room.AccountData, &f.Room.Ephemeral, &f.Room.State, &f.Room.Timeline,
	} {
		if err := part.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Check refuses a limit below zero. Clients that want no events ask for 0 of
// them, though the specification begins with 1.
func (e *Events) Check() error {
	if e.Limit != nil && *e.Limit < 0 {
		return matrix.Errorf(matrix.CodeBadJSON, "The limit of a filter is at least 1.")
	}
	return nil
}

// LimitOr is the limit, or another where the filter has none, up to [MaxLimit].
func (e *Events) LimitOr(other int) int {
	if e.Limit == nil {
		return other
	}
	return int(min(*e.Limit, MaxLimit))
}

// Wants tells whether the filter lets a room through.
func (r *Room) Wants(room matrix.RoomID) bool { return within(r.Rooms, r.NotRooms, string(room)) }

// WantsRoom tells whether the filter lets anything of a room through.
func (e *Events) WantsRoom(room matrix.RoomID) bool { return within(e.Rooms, e.NotRooms, string(room)) }

// WantsType tells whether the filter lets events of a type through.
func (e *Events) WantsType(typ string) bool {
	if slices.ContainsFunc(e.NotTypes, func(pattern string) bool { return matches(pattern, typ) }) {
		return false
	}
	return e.Types == nil || slices.ContainsFunc(*e.Types, func(pattern string) bool { return matches(pattern, typ) })
}

// WantsSender tells whether the filter lets events of a sender through.
func (e *Events) WantsSender(sender matrix.UserID) bool {
	return within(e.Senders, e.NotSenders, string(sender))
}

// Wants tells whether the filter lets an event through.
func (e *Events) Wants(ev *event.Event) bool {
	return e.WantsType(ev.Type()) && e.WantsSender(ev.Sender()) && e.WantsRoom(ev.RoomID()) &&
		(e.ContainsURL == nil || *e.ContainsURL == ev.Says("url"))
}

// WantsNothing tells that no event can pass: clients say so with not_types "*"
// or with empty types.
func (e *Events) WantsNothing() bool {
	return slices.Contains(e.NotTypes, "*") || empty(e.Types) || empty(e.Senders) || empty(e.Rooms)
}

// WantsAll tells that every event passes.
func (e *Events) WantsAll() bool {
	return e.Types == nil && e.Senders == nil && e.Rooms == nil && e.ContainsURL == nil &&
		len(e.NotTypes) == 0 && len(e.NotSenders) == 0 && len(e.NotRooms) == 0
}

func empty(list *[]string) bool { return list != nil && len(*list) == 0 }

// within tells whether an id passes a list of those wanted, nil for all, and one
// of those not wanted, which goes before.
func within(wanted *[]string, not []string, id string) bool {
	return !slices.Contains(not, id) && (wanted == nil || slices.Contains(*wanted, id))
}

// matches tells whether text is what pattern says, in which * is any text.
func matches(pattern, text string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	if !ok {
		return false
	}
	for {
		var part string
		part, rest, wild = strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part) // the first is as good as any: what follows is a * again
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
}
