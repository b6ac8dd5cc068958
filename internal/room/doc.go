// Package room changes rooms: it makes events, checks them, and stores what they
// change, in one transaction each.
//
// Holds: [Service], with one file per thing that people do in rooms: create,
// send, join, invite, upgrade …
//
// May import: account, door, event, job, matrix, state, storage.
//
// Never: a request, or an event's JSON on its way out: what leaves goes through
// the door.
package room
