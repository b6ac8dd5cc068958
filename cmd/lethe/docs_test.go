package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"lethe/internal/storage/storagetest"
)

// TestSettingsPage holds the page of settings against the settings.
func TestSettingsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	if list := lethe(t, 0, "config", "list"); !strings.HasSuffix(string(page), "\n"+list) {
		t.Error("docs/settings.md is not what `lethe config list` prints")
	}
}

// TestMetricsPage looks for every metric that the page for operators names,
// after something of each kind has happened.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(lethe_[a-z_]+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 5 {
		t.Fatalf("the page names %d metrics", len(names))
	}
	dir, err := os.MkdirTemp("", "lethe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("LETHE_DATA_DIR", dir)
	t.Setenv("LETHE_DATABASE", storagetest.URL(t, "sqlite"))
	address, metrics := free(t), free(t)
	t.Setenv("LETHE_LISTEN", address)
	t.Setenv("LETHE_METRICS_LISTEN", metrics)
	served(t, "http://"+address, func() {
		lethe(t, 0, "account", "create", "alice")
		lethe(t, 0, "account", "deactivate", "alice", "--yes")
		get(t, "http://"+address+"/_matrix/client/v3/account/whoami?access_token=none")
		got := get(t, "http://"+metrics+"/metrics")
		for _, name := range names {
			if !strings.Contains(got, "\n# TYPE "+name[1]+" ") {
				t.Errorf("/metrics does not have %s", name[1])
			}
		}
	})
}

func free(t *testing.T) string {
	t.Helper()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
