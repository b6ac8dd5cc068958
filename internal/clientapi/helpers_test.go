package clientapi_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	get = http.MethodGet
	put = http.MethodPut
	// post and drop are the other two methods that the API has.
	post = http.MethodPost
	drop = http.MethodDelete

	v3 = "/_matrix/client/v3/"
	v1 = "/_matrix/client/v1/"
)

// row is a request and the answer that it has to get.
type row struct {
	status int
	code   string
	method string
	path   string
	token  string
	body   any
}

// check makes requests, one after the other. Every answer has to carry the CORS
// headers and to be JSON (CS API, Web Browser Clients; API Standards).
func check(t *testing.T, s *hstest.Server, rows ...row) {
	t.Helper()
	for _, r := range rows {
		a := s.Do(r.method, r.path, r.token, r.body)
		if a.Status != r.status || a.Code() != r.code {
			t.Errorf("%s %s %v = %d %.300s; want %d %s", r.method, r.path, r.body, a.Status, a.Raw, r.status, r.code)
		}
		if a.Code() != "" && a.String("error") == "" && a.Status != http.StatusUnauthorized {
			t.Errorf("%s %s: the error says nothing: %s", r.method, r.path, a.Raw)
		}
		if a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: headers %v", r.method, r.path, a.Header)
		}
	}
}

// challenge makes a request that has to be answered with a challenge of
// user-interactive authentication, to the letter of CLIENTS, and returns its
// session.
func challenge(t *testing.T, s *hstest.Server, code, method, path, token string, body any) hstest.Answer {
	t.Helper()
	a := s.Want(http.StatusUnauthorized, code, method, path, token, body)
	flows, _ := a.Get("flows").([]any)
	_, params := a.Get("params").(map[string]any)
	_, completed := a.Get("completed").([]any)
	if a.String("session") == "" || len(flows) == 0 || !params || !completed {
		t.Fatalf("%s %s: a challenge without session, flows, params or completed: %s", method, path, a.Raw)
	}
	return a
}

// flowsOf are the stages of each flow of a challenge.
func flowsOf(a hstest.Answer) (flows [][]string) {
	list, _ := a.Get("flows").([]any)
	for _, f := range list {
		stages := []string{}
		for _, stage := range f.(map[string]any)["stages"].([]any) {
			stages = append(stages, stage.(string))
		}
		flows = append(flows, stages)
	}
	return flows
}

// logIn logs in with a password and returns the answer.
func logIn(s *hstest.Server, user, password string, more object) hstest.Answer {
	return s.Do(post, loginPath, "", with(object{
		"type": "m.login.password", "password": password, "identifier": object{"type": "m.id.user", "user": user},
	}, more))
}

// with is base with the keys of more added, or replaced.
func with(base, more object) object {
	all := maps.Clone(base)
	maps.Copy(all, more)
	return all
}

// admin creates an account that is a server administrator.
func admin(t *testing.T, s *hstest.Server, localpart string) hstest.Session {
	t.Helper()
	who := s.Register(localpart)
	err := s.DB.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetAdmin(matrix.UserID(who.UserID), true) })
	if err != nil {
		t.Fatal(err)
	}
	s.Accounts.Forget(matrix.UserID(who.UserID))
	return who
}

// guest creates a guest, whose name the server chooses.
func guest(s *hstest.Server) hstest.Session {
	a := s.Want(http.StatusOK, "", post, v3+"register?kind=guest", "", object{})
	return hstest.Session{UserID: a.String("user_id"), DeviceID: a.String("device_id"), Token: a.String("access_token")}
}

// stages lists the values of a list of strings in an answer.
func stages(v any) (list []string) {
	all, _ := v.([]any)
	for _, s := range all {
		list = append(list, s.(string))
	}
	slices.Sort(list)
	return list
}
