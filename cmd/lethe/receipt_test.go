package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"lethe/client"
	"lethe/internal/storage/storagetest"
)

// lethe runs a command in this process and returns its output, or of one that
// fails its errors; it fails the test unless the exit code is the given one.
func lethe(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out, errOut bytes.Buffer
	if got := run(t.Context(), args, strings.NewReader(""), &out, &errOut); got != code {
		t.Fatalf("lethe %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &out, &errOut)
	}
	if code != 0 {
		return errOut.String()
	}
	return out.String()
}

// TestReceipt ends an account without a running server, and checks its receipt
// with the key that the server publishes, and with one that was noted.
func TestReceipt(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "lethe")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			address, err := freeAddress()
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"DATA_DIR": dir, "LISTEN": address, "ARGON2_MEMORY": "8", "DATABASE": storagetest.URL(t, engine),
			} {
				t.Setenv("LETHE_"+name, value)
			}
			testReceipt(t, "http://"+address)
		})
	}
}

func testReceipt(t *testing.T, url string) {
	lethe(t, 0, "account", "create", "alice")
	var ended endedAnswer
	if err := json.Unmarshal([]byte(lethe(t, 0, "account", "deactivate", "alice", "--erase", "--yes", "--json")), &ended); err != nil {
		t.Fatal(err)
	}
	if shown := lethe(t, 0, "deactivation", "show", ended.ID); !strings.Contains(shown, "state     done") {
		t.Errorf("the work was not finished before the command ended:\n%s", shown)
	}
	receipt := lethe(t, 0, "deactivation", "receipt", ended.ID)
	for _, want := range []string{`"complete": true`, `"password": 1`, `"@alice:localhost"`} {
		if !strings.Contains(receipt, want) {
			t.Errorf("the receipt lacks %s:\n%s", want, receipt)
		}
	}
	file := filepath.Join(t.TempDir(), "receipt.json")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(receipt)
	key := served(t, url, func() {
		out := lethe(t, 0, "deactivation", "receipt", "--verify", file, "--server", url)
		if !strings.Contains(out, "genuine: localhost signed it") {
			t.Errorf("verify: %s", out)
		}
	})
	if out := lethe(t, 0, "deactivation", "receipt", "--verify", file, "--key", key, "--json"); !strings.Contains(out, `"valid": true`) {
		t.Errorf("verify with a noted key: %s", out)
	}
	write(strings.Replace(receipt, `"password": 1`, `"password": 2`, 1))
	if out := lethe(t, 1, "deactivation", "receipt", "--verify", file, "--key", key); !strings.Contains(out, "signature") {
		t.Errorf("a forged receipt: %s", out)
	}
	write(`{"some": "file"}`)
	if out := lethe(t, 1, "deactivation", "receipt", "--verify", file, "--key", key); !strings.Contains(out, "not a receipt") {
		t.Errorf("another file: %s", out)
	}
	lethe(t, 1, "deactivation", "receipt")
	lethe(t, 1, "deactivation", "show", "nothing")
}

// served runs a server around do, and returns the key that it publishes, as
// ID=KEY.
func served(t *testing.T, url string, do func()) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan int)
	ready := make(chan struct{})
	go func() { done <- run(ctx, []string{"serve"}, nil, writer(func() { close(ready) }), new(bytes.Buffer)) }()
	defer func() {
		stop()
		if code := <-done; code != 0 {
			t.Errorf("serve: exit code %d", code)
		}
	}()
	select {
	case <-ready:
	case code := <-done:
		t.Fatalf("serve: exit code %d", code)
	}
	do()
	var published struct {
		Keys map[string]map[string]string `json:"verify_keys"`
	}
	api := &client.Client{BaseURL: url}
	if err := api.Do(t.Context(), http.MethodGet, "/_matrix/key/v2/server", nil, &published); err != nil {
		t.Fatal(err)
	}
	for id, key := range published.Keys {
		return id + "=" + key["key"]
	}
	t.Fatal("the server publishes no key")
	return ""
}

// writer calls a function when something is written to it.
type writer func()

func (w writer) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}
