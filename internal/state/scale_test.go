package state_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

// people is how many a large room has.
const people = 50_000

// large is a room with very many people.
type large struct {
	db   *storage.DB
	root state.Root
	m    entries
}

func TestALargeRoom(t *testing.T) {
	m := crowd(people)
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		l := large{db, put(t, db, state.New(), state.Root{}, m), m}
		t.Run("a change writes a few nodes", l.change)
		t.Run("everyone who comes writes a few nodes", l.coming)
		t.Run("it is read in a few statements", l.whole)
		t.Run("it is not read for its name", l.name)
		t.Run("a difference is found without what is shared", l.difference)
	})
}

// view runs fn in a transaction that only reads.
func view(t testing.TB, db *storage.DB, fn func(tx *storage.Tx) error) {
	t.Helper()
	if err := db.View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func atMost(what string, most, got int64) error {
	if got > most {
		return fmt.Errorf("%s: %d, want at most %d", what, got, most)
	}
	return nil
}

func (l large) change(t *testing.T) {
	for name, change := range map[string]entries{
		"a member changes": {member(7): "$new"},
		"the topic":        {{Type: "m.room.topic"}: "$new"},
		"a member is not":  {member(8): ""},
	} {
		nodes, size := written(t, l.db, l.root, change)
		if err := errors.Join(atMost(name+": nodes", 6, nodes), atMost(name+": bytes", 4<<10, size)); err != nil {
			t.Error(err)
		}
	}
}

func (l large) coming(t *testing.T) {
	const coming = 200
	var total int64
	for i := range coming {
		// A leaf that was full is many, once.
		nodes, size := written(t, l.db, l.root, entries{member(people + i): eventID(people + i)})
		if err := errors.Join(atMost("nodes", 6+16, nodes), atMost("bytes", 8<<10-1, size)); err != nil {
			t.Error(err)
		}
		total += nodes
	}
	if err := atMost("nodes of all", 7*coming, total); err != nil {
		t.Error(err)
	}
}

// written is how many nodes and bytes a change writes.
func written(t *testing.T, db *storage.DB, root state.Root, change entries) (nodes, size int64) {
	t.Helper()
	view(t, db, func(tx *storage.Tx) error {
		made, err := state.New().Made(tx, room, root, change)
		for _, body := range made {
			size += int64(len(room) + len(state.Root{}) + len(body))
		}
		nodes = int64(len(made))
		return err
	})
	return nodes, size
}

func (l large) whole(t *testing.T) {
	view(t, l.db, func(tx *storage.Tx) error {
		nodes, levels, err := state.New().Nodes(tx, room, l.root)
		if err != nil {
			return err
		}
		trees := state.New()
		seq, err := trees.All(tx, room, l.root)
		if err != nil {
			return err
		}
		got := trees.Stats()
		return errors.Join(differ("all", true, maps.Equal(l.m, maps.Collect(seq))), atMost("levels", 7, int64(levels)),
			differ("the nodes read", state.Stats{Reads: int64(len(nodes)), Batches: int64(levels)}, got))
	})
	view(t, l.db, func(tx *storage.Tx) error {
		trees := state.New()
		many := []event.Key{{Type: "m.room.topic"}, {Type: "m.room.none"}, member(people)}
		for i := range 1000 {
			many = append(many, member(i))
		}
		found, err := trees.GetMany(tx, room, l.root, many)
		return errors.Join(err, differ("found", 1001, len(found)), atMost("statements", 7, trees.Stats().Batches))
	})
}

func (l large) name(t *testing.T) {
	name := event.Key{Type: "m.room.name"}
	rest := maps.Clone(l.m)
	maps.DeleteFunc(rest, func(k event.Key, _ string) bool { return k.Type == "m.room.member" })
	for what, read := range map[string]func(*state.Trees, *storage.Tx) error{
		"get": func(trees *state.Trees, tx *storage.Tx) error {
			id, _, err := trees.Get(tx, room, l.root, name)
			return errors.Join(err, differ("the name", l.m[name], id))
		},
		"of type": func(trees *state.Trees, tx *storage.Tx) error {
			names, err := trees.OfType(tx, room, l.root, name.Type)
			return errors.Join(err, differ("names", map[string]string{"": l.m[name]}, maps.Collect(names)))
		},
		"not members": func(trees *state.Trees, tx *storage.Tx) error {
			others, err := trees.NotMembers(tx, room, l.root)
			return errors.Join(err, differ("others", rest, maps.Collect(others)))
		},
		"count": func(trees *state.Trees, tx *storage.Tx) error {
			n, err := trees.Count(tx, room, l.root)
			return errors.Join(err, differ("count", len(l.m), n))
		},
	} {
		trees := state.New()
		view(t, l.db, func(tx *storage.Tx) error { return read(trees, tx) })
		if err := atMost(what+": nodes", 1+15, trees.Stats().Reads); err != nil {
			t.Error(err)
		}
	}
}

func (l large) difference(t *testing.T) {
	next := put(t, l.db, state.New(), l.root, entries{
		member(7): "$new", member(8): "", member(people): "$come", {Type: "m.room.topic"}: "$topic",
	})
	trees := state.New()
	view(t, l.db, func(tx *storage.Tx) error {
		changed, removed, err := trees.Diff(tx, room, l.root, next)
		return errors.Join(err, differ("removed", []event.Key{member(8)}, removed),
			differ("changed", entries{member(7): "$new", member(people): "$come", {Type: "m.room.topic"}: "$topic"}, changed))
	})
	// Four leaves on both sides, and the way to them.
	if err := atMost("nodes", 2*4*6, trees.Stats().Reads); err != nil {
		t.Error(err)
	}
	if err := atMost("statements", 7, trees.Stats().Batches); err != nil {
		t.Error(err)
	}
}

func TestEveryTypeMayHaveVeryMany(t *testing.T) {
	m := entries{}
	for i := range 5000 {
		m[event.Key{Type: "m.space.child", StateKey: fmt.Sprintf("!child%d:x", i)}] = eventID(i)
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		root := put(t, db, state.New(), state.Root{}, m)
		view(t, db, func(tx *storage.Tx) error {
			children, err1 := state.New().OfType(tx, room, root, "m.space.child")
			_, levels, err2 := state.New().Nodes(tx, room, root)
			return errors.Join(err1, err2, differ("children", len(m), len(maps.Collect(children))),
				atMost("levels", 7, int64(levels)))
		})
	})
}

// bench runs a benchmark on a large room, for each engine.
func bench(b *testing.B, run func(b *testing.B, db *storage.DB, trees *state.Trees, root state.Root)) {
	m := crowd(people)
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			db := storagetest.Open(b, storagetest.URL(b, engine))
			trees := state.New()
			root := put(b, db, trees, state.Root{}, m)
			b.ReportAllocs()
			run(b, db, trees, root)
		})
	}
}

// BenchmarkPut50k is a durable transaction with one change of the state of a
// large room; BenchmarkPut50kMore is that without the commit.
func BenchmarkPut50k(b *testing.B) {
	bench(b, func(b *testing.B, db *storage.DB, trees *state.Trees, root state.Root) {
		n := 0
		for b.Loop() {
			n++
			root = put(b, db, trees, root, entries{member(n % people): eventID(people + n)})
		}
	})
}

func BenchmarkPut50kMore(b *testing.B) {
	bench(b, func(b *testing.B, db *storage.DB, trees *state.Trees, root state.Root) {
		n := 0
		update(b, db, func(tx *storage.Tx) (err error) {
			for b.Loop() {
				n++
				if root, err = trees.Put(tx, room, root, entries{member(n % people): eventID(people + n)}); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// BenchmarkFill50k is the state of a large room at once, as a join brings it.
func BenchmarkFill50k(b *testing.B) {
	m := crowd(people)
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			db := storagetest.Open(b, storagetest.URL(b, engine))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				update(b, db, func(tx *storage.Tx) error {
					_, err := state.New().Put(tx, matrix.RoomID(fmt.Sprintf("!%d:x", n)), state.Root{}, m)
					return err
				})
			}
		})
	}
}

func BenchmarkGet50k(b *testing.B) {
	bench(b, func(b *testing.B, db *storage.DB, trees *state.Trees, root state.Root) {
		n := 0
		view(b, db, func(tx *storage.Tx) error {
			for b.Loop() {
				n++
				if _, ok, err := trees.Get(tx, room, root, member(n%people)); err != nil || !ok {
					return fmt.Errorf("member %d: %v, %w", n%people, ok, err)
				}
			}
			return nil
		})
	})
}

// BenchmarkAll50k reads the whole state, from memory and from the database.
func BenchmarkAll50k(b *testing.B) {
	bench(b, func(b *testing.B, db *storage.DB, trees *state.Trees, root state.Root) {
		for _, warm := range []bool{true, false} {
			b.Run(fmt.Sprintf("warm=%v", warm), func(b *testing.B) {
				b.ReportAllocs()
				view(b, db, func(tx *storage.Tx) error {
					for b.Loop() {
						if !warm {
							trees = state.New()
						}
						seq, err := trees.All(tx, room, root)
						if err != nil {
							return err
						}
						n := 0
						for range seq {
							n++
						}
						if n < people {
							return fmt.Errorf("there are %d", n)
						}
					}
					return nil
				})
			})
		}
	})
}

func BenchmarkDiff(b *testing.B) {
	bench(b, func(b *testing.B, db *storage.DB, trees *state.Trees, root state.Root) {
		next := put(b, db, trees, root, entries{member(7): "$new"})
		view(b, db, func(tx *storage.Tx) error {
			for b.Loop() {
				if changed, _, err := trees.Diff(tx, room, root, next); err != nil || len(changed) != 1 {
					return fmt.Errorf("changed: %v, %w", changed, err)
				}
			}
			return nil
		})
	})
}
