// Package event is the arithmetic of what servers sign: canonical JSON, and
// signatures of JSON objects and of requests.
//
// Holds: [Canonical], [SigningKey], [SignJSON], [VerifyJSON], [SignRequest].
//
// May import: matrix.
//
// Never: a clock, I/O, SQL. It is pure.
package event
