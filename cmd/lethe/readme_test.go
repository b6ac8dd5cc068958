package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lethe/internal/storage/storagetest"
)

// TestReadme runs the commands with which the README ends an account, as they
// stand there but for the address and for a binary that is built once.
func TestReadme(t *testing.T) {
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(raw), "<!-- test:")
	section, _, ok2 := strings.Cut(section, "An operator does the same")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1)
	if !ok || !ok2 || len(blocks) < 4 {
		t.Fatalf("the README has %d blocks of commands that end an account", len(blocks))
	}
	work := t.TempDir()
	data, err := os.MkdirTemp("", "lethe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", work, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LETHE_DATA_DIR", data)
	t.Setenv("LETHE_LISTEN", address)
	t.Setenv("LETHE_DATABASE", storagetest.URL(t, "sqlite"))
	t.Setenv("PATH", work+string(filepath.ListSeparator)+os.Getenv("PATH"))
	served(t, "http://"+address, func() {
		var out string
		for _, block := range blocks {
			script := strings.NewReplacer("go run ./cmd/lethe", "lethe", "127.0.0.1:8008", address).Replace(block[1])
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
			cmd.Dir = work
			raw, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s\n%v\n%s", block[1], err, raw)
			}
			out += string(raw)
		}
		for _, want := range []string{
			"Created @alice:localhost", "Written to alice.zip", "never given out again",
			`"id_server_unbind_result":"success"`, "The receipt is genuine",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("the commands did not print %q:\n%s", want, out)
			}
		}
	})
}
