//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// process is a program that the test runs.
type process struct {
	cmd   *exec.Cmd
	out   output
	ended chan struct{}
	err   error // of its end; read it after ended
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p
}

// stop sends a signal and waits for the end of the process. It returns the error
// of its exit status.
func (p *process) stop(sig os.Signal) error {
	_ = p.cmd.Process.Signal(sig) // it may have ended
	<-p.ended
	return p.err
}
