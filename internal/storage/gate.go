package storage

import (
	"errors"
	"sync"
)

// errClosed is what a transaction gets after Close.
var errClosed = errors.New("the database is closed")

// gate lets transactions in until the database is closed or lost, and lets
// Close wait for those that are inside.
type gate struct {
	mu      sync.Mutex
	shut    error // why nobody gets in any more
	closed  bool
	running sync.WaitGroup
	lost    chan struct{}
}

// enter lets a transaction in; the caller calls leave when it has ended.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.running.Add(1)
	}
	return g.shut
}

func (g *gate) leave() { g.running.Done() }

// lose shuts the gate because of err. It is called once at most.
func (g *gate) lose(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = err
		close(g.lost)
	}
}

// close shuts the gate and waits until all have left. It returns false if it
// was called before.
func (g *gate) close() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed, g.shut = true, errClosed
	g.mu.Unlock()
	g.running.Wait()
	return first
}
