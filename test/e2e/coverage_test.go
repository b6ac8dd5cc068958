//go:build e2e

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"lethe/internal/adminapi"
	"lethe/internal/clientapi"
	"lethe/internal/federationapi"
	"lethe/internal/web"
)

// coverage counts which of the server's operations were asked, and with which
// statuses they answered. The list is the server's own.
type coverage struct {
	mux *http.ServeMux

	mu       sync.Mutex
	statuses map[string][]int
}

func newCoverage() *coverage {
	c := &coverage{mux: http.NewServeMux(), statuses: map[string][]int{}}
	routes := slices.Concat(
		(&clientapi.API{}).Routes(), (&federationapi.API{}).Routes(),
		(&adminapi.API{SharedSecret: sharedSecret}).Routes(), (&web.API{}).Routes(),
	)
	for _, r := range routes {
		c.mux.HandleFunc(r.Method+" "+r.Path, http.NotFound)
		c.statuses[r.Method+" "+r.Path] = nil
	}
	return c
}

func (c *coverage) add(req *http.Request, status int) {
	if c == nil {
		return
	}
	_, pattern := c.mux.Handler(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.statuses[pattern]; ok {
		c.statuses[pattern] = append(c.statuses[pattern], status)
	}
}

// operations are those that were to be asked. r0 paths are the same as v3 ones;
// the account page is no API.
func (c *coverage) operations() []string {
	var list []string
	for pattern := range c.statuses {
		if !strings.Contains(pattern, "/client/r0/") && !strings.Contains(pattern, "/_lethe/account") {
			list = append(list, pattern)
		}
	}
	slices.Sort(list)
	return list
}

// neverFails are the operations that answer whoever asks, always.
var neverFails = []string{
	"GET /_matrix/client/versions", "GET /_matrix/client/v3/login", "GET /.well-known/matrix/client",
	"GET /.well-known/matrix/server", "GET /.well-known/matrix/support", "GET /_matrix/federation/v1/version",
	"GET /_matrix/key/v2/server", "GET /_matrix/key/v2/server/{keyId...}", "GET /_lethe/admin/v1/openapi.yaml", "GET /_synapse/admin/v1/register",
	"GET /{$}", "GET /_lethe/validate", "GET /_lethe/undo",
}

// complete fails the test for every operation that did not succeed, or did not
// fail, at least once.
func (c *coverage) complete(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, op := range c.operations() {
		good := slices.ContainsFunc(c.statuses[op], func(s int) bool { return s < 400 })
		bad := slices.ContainsFunc(c.statuses[op], func(s int) bool { return s >= 400 && s < 500 })
		if !good {
			t.Errorf("%s was never seen to succeed: %v", op, c.statuses[op])
		}
		if !bad && !slices.Contains(neverFails, op) {
			t.Errorf("%s was never seen to fail: %v", op, c.statuses[op])
		}
		if slices.ContainsFunc(c.statuses[op], func(s int) bool { return s >= 500 }) {
			t.Errorf("%s failed by the server's fault: %v", op, c.statuses[op])
		}
	}
}

// cutOperation is the method and an address of an operation of the API for
// operators that is not open to all.
func cutOperation(op string) (method, path string, ok bool) {
	method, path, _ = strings.Cut(op, " ")
	path = strings.NewReplacer("{userId}", "admin", "{id}", "x", "{token}", "x").Replace(path)
	return method, path, strings.HasPrefix(path, operator) && !strings.HasSuffix(path, "/openapi.yaml")
}
