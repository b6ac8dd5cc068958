package clientapi

import (
	"net/http"
	"strings"
	"time"

	"lethe/internal/account"
	"lethe/internal/filter"
	"lethe/internal/matrix"
	"lethe/internal/position"
	"lethe/internal/syncing"
	"lethe/internal/wire"
)

func (a *API) syncRoutes() []wire.Route {
	return []wire.Route{{Method: http.MethodGet, Path: "/_matrix/client/v3/sync", Handle: a.authed(a.sync)}}
}

// sync is GET /sync.
func (a *API) sync(r *wire.Request, who account.Requester) (any, error) {
	q := syncing.Request{User: who.UserID, Device: who.DeviceID, Since: -1, SetPresence: r.Query("set_presence")}
	var err error
	if since := r.Query("since"); since != "" {
		if q.Since, err = position.Parse(since); err != nil {
			return nil, err
		}
		if q.Since < 0 {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "since is not a token of /sync.")
		}
	}
	wait, err := number(r, "timeout", 0)
	if err != nil {
		return nil, err
	}
	q.Timeout = time.Duration(min(wait, int(time.Hour/time.Millisecond))) * time.Millisecond
	if q.FullState, err = boolean(r, "full_state"); err != nil {
		return nil, err
	}
	if q.StateAfter, err = boolean(r, "use_state_after"); err != nil {
		return nil, err
	}
	switch q.SetPresence {
	case "":
		q.SetPresence = "online"
	case "online", "unavailable", "offline":
	default:
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "set_presence is online, unavailable or offline.")
	}
	if q.Filter, err = a.syncFilter(r, who.UserID); err != nil {
		return nil, err
	}
	q.Alive = func() error { return a.alive(r) }
	r.Patient()
	return a.Syncing.Sync(r.Context(), q)
}

// alive tells whether a request that has waited may still be answered.
func (a *API) alive(r *wire.Request) error {
	token := a.token(r)
	if s := a.Appservices.ByToken(token); s != nil {
		_, err := a.appserviceRequester(r, s)
		return err
	}
	who, err := a.Accounts.Authenticate(r.Context(), token)
	if err == nil && who.Locked {
		err = account.ErrLocked
	}
	return err
}

// boolean is a parameter of the query; false where there is none.
func boolean(r *wire.Request, name string) (bool, error) {
	switch r.Query(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, matrix.Errorf(matrix.CodeInvalidParam, "%s is true or false.", name)
}

// syncFilter is the filter of a /sync: in the query, or by the id of one that the
// user has stored.
func (a *API) syncFilter(r *wire.Request, user matrix.UserID) (*filter.Filter, error) {
	text := r.Query("filter")
	f := &filter.Filter{}
	switch {
	case text == "":
		return f, nil
	case !strings.HasPrefix(text, "{"):
		return a.storedFilter(r, user, text)
	}
	if err := wire.DecodeJSON([]byte(text), f); err != nil {
		return nil, err
	}
	return f, f.Check()
}

// filterKey names a stored filter.
type filterKey struct {
	user matrix.UserID
	id   string
}

// storedFilter is a filter that was stored. The filter with an id is always the
// same.
func (a *API) storedFilter(r *wire.Request, user matrix.UserID, id string) (*filter.Filter, error) {
	key := filterKey{user, id}
	if f, ok := a.filters.Get(key); ok {
		return f, nil
	}
	content, err := a.Accounts.Filter(r.Context(), user, id)
	if err != nil {
		return nil, err
	}
	f := &filter.Filter{}
	if err := wire.DecodeJSON(content, f); err != nil {
		return nil, err
	}
	a.filters.Set(key, f)
	return f, nil
}
