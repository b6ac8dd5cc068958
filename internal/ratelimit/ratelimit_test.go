package ratelimit

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is a time that moves when it is told to.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() time.Time        { return time.Unix(1_700_000_000, c.now.Load()) }
func (c *clock) Move(d time.Duration)  { c.now.Add(int64(d)) }
func allows(l *Limiter, k string) bool { _, ok := l.Allow(k); return ok }

func TestBurstAndThenOneAtATime(t *testing.T) {
	var c clock
	l := New(3, 30*time.Second, c.Now)
	for i := range 3 {
		if wait, ok := l.Allow("a"); !ok || wait != 0 {
			t.Fatalf("event %d: %v, %v", i, wait, ok)
		}
	}
	for range 5 { // refused events do not count
		if wait, ok := l.Allow("a"); ok || wait != 10*time.Second {
			t.Fatalf("after the burst: %v, %v, want 10s, false", wait, ok)
		}
	}
	if !allows(l, "b") {
		t.Error("another key is refused")
	}
	c.Move(9999 * time.Millisecond)
	if wait, ok := l.Allow("a"); ok || wait < time.Millisecond || wait > 2*time.Millisecond {
		t.Errorf("too early: %v, %v, want about 1ms, false", wait, ok)
	}
	c.Move(time.Millisecond)
	if !allows(l, "a") || allows(l, "a") {
		t.Error("after ten seconds there is room for one, and one only")
	}
	c.Move(time.Hour)
	for i := range 4 {
		if got := allows(l, "a"); got != (i < 3) {
			t.Errorf("after a rest, event %d: %v", i, got)
		}
	}
}

func TestExhaustedCountsNothing(t *testing.T) {
	var c clock
	l := New(1, 10*time.Second, c.Now)
	for range 5 {
		if wait, yes := l.Exhausted("a"); yes || wait != 0 {
			t.Fatalf("before: %v, %v", wait, yes)
		}
	}
	if !allows(l, "a") {
		t.Fatal("asking has counted")
	}
	if wait, yes := l.Exhausted("a"); !yes || wait != 10*time.Second {
		t.Errorf("after: %v, %v, want 10s, true", wait, yes)
	}
	c.Move(10 * time.Second)
	if _, yes := l.Exhausted("a"); yes || !allows(l, "a") {
		t.Error("after the wait there is room")
	}
}

func TestNoLimit(t *testing.T) {
	for name, l := range map[string]*Limiter{
		"nil": nil, "no burst": New(0, time.Second, time.Now), "negative": New(-1, time.Second, time.Now), "no time": New(1, 0, time.Now),
	} {
		for range 1000 {
			if wait, ok := l.Allow("a"); !ok || wait != 0 {
				t.Fatalf("%s: %v, %v", name, wait, ok)
			}
		}
		if wait, yes := l.Exhausted("a"); yes || wait != 0 {
			t.Errorf("%s: exhausted, %v", name, wait)
		}
	}
}

func TestFloodDoesNotLockOutForLongerThanTheLimit(t *testing.T) {
	var c clock
	l := New(5, 5*time.Second, c.Now)
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 5000 {
				if allows(l, "a") {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 5 {
		t.Errorf("%d events are allowed, want 5", allowed.Load())
	}
	if wait, ok := l.Allow("a"); ok || wait > time.Second {
		t.Errorf("after the flood: %v, %v, want a wait of a second at most", wait, ok)
	}
	c.Move(time.Second)
	if !allows(l, "a") {
		t.Error("a second after the flood it is still refused")
	}
}

func TestKeysAreBounded(t *testing.T) {
	var c clock
	l := New(1, time.Hour, c.Now)
	for i := range maxKeys + 20_000 {
		l.Allow(strconv.Itoa(i))
	}
	if n, _ := l.keys.Len(); n > maxKeys || n < maxKeys/2 {
		t.Errorf("the limiter remembers %d keys, want %d at most", n, maxKeys)
	}
}

// Keys come from requests: what somebody logs in as may have a megabyte.
func TestLongKeysTakeNoMemory(t *testing.T) {
	var c clock
	l := New(1, time.Hour, c.Now)
	long := strings.Repeat("x", 1<<20)
	for _, key := range []string{long, long + "y"} {
		if !allows(l, key) {
			t.Error("a first event is refused")
		}
		if allows(l, key) {
			t.Error("a second event is allowed")
		}
		if _, yes := l.Exhausted(key); !yes {
			t.Error("the limit is not seen")
		}
	}
	for key := range l.keys.Keys() {
		if len(key) > maxKey {
			t.Errorf("the limiter keeps a key of %d bytes", len(key))
		}
	}
}

func TestWaitIsLongEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		// Keys are forgotten by the real clock: the period is longer than the test.
		per := time.Duration(rapid.Int64Range(int64(time.Minute), int64(24*time.Hour)).Draw(t, "per"))
		l := New(rapid.IntRange(1, 50).Draw(t, "burst"), per, c.Now)
		for range rapid.IntRange(1, 100).Draw(t, "events") {
			c.Move(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "pause")))
			exhausted, yes := l.Exhausted("a")
			wait, ok := l.Allow("a")
			if ok == yes || wait != exhausted {
				t.Fatalf("Exhausted says %v, %v, and Allow %v, %v", exhausted, yes, wait, ok)
			}
			if !ok {
				c.Move(wait + time.Microsecond) // buckets are filled in floating point
				if wait, ok := l.Allow("a"); !ok {
					t.Fatalf("after the wait it is refused for %v more", wait)
				}
			}
		}
	})
}
