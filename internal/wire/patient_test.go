package wire_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"lethe/internal/wire"
)

// TestWhoIsPatientMayWaitLongerThanARequestMayTake: the limit on the reading of a
// request would else end one that waits.
func TestWhoIsPatientMayWaitLongerThanARequestMayTake(t *testing.T) {
	const limit = 50 * time.Millisecond
	rt := wire.NewRouter(wire.Options{})
	rt.Add(wire.Route{Method: http.MethodGet, Path: "/wait", Handle: func(r *wire.Request) (any, error) {
		r.Patient()
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(5 * limit):
			return nil, nil
		}
	}})
	srv := httptest.NewUnstartedServer(rt)
	srv.Config.ReadTimeout = limit
	srv.Start()
	t.Cleanup(srv.Close)
	if a := do(t, srv, http.MethodGet, "/wait", ""); a.Status != http.StatusOK {
		t.Errorf("one that waits is answered %d %s", a.Status, a.Body)
	}
}
