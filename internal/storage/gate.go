package storage

import (
	"errors"
	"sync"
)

// errClosed is what a transaction gets after Close.
var errClosed = errors.New("the database is closed")

// gate lets transactions in until the database is closed, and lets Close wait
// for those that are inside.
type gate struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// enter lets a transaction in; the caller calls leave when it has ended.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	g.running.Add(1)
	return nil
}

func (g *gate) leave() { g.running.Done() }

// close shuts the gate and waits until all have left. It returns false if it
// was called before.
func (g *gate) close() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
	return first
}
