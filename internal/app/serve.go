package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// drainTime is how long requests that are under way may take when the server
	// stops.
	drainTime = 20 * time.Second
	// readTime bounds the reading of a request, its body included.
	readTime = time.Minute
	// maxHeader bounds the headers of a request, in bytes.
	maxHeader = 64 << 10
	// maxSocketPath is what the kernel takes as the path of a socket (unix(7)).
	maxSocketPath = 107
)

// SocketPath is where the command line reaches the server that has this data
// folder.
func SocketPath(dataDir string) string { return filepath.Join(dataDir, "admin.sock") }

// endpoint is a listener with what it serves.
type endpoint struct {
	name     string
	listener net.Listener
	handler  http.Handler
}

// Serve listens, calls ready (which may be nil), and runs the server until ctx
// ends. Then it takes no more requests, finishes those under way and the work at
// hand, and returns nil.
func (s *Server) Serve(ctx context.Context, ready func()) error {
	endpoints, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.registerGauges()
	return s.run(ctx, endpoints, ready)
}

// ServeOperator is [Server.Serve] with the socket of the command line alone: for
// a command that finds no server.
func (s *Server) ServeOperator(ctx context.Context, ready func()) error {
	socket, err := listenSocket(SocketPath(s.settings.DataDir))
	if err != nil {
		return err
	}
	return s.run(ctx, []endpoint{{"operator", socket, s.operatorRouter()}}, ready)
}

func (s *Server) run(ctx context.Context, endpoints []endpoint, ready func()) error {
	// The upkeep ends after the last request has been answered.
	upkeep, stopUpkeep := context.WithCancel(context.WithoutCancel(ctx))
	defer stopUpkeep()
	requests, gctx := errgroup.WithContext(ctx)
	var work errgroup.Group
	work.Go(func() error { return s.Jobs.Run(upkeep) })
	work.Go(func() error { s.Accounts.Run(upkeep); return nil })
	work.Go(func() error { s.Rooms.Run(upkeep); return nil })
	if s.presence != nil {
		work.Go(func() error { s.presence.Run(upkeep); return nil })
	}
	work.Go(func() error { s.Hub.Run(upkeep); return nil })
	// Those who wait for something new are answered when the server stops.
	defer context.AfterFunc(gctx, s.Hub.Stop)()
	for _, e := range endpoints {
		requests.Go(func() error { return s.serve(gctx, e) })
	}
	if ready != nil {
		ready()
	}
	err := requests.Wait()
	stopUpkeep()
	return errors.Join(err, work.Wait())
}

// listen opens all listeners, or none.
func (s *Server) listen(ctx context.Context) (endpoints []endpoint, err error) {
	defer func() {
		if err != nil {
			for _, e := range endpoints {
				_ = e.listener.Close()
			}
			endpoints = nil
		}
	}()
	client := s.opts.Listener
	if client == nil {
		if client, err = listenTCP(ctx, s.settings.Listen); err != nil {
			return endpoints, fmt.Errorf("listen: %w", err)
		}
	}
	endpoints = append(endpoints, endpoint{"client", client, s.clientRouter()})
	socket, err := listenSocket(SocketPath(s.settings.DataDir))
	if err != nil {
		return endpoints, err
	}
	endpoints = append(endpoints, endpoint{"operator", socket, s.operatorRouter()})
	if s.settings.FederationListen != "" {
		l, err := s.listenFederation(ctx)
		if err != nil {
			return endpoints, fmt.Errorf("federation-listen: %w", err)
		}
		endpoints = append(endpoints, endpoint{"federation", l, s.federationRouter()})
	}
	if s.settings.MetricsListen != "" {
		l, err := listenTCP(ctx, s.settings.MetricsListen)
		if err != nil {
			return endpoints, fmt.Errorf("metrics-listen: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.metrics.Handler())
		endpoints = append(endpoints, endpoint{"metrics", l, mux})
	}
	return endpoints, nil
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", address)
}

func (s *Server) listenFederation(ctx context.Context) (net.Listener, error) {
	cert, err := tls.LoadX509KeyPair(s.settings.TLSCert, s.settings.TLSKey)
	if err != nil {
		return nil, err
	}
	l, err := listenTCP(ctx, s.settings.FederationListen)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

// listenSocket opens the socket of the command line, for this user alone. One
// that is there already is left from a process that was killed: a lock keeps a
// second server away, that of SQLite's file or that of the folder.
//
// It is made in a folder that nobody else can enter, and moved: at no moment can
// others connect, and the umask, which is the whole process's, stays as it is.
func listenSocket(path string) (net.Listener, error) {
	folder, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("socket of the command line: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	private := filepath.Join(folder, "s")
	if len(private) > maxSocketPath {
		return nil, fmt.Errorf("data-dir: the path of its socket would have more than %d bytes: %s", maxSocketPath, path)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket of the command line: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(private, 0o600), os.Rename(private, path)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("socket of the command line: %w", err)
	}
	return &socket{l, path}, nil
}

// socket is a listener whose path goes when it closes.
type socket struct {
	net.Listener
	path string
}

// Close stops listening.
func (s *socket) Close() error {
	_ = os.Remove(s.path) // a command that finds it finds nobody behind it
	return s.Listener.Close()
}

// serve serves one endpoint until ctx ends, and then finishes what is under way.
func (s *Server) serve(ctx context.Context, e endpoint) error {
	srv := &http.Server{
		Handler: e.handler, ReadHeaderTimeout: readTime / 6, ReadTimeout: readTime, IdleTimeout: 2 * readTime,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(e.listener) }()
	s.opts.Log.Info("listening", "for", e.name, "address", e.listener.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("%s: %w", e.name, err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		_ = srv.Close()
	}
	return nil
}

// scrapeWait bounds how long a scrape of the metrics waits for the database.
const scrapeWait = 2 * time.Second

// registerGauges makes the figures of durable work that are read when the
// metrics are.
func (s *Server) registerGauges() {
	count := func(stuck bool) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), scrapeWait)
			defer cancel()
			stats, err := s.Jobs.Stats(ctx)
			if err != nil {
				s.opts.Log.Error("metrics of durable work", "error", err)
				return -1
			}
			n := int64(0)
			for _, kind := range stats {
				if stuck {
					n += kind.Stuck
				} else {
					n += kind.Pending
				}
			}
			return float64(n)
		}
	}
	s.metrics.Gauge("lethe_jobs_pending", "Durable work that is still to do; -1: not known.", nil, count(false))
	s.metrics.Gauge("lethe_syncs_waiting", "Requests that wait for something new.", nil,
		func() float64 { return float64(s.Hub.Waiting()) })
	s.metrics.Gauge("lethe_jobs_stuck", "Durable work that has failed several times; -1: not known.", nil, count(true))
}
