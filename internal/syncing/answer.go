package syncing

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/door"
	"lethe/internal/matrix"
)

// Answer is the answer to /sync. All parts are there also where they are empty:
// some clients look into them without a question.
type Answer struct {
	NextBatch   string               `json:"next_batch"`
	Rooms       Rooms                `json:"rooms"`
	AccountData list[accountData]    `json:"account_data"`
	Presence    list[PresenceEvent]  `json:"presence"`
	ToDevice    list[jsontext.Value] `json:"to_device"`
	DeviceLists *deviceLists         `json:"device_lists,omitzero"`
	OneTimeKeys map[string]int64     `json:"device_one_time_keys_count"`
	Fallback    []string             `json:"device_unused_fallback_key_types"`
}

// Rooms are the rooms of an answer.
type Rooms struct {
	Join   map[matrix.RoomID]*Joined  `json:"join"`
	Invite map[matrix.RoomID]*Invited `json:"invite"`
	Knock  map[matrix.RoomID]*Knocked `json:"knock"`
	Leave  map[matrix.RoomID]*Left    `json:"leave"`
}

// list is events in an object, as everywhere in the answer.
type list[T any] struct {
	Events []T `json:"events"`
}

// history is the timeline and state of a room. One of State and StateAfter is
// there.
type history struct {
	Timeline    timeline          `json:"timeline"`
	State       *list[door.Event] `json:"state,omitzero"`
	StateAfter  *list[door.Event] `json:"state_after,omitzero"`
	AccountData list[accountData] `json:"account_data"`
}

// Joined is a room that the reader is in.
type Joined struct {
	history
	Summary   summary           `json:"summary"`
	Ephemeral list[ephemeral]   `json:"ephemeral"`
	Unread    Counts            `json:"unread_notifications"`
	Threads   map[string]Counts `json:"unread_thread_notifications,omitzero"`
}

// Left is a room that the reader has left.
type Left struct{ history }

// Invited is a room that the reader is asked into. The events of its state come
// out of the door.
type Invited struct {
	State list[json.MarshalerTo] `json:"invite_state"`
}

// Knocked is a room that the reader asks to be let into.
type Knocked struct {
	State list[json.MarshalerTo] `json:"knock_state"`
}

type timeline struct {
	Events    []door.Event `json:"events"`
	Limited   bool         `json:"limited"`
	PrevBatch string       `json:"prev_batch,omitzero"`
}

// summary is what a room is called by that has no name. Counts that have not
// changed are nil.
type summary struct {
	Heroes  *[]matrix.UserID `json:"m.heroes,omitzero"`
	Joined  *int64           `json:"m.joined_member_count,omitzero"`
	Invited *int64           `json:"m.invited_member_count,omitzero"`
}

// accountData is an event of account data; ephemeral one that is in no timeline.
type (
	accountData struct {
		Type    string         `json:"type"`
		Content jsontext.Value `json:"content"`
	}
	ephemeral accountData
)

type deviceLists struct {
	Changed []matrix.UserID `json:"changed"`
	Left    []matrix.UserID `json:"left"`
}

func newAnswer() *Answer {
	return &Answer{
		Rooms: Rooms{
			Join: map[matrix.RoomID]*Joined{}, Invite: map[matrix.RoomID]*Invited{}, Knock: map[matrix.RoomID]*Knocked{},
			Leave: map[matrix.RoomID]*Left{},
		},
		OneTimeKeys: map[string]int64{}, Fallback: []string{},
	}
}

// empty tells that there is nothing new in the answer.
func (a *Answer) empty() bool {
	return len(a.Rooms.Join)+len(a.Rooms.Invite)+len(a.Rooms.Knock)+len(a.Rooms.Leave) == 0 &&
		len(a.AccountData.Events)+len(a.Presence.Events)+len(a.ToDevice.Events) == 0 && a.DeviceLists == nil
}
