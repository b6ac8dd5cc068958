package serverkey_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/serverkey"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

var now = time.UnixMilli(1_767_225_600_000)

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		first, err := serverkey.Load(t.Context(), db, "example.org", now)
		if err != nil {
			t.Fatal(err)
		}
		again, err := serverkey.Load(t.Context(), db, "example.org", now.Add(time.Hour))
		if err != nil || again.ID != first.ID || !again.Private.Equal(first.Private) {
			t.Errorf("the second time: %s, %v, want %s", again.ID, err, first.ID)
		}
		signed, err := event.SignJSON([]byte(`{}`), "example.org", first)
		if err != nil {
			t.Fatal(err)
		}
		if err := event.VerifyJSON(signed, "example.org", again.ID, again.Public()); err != nil {
			t.Error(err)
		}
	})
}

func TestDatabaseBelongsToOneServer(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		first, err := serverkey.Load(t.Context(), db, "example.org", now)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []matrix.ServerName{"other.example", "Example.org", "example.org:8448"} {
			_, err := serverkey.Load(t.Context(), db, name, now)
			if err == nil || !strings.Contains(err.Error(), "example.org") || !strings.Contains(err.Error(), string(name)) {
				t.Errorf("%s: %v, want an error with both names", name, err)
			}
		}
		if again, err := serverkey.Load(t.Context(), db, "example.org", now); err != nil || again.ID != first.ID {
			t.Errorf("after that: %s, %v", again.ID, err)
		}
	})
}

func TestServersHaveDifferentKeys(t *testing.T) {
	var keys []event.SigningKey
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		key, err := serverkey.Load(t.Context(), db, "example.org", now)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	})
	if len(keys) != len(storagetest.Engines) || keys[0].Private.Equal(keys[1].Private) {
		t.Errorf("%d keys, and they are the same", len(keys))
	}
}

func TestServersThatStartAtOnceHaveOneKey(t *testing.T) {
	url := storagetest.URL(t, "postgres")
	var dbs []*storage.DB
	for range 6 {
		dbs = append(dbs, storagetest.Open(t, url))
	}
	ids := make(chan string, len(dbs))
	var wg sync.WaitGroup
	for _, db := range dbs {
		wg.Go(func() {
			key, err := serverkey.Load(t.Context(), db, "example.org", now)
			if err != nil {
				t.Error(err)
			}
			ids <- key.ID
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Errorf("the keys %s and %s", first, id)
		}
	}
}
