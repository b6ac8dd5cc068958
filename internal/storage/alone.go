package storage

// Alone tells whether this process is the only one that has the database open,
// so that it may answer from memory what it has read, or written, before: nobody
// else can have changed it. A process that comes is not let in before the others
// have stopped doing so. On SQLite it is always alone.
//
// Each time a process becomes alone a new term begins, counted from 1. What was
// read in one term is void in every other, as others may have changed it between
// the two. So whoever keeps something asks for the term before reading it, keeps
// the term with it, and uses it only while Alone returns the same term: asked
// each time, and not kept across something that waits. While ok is false nothing
// may be answered from memory that another process could have made wrong.
func (db *DB) Alone() (term uint64, ok bool) {
	if db.nodes == nil {
		return 1, true
	}
	return db.nodes.alone()
}

// Node is the name of this process among those that have the database open: no
// other ever has it. It is "" on SQLite, where there is one.
func (db *DB) Node() string {
	if db.nodes == nil {
		return ""
	}
	return db.nodes.id
}

// OnNodes has hook called when other processes have come or gone: whatever one of
// them had in hand may be left. hook does not block. It is not called on SQLite.
func (db *DB) OnNodes(hook func()) {
	if db.nodes != nil {
		db.nodes.onChange(hook)
	}
}

// Notify tells the other processes, if there are any, that something has been
// committed. It does not wait; of many calls in a row they hear once.
func (db *DB) Notify() {
	if db.nodes == nil {
		return
	}
	if _, alone := db.nodes.alone(); alone {
		return
	}
	select {
	case db.nodes.notify <- struct{}{}:
	default:
	}
}

// Hints fires when another process has called Notify, and at least every second
// while there are others, as a notice may be lost. It never fires while this
// process is alone, and so never on SQLite. It has one reader, who after a hint
// reads all that is new.
func (db *DB) Hints() <-chan struct{} {
	if db.nodes == nil {
		return nil
	}
	return db.nodes.hints
}
