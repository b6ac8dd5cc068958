// Package e2e runs the server as its operators do, with real peers and clients:
// an identity server (Sydent), a mail server, a text message gateway,
// matrix-js-sdk and matrix-nio. `make e2e` runs it.
//
// Holds: the tests, with the build tag e2e, and what they need: setup installs
// the peers, run runs everything, clients/ has the scripts.
//
// May import: the API packages, for their lists of routes, and storagetest.
//
// Never: an answer of the server that did not come over a socket.
package e2e
