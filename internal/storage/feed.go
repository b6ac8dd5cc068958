package storage

import (
	"context"
	"sync"
	"time"
)

// feed hands every change to one listener, each once and in the order of
// positions, whichever process made it. An Update returns after its own changes
// have been handed over, so whoever has seen its answer finds them, and all
// before them, in what the listener keeps.
type feed struct {
	mu        sync.Mutex
	listen    func([]Change)
	delivered int64            // everything up to here has been handed over
	early     map[int64]Change // committed here, before something earlier was handed over
	moved     chan struct{}    // closed and replaced when delivered moves

	fetching sync.Mutex // held while changes of others are read
}

// gapWait is how long a change waits for the one before it, which another
// goroutine of this process is about to hand over, before it is looked for in the
// database: it may be another process's.
const gapWait = 5 * time.Millisecond

func newFeed() *feed {
	return &feed{early: map[int64]Change{}, moved: make(chan struct{}), listen: func([]Change) {}}
}

// add takes what a transaction has changed and hands over what is next.
func (f *feed) add(changes []Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range changes {
		if c.Pos > f.delivered {
			f.early[c.Pos] = c
		}
	}
	var next []Change
	for {
		c, ok := f.early[f.delivered+1]
		if !ok {
			break
		}
		delete(f.early, c.Pos)
		f.delivered++
		next = append(next, c)
	}
	if len(next) == 0 {
		return
	}
	f.listen(next)
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *feed) state() (delivered int64, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delivered, f.moved
}

// OnCommit has listen called with all changes, in the order of their positions:
// those of a transaction before its Update returns, those of other processes
// soon after. listen does not block and does not use the database. It is set
// once, before the first Update.
func (db *DB) OnCommit(listen func([]Change)) {
	db.feed.mu.Lock()
	defer db.feed.mu.Unlock()
	db.feed.listen = listen
}

// Delivered is the position up to which changes have been handed to the listener.
func (db *DB) Delivered() int64 {
	pos, _ := db.feed.state()
	return pos
}

// committed hands over the changes of a transaction that has just been committed.
func (db *DB) committed(changes []Change) {
	if len(changes) == 0 {
		return
	}
	db.feed.add(changes)
	if db.dialect.name == sqliteDialect.name {
		return // its one writer commits in order
	}
	db.Notify()
	last := changes[len(changes)-1].Pos
	for {
		delivered, moved := db.feed.state()
		if delivered >= last {
			return
		}
		select {
		case <-moved:
		case <-time.After(gapWait):
			if db.fetchChanges(context.Background()) != nil {
				return // the poll that follows hands them over
			}
		}
	}
}

const (
	// fetchBatch is how many changes of others are read at once.
	fetchBatch = 1000
	// changesKept is how many of the newest changes are kept for others. A process
	// that was away for longer finds a gap.
	changesKept = 100_000
	// pruneEvery is how often older ones are deleted.
	pruneEvery = time.Minute
)

// fetchChanges hands over what other processes have changed.
func (db *DB) fetchChanges(ctx context.Context) error {
	db.feed.fetching.Lock()
	defer db.feed.fetching.Unlock()
	for {
		delivered, _ := db.feed.state()
		var list []Change
		var pos int64
		err := db.View(ctx, func(tx *Tx) (err error) {
			if pos, err = tx.Pos(); err == nil {
				list, err = tx.ChangesAfter(delivered, fetchBatch)
			}
			return err
		})
		if err != nil {
			return err
		}
		if pos-delivered > changesKept {
			db.feed.lost(pos)
			continue
		}
		db.feed.fill(list)
		if len(list) < fetchBatch {
			return nil
		}
	}
}

// follow hands over the changes of other processes as they come, and deletes old
// ones, until stop is closed.
func (db *DB) follow(stop <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	var pruned int64
	for {
		select {
		case <-stop:
			return
		case <-db.Hints():
			_ = db.fetchChanges(ctx) // the next hint comes in a second
		case <-prune.C:
			if old := db.Delivered() - changesKept; old > pruned {
				if db.Update(ctx, func(tx *Tx) error { return tx.PruneChanges(old) }) == nil {
					pruned = old
				}
			}
		}
	}
}

// lost goes on at a position, where the changes up to it are not kept any more.
func (f *feed) lost(pos int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.early {
		if p <= pos {
			delete(f.early, p)
		}
	}
	f.delivered = pos
	f.listen([]Change{{Pos: pos, Kind: ChangesLost}})
	close(f.moved)
	f.moved = make(chan struct{})
}

// fill is add for changes that were read: what this process has committed itself
// is there already, with its event.
func (f *feed) fill(list []Change) {
	f.mu.Lock()
	kept := list[:0]
	for _, c := range list {
		if _, ok := f.early[c.Pos]; !ok {
			kept = append(kept, c)
		}
	}
	f.mu.Unlock()
	f.add(kept)
}
