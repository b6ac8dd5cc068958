// Package wire is the HTTP plumbing that the API packages share.
//
// Holds: [Router] and [Route], the [Request] a handler gets, strict decoding of
// bodies, the one place that writes answers and errors, request ids, CORS, the
// panic guard and the access log.
//
// May import: matrix, metrics.
//
// Never: an endpoint, a rule of the domain, storage.
package wire
