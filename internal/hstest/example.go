package hstest

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// ForExamples starts a server on SQLite for examples, which have no test to
// belong to: TestMain starts it, and stops it with the function returned.
func ForExamples(opts ...Option) (s *Server, stop func()) {
	t := &example{}
	return New(t, "sqlite", opts...), t.end
}

// example stands for a test where there is none. What a test would fail with
// stops the program, as it does for any other set-up of TestMain.
type example struct {
	testing.TB // for the methods that nothing here calls
	cleanups   []func()
}

func (e *example) Helper()                  {}
func (e *example) Context() context.Context { return context.Background() }
func (e *example) Cleanup(f func())         { e.cleanups = append(e.cleanups, f) }

func (e *example) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (e *example) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (e *example) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (e *example) TempDir() string {
	dir, err := os.MkdirTemp("", "lethe")
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (e *example) end() {
	for len(e.cleanups) > 0 {
		last := len(e.cleanups) - 1
		cleanup := e.cleanups[last]
		e.cleanups = e.cleanups[:last]
		cleanup()
	}
}
