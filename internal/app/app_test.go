package app_test

import (
	"errors"
	"net/http"
	"os"
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

// TestTheSocketIsTheOperators: nobody else can open it, it goes with the server,
// and one that a killed server left is no obstacle.
func TestTheSocketIsTheOperators(t *testing.T) {
	s := hstest.New(t, "sqlite")
	info, err := os.Stat(s.Socket())
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Fatalf("the socket is %v (%v)", info, err)
	}
	s.Stop()
	if _, err := os.Stat(s.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there after the server: %v", err)
	}
	if err := os.WriteFile(s.Socket(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start()
	entries, err := os.ReadDir(s.Settings().DataDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			t.Errorf("%s is left in the data folder", e.Name())
		}
	}
}
