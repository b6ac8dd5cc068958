package syncing_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/filter"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/storage"
	"lethe/internal/syncing"
)

// others is what other packages have to tell.
type others struct {
	room   matrix.RoomID
	typing []matrix.UserID
	since  int64
	seen   []string
	asked  []int64 // the positions after which Devices was asked
}

func (o *others) Typing(
	_ *storage.Tx, _ matrix.UserID, _ []matrix.RoomID, after, _ int64,
) (map[matrix.RoomID][]matrix.UserID, error) {
	if o.since <= after {
		return nil, nil
	}
	return map[matrix.RoomID][]matrix.UserID{o.room: o.typing}, nil
}

func (o *others) Presence(*storage.Tx, matrix.UserID, int64, int64) ([]syncing.PresenceEvent, error) {
	return []syncing.PresenceEvent{
		{Type: "m.presence", Sender: "@a:x", Content: jsontext.Value(`{"presence":"online"}`)},
		{Type: "m.presence", Sender: "@b:x", Content: jsontext.Value(`{"presence":"offline"}`)},
	}, nil
}

func (o *others) Seen(_ matrix.UserID, _, presence string) func() {
	o.seen = append(o.seen, presence)
	return func() {}
}

func (o *others) Devices(_ *storage.Tx, _ matrix.UserID, _ string, after, _ int64) (syncing.DeviceNews, error) {
	o.asked = append(o.asked, after)
	return syncing.DeviceNews{
		Messages: []jsontext.Value{jsontext.Value(`{"type":"m.x"}`)}, Changed: []matrix.UserID{"@a:x"},
		OneTimeKeys: map[string]int64{"signed_curve25519": 3}, FallbackKeys: []string{"signed_curve25519"},
	}, nil
}

// TestWhatOthersHaveToTellIsInTheAnswer: typing, presence, and what is for the
// device, each where the filter lets it.
func TestWhatOthersHaveToTellIsInTheAnswer(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		room := s.CreateRoom(alice.Token, nil)
		o := &others{room: matrix.RoomID(room), typing: []matrix.UserID{"@b:x"}}
		service := own(s, syncing.Options{Typing: o, Presence: o, Devices: o})
		r := request(alice, -1)
		r.SetPresence = "unavailable"
		first := ask(t, service, r)
		want := []object{{"type": "m.typing", "content": object{"user_ids": []any{"@b:x"}}}}
		if got := first.events("rooms", "join", room, "ephemeral"); !cmp.Equal(got, want) {
			t.Errorf("typing at first: %v", got)
		}
		if got := first.events("presence"); len(got) != 2 || !cmp.Equal(o.seen, []string{"unavailable"}) {
			t.Errorf("presence %v; seen %v", got, o.seen)
		}
		if first.Get("device_lists") != nil || len(first.events("to_device")) != 1 ||
			first.Get("device_one_time_keys_count", "signed_curve25519") != 3.0 {
			t.Errorf("for the device at first: %s", first.Raw)
		}

		var err error
		if r.Since, err = position.Parse(first.String("next_batch")); err != nil {
			t.Fatal(err)
		}
		o.typing = nil
		err = s.DB.Update(t.Context(), func(tx *storage.Tx) (err error) {
			o.since, err = tx.NextPos(storage.Change{Kind: storage.ChangeTyping, Room: o.room})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		second := ask(t, service, r)
		want = []object{{"type": "m.typing", "content": object{"user_ids": []any{}}}}
		if got := second.events("rooms", "join", room, "ephemeral"); !cmp.Equal(got, want) {
			t.Errorf("nobody is typing any more: %v", got)
		}
		if len(second.events("presence")) != 0 {
			t.Errorf("presence without a change: %s", second.Raw)
		}
		if got := second.Get("device_lists", "changed"); !cmp.Equal(got, any([]any{"@a:x"})) ||
			!cmp.Equal(o.asked, []int64{-1, r.Since}) {
			t.Errorf("devices %v, asked for after %v", got, o.asked)
		}

		not := []string{"m.typing"}
		r.Filter = &filter.Filter{Presence: filter.Events{NotSenders: []string{"@a:x"}}}
		r.Filter.Room.Ephemeral.NotTypes = not
		r.Since = -1
		third := ask(t, service, r)
		if got := third.events("presence"); len(got) != 1 || got[0]["sender"] != "@b:x" {
			t.Errorf("presence without a sender: %v", got)
		}
		if got := third.events("rooms", "join", room, "ephemeral"); len(got) != 0 {
			t.Errorf("ephemeral events without typing: %v", got)
		}
	})
}
