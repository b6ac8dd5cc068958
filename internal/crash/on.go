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
	// EnvAt is where the process dies, as NAME#N: the N-th time, from 1, that it
	// passes the point of that name.
	EnvAt = "LETHE_CRASH_AT"
	// EnvTrace names a file that gets the name of each point, one a line.
	EnvTrace = "LETHE_CRASH_TRACE"
)

var state struct {
	mu    sync.Mutex
	armed bool
	count map[string]int
}

// Point marks a place where the process may die.
func Point(name string) {
	state.mu.Lock()
	defer state.mu.Unlock()
	if !armed() {
		return
	}
	if state.count == nil {
		state.count = map[string]int{}
	}
	state.count[name]++
	if path := os.Getenv(EnvTrace); path != "" {
		trace(path, name)
	}
	if os.Getenv(EnvAt) == name+"#"+strconv.Itoa(state.count[name]) {
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
