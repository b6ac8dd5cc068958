package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lethe/internal/state"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func FuzzABodyIsReadAsItIsWrittenOrNotAtAll(f *testing.F) {
	db := storagetest.Open(f, storagetest.URL(f, "sqlite"))
	update(f, db, func(tx *storage.Tx) error {
		made, err := state.New().Made(tx, room, state.Root{}, crowd(300))
		for _, body := range made {
			f.Add(body)
			f.Add(body[:len(body)/2])
		}
		return err
	})
	f.Fuzz(func(t *testing.T, body string) {
		again, count, err := state.Recode(body)
		if err == nil && (again != body || count == 0) {
			t.Errorf("%q is written as %q, with %d entries", body, again, count)
		}
	})
}

func TestABodyThatNobodyWroteIsNotRead(t *testing.T) {
	child := strings.Repeat("x", 16)
	for name, body := range map[string]string{
		"nothing":                 "",
		"an unknown form":         "\x03",
		"a leaf of nothing":       "\x01",
		"a type of nothing":       "\x01\x01a\x00",
		"a type twice":            "\x01\x01a\x01\x01k\x01i\x01a\x01\x01l\x01i",
		"types out of order":      "\x01\x01b\x01\x01k\x01i\x01a\x01\x01k\x01i",
		"state keys out of order": "\x01\x01a\x02\x01l\x01i\x01k\x01i",
		"a state key twice":       "\x01\x01a\x02\x01k\x01i\x01k\x01i",
		"no event id":             "\x01\x01a\x01\x01k\x00",
		"a leaf that is cut off":  "\x01\x01a\x02\x01k\x01i",
		"a text that is cut off":  "\x01\x01a\x01\x01k\x02i",
		"a long length":           "\x01\x81\x00a\x01\x01k\x01i",
		"a very long length":      "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"seventeen in a leaf":     "\x01\x01a\x11" + entriesBody("abcdefghijklmnopq"),
		"an inner that is cut":    "\x02\x00",
		"no child":                "\x02\x00\x00\x11",
		"a child that is cut off": "\x02\x00\x01\x11" + child[1:],
		"one child too many":      "\x02\x00\x01\x11" + child + child,
		"sixteen below an inner":  "\x02\x00\x01\x10" + child,
	} {
		if again, count, err := state.Recode(body); err == nil {
			t.Errorf("%s: it is %q with %d entries", name, again, count)
		}
	}
	for name, body := range map[string]string{
		"a leaf":   "\x01\x01a\x02\x01k\x01i\x01l\x01i\x01b\x01\x00\x01i",
		"sixteen":  "\x01\x01a\x10" + entriesBody("abcdefghijklmnop"),
		"an inner": "\x02\x80\x01\x11" + child + child,
	} {
		if again, _, err := state.Recode(body); err != nil || again != body {
			t.Errorf("%s: it is %q, %v", name, again, err)
		}
	}
}

func entriesBody(keys string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString("\x01" + string(k) + "\x01i")
	}
	return b.String()
}

// The trees of a database outlive a program: a key has to be looked for where an
// older one has put it.
func TestTheFormatStaysAsItIs(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		update(t, db, func(tx *storage.Tx) error {
			small, err1 := state.New().Put(tx, room, state.Root{}, entries{member(1): "$a", {Type: "m.room.create"}: "$b"})
			large, err2 := state.New().Put(tx, room, state.Root{}, crowd(1000))
			return errors.Join(err1, err2,
				differ("a leaf", state.IDOf("\x01\x0dm.room.create\x01\x00\x02$b\x0dm.room.member\x01\x14@person1:example.org\x02$a"), small),
				differ("a tree", "9ae97321734ae04b49783f27a4662df6", fmt.Sprintf("%x", large)))
		})
	})
}
