//go:build crashpoints

package crash

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// The environment of a process under a crash test.
const (
	// EnvArm names a file: points count once it exists. Unset: at once.
	EnvArm = "LETHE_CRASH_ARM"
	// EnvAt is the number, from 1, of the point at which the process dies.
	EnvAt = "LETHE_CRASH_AT"
	// EnvTrace names a file that gets the name of each point, one a line.
	EnvTrace = "LETHE_CRASH_TRACE"
)

var state struct {
	mu    sync.Mutex
	armed bool
	count int
}

// Point marks a place where the process may die.
func Point(name string) {
	state.mu.Lock()
	defer state.mu.Unlock()
	if !armed() {
		return
	}
	state.count++
	if path := os.Getenv(EnvTrace); path != "" {
		trace(path, name)
	}
	if at, err := strconv.Atoi(os.Getenv(EnvAt)); err == nil && at == state.count {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

func armed() bool {
	if !state.armed {
		path := os.Getenv(EnvArm)
		_, err := os.Stat(path) //nolint:gosec // the test names the file
		state.armed = path == "" || err == nil
	}
	return state.armed
}

func trace(path, name string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the test names the file
	if err != nil {
		panic(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintln(f, name); err != nil {
		panic(err)
	}
}
