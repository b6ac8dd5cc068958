package clientapi_test

import (
	"net/http"
	"testing"

	"lethe/internal/hstest"
)

// FuzzLogin sends bodies of all kinds: none is the server's fault, and none of
// them logs in.
func FuzzLogin(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `{"type":"m.login.password"}`, `{"type":"m.login.token","token":"leth_l_"}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"wrong"}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.thirdparty","medium":"email","address":"a@b"},"password":""}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.phone","country":"GB","phone":"0"},"password":"\u0000"}`,
		`{"type":"m.login.password","user":"\u0000","password":"x","device_id":"\u0000"}`,
		`{"type":"m.login.application_service","identifier":{"type":"m.id.user","user":"@a:b"}}`,
	} {
		f.Add([]byte(seed))
	}
	servers := []*hstest.Server{hstest.New(f, "sqlite"), hstest.New(f, "postgres")}
	for _, s := range servers {
		s.Register("alice")
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, s := range servers {
			a, err := s.Try(t.Context(), http.MethodPost, loginPath, "", body)
			if err != nil {
				t.Fatal(err)
			}
			if a.Status < 400 || a.Status >= 500 || a.Code() == "" {
				t.Errorf("%d %s", a.Status, a.Raw)
			}
		}
	})
}
