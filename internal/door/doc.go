// Package door is the one way out of an event: nothing of an event's content is
// written to a wire but by it (DESIGN §2, promise 3, and §5).
//
// A [Reader] enters a room with [Door.Enter]; the [Visit] decides which events
// they see (visibility.go: the specification's rule), which of those whole
// (erasure.go: the rule of endings), and makes the JSON of each (json.go). What
// comes out is an [Event] or a [Content], which only this package can make.
//
// Holds: [Door], [Reader], [Visit], [Event], [Content], [Format], and the caches
// of events that reads need.
//
// May import: event, matrix, state, storage.
//
// Never: a change of anything. Where a piece of what a decision needs is missing,
// an event is not seen, or not whole.
package door
