package adminapi_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/adminapi"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const prefix = adminapi.Prefix

type object = map[string]any

// root makes a server administrator.
func root(t *testing.T, s *hstest.Server) hstest.Session {
	t.Helper()
	admin := s.Register("root")
	err := s.DB.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetAdmin(matrix.UserID(admin.UserID), true) })
	if err != nil {
		t.Fatal(err)
	}
	s.Accounts.Forget(matrix.UserID(admin.UserID))
	return admin
}

// TestOnlyAdministratorsGetIn: at every operation of the document.
func TestOnlyAdministratorsGetIn(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin, alice := root(t, s), s.Register("alice")
		d := newDocument(t)
		for _, op := range d.operations() {
			method, path, _ := strings.Cut(op, " ")
			path = prefix + strings.NewReplacer("{userId}", "alice", "{id}", "x", "{token}", "x").Replace(path)
			s.Want(http.StatusUnauthorized, "M_MISSING_TOKEN", method, path, "", object{})
			s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", method, path, "leth_a_none", object{})
			s.Want(http.StatusForbidden, "M_FORBIDDEN", method, path, alice.Token, object{})
		}
		s.Want(http.StatusOK, "", http.MethodGet, prefix+"/users", admin.Token, nil)
		document := s.Want(http.StatusOK, "", http.MethodGet, prefix+"/openapi.yaml", "", nil)
		if !bytes.Equal(document.Raw, d.raw) {
			t.Error("the document that is served is another")
		}
		// An administrator who is locked is none.
		err := s.DB.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetLocked(matrix.UserID(admin.UserID), 1) })
		if err != nil {
			t.Fatal(err)
		}
		s.Accounts.Forget(matrix.UserID(admin.UserID))
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodGet, prefix+"/users", admin.Token, nil)
		s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/account/whoami", alice.Token, nil)
	})
}

func TestOperatorsCreateAccounts(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin := root(t, s)
		create := func(status int, code string, body object) hstest.Answer {
			t.Helper()
			return s.Want(status, code, http.MethodPost, prefix+"/users", admin.Token, body)
		}
		made := create(http.StatusOK, "", object{"localpart": "alice"})
		login(t, s, "alice", made.String("password"), http.StatusOK)
		given := create(http.StatusOK, "", object{"localpart": "bob", "password": "battery-staple", "admin": true})
		if given.Get("password") != nil {
			t.Errorf("a password that was given is repeated: %s", given.Raw)
		}
		login(t, s, "bob", "battery-staple", http.StatusOK)
		if a := s.Want(http.StatusOK, "", http.MethodGet, prefix+"/users/bob", admin.Token, nil); a.Get("admin") != true {
			t.Errorf("bob = %s", a.Raw)
		}
		create(http.StatusBadRequest, "M_USER_IN_USE", object{"localpart": "alice"})
		create(http.StatusBadRequest, "M_INVALID_USERNAME", object{"localpart": "Not Valid"})
		create(http.StatusBadRequest, "M_INVALID_USERNAME", object{})
		create(http.StatusBadRequest, "M_WEAK_PASSWORD", object{"localpart": "carol", "password": "short"})
		create(http.StatusBadRequest, "M_BAD_JSON", object{"localpart": 7})
		if diff := cmp.Diff([]string{"admin:@root:example.org account.create"}, audit(t, s, admin, "@alice:example.org")); diff != "" {
			t.Errorf("the audit log (-want +got):\n%s", diff)
		}
		reset := s.Want(http.StatusOK, "", http.MethodPost, prefix+"/users/alice/password", admin.Token, object{})
		login(t, s, "alice", made.String("password"), http.StatusForbidden)
		login(t, s, "alice", reset.String("password"), http.StatusOK)
		if got := audit(t, s, admin, "@alice:example.org"); !slices.Contains(got, "admin:@root:example.org account.reset-password") {
			t.Errorf("the audit log: %v", got)
		}
	})
}

func login(t *testing.T, s *hstest.Server, user, password string, status int) {
	t.Helper()
	a := s.Do(http.MethodPost, "/_matrix/client/v3/login", "", object{
		"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": user}, "password": password,
	})
	if a.Status != status {
		t.Errorf("login of %s = %d %s, want %d", user, a.Status, a.Raw, status)
	}
}

// audit is what the audit log has about a user, as "actor action", latest first.
func audit(t *testing.T, s *hstest.Server, admin hstest.Session, user string) (list []string) {
	t.Helper()
	a := s.Want(http.StatusOK, "", http.MethodGet, prefix+"/audit?user_id="+user, admin.Token, nil)
	entries, _ := a.Get("entries").([]any)
	for _, e := range entries {
		entry, _ := e.(object)
		list = append(list, fmt.Sprint(entry["actor"], " ", entry["action"]))
	}
	return list
}

// pages reads a list to its end, a few at a time.
func pages(t *testing.T, s *hstest.Server, admin hstest.Session, path, key, id string) (ids []string) {
	t.Helper()
	from := ""
	for range 100 {
		a := s.Want(http.StatusOK, "", http.MethodGet, prefix+path+"&limit=2&from="+from, admin.Token, nil)
		list, _ := a.Get(key).([]any)
		if len(list) > 2 {
			t.Errorf("a page of 2 has %d", len(list))
		}
		for _, item := range list {
			entry, _ := item.(object)
			ids = append(ids, fmt.Sprint(entry[id]))
		}
		if from = a.String("next"); from == "" {
			return ids
		}
	}
	t.Fatal("the list has no end")
	return nil
}

func TestUsersAreListedInPagesAndByFilters(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin := root(t, s)
		for _, name := range []string{"ada", "adam_x", "bea", "cid"} {
			s.Register(name)
		}
		s.Want(http.StatusOK, "", http.MethodPost, prefix+"/users/bea/deactivate", admin.Token, object{})
		for query, want := range map[string][]string{
			"":                   {"ada", "adam_x", "bea", "cid", "root"},
			"search=ada":         {"ada", "adam_x"},
			"search=m_":          {"adam_x"},
			"search=%25":         nil,
			"deactivated=true":   {"bea"},
			"deactivated=false":  {"ada", "adam_x", "cid", "root"},
			"admin=true":         {"root"},
			"kind=guest":         nil,
			"kind=user&search=c": {"cid"},
		} {
			var full []string
			for _, name := range want {
				full = append(full, "@"+name+":example.org")
			}
			if diff := cmp.Diff(full, pages(t, s, admin, "/users?"+query, "users", "user_id")); diff != "" {
				t.Errorf("?%s (-want +got):\n%s", query, diff)
			}
		}
		for _, query := range []string{"limit=0", "limit=x", "limit=-1", "kind=robot", "deactivated=1", "admin=yes"} {
			s.Want(http.StatusBadRequest, "M_INVALID_PARAM", http.MethodGet, prefix+"/users?"+query, admin.Token, nil)
		}
		for path, code := range map[string]string{
			"/users/nobody": "M_NOT_FOUND", "/users/@ada:elsewhere.org": "M_INVALID_PARAM", "/users/@ada": "M_INVALID_PARAM",
		} {
			a := s.Do(http.MethodGet, prefix+path, admin.Token, nil)
			if a.Code() != code {
				t.Errorf("%s = %d %s, want %s", path, a.Status, a.Raw, code)
			}
		}
	})
}

func TestOperatorsEndAccounts(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin, alice := root(t, s), s.Register("alice")
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/3pid/bind", alice.Token, object{
			"sid": "a@example.org", "client_secret": "secret", "id_server": ids.Name, "id_access_token": "token",
		})
		end := func(status int, code string, body object) hstest.Answer {
			t.Helper()
			return s.Want(status, code, http.MethodPost, prefix+"/users/@alice:example.org/deactivate", admin.Token, body)
		}
		for _, body := range []object{{"erase": "yes"}, {"dry_run": 1}, {"id_server": 1}} {
			end(http.StatusBadRequest, "M_BAD_JSON", body)
		}
		end(http.StatusBadRequest, "M_INVALID_PARAM", object{"id_server": "not a name"})
		preview := end(http.StatusOK, "", object{"dry_run": true, "erase": true})
		if preview.Get("goes", "access tokens") != 1.0 || preview.Get("unbinds", ids.Name) != 1.0 {
			t.Errorf("preview = %s", preview.Raw)
		}
		s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/account/whoami", alice.Token, nil)
		export := s.Want(http.StatusOK, "", http.MethodGet, prefix+"/users/alice/export", admin.Token, nil)
		if _, err := zip.NewReader(bytes.NewReader(export.Raw), int64(len(export.Raw))); err != nil {
			t.Errorf("the export: %v", err)
		}
		ids.AnswerUnbind(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		done := end(http.StatusOK, "", object{"erase": true})
		if done.String("id_server_unbind_result") != "no-support" || done.Get("undo") != nil {
			t.Errorf("deactivate = %s", done.Raw)
		}
		end(http.StatusForbidden, "M_USER_DEACTIVATED", object{})
		end(http.StatusForbidden, "M_USER_DEACTIVATED", object{"dry_run": true})
		stuck(t, s, admin, done.String("id"), ids)
		s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, prefix+"/users/alice/reactivate", admin.Token, object{})
		want := []string{"admin:@root:example.org account.deactivate", "admin:@root:example.org account.export"}
		if diff := cmp.Diff(want, audit(t, s, admin, "@alice:example.org")); diff != "" {
			t.Errorf("the audit log (-want +got):\n%s", diff)
		}
	}, hstest.Trust(t, ids))
}

func TestTheAuditLogTellsWhoEndedTheirOwnAccount(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin, alice := root(t, s), s.Register("alice")
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/deactivate", alice.Token,
			object{"auth": hstest.PasswordAuth("alice", alice.Password, "")})
		if diff := cmp.Diff([]string{"self account.deactivate"}, audit(t, s, admin, alice.UserID)); diff != "" {
			t.Errorf("the audit log (-want +got):\n%s", diff)
		}
	})
}

// stuck looks at an ending whose identity server is down, and retries it until
// it is done.
func stuck(t *testing.T, s *hstest.Server, admin hstest.Session, id string, ids *hstest.IdentityServer) {
	t.Helper()
	path := prefix + "/deactivations/" + id
	work := s.Want(http.StatusOK, "", http.MethodGet, prefix+"/work", admin.Token, nil)
	if !strings.Contains(string(work.Raw), `"kind":"deactivation.unbind"`) {
		t.Errorf("work = %s, want the unbinding in it", work.Raw)
	}
	// What has failed several times is stuck, and still tried.
	s.Eventually("it is stuck", func() bool {
		s.Want(http.StatusOK, "", http.MethodPost, path+"/retry", admin.Token, nil)
		work := s.Do(http.MethodGet, prefix+"/work", admin.Token, nil)
		return strings.Contains(string(work.Raw), `"stuck":1`)
	})
	s.Want(http.StatusBadRequest, "M_INVALID_PARAM", http.MethodGet, prefix+"/deactivations?state=stuck", admin.Token, nil)
	for query, want := range map[string]int{"state=running": 1, "state=done": 0, "user_id=@alice:example.org": 1, "user_id=@x:y": 0} {
		if got := pages(t, s, admin, "/deactivations?"+query, "deactivations", "id"); len(got) != want {
			t.Errorf("deactivations?%s = %v, want %d", query, got, want)
		}
	}
	ids.AnswerUnbind(nil)
	s.Eventually("it is done", func() bool {
		s.Want(http.StatusOK, "", http.MethodPost, path+"/retry", admin.Token, nil)
		return s.Do(http.MethodGet, path, admin.Token, nil).String("state") == "done"
	})
	if receipt := s.Want(http.StatusOK, "", http.MethodGet, path+"/receipt", admin.Token, nil); receipt.Get("complete") != true {
		t.Errorf("receipt = %s", receipt.Raw)
	}
	work = s.Want(http.StatusOK, "", http.MethodGet, prefix+"/work", admin.Token, nil)
	if diff := cmp.Diff(object{"kinds": []any{}}, work.Body); diff != "" {
		t.Errorf("work after the end (-want +got):\n%s", diff)
	}
	for _, what := range []string{"", "/receipt"} {
		s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodGet, prefix+"/deactivations/none"+what, admin.Token, nil)
	}
	s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, path+"/undo", admin.Token, nil)
}

func TestEndingsAreListedInPages(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin := root(t, s)
		var want []string
		for i := range 5 {
			name := fmt.Sprintf("user%d", i)
			s.Register(name)
			a := s.Want(http.StatusOK, "", http.MethodPost, prefix+"/users/"+name+"/deactivate", admin.Token, nil)
			want = append(want, a.String("id"))
		}
		got := pages(t, s, admin, "/deactivations?", "deactivations", "id")
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("deactivations (-want +got):\n%s", diff)
		}
	})
}

func TestReactivationByAnOperator(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin := root(t, s)
		s.Register("alice")
		s.Want(http.StatusBadRequest, "M_INVALID_PARAM", http.MethodPost, prefix+"/users/alice/reactivate", admin.Token, object{})
		ended := s.Want(http.StatusOK, "", http.MethodPost, prefix+"/users/alice/deactivate", admin.Token, object{"erase": false})
		s.Eventually("it is done", func() bool {
			return s.Do(http.MethodGet, prefix+"/deactivations/"+ended.String("id"), admin.Token, nil).String("state") == "done"
		})
		back := s.Want(http.StatusOK, "", http.MethodPost, prefix+"/users/alice/reactivate", admin.Token, object{})
		login(t, s, "alice", "correct-horse", http.StatusForbidden)
		login(t, s, "alice", back.String("password"), http.StatusOK)
		if got := audit(t, s, admin, "@alice:example.org"); !slices.Contains(got, "admin:@root:example.org account.reactivate") {
			t.Errorf("the audit log: %v", got)
		}
	})
}

func TestRegistrationTokens(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		admin := root(t, s)
		const path = prefix + "/registration_tokens"
		made := s.Want(http.StatusOK, "", http.MethodPost, path, admin.Token, object{"token": "friends", "uses_allowed": 3})
		if made.String("token") != "friends" || made.Get("uses_allowed") != 3.0 || made.Get("expiry_time") != nil {
			t.Errorf("token = %s", made.Raw)
		}
		random := s.Want(http.StatusOK, "", http.MethodPost, path, admin.Token, nil)
		if random.String("token") == "" || random.Get("uses_allowed") != nil {
			t.Errorf("token = %s", random.Raw)
		}
		s.Want(http.StatusBadRequest, "M_INVALID_PARAM", http.MethodPost, path, admin.Token, object{"uses_allowed": -1})
		changed := s.Want(http.StatusOK, "", http.MethodPut, path+"/friends", admin.Token, object{"uses_allowed": nil, "expiry_time": 7})
		if changed.Get("uses_allowed") != nil || changed.Get("expiry_time") != 7.0 {
			t.Errorf("token = %s", changed.Raw)
		}
		s.Want(http.StatusOK, "", http.MethodDelete, path+"/friends", admin.Token, nil)
		s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodGet, path+"/friends", admin.Token, nil)
		list := s.Want(http.StatusOK, "", http.MethodGet, path, admin.Token, nil)
		if tokens, _ := list.Get("registration_tokens").([]any); len(tokens) != 1 {
			t.Errorf("tokens = %s", list.Raw)
		}
	})
}
