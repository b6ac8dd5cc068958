package hstest

import (
	"io"
	"log"
	"sync"
	"time"
)

// discardLog takes what servers of tests have to complain about.
var discardLog = log.New(io.Discard, "", 0)

// FakeClock is a clock that stands still until a test moves it. It is safe for
// concurrent use.
type FakeClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that shows the present.
func NewClock() *FakeClock { return &FakeClock{now: time.Now()} }

// Now is the time that it shows.
func (c *FakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves it. Whoever sleeps does not notice: a test that waits for
// durable work wakes its runner.
func (c *FakeClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
