package syncing_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/door"
	"lethe/internal/filter"
	"lethe/internal/hstest"
	"lethe/internal/hub"
	"lethe/internal/matrix"
	"lethe/internal/state"
	"lethe/internal/syncing"
)

// own makes a service on a server's database that is not the server's: it takes
// the changes from the server, which must not be asked to read after that.
func own(s *hstest.Server, opts syncing.Options) *syncing.Service {
	trees := state.New()
	d := door.New(s.DB, trees, door.Options{ServerName: hstest.ServerName, Now: time.Now, Readers: door.ReadersSpec})
	return syncing.New(s.DB, hub.New(s.DB, d.Changed), d, trees, opts)
}

func request(who hstest.Session, since int64) syncing.Request {
	return syncing.Request{
		User: matrix.UserID(who.UserID), Device: who.DeviceID, Since: since, Filter: &filter.Filter{},
		Alive: func() error { return nil },
	}
}

// ask asks for what is new, and returns the answer as JSON has it.
func ask(t testing.TB, service *syncing.Service, r syncing.Request) answer {
	t.Helper()
	a, err := service.Sync(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var h hstest.Answer
	if h.Raw, err = json.Marshal(a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(h.Raw, &h.Body); err != nil {
		t.Fatal(err)
	}
	return answer{h}
}
