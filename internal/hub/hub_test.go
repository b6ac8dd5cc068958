package hub_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lethe/internal/event"
	"lethe/internal/hub"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	alice matrix.UserID = "@alice:x"
	bob   matrix.UserID = "@bob:x"

	town  matrix.RoomID = "!town:x"
	cave  matrix.RoomID = "!cave:x"
	other matrix.RoomID = "!other:x"
)

// world is a database with a hub.
type world struct {
	t   testing.TB
	db  *storage.DB
	hub *hub.Hub
}

func newWorld(t testing.TB, db *storage.DB) *world {
	w := &world{t: t, db: db, hub: hub.New(db, nil)}
	w.do(func(tx *storage.Tx) error {
		for _, id := range []matrix.RoomID{town, cave, other} {
			if err := tx.AddRoom(storage.Room{ID: id, Version: "10", Extremities: []string{}}); err != nil {
				return err
			}
		}
		return nil
	})
	return w
}

func (w *world) do(fn func(*storage.Tx) error) {
	w.t.Helper()
	if err := w.db.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// change makes changes, and returns the position of the last.
func (w *world) change(changes ...storage.Change) (pos int64) {
	w.t.Helper()
	w.do(func(tx *storage.Tx) (err error) {
		for _, c := range changes {
			if pos, err = tx.NextPos(c); err != nil {
				return err
			}
		}
		return nil
	})
	return pos
}

// say adds an event to a room's timeline.
func (w *world) say(room matrix.RoomID, sender matrix.UserID) (e *storage.Event) {
	w.t.Helper()
	w.do(func(tx *storage.Tx) (err error) {
		e, err = add(tx, room, sender)
		return err
	})
	return e
}

func add(tx *storage.Tx, room matrix.RoomID, sender matrix.UserID) (*storage.Event, error) {
	pos, err := tx.NextPos(storage.Change{Kind: storage.ChangeEvent, Room: room, User: sender})
	if err != nil {
		return nil, err
	}
	v, _ := event.VersionOf("10")
	raw := fmt.Sprintf(`{"content":{},"depth":1,"origin_server_ts":1,"room_id":%q,"sender":%q,"type":"m"}`, room, sender)
	pdu, err := event.Load(v, fmt.Sprintf("$%d", pos), []byte(raw))
	if err != nil {
		return nil, err
	}
	e := &storage.Event{Event: pdu, Pos: pos}
	return e, tx.AddEvent(e)
}

// follow has the hub follow a user from now on.
func (w *world) follow(user matrix.UserID, rooms ...matrix.RoomID) int64 {
	w.t.Helper()
	w.hub.News(user, w.hub.Pos())
	w.hub.Follow(user, rooms, w.hub.Pos())
	return w.hub.Pos()
}

func (w *world) want(user matrix.UserID, since int64, want hub.News) {
	w.t.Helper()
	got, ok := w.hub.News(user, since)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		w.t.Errorf("the news of %s since %d, known %v (-want +got)\n%s", user, since, ok, diff)
	}
}

func (w *world) unknown(user matrix.UserID, since int64) {
	w.t.Helper()
	if got, ok := w.hub.News(user, since); ok {
		w.t.Errorf("it thinks to know what is new to %s since %d: %+v", user, since, got)
	}
}

// TestNewsIsWhatConcernsTheUser: each kind of change, in a room of theirs, in
// another, of their own and of another.
func TestNewsIsWhatConcernsTheUser(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld(t, db)
		w.follow(bob, town)
		at := func(rooms ...hub.RoomNews) hub.News { return hub.News{Rooms: rooms} }
		for _, tc := range []struct {
			what   string
			change storage.Change
			want   hub.News
		}{
			{"an event", storage.Change{Kind: storage.ChangeEvent, Room: town}, at(hub.RoomNews{Room: town, Events: true})},
			{"an event elsewhere", storage.Change{Kind: storage.ChangeEvent, Room: other}, hub.News{}},
			{"a member", storage.Change{Kind: storage.ChangeMember, Room: town, User: "@c:x"}, at(hub.RoomNews{Room: town, Events: true, Members: true})},
			{"a hidden event", storage.Change{Kind: storage.ChangeHidden, Room: town}, hub.News{}},
			{"a redaction", storage.Change{Kind: storage.ChangeRedacted, Room: town}, hub.News{}},
			{"an erasure", storage.Change{Kind: storage.ChangeErased, User: bob}, hub.News{}},
			{"a receipt", storage.Change{Kind: storage.ChangeReceipt, Room: town, User: bob}, at(hub.RoomNews{Room: town, Receipts: true})},
			{"typing", storage.Change{Kind: storage.ChangeTyping, Room: town, User: bob}, at(hub.RoomNews{Room: town, Typing: true})},
			{"a private change", storage.Change{Kind: storage.ChangePrivate, Room: town, User: alice}, at(hub.RoomNews{Room: town, Private: true})},
			{"another's private change", storage.Change{Kind: storage.ChangePrivate, Room: town, User: bob}, hub.News{}},
			{"account data", storage.Change{Kind: storage.ChangeAccountData, User: alice}, hub.News{AccountData: true}},
			{"another's account data", storage.Change{Kind: storage.ChangeAccountData, Room: town, User: bob}, hub.News{}},
			{"a message to a device", storage.Change{Kind: storage.ChangeToDevice, User: alice}, hub.News{ToDevice: true}},
			{"another's device", storage.Change{Kind: storage.ChangeToDevice, User: bob}, hub.News{}},
			{"presence of one who shares a room", storage.Change{Kind: storage.ChangePresence, User: bob}, hub.News{Presence: true}},
			{"devices of one who shares a room", storage.Change{Kind: storage.ChangeDeviceList, User: bob}, hub.News{DeviceLists: true}},
			{"presence of one of whom that is not known", storage.Change{Kind: storage.ChangePresence, User: "@d:y"}, hub.News{Presence: true}},
		} {
			since := w.follow(alice, town, cave)
			tc.want.Pos = w.change(tc.change)
			t.Log(tc.what)
			w.want(alice, since, tc.want)
			w.want(alice, tc.want.Pos, hub.News{Pos: tc.want.Pos})
		}
		w.follow("@d:y", other)
		since := w.follow(alice, town, cave)
		w.change(storage.Change{Kind: storage.ChangePresence, User: "@d:y"})
		w.want(alice, since, hub.News{Pos: since + 1})
	})
}

// TestItDoesNotKnowWhatWasBeforeItFollowed: neither of strangers, nor of those
// whose rooms have changed.
func TestItDoesNotKnowWhatWasBeforeItFollowed(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld(t, db)
		before := w.change(storage.Change{Kind: storage.ChangeEvent, Room: town})
		w.unknown(alice, before)
		since := w.follow(alice, town)
		w.change(storage.Change{Kind: storage.ChangeEvent, Room: town})
		w.unknown(alice, since-1)
		w.want(alice, since, hub.News{Pos: since + 1, Rooms: []hub.RoomNews{{Room: town, Events: true}}})

		joined := w.change(storage.Change{Kind: storage.ChangeMember, Room: cave, User: alice})
		w.unknown(alice, since)
		w.hub.Follow(alice, []matrix.RoomID{town}, since) // read before they joined
		w.unknown(alice, since)
		w.hub.Follow(alice, []matrix.RoomID{town, cave}, joined)
		w.want(alice, joined, hub.News{Pos: joined})

		// A reading that was ahead of the hub knows of the join that comes after it.
		ahead := w.change(storage.Change{Kind: storage.ChangeMember, Room: cave, User: alice}) + 1
		w.hub.Follow(alice, []matrix.RoomID{town, cave, other}, ahead)
		w.change(storage.Change{Kind: storage.ChangeMember, Room: other, User: alice})
		w.want(alice, ahead, hub.News{Pos: ahead})
	})
}

// TestTheTimelineIsInMemory: as it was written, and not where something is
// missing.
func TestTheTimelineIsInMemory(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld(t, db)
		w.say(town, bob)
		since := w.follow(alice, town)
		first, second := w.say(town, bob), w.say(town, alice)
		w.say(other, bob)
		third := w.say(town, bob)
		check := func(after, upTo int64, want ...*storage.Event) {
			t.Helper()
			got, ok := w.hub.Timeline(town, after, upTo)
			if !ok || !cmp.Equal(want, got, cmp.Comparer(func(a, b *storage.Event) bool { return a == b })) {
				t.Errorf("the timeline from %d to %d: %v, %v", after, upTo, got, ok)
			}
		}
		check(since, w.hub.Pos(), first, second, third)
		check(first.Pos, second.Pos, second)
		check(third.Pos, w.hub.Pos())
		for what, ok := range map[string]bool{
			"before it followed": has(w.hub.Timeline(town, since-1, third.Pos)),
			"after all changes":  has(w.hub.Timeline(town, since, third.Pos+1)),
			"a room of nobody":   has(w.hub.Timeline(other, since, third.Pos)),
		} {
			if ok {
				t.Errorf("it has the timeline: %s", what)
			}
		}
		w.change(storage.Change{Kind: storage.ChangeRedacted, Room: town})
		if has(w.hub.Timeline(town, since, third.Pos)) {
			t.Error("it has events that were redacted on disk")
		}
		for range 200 {
			w.say(town, bob)
		}
		if has(w.hub.Timeline(town, third.Pos+1, w.hub.Pos())) {
			t.Error("it keeps 200 events of a room")
		}
		if !has(w.hub.Timeline(town, w.hub.Pos()-90, w.hub.Pos())) {
			t.Error("it has not kept the last 90 events of a room")
		}
	})
}

func has(_ []*storage.Event, ok bool) bool { return ok }

// waiter waits in the background.
func (w *world) wait(ctx context.Context, user matrix.UserID, after int64, alive func() error) <-chan error {
	done := make(chan error, 1)
	asked := make(chan struct{})
	go func() {
		done <- w.hub.Wait(ctx, user, after, func() error {
			defer close(asked)
			return alive()
		})
	}()
	<-asked
	return done
}

func fine() error { return nil }

func (w *world) wakes(done <-chan error, want error) {
	w.t.Helper()
	select {
	case err := <-done:
		if !errors.Is(err, want) {
			w.t.Errorf("it woke with %v, want %v", err, want)
		}
	case <-time.After(20 * time.Second):
		w.t.Fatal("it did not wake")
	}
}

// TestWhoWaitsWakes: for what concerns them, when they look whether their session
// is still there, when they have waited enough, and when the server stops.
func TestWhoWaitsWakes(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		since := w.follow(alice, town)
		w.follow(bob, cave)
		first, second := w.wait(ctx, alice, since, fine), w.wait(ctx, alice, since, fine)
		w.say(other, bob)
		w.say(cave, bob)
		select {
		case err := <-first:
			t.Fatalf("it woke for what is not theirs: %v", err)
		default:
		}
		w.say(town, bob)
		w.wakes(first, nil)
		w.wakes(second, nil)
		if err := w.hub.Wait(ctx, alice, since, fine); err != nil {
			t.Errorf("it does not return at once where something is new: %v", err)
		}
		if err := w.hub.Wait(ctx, "@stranger:x", since, fine); err != nil {
			t.Errorf("it does not return at once where it does not know: %v", err)
		}
		pos := w.hub.Pos()
		roused := w.wait(ctx, alice, pos, fine)
		w.hub.Rouse(bob)
		w.hub.Rouse(alice)
		w.wakes(roused, nil)

		ended := errors.New("ended")
		if err := w.hub.Wait(ctx, alice, pos, func() error { return ended }); !errors.Is(err, ended) {
			t.Errorf("one whose session has ended waits: %v", err)
		}
		canceled := w.wait(ctx, alice, pos, fine)
		cancel()
		w.wakes(canceled, context.Canceled)
		stopped := w.wait(t.Context(), alice, pos, fine)
		w.hub.Stop()
		w.hub.Stop()
		w.wakes(stopped, hub.ErrStopped)
		if err := w.hub.Wait(t.Context(), alice, pos, fine); !errors.Is(err, hub.ErrStopped) {
			t.Errorf("one waits after the server has stopped: %v", err)
		}
	})
}

// TestTheHubTellsOthersFirst: what they keep is up to date when somebody wakes.
func TestTheHubTellsOthersFirst(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		var h *hub.Hub
		var told []int64
		h = hub.New(db, func(changes []storage.Change) {
			for _, c := range changes {
				if h.Pos() >= c.Pos {
					t.Errorf("position %d came to the hub first", c.Pos)
				}
				told = append(told, c.Pos)
			}
		})
		w := &world{t, db, h}
		w.change(storage.Change{Kind: storage.ChangeErased, User: alice}, storage.Change{Kind: storage.ChangeErased, User: bob})
		if want := []int64{1, 2}; !cmp.Equal(told, want) || h.Pos() != 2 {
			t.Errorf("told %v, at %d", told, h.Pos())
		}
	})
}

// TestHeroesAreRememberedUntilTheyChange: among those after them who is where
// does not matter.
func TestHeroesAreRememberedUntilTheyChange(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld(t, db)
		w.follow(alice, town)
		check := func(want ...matrix.UserID) {
			t.Helper()
			got, ok := w.hub.Heroes(town)
			if ok != (want != nil) || !cmp.Equal(got, want) {
				t.Errorf("heroes %v, known %v; want %v", got, ok, want)
			}
		}
		member := func(user matrix.UserID) {
			w.change(storage.Change{Kind: storage.ChangeMember, Room: town, User: user})
		}
		check()
		w.hub.SetHeroes(town, []matrix.UserID{"@a:x", "@b:x"}, true, w.hub.Pos())
		member("@c:x")
		check("@a:x", "@b:x")
		member("@a:x")
		check()
		w.hub.SetHeroes(town, []matrix.UserID{"@b:x"}, false, w.hub.Pos()-1)
		check() // they were read before the last change
		w.hub.SetHeroes(town, []matrix.UserID{"@b:x"}, false, w.hub.Pos())
		check("@b:x")
		member("@d:x") // there were no more: now there is one
		check()
	})
}

// TestEventsOfOtherProcessesAreReadOnce: for all who wait, who wake when it is
// there.
func TestEventsOfOtherProcessesAreReadOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld(t, db)
		hub.New(db, nil) // takes the changes: w.hub hears of them as of another process's
		w.hub.News(alice, 0)
		w.hub.Follow(alice, []matrix.RoomID{town}, w.hub.Pos())
		since := w.hub.Pos()
		first, second := w.say(town, bob), w.say(town, bob)
		waiting := w.wait(t.Context(), alice, since, fine)
		for _, e := range []*storage.Event{first, second} {
			w.hub.Changed(storage.Change{Pos: e.Pos, Kind: storage.ChangeEvent, Room: town, User: bob})
		}
		if has(w.hub.Timeline(town, since, second.Pos)) {
			t.Fatal("it has what it has not read")
		}
		w.want(alice, since, hub.News{Pos: second.Pos, Rooms: []hub.RoomNews{{Room: town, Events: true}}})
		before := db.Stats().Views
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.hub.Run(ctx) }()
		w.wakes(waiting, nil)
		got, ok := w.hub.Timeline(town, since, second.Pos)
		if !ok || len(got) != 2 || got[0].ID() != first.ID() || got[1].ID() != second.ID() {
			t.Errorf("after it was read the timeline is %v, %v", got, ok)
		}
		if n := db.Stats().Views - before; n > 2 {
			t.Errorf("it took %d reads", n)
		}
		stop()
		<-done
	})
}

// TestWhatNobodyNeedsIsForgotten: the memory of a room goes with the last who is
// followed in it.
func TestWhatNobodyNeedsIsForgotten(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		w := newWorld(t, db)
		w.follow(alice, town, cave)
		w.follow(bob, town)
		for range 300 {
			w.say(town, bob)
		}
		w.change(storage.Change{Kind: storage.ChangeMember, Room: town, User: alice})
		if w.hub.Held() == 0 {
			t.Error("it has forgotten the room in which one is left")
		}
		w.change(storage.Change{Kind: storage.ChangeMember, Room: town, User: bob})
		if n := w.hub.Held(); n != 0 {
			t.Errorf("it holds %d bytes of a room in which nobody is left", n)
		}
	})
}
