package federationapi_test

import (
	"net/http"
	"testing"
	"time"

	"lethe/internal/event"
	"lethe/internal/hstest"
)

// TestThePublishedKeyVerifiesItself is the check that every other server and
// identity server makes (Server-Server API, Publishing Keys).
func TestThePublishedKeyVerifiesItself(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		a := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/key/v2/server", "", nil)
		keys, _ := a.Get("verify_keys").(map[string]any)
		if a.String("server_name") != "example.org" || len(keys) != 1 || a.Get("old_verify_keys") == nil {
			t.Fatalf("keys = %s", a.Raw)
		}
		for id := range keys {
			public, err := event.DecodeBase64(a.String("verify_keys", id, "key"))
			if err != nil {
				t.Fatal(err)
			}
			if err := event.VerifyJSON(a.Raw, "example.org", id, public); err != nil {
				t.Errorf("%v: %s", err, a.Raw)
			}
		}
		until, _ := a.Get("valid_until_ts").(float64)
		if ahead := time.Until(time.UnixMilli(int64(until))); ahead <= 0 || ahead > 7*24*time.Hour {
			t.Errorf("valid for %v", ahead)
		}
		s.Stop()
		s.Start()
		again := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/key/v2/server", "", nil)
		for id := range keys {
			if again.String("verify_keys", id, "key") != a.String("verify_keys", id, "key") {
				t.Errorf("another key after a restart: %s", again.Raw)
			}
		}
	})
}

func TestTheServerSaysWhatItIs(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		a := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/federation/v1/version", "", nil)
		if a.String("server", "name") != "Lethe" || a.String("server", "version") != "test" {
			t.Errorf("version = %s", a.Raw)
		}
		s.Want(http.StatusNotFound, "M_UNRECOGNIZED", http.MethodGet, "/_matrix/federation/v1/none", "", nil)
		s.Want(http.StatusMethodNotAllowed, "M_UNRECOGNIZED", http.MethodPost, "/_matrix/key/v2/server", "", map[string]any{})
	})
}
