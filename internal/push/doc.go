// Package push decides which events people are told about.
//
// Holds: [Rules] and the predefined ones (CS API, Push notifications); what each
// person has changed of them, with [Service]; [Ruleset], which tells what an
// event does for a person; [Unread], which counts what they have not read, and
// lists what they were told about.
//
// May import: matrix, event, storage, state, door.
//
// Never: a request or an answer of HTTP; an event's JSON on its way out, which is
// the door's.
package push
