// Package syncing tells clients what is new to them (CS API, Syncing).
//
// Holds: [Service], which answers /sync; what other packages have to tell in it, as
// interfaces.
//
// May import: door, event, filter, hub, matrix, position, push, state, storage.
//
// Never: HTTP; a change of anything; an event but through the door.
package syncing
