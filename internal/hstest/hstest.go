// Package hstest runs whole servers in tests.
//
// Holds: [Server], on a real database, reached over real HTTP.
//
// May import: app, and the packages whose types tests need.
//
// Never: a fake, but for the clock; nothing but tests imports it.
package hstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/app"
	"lethe/internal/config"
	"lethe/internal/storage/storagetest"
)

// ServerName is the name of test servers, unless a test changes the settings.
const ServerName = "example.org"

// Server is a running server.
type Server struct {
	*app.Server
	// URL is where clients reach it, without a slash at its end.
	URL string
	// Log is what it has logged, at level debug.
	Log *Log

	t        testing.TB
	settings config.Settings
	clock    func() time.Time
	http     *http.Client
	stop     context.CancelFunc
	done     chan error
}

// Option changes how a server is started.
type Option func(*options)

type options struct {
	settings config.Settings
	clock    func() time.Time
}

// Set changes the settings.
func Set(change func(*config.Settings)) Option {
	return func(o *options) { change(&o.settings) }
}

// Clock makes the server take the time from now.
func Clock(now func() time.Time) Option { return func(o *options) { o.clock = now } }

// Each runs test once per engine, as a subtest, each time with a new server.
func Each(t *testing.T, test func(t *testing.T, s *Server), opts ...Option) {
	t.Helper()
	for _, engine := range storagetest.Engines {
		t.Run(engine, func(t *testing.T) { test(t, New(t, engine, opts...)) })
	}
}

// New starts a server on an empty database of the given engine, with open
// registration, cheap password hashes and no rate limits, and stops it when the
// test ends.
func New(t testing.TB, engine string, opts ...Option) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "lethe") // t.TempDir's paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := options{settings: config.Defaults(), clock: time.Now}
	o.settings.ServerName, o.settings.DataDir = ServerName, dir
	o.settings.Database = config.Secret(storagetest.URL(t, engine))
	o.settings.Registration, o.settings.RateLimits = "open", "off"
	o.settings.Argon2Memory, o.settings.Argon2Time = 8, 1
	for _, opt := range opts {
		opt(&o)
	}
	return start(t, o)
}

// Join starts a second server of the same name on the database of s, with a data
// folder of its own: on PostgreSQL.
func Join(s *Server) *Server {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "lethe")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := options{settings: s.settings, clock: s.clock}
	o.settings.DataDir = dir
	return start(s.t, o)
}

func start(t testing.TB, o options) *Server {
	t.Helper()
	s := &Server{t: t, settings: o.settings, clock: o.clock, Log: &Log{}, http: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts a server that was stopped, on the same database.
func (s *Server) Start() {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.Server, err = app.Open(ctx, s.settings, app.Options{
		Log: slog.New(slog.NewTextHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: s.clock, Version: "test", Listener: listener,
	})
	if err != nil {
		cancel()
		s.t.Fatalf("start the server: %v", err)
	}
	s.URL = "http://" + listener.Addr().String()
	s.stop, s.done = cancel, make(chan error, 1)
	ready := make(chan struct{})
	go func() { s.done <- s.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-s.done:
		s.done <- err
		s.t.Fatalf("start the server: %v", err)
	}
}

// Stop stops the server, as SIGTERM does, and closes its database. It may be
// called more than once.
func (s *Server) Stop() {
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	s.http.CloseIdleConnections()
	if err := errors.Join(<-s.done, s.Close()); err != nil {
		s.t.Errorf("stop the server: %v", err)
	}
}

// Settings are those the server was started with.
func (s *Server) Settings() config.Settings { return s.settings }

// Socket is the path of the socket of the command line.
func (s *Server) Socket() string { return app.SocketPath(s.settings.DataDir) }

// Answer is the answer to a request.
type Answer struct {
	Status int
	Header http.Header
	Raw    []byte
	// Body is the JSON object in the answer; nil where there is none.
	Body map[string]any
}

// Code is the errcode, "" for none.
func (a Answer) Code() string { return a.String("errcode") }

// String is a string of the body, by the names on the way to it; "" for none.
func (a Answer) String(path ...string) string {
	s, _ := a.Get(path...).(string)
	return s
}

// Get is a value of the body, by the names on the way to it; nil for none.
func (a Answer) Get(path ...string) any {
	var v any = a.Body
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// Do makes a request with an access token ("": none) and a body: nil for none,
// a string or bytes as they are, everything else as JSON. Failures to reach the
// server end the test; it may be called from other goroutines of a test only as
// long as that is so.
func (s *Server) Do(method, path, token string, body any) Answer {
	s.t.Helper()
	a, err := s.Try(s.t.Context(), method, path, token, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Try is Do for requests that may find no server.
func (s *Server) Try(ctx context.Context, method, path, token string, body any) (Answer, error) {
	raw, err := encode(body)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, bytes.NewReader(raw))
	if err != nil {
		return Answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return s.Send(req)
}

// Send sends a request of the test's making.
func (s *Server) Send(req *http.Request) (Answer, error) {
	resp, err := s.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	if a.Raw, err = io.ReadAll(resp.Body); err != nil {
		return a, err
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && !bytes.HasPrefix(a.Raw, []byte("[")) {
		if err := json.Unmarshal(a.Raw, &a.Body); err != nil {
			return a, fmt.Errorf("%s: the answer %.200q: %w", req.URL.Path, a.Raw, err)
		}
	}
	return a, nil
}

func encode(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(b), nil
	case []byte:
		return b, nil
	}
	return json.Marshal(body)
}

// Want makes a request and fails the test unless it is answered with the status
// and, for an error, the errcode ("": any body will do).
func (s *Server) Want(status int, code, method, path, token string, body any) Answer {
	s.t.Helper()
	a := s.Do(method, path, token, body)
	if a.Status != status || a.Code() != code {
		s.t.Fatalf("%s %s = %d %.300s; want %d %s", method, path, a.Status, a.Raw, status, code)
	}
	return a
}

// Session is a session that a test has begun.
type Session struct{ UserID, DeviceID, Token, RefreshToken, Password string }

// Register creates an account with the password "correct-horse" and begins a
// session.
func (s *Server) Register(localpart string) Session {
	s.t.Helper()
	const password = "correct-horse"
	a := s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/register", "", map[string]any{
		"username": localpart, "password": password, "auth": map[string]any{"type": "m.login.dummy"},
		"refresh_token": true,
	})
	return Session{
		UserID: a.String("user_id"), DeviceID: a.String("device_id"), Token: a.String("access_token"),
		RefreshToken: a.String("refresh_token"), Password: password,
	}
}

// PasswordAuth is the `auth` of a password stage.
func PasswordAuth(user, password, session string) map[string]any {
	auth := map[string]any{
		"type": "m.login.password", "password": password,
		"identifier": map[string]any{"type": "m.id.user", "user": user},
	}
	if session != "" {
		auth["session"] = session
	}
	return auth
}

// Eventually waits until cond holds, or fails the test after a while.
func (s *Server) Eventually(what string, cond func() bool) {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it did not happen: %s", what)
		}
	}
}

// Log keeps what a server logs. It is safe for concurrent use.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is the log so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
