// Package storage is the only place that speaks SQL: one concrete store over
// SQLite and PostgreSQL, with every statement written once.
//
// Holds: [DB] (open, migrate, [DB.Update], [DB.View]), [Tx] with the queries of
// each noun in a file of its own, the small dialect where the engines differ,
// and the embedded migrations.
//
// May import: matrix, event, crash.
//
// Never: error codes of the specification, rules of the domain, HTTP. A query
// that finds nothing returns [ErrNotFound]; what that means is the caller's
// decision.
package storage
