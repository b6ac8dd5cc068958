//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lethe/internal/storage/storagetest"
)

var (
	binary    string // the server
	cache     string // where setup installs
	speccheck string // the proxy that holds answers to the specification, "" for none
	reports   string // the folder of its reports
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	var err error
	if cache, err = filepath.Abs("../../.cache/e2e"); err != nil {
		return 1, err
	}
	for _, need := range []string{"python/made-from", "npm/made-from"} {
		if _, err := os.Stat(filepath.Join(cache, need)); err != nil {
			return 1, fmt.Errorf("the peers are not installed (%w): run test/e2e/setup, or all by test/e2e/run", err)
		}
	}
	speccheck, reports = os.Getenv("LETHE_E2E_SPECCHECK"), os.Getenv("LETHE_E2E_REPORTS")
	if speccheck != "" && reports == "" {
		return 1, fmt.Errorf("LETHE_E2E_SPECCHECK is set, and LETHE_E2E_REPORTS, the folder for its reports, is not")
	}
	dir, err := os.MkdirTemp("", "lethe-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "lethe")
	build := exec.Command("go", "build", "-o", binary, "lethe/cmd/lethe")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// each runs a test on both databases, with a server and peers of its own.
func each(t *testing.T, test func(*testing.T, *world), options ...string) {
	t.Helper()
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) { test(t, newWorld(t, engine, options...)) })
	}
}

// patience is how long something that has to happen may take, on a slow machine.
const patience = 60 * time.Second

// eventually waits until a condition holds, or fails the test.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// freePort finds a port on 127.0.0.1, below those that the system hands out
// itself: it stays free until a process that needs to know it beforehand takes it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no free port on 127.0.0.1")
	return 0
}

// listening waits until something takes connections on a port of 127.0.0.1.
func listening(t *testing.T, port int) {
	t.Helper()
	eventually(t, fmt.Sprintf("something listens on port %d", port), func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}
