// Package event is the arithmetic of what servers sign, and of what rooms are made
// of: canonical JSON, signatures of JSON objects and of requests, and events in
// all room versions.
//
// Holds: [Canonical], [SigningKey], [SignJSON], [VerifyJSON], [SignRequest];
// [Version], what differs between the room versions; [Event], read ([Parse],
// [Load]), made ([Build]), redacted ([RedactJSON]) and checked
// ([VerifySignatures]); the auth rules ([Authorize], [CheckAuthEvents]) and state
// resolution ([Resolve]).
//
// May import: matrix.
//
// Never: a clock, I/O, SQL. It is pure.
package event
