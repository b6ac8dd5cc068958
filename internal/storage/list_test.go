package storage_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

func TestListsArriveAsTheyAre(t *testing.T) {
	cases := map[string]struct{ list, among, in []string }{
		"none":               {},
		"one":                {[]string{"a"}, []string{"a"}, []string{"a"}},
		"nothing in common":  {[]string{"a", ""}, []string{"b"}, nil},
		"an empty text":      {[]string{"", "a"}, []string{""}, []string{""}},
		"in no list":         {[]string{"a"}, nil, nil},
		"what JSON escapes":  {[]string{`"\/'`, "\n\t\x7f", "<é😀>"}, []string{"<é😀>", `"\/'`}, []string{`"\/'`, "<é😀>"}},
		"what PostgreSQL's":  {[]string{`{a,"b"}`, "NULL", `\x41`}, []string{"NULL", `\x41`}, []string{"NULL", `\x41`}},
		"numbers":            {[]string{"1", "1.0", "01"}, []string{"1.0"}, []string{"1.0"}},
		"capitals":           {[]string{"A", "a"}, []string{"a"}, []string{"a"}},
		"each once, in case": {[]string{"a", "b"}, []string{"b", "b"}, []string{"b"}},
	}
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				do(t, db, func(tx *storage.Tx) error {
					in, from, err := tx.TextsOf(c.list, c.among)
					same(t, c.in, in)
					same(t, c.list, from)
					return err
				}, func(tx *storage.Tx) error {
					in, from, err := tx.BytesOf(asBytes(c.list), asBytes(c.among))
					same(t, asBytes(c.in), in)
					same(t, asBytes(c.list), from)
					return err
				})
			})
		}
	})
}

func TestAListOfTextsIsKeptAsTextsAre(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		do(t, db, func(tx *storage.Tx) error {
			in, from, err := tx.TextsOf([]string{"a\x00b", "\xff"}, []string{"a\uFFFDb"})
			same(t, []string{"a\uFFFDb"}, in)
			same(t, []string{"a\uFFFDb", "\uFFFD"}, from)
			return err
		}, func(tx *storage.Tx) error {
			// Bytes are as they are.
			list := [][]byte{{0, 1}, {0xff}}
			in, from, err := tx.BytesOf(list, list[1:])
			same(t, list[1:], in)
			same(t, list, from)
			return err
		})
	})
}

func asBytes(list []string) (out [][]byte) {
	for _, text := range list {
		out = append(out, []byte(text))
	}
	return out
}

func same[T any](t *testing.T, want, got []T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
