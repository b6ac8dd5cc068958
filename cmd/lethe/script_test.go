package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lethe/internal/storage/storagetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lethe": main, "request": request})
}

// TestScripts runs the scripts of testdata/script on both databases. Each finds
// in its environment the settings of a server of its own, which it starts with
// `exec lethe serve &serve&` and waits for with `ready`.
func TestScripts(t *testing.T) {
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) {
			storagetest.URL(t, engine) // where there is no server it fails here, and not in each script
			testscript.Run(t, testscript.Params{
				Dir:   "testdata/script",
				Setup: func(env *testscript.Env) error { return setUp(t, env, engine) },
				Cmds:  map[string]func(*testscript.TestScript, bool, []string){"ready": ready},
			})
		})
	}
}

func setUp(t *testing.T, env *testscript.Env, engine string) error {
	dir, err := os.MkdirTemp("", "lethe") // the script's folder is too long for a socket
	if err != nil {
		return err
	}
	env.Defer(func() { _ = os.RemoveAll(dir) })
	address, err := freeAddress()
	if err != nil {
		return err
	}
	env.Setenv("LETHE_DATA_DIR", dir)
	env.Setenv("LETHE_LISTEN", address)
	env.Setenv("LETHE_DATABASE", storagetest.URL(t, engine))
	env.Setenv("LETHE_ARGON2_MEMORY", "8")
	env.Setenv("LETHE_ARGON2_TIME", "1")
	env.Setenv("URL", "http://"+address)
	repo, err := filepath.Abs("../..")
	env.Setenv("REPO", repo)
	return err
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ready waits until the script's server answers.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(ts.Getenv("URL") + "/health")
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("the server does not answer")
}

// request is a command for scripts: request STATUS METHOD PATH [BODY]. It prints
// the answer's body and fails if the status is another one.
func request() {
	want, _ := strconv.Atoi(os.Args[1])
	req, err := http.NewRequest(os.Args[2], os.Getenv("URL")+os.Args[3], strings.NewReader(strings.Join(os.Args[4:], "")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(os.Stdout, resp.Body)
	if resp.StatusCode != want {
		fmt.Fprintln(os.Stderr, "status", resp.StatusCode)
		os.Exit(1)
	}
}
