//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"lethe/internal/storage/storagetest"
)

// sharedSecret registers administrators.
const sharedSecret = "only for these tests"

// world is a server with its peers, all of them real.
type world struct {
	t        *testing.T
	dir      string
	ca       *authority
	mail     *mailServer
	phones   *inbox
	name     string // the server's, localhost:PORT
	database string // its URL
	listen   int    // the server's own port for clients
	client   *client
	options  []string
	run      *process
	seen     *coverage
}

// newWorld starts everything but the identity server. Clients, and servers,
// reach it through the proxies that check its answers, if those are there.
func newWorld(t *testing.T, engine string, options ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), phones: newInbox(), seen: newCoverage()}
	w.ca = newAuthority(t, w.dir)
	w.mail = newMailServer(t, w.ca)
	w.listen = freePort(t)
	federation := freePort(t)
	public := w.checked("client", w.listen)
	w.name = fmt.Sprintf("localhost:%d", w.checked("federation", federation))
	w.database = storagetest.URL(t, engine)
	if engine == "sqlite" {
		w.database = "sqlite:" + filepath.Join(w.dataDir(), "lethe.db")
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", public)
	w.options = append([]string{
		"serve", "--server-name", w.name, "--data-dir", w.dataDir(), "--database", w.database,
		"--listen", fmt.Sprintf("127.0.0.1:%d", w.listen), "--public-base-url", base,
		"--federation-listen", fmt.Sprintf("127.0.0.1:%d", federation), "--federation-name", w.name,
		"--tls-cert", w.ca.certFile, "--tls-key", w.ca.keyFile, "--trusted-ca", w.ca.caFile,
		"--allow-private-networks", "--registration-shared-secret", sharedSecret,
		"--smtp-host", "localhost", "--smtp-port", fmt.Sprint(w.mail.port), "--smtp-security", "starttls",
		"--smtp-from", "lethe@example.org", "--sms-gateway", newTextGateway(t, w.phones),
		"--support-email", "help@example.org", "--log-level", "debug",
	}, options...)
	w.client = &client{
		t: t, base: base, own: fmt.Sprintf("http://127.0.0.1:%d", w.listen), http: trusting(w.ca), seen: w.seen,
	}
	w.start()
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("the server:\n%s", &w.run.out)
		}
	})
	return w
}

func (w *world) dataDir() string { return filepath.Join(w.dir, "data") }

// start starts the server and waits until it is ready.
func (w *world) start() {
	w.t.Helper()
	w.run = start(w.t, exec.Command(binary, w.options...))
	health := fmt.Sprintf("http://127.0.0.1:%d/health", w.listen)
	eventually(w.t, "the server is ready", func() bool {
		select {
		case <-w.run.ended:
			w.t.Fatalf("the server ended: %v\n%s", w.run.err, &w.run.out)
		default:
		}
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, health, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
}

// stop ends the server as a service manager does. It has to end well, and to have
// logged nothing, at level debug, that is nobody's business.
func (w *world) stop() {
	w.t.Helper()
	if err := w.run.stop(syscall.SIGTERM); err != nil {
		w.t.Errorf("the server ended with %v:\n%s", err, &w.run.out)
	}
	for line := range strings.Lines(w.run.out.String()) {
		if secrets.MatchString(line) {
			w.t.Errorf("the log has what must be in none: %s", line)
		}
	}
}

// secrets are tokens, passwords, and addresses of people, as these tests have them.
var secrets = regexp.MustCompile(`leth_[a-z]_|the password of|` + sharedSecret + `|@example\.org|\+?447700900`)

// checked puts a proxy that checks answers in front of a port, and returns its
// port: without one the same.
func (w *world) checked(side string, port int) int {
	w.t.Helper()
	if speccheck == "" {
		return port
	}
	public := freePort(w.t)
	args := []string{
		"proxy", "-fail", "-legacy", "-q", "-listen", fmt.Sprintf("127.0.0.1:%d", public),
		"-report", filepath.Join(reports, strings.ReplaceAll(w.t.Name(), "/", "-")+"-"+side+".jsonl"),
	}
	if side == "federation" {
		args = append(args, "-target", fmt.Sprintf("https://127.0.0.1:%d", port), "-insecure",
			"-cert", w.ca.certFile, "-key", w.ca.keyFile)
	} else {
		args = append(args, "-target", fmt.Sprintf("http://127.0.0.1:%d", port))
	}
	proxy := start(w.t, exec.Command(speccheck, args...))
	listening(w.t, public)
	w.t.Cleanup(func() {
		if err := proxy.stop(os.Interrupt); err != nil {
			w.t.Errorf("the %s side broke the specification (%v):\n%s", side, err, &proxy.out)
		} else if w.t.Failed() {
			w.t.Logf("the proxy on the %s side:\n%s", side, &proxy.out)
		}
	})
	return public
}

// federation is what other servers, and identity servers, use.
func (w *world) federation() *client {
	return &client{t: w.t, base: "https://" + w.name, http: trusting(w.ca), seen: w.seen}
}

// traces are the places where a text is found in what the server keeps.
func (w *world) traces(text string) []string {
	w.t.Helper()
	if !strings.HasPrefix(w.database, "sqlite:") {
		return storagetest.Find(w.t, w.database, text)
	}
	var found []string
	err := filepath.WalkDir(w.dataDir(), func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.Contains(string(raw), text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// script runs a client that is a program of its own, to its end.
func (w *world) script(env []string, name string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// path is a path with its values escaped.
func path(format string, values ...any) string {
	for i, v := range values {
		values[i] = url.PathEscape(fmt.Sprint(v))
	}
	return fmt.Sprintf(format, values...)
}
