package state_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

const room matrix.RoomID = "!room:x"

// entries is a state as a map.
type entries = map[event.Key]string

func member(i int) event.Key {
	return event.Key{Type: "m.room.member", StateKey: fmt.Sprintf("@person%d:example.org", i)}
}

func eventID(n int) string { return fmt.Sprintf("$%043d", n) }

// crowd is the state of a room with that many members.
func crowd(n int) entries {
	m := entries{}
	for i := range n {
		m[member(i)] = eventID(i)
	}
	for i, typ := range []string{"create", "power_levels", "join_rules", "name", "topic", "avatar", "history_visibility"} {
		m[event.Key{Type: "m.room." + typ}] = eventID(n + i)
	}
	return m
}

// update runs fn in a transaction.
func update(t testing.TB, db *storage.DB, fn func(tx *storage.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// put puts changes in a transaction.
func put(t testing.TB, db *storage.DB, trees *state.Trees, r state.Root, changes entries) (root state.Root) {
	t.Helper()
	update(t, db, func(tx *storage.Tx) (err error) {
		root, err = trees.Put(tx, room, r, changes)
		return err
	})
	return root
}

// all reads a state with nothing in memory.
func all(tx *storage.Tx, in matrix.RoomID, r state.Root) (entries, error) {
	seq, err := state.New().All(tx, in, r)
	if err != nil {
		return nil, err
	}
	return maps.Collect(seq), nil
}

// keys are few enough for changes to meet, and enough for several levels.
func keys() *rapid.Generator[event.Key] {
	return rapid.Custom(func(t *rapid.T) event.Key {
		return event.Key{
			Type:     rapid.SampledFrom([]string{"m.room.member", "m.room.member", "m.room.name", "m.space.child", "", "a\x00b", "\xff"}).Draw(t, "type"),
			StateKey: rapid.SampledFrom([]string{"", "@", "b\x00", "\xfe"}).Draw(t, "prefix") + fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "number")),
		}
	})
}

// changes are a few, or many; an empty id takes a key out.
func changes() *rapid.Generator[entries] {
	ids := rapid.SampledFrom([]string{"", "", "$a", "$b", "$c:example.org", strings.Repeat("$", 255)})
	return rapid.OneOf(rapid.MapOfN(keys(), ids, 0, 4), rapid.MapOfN(keys(), ids, 30, 300))
}

func apply(m, changes entries) entries {
	m = maps.Clone(m)
	for k, id := range changes {
		if m[k] = id; id == "" {
			delete(m, k)
		}
	}
	return m
}

func TestAStateIsWhatWasPutAndHasOneRoot(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		rapid.Check(t, func(t *rapid.T) {
			steps := rapid.SliceOfN(changes(), 1, 5).Draw(t, "steps")
			ask := rapid.SliceOf(keys()).Draw(t, "keys")
			err := db.Update(t.Context(), func(tx *storage.Tx) error { return walk(tx, steps, ask) })
			if err != nil {
				t.Fatal(err)
			}
		})
	})
}

// walk puts step after step, and compares the state with a map each time.
func walk(tx *storage.Tx, steps []entries, ask []event.Key) error {
	trees := state.New()
	var root state.Root
	m := entries{}
	for i, step := range steps {
		made, err := trees.Made(tx, room, root, step)
		if err != nil {
			return err
		}
		next, err := trees.Put(tx, room, root, step)
		if err != nil {
			return err
		}
		then := apply(m, step)
		if err := errors.Join(
			sameState(tx, trees, next, then, ask), sameRoot(tx, next, then),
			sameDiff(tx, root, m, next, then), sameDiff(tx, next, then, root, m), noneInVain(tx, trees, next, made),
		); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		root, m = next, then
	}
	return nil
}

func TestATreeThatShrinksLeavesNothingBehind(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		rapid.Check(t, func(t *rapid.T) {
			m := crowd(rapid.IntRange(5, 40).Draw(t, "people"))
			step := entries{}
			for _, k := range slices.SortedFunc(maps.Keys(m), func(a, b event.Key) int { return strings.Compare(m[a], m[b]) }) {
				switch rapid.IntRange(0, 3).Draw(t, "fate") {
				case 0: // it stays
				case 1:
					step[k] = "$new"
				default:
					step[k] = ""
				}
			}
			err := db.Update(t.Context(), func(tx *storage.Tx) error { return walk(tx, []entries{m, step}, nil) })
			if err != nil {
				t.Fatal(err)
			}
		})
	})
}

func TestKeysThatAreTheSameTextAreApart(t *testing.T) {
	text := strings.Repeat("a", 600)
	m := entries{}
	for i := range text {
		m[event.Key{Type: text[:i], StateKey: text[i:]}] = eventID(i)
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		root := put(t, db, state.New(), state.Root{}, m)
		update(t, db, func(tx *storage.Tx) error {
			got, err := all(tx, room, root)
			return errors.Join(err, differ("all", m, got))
		})
	})
}

// differ is an error that shows a difference.
func differ[T any](what string, want, got T) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("%s (-want +got):\n%s", what, diff)
	}
	return nil
}

// sameState checks all ways to read a state.
func sameState(tx *storage.Tx, trees *state.Trees, r state.Root, m entries, ask []event.Key) error {
	got, err1 := all(tx, room, r)
	count, err2 := trees.Count(tx, room, r)
	many, err3 := trees.GetMany(tx, room, r, ask)
	rest, err4 := trees.NotMembers(tx, room, r)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	errs := []error{differ("all", m, got), differ("count", len(m), count)}
	asked := entries{}
	for _, k := range ask {
		id, ok, err := state.New().Get(tx, room, r, k)
		want, has := m[k]
		if ok != has || id != want || err != nil {
			errs = append(errs, fmt.Errorf("at %q is %q, %v, %w, want %q", k, id, ok, err, want))
		}
		if has {
			asked[k] = want
		}
	}
	byType := map[string]map[string]string{"m.none": {}, "m.room.member": {}}
	others := entries{}
	for k, id := range m {
		if byType[k.Type] == nil {
			byType[k.Type] = map[string]string{}
		}
		byType[k.Type][k.StateKey] = id
		if k.Type != "m.room.member" {
			others[k] = id
		}
	}
	for typ, want := range byType {
		got, err := trees.OfType(tx, room, r, typ)
		errs = append(errs, err, differ("of type "+typ, want, maps.Collect(got)))
	}
	return errors.Join(append(errs, differ("many", asked, many), differ("not members", others, maps.Collect(rest)))...)
}

// sameRoot checks that a state has the root that it has when it is made at once,
// or in another order.
func sameRoot(tx *storage.Tx, r state.Root, m entries) error {
	once, err := state.New().Put(tx, room, state.Root{}, m)
	if err != nil || once != r {
		return fmt.Errorf("its root is %x, and %x when it is made at once (%w)", r, once, err)
	}
	var again state.Root
	trees := state.New()
	list := slices.SortedFunc(maps.Keys(m), func(a, b event.Key) int { return strings.Compare(b.StateKey, a.StateKey) })
	for some := range slices.Chunk(list, 40) {
		part := entries{}
		for _, k := range some {
			part[k] = m[k]
		}
		if again, err = trees.Put(tx, room, again, part); err != nil {
			return err
		}
	}
	if again != r {
		return fmt.Errorf("its root is %x, and %x when it is made in another order", r, again)
	}
	return nil
}

func sameDiff(tx *storage.Tx, from state.Root, before entries, to state.Root, after entries) error {
	changed, removed, err := state.New().Diff(tx, room, from, to)
	want := maps.Clone(after)
	maps.DeleteFunc(want, func(k event.Key, id string) bool { return before[k] == id })
	var gone []event.Key
	for k := range before {
		if _, ok := after[k]; !ok {
			gone = append(gone, k)
		}
	}
	slices.SortFunc(gone, func(a, b event.Key) int {
		return strings.Compare(a.Type+"\x00\x00"+a.StateKey, b.Type+"\x00\x00"+b.StateKey)
	})
	return errors.Join(err, differ("changed", want, changed), differ("removed", gone, removed))
}

// noneInVain checks that a Put writes no node that the tree does not have.
func noneInVain(tx *storage.Tx, trees *state.Trees, r state.Root, made map[state.Root]string) error {
	nodes, _, err := trees.Nodes(tx, room, r)
	for id, body := range made {
		if nodes[id] != body {
			err = errors.Join(err, fmt.Errorf("node %x was written and is not in the tree", id))
		}
	}
	return err
}

func TestAPutWhoseTransactionIsRolledBackIsWrittenByTheNext(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		trees := state.New()
		back := errors.New("back")
		m := crowd(100)
		err := db.Update(t.Context(), func(tx *storage.Tx) error {
			if _, err := trees.Put(tx, room, state.Root{}, m); err != nil {
				return err
			}
			return back
		})
		if !errors.Is(err, back) {
			t.Fatalf("the transaction was not rolled back: %v", err)
		}
		root := put(t, db, trees, state.Root{}, m)
		update(t, db, func(tx *storage.Tx) error {
			got, err := all(tx, room, root)
			return errors.Join(err, differ("all", m, got))
		})
	})
}

func TestRoomsWithTheSameStateHaveItEach(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		trees := state.New()
		m := crowd(100)
		update(t, db, func(tx *storage.Tx) error {
			a, err1 := trees.Put(tx, room, state.Root{}, m)
			b, err2 := trees.Put(tx, "!other:x", state.Root{}, m)
			got, err3 := all(tx, "!other:x", b)
			return errors.Join(err1, err2, err3, differ("the root", a, b), differ("all", m, got))
		})
	})
}

func TestANodeThatIsLostOrDamagedIsAnError(t *testing.T) {
	long := strings.Repeat("x", 40)
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		for name, c := range map[string]struct {
			id   state.Root
			body string
			want string
		}{
			"lost":        {state.Root{1}, "", "has lost its node 01"},
			"another":     {state.Root{2}, "\x01\x01a\x01\x01k\x01i", "is not what it was"},
			"no format":   {state.IDOf(long), long, "its body cannot be read"},
			"cut off":     {state.IDOf("\x01\x01a\x01"), "\x01\x01a\x01", "its body cannot be read"},
			"empty child": {state.IDOf("\x02\x00\x01\x11"), "\x02\x00\x01\x11", "its body cannot be read"},
		} {
			t.Run(name, func(t *testing.T) {
				update(t, db, func(tx *storage.Tx) error {
					if c.body == "" {
						return nil
					}
					return tx.AddStateNodes(room, map[state.Root]string{c.id: c.body})
				})
				trees := state.New()
				for what, read := range map[string]func(tx *storage.Tx) error{
					"get":         func(tx *storage.Tx) error { _, _, err := trees.Get(tx, room, c.id, member(1)); return err },
					"get many":    func(tx *storage.Tx) error { _, err := trees.GetMany(tx, room, c.id, []event.Key{{}}); return err },
					"count":       func(tx *storage.Tx) error { _, err := trees.Count(tx, room, c.id); return err },
					"all":         func(tx *storage.Tx) error { _, err := trees.All(tx, room, c.id); return err },
					"of type":     func(tx *storage.Tx) error { _, err := trees.OfType(tx, room, c.id, ""); return err },
					"not members": func(tx *storage.Tx) error { _, err := trees.NotMembers(tx, room, c.id); return err },
					"diff":        func(tx *storage.Tx) error { _, _, err := trees.Diff(tx, room, state.Root{}, c.id); return err },
					"put":         func(tx *storage.Tx) error { _, err := trees.Put(tx, room, c.id, crowd(1)); return err },
				} {
					if err := db.Update(t.Context(), read); err == nil || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%s: the error is %v, want %q", what, err, c.want)
					}
				}
			})
		}
	})
}

func TestTheCacheKeepsToItsSizeAndNothingIsMissed(t *testing.T) {
	const size = 64 << 10
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		trees := state.NewSized(size)
		m := crowd(3000)
		root := put(t, db, trees, state.Root{}, m)
		update(t, db, func(tx *storage.Tx) error {
			seq, err := trees.All(tx, room, root)
			return errors.Join(err, differ("all", m, maps.Collect(seq)))
		})
		if kept := trees.Kept(); kept == 0 || kept > size {
			t.Errorf("the cache has %d bytes, want at most %d", kept, size)
		}
	})
}

func TestReadersAndWritersShareTheTrees(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		trees := state.NewSized(64 << 10)
		m := crowd(1000)
		root := put(t, db, trees, state.Root{}, m)
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				err := db.Update(t.Context(), func(tx *storage.Tx) error {
					next, err := trees.Put(tx, room, root, entries{member(i): "$new"})
					if err != nil {
						return err
					}
					changed, removed, err := trees.Diff(tx, room, root, next)
					return errors.Join(err, differ("changed", entries{member(i): "$new"}, changed), differ("removed", nil, removed))
				})
				err = errors.Join(err, db.View(t.Context(), func(tx *storage.Tx) error {
					seq, err := trees.All(tx, room, root)
					return errors.Join(err, differ("all", m, maps.Collect(seq)))
				}))
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestAReaderMayStopInTheMiddle(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		trees := state.New()
		root := put(t, db, trees, state.Root{}, crowd(100))
		update(t, db, func(tx *storage.Tx) error {
			everything, err1 := trees.All(tx, room, root)
			people, err2 := trees.OfType(tx, room, root, "m.room.member")
			others, err3 := trees.NotMembers(tx, room, root)
			n := 0
			for range everything {
				n++
				break
			}
			for range people {
				n++
				break
			}
			for range others {
				n++
				break
			}
			return errors.Join(err1, err2, err3, differ("entries", 3, n))
		})
	})
}

func TestATransactionThatFailsIsAnErrorOfEverything(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		trees := state.New()
		root := put(t, db, trees, state.Root{}, crowd(100))
		var over *storage.Tx
		view(t, db, func(tx *storage.Tx) error {
			over = tx
			return nil
		})
		if _, err := trees.Put(over, room, root, crowd(1)); err == nil {
			t.Error("nodes were written after the end of the transaction")
		}
		if _, err := state.New().Put(over, room, root, crowd(1)); err == nil {
			t.Error("nodes were read after the end of the transaction")
		}
	})
}
