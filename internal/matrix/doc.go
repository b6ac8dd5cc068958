// Package matrix holds the specification's words: identifiers, error codes and
// the one error type of this program.
//
// Holds: typed identifiers with their grammars, [Error], [Timestamp].
//
// May import: the standard library.
//
// Never: I/O, a clock, SQL, HTTP.
package matrix
