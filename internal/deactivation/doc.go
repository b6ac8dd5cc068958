// Package deactivation ends accounts, and erases what belongs to them. It is
// why this server exists.
//
// Holds: [Service.Deactivate] and the steps after it, the grace period, the
// inventory of everything this server knows about a person, and what is made of
// it: the preview, the export and the receipt.
//
// May import: matrix, event, storage, account, door, identity, mail, job, push,
// room.
//
// Never: a request or an answer of HTTP. It alone writes deactivated_at.
package deactivation
