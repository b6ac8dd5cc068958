// Package hub is what this process knows of the stream of changes without asking
// the database, and where those who wait for a change sleep.
//
// Holds: [Hub], the one listener of storage's changes: what has changed for whom
// since when, the newest events of busy rooms, and the waking of those who wait.
//
// May import: matrix, storage.
//
// Never: what an event says; a decision about who may see it, which is the
// door's.
package hub
