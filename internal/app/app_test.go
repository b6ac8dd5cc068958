package app_test

import (
	"net/http"
	"testing"

	"lethe/internal/hstest"
)

// TestLifeOfAnAccount goes the shortest way from a registration to an ending.
func TestLifeOfAnAccount(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		s.Want(http.StatusOK, "", http.MethodGet, "/health", "", nil)
		who := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/account/whoami", alice.Token, nil)
		if who.String("user_id") != "@alice:example.org" {
			t.Errorf("whoami = %s", who.Raw)
		}
		ended := s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/deactivate", alice.Token, map[string]any{
			"auth": hstest.PasswordAuth("alice", alice.Password, ""), "erase": true,
		})
		if ended.String("id_server_unbind_result") != "success" {
			t.Errorf("deactivate = %s", ended.Raw)
		}
		s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, "/_matrix/client/v3/account/whoami", alice.Token, nil)
		path := "/_lethe/client/v1/deactivation/" + ended.String("org.lethe.deactivation_id") + "/receipt"
		s.Eventually("the receipt is complete", func() bool {
			return s.Do(http.MethodGet, path, "", nil).Get("complete") == true
		})
		s.Stop()
		s.Start()
		s.Want(http.StatusForbidden, "M_USER_DEACTIVATED", http.MethodPost, "/_matrix/client/v3/login", "", map[string]any{
			"type": "m.login.password", "identifier": map[string]any{"type": "m.id.user", "user": "alice"},
			"password": alice.Password,
		})
	})
}
