// Package clientapi is the client-server API: HTTP on one side, the domain
// packages on the other.
//
// Holds: one file per noun of the API, with its routes, request and answer
// shapes and handlers.
//
// May import: matrix, wire, ratelimit and the domain packages.
//
// Never: SQL, a rule of the domain, another API package.
package clientapi
