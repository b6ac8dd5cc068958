package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lethe/internal/storage/storagetest"
)

// BenchmarkServe starts the program as it is shipped on a database that exists,
// and measures the time to its first answer and the memory that it idles in.
func BenchmarkServe(b *testing.B) {
	work := b.TempDir()
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-o", work, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, engine := range storagetest.Engines {
		b.Run(engine, func(b *testing.B) {
			address, err := freeAddress()
			if err != nil {
				b.Fatal(err)
			}
			database := storagetest.URL(b, engine)
			serve := func() *exec.Cmd {
				cmd := exec.CommandContext(b.Context(), filepath.Join(work, "lethe"), "serve")
				cmd.Env = append(os.Environ(), "LETHE_DATA_DIR="+work, "LETHE_LISTEN="+address, "LETHE_DATABASE="+database)
				return cmd
			}
			stop(b, first(b, serve(), address)) // makes the database
			var took time.Duration
			var memory int
			for range b.N {
				cmd := serve()
				began := time.Now()
				first(b, cmd, address)
				took += time.Since(began)
				memory += resident(b, cmd.Process.Pid)
				stop(b, cmd)
			}
			b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms-to-answer")
			b.ReportMetric(float64(memory)/float64(b.N)/1024, "MB-RSS")
			b.ReportMetric(0, "ns/op") // it has the stop in it
		})
	}
}

// first starts the program and waits for its first answer.
func first(b *testing.B, cmd *exec.Cmd, address string) *exec.Cmd {
	b.Helper()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		resp, err := http.Get("http://" + address + "/_matrix/client/versions")
		if err != nil {
			continue
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("the first answer is %d, %v", resp.StatusCode, err)
		}
		return cmd
	}
	b.Fatal("the server does not answer")
	return nil
}

func stop(b *testing.B, cmd *exec.Cmd) {
	b.Helper()
	_ = cmd.Process.Signal(syscall.SIGTERM) // if it has ended, Wait says how
	if err := cmd.Wait(); err != nil {
		b.Fatalf("it ended with %v", err)
	}
}

// resident is the memory of a process, in KiB, as Linux counts it.
func resident(b *testing.B, pid int) int {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	size, err := strconv.Atoi(strings.Fields(rest + " ?")[0])
	if err != nil {
		b.Fatalf("the size in /proc: %v", err)
	}
	return size
}
