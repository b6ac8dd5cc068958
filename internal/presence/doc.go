// Package presence knows who is there (CS API, Presence).
//
// Holds: [Service]: what people's clients say of them, what follows from their
// silence, and who may know.
//
// May import: matrix, storage, syncing for what it tells it.
//
// Never: a write while nothing changes, a timer for each user.
package presence
