package cache_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/internal/cache"
)

func TestACacheStaysWithinItsBounds(t *testing.T) {
	bySize := cache.New(cache.Options[int, string]{Size: 100})
	byWeight := cache.New(cache.Options[int, string]{Weight: 1000, Weigh: func(_ int, v string) int { return len(v) }})
	for i := range 10_000 {
		bySize.Set(i, "x")
		byWeight.Set(i, "ten bytes.")
	}
	if n, _ := bySize.Len(); n > 100 || n == 0 {
		t.Errorf("of at most 100 entries there are %d", n)
	}
	if _, weight := byWeight.Len(); weight > 1000 || weight == 0 {
		t.Errorf("of at most 1000 bytes there are %d", weight)
	}
}

func TestOneOfManyMakesAndOneTakes(t *testing.T) {
	c := cache.New(cache.Options[string, int64]{Size: 10})
	var made, taken atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if v := c.GetOr("a", func() int64 { return made.Add(1) }); v != 1 {
				t.Errorf("one was made, and then number %d", v)
			}
		})
	}
	wg.Wait()
	for range 16 {
		wg.Go(func() {
			if _, ok := c.Take("a"); ok {
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	if _, ok := c.Get("a"); ok || made.Load() != 1 || taken.Load() != 1 {
		t.Errorf("made %d times, taken %d times, still there: %v", made.Load(), taken.Load(), ok)
	}
}

func TestEntriesExpire(t *testing.T) {
	for name, o := range map[string]cache.Options[string, int]{
		"written": {Size: 10, Written: time.Millisecond}, "used": {Size: 10, Used: time.Millisecond},
	} {
		c := cache.New(o)
		c.Set("a", 1)
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, ok := c.Get("a"); !ok {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s: the entry is still there", name)
			}
		}
	}
}
