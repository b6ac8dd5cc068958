// Package app builds a server from its settings and runs it.
//
// Holds: [Server]: the wiring of all services, the listeners, the start and the
// drain.
//
// May import: every package of this program but cmd and hstest.
//
// Never: a rule of the domain, an endpoint but /health and /metrics.
package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"lethe/internal/account"
	"lethe/internal/appservice"
	"lethe/internal/config"
	"lethe/internal/deactivation"
	"lethe/internal/door"
	"lethe/internal/event"
	"lethe/internal/history"
	"lethe/internal/hub"
	"lethe/internal/identity"
	"lethe/internal/job"
	"lethe/internal/mail"
	"lethe/internal/matrix"
	"lethe/internal/metrics"
	"lethe/internal/outbound"
	"lethe/internal/presence"
	"lethe/internal/push"
	"lethe/internal/room"
	"lethe/internal/serverkey"
	"lethe/internal/storage"
	"lethe/internal/syncing"
)

// workers is how many jobs run at once. Most wait for other hosts, and one that
// hangs keeps its worker for seconds.
const workers = 16

// Options are what does not come from the settings. The zero value is usable.
type Options struct {
	Log     *slog.Logger     // nil: nowhere
	Now     func() time.Time // nil: the system's clock
	Version string
	// Listener, if not nil, takes the place of the setting listen.
	Listener net.Listener
}

// Server is a homeserver. Its parts may be used before and while it serves.
type Server struct {
	DB            *storage.DB
	Accounts      *account.Service
	Deactivations *deactivation.Service
	Jobs          *job.Runner
	Rooms         *room.Service
	Push          *push.Service
	History       *history.Service
	Hub           *hub.Hub

	settings    config.Settings
	opts        Options
	key         event.SigningKey
	appservices *appservice.Registry
	metrics     *metrics.Metrics
	door        *door.Door
	unread      *push.Unread
	syncing     *syncing.Service
	presence    *presence.Service // nil where it is off
	baseURL     string
}

// Open opens the database and builds all services. It listens to nothing and
// runs nothing; the caller calls [Server.Close].
func Open(ctx context.Context, settings config.Settings, opts Options) (*Server, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := settings.ReadSecrets(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(settings.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data-dir: %w", err)
	}
	db, err := storage.OpenIn(ctx, DatabaseURL(settings), settings.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{DB: db, settings: settings, opts: opts, metrics: metrics.New(), baseURL: baseURL(settings, opts)}
	if err := s.build(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return s, nil
}

// DatabaseURL is where the settings say that the database is.
func DatabaseURL(s config.Settings) string {
	return cmp.Or(string(s.Database), "sqlite:"+filepath.Join(s.DataDir, "lethe.db"))
}

// baseURL is where people reach this server, without a slash at its end.
func baseURL(s config.Settings, opts Options) string {
	address := s.Listen
	if opts.Listener != nil {
		address = opts.Listener.Addr().String()
	}
	return strings.TrimRight(cmp.Or(s.PublicBaseURL, "http://"+address), "/")
}

// BaseURL is where people reach this server, without a slash at its end.
func (s *Server) BaseURL() string { return s.baseURL }

// Close closes the database. Nothing may use the server any more.
func (s *Server) Close() error { return s.DB.Close() }

// build makes the services, each from those before it.
func (s *Server) build(ctx context.Context) (err error) {
	name := matrix.ServerName(s.settings.ServerName)
	if s.key, err = serverkey.Load(ctx, s.DB, name, s.opts.Now()); err != nil {
		return err
	}
	if s.appservices, err = appservice.Load(name, s.settings.Appservices); err != nil {
		return err
	}
	cas, err := trusted(s.settings.TrustedCA)
	if err != nil {
		return err
	}
	out := outbound.New(outbound.Options{
		AllowPrivateNetworks: s.settings.AllowPrivateNetworks, TrustedCAs: cas, UserAgent: "Lethe/" + s.opts.Version,
	})
	ids := identity.New(out, name, s.key)
	sender := s.mail(cas)
	s.Accounts = account.New(s.DB, s.accountOptions(sender, ids, out))
	s.Push = push.New(s.DB)
	s.Jobs = job.NewRunner(s.DB, job.Options{Now: s.opts.Now, Log: s.opts.Log, Workers: workers})
	s.buildRooms(ids)
	s.Deactivations = deactivation.New(s.DB, s.Jobs, s.Accounts, ids, s.Rooms, s.door, deactivation.Options{
		ServerName: name, Now: s.opts.Now, Log: s.opts.Log, Key: s.key,
		Grace: s.settings.DeactivationGrace.D(), UnbindWait: s.settings.DeactivationWait.D(),
		BaseURL: s.baseURL, Mail: sender,
		Ended: func(user matrix.UserID, erase bool) {
			s.metrics.Ended(erase)
			if s.presence != nil {
				s.presence.Ended(user)
			}
		},
	})
	for _, as := range s.appservices.Services() {
		if err := s.Accounts.EnsureAppserviceSender(ctx, as.Sender, as.ID); err != nil {
			return fmt.Errorf("application service %s: %w", as.ID, err)
		}
	}
	return nil
}

func (s *Server) mail(cas *x509.CertPool) *mail.Sender {
	set := &s.settings
	return mail.New(mail.Options{
		Host: set.SMTPHost, Port: set.SMTPPort, User: set.SMTPUser, Password: string(set.SMTPPassword),
		Security: mail.Security(set.SMTPSecurity), From: set.SMTPFrom, Name: set.ServerName, CAs: cas,
	})
}

func (s *Server) accountOptions(sender *mail.Sender, ids *identity.Client, out *outbound.Client) account.Options {
	set := &s.settings
	opts := account.Options{
		ServerName: matrix.ServerName(set.ServerName), Now: s.opts.Now, Log: s.opts.Log,
		AccessTokenLifetime: set.AccessTokenLifetime.D(), RefreshTokenLifetime: set.RefreshTokenLifetime.D(),
		LoginTokenLifetime: set.LoginTokenLifetime.D(), OpenIDTokenLifetime: set.OpenIDTokenLifetime.D(),
		UIALifetime: set.UIASessionLifetime.D(), ValidationLifetime: set.ValidationLifetime.D(),
		AddressLog:        set.AddressLog.D(),
		PasswordMinLength: set.PasswordMinLength, PasswordMaxLength: set.PasswordMaxLength,
		Argon2:          account.Argon2{MemoryKiB: set.Argon2Memory, Time: set.Argon2Time, Threads: set.Argon2Threads},
		HashConcurrency: cmp.Or(set.HashConcurrency, runtime.GOMAXPROCS(0)),
		WrongPasswords:  s.limiter(set.RateLoginFailed),
		Messages:        s.limiter(set.RateMail),
		HideDeactivated: set.DeactivatedLogin == "hide", BaseURL: s.baseURL, Mail: sender, Identity: ids,
		TokenChecked: s.metrics.TokenCheck,
		// Whoever waits with a session looks whether it is still there.
		Forgotten: func(user matrix.UserID) { s.Hub.Rouse(user) },
	}
	opts.Reserved = set.NoticesUser
	opts.Renaming = func(tx *storage.Tx, user matrix.UserID) error { return s.Rooms.Renaming(tx, user) }
	opts.Renamed = func(user matrix.UserID) {
		s.Rooms.Renamed()
		if s.presence != nil {
			s.presence.Renamed(user)
		}
	}
	if set.SMSGateway != "" {
		opts.SendText = textSender(out, set.SMSGateway)
	}
	return opts
}

// trusted is the system's certificates and those in a file; nil, for the
// system's alone, where there is no file.
func trusted(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no pool is the system's pool
	}
	pem, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("trusted-ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("trusted-ca: %s has no certificates in PEM", path)
	}
	return pool, nil
}
