package account

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lethe/internal/identity"
	"lethe/internal/mail"
	"lethe/internal/matrix"
	"lethe/internal/ratelimit"
	"lethe/internal/storage"
)

// Options are the settings of a [Service]. What may be left out says so.
type Options struct {
	ServerName matrix.ServerName
	Now        func() time.Time
	Log        *slog.Logger

	AccessTokenLifetime  time.Duration // of sessions that can be refreshed
	RefreshTokenLifetime time.Duration // 0: for ever
	LoginTokenLifetime   time.Duration
	OpenIDTokenLifetime  time.Duration
	UIALifetime          time.Duration
	ValidationLifetime   time.Duration
	AddressLog           time.Duration // how long connections are kept

	PasswordMinLength int // characters
	PasswordMaxLength int // bytes
	Argon2            Argon2
	HashConcurrency   int
	// WrongPasswords limits wrong passwords for each account they are for, and
	// wrong registration tokens for each session; nil for no limit.
	WrongPasswords *ratelimit.Limiter

	// Messages limits validation messages, for each address they go to; nil for no
	// limit.
	Messages *ratelimit.Limiter

	// HideDeactivated answers a login to an ended account as one to an unknown
	// account, for operators who would rather not tell.
	HideDeactivated bool

	// BaseURL is where people reach this server, for links in mail, without a
	// slash at its end.
	BaseURL string
	// Mail sends validation messages; nil or not configured: there are none.
	Mail *mail.Sender
	// SendText sends a text message to a phone number; nil: there is no gateway.
	SendText func(ctx context.Context, number, text string) error
	// Identity is how identifiers are bound and unbound.
	Identity *identity.Client

	// TokenChecked is told how each token check ended ("cached", "read",
	// "refused"); nil for nobody.
	TokenChecked func(result string)
	// Forgotten is told of each call of [Service.Forget], after it has done its work;
	// nil for nobody. It does not block.
	Forgotten func(user matrix.UserID)
	// Renaming is told of each change of a display name or avatar in its transaction,
	// Renamed after it; nil for nobody.
	Renaming func(tx *storage.Tx, user matrix.UserID) error
	Renamed  func(user matrix.UserID)
	// Reserved is a localpart that no person gets, "" for none.
	Reserved string
}

// Service is what a person may do with an account. It is safe for concurrent
// use.
type Service struct {
	db     *storage.DB
	opts   Options
	log    *slog.Logger
	hasher *hasher
	tokens *tokenCache
	seen   *seenLog
}

// New makes the service on a database.
func New(db *storage.DB, opts Options) *Service {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.TokenChecked == nil {
		opts.TokenChecked = func(string) {}
	}
	if opts.Renaming == nil {
		opts.Renaming = func(*storage.Tx, matrix.UserID) error { return nil }
	}
	if opts.Renamed == nil {
		opts.Renamed = func(matrix.UserID) {}
	}
	return &Service{
		db: db, opts: opts, log: opts.Log,
		hasher: newHasher(opts.Argon2, opts.HashConcurrency),
		tokens: newTokenCache(),
		seen:   newSeenLog(),
	}
}

// ServerName is the name of this server.
func (s *Service) ServerName() matrix.ServerName { return s.opts.ServerName }

func (s *Service) now() matrix.Timestamp { return matrix.TimestampOf(s.opts.Now()) }

// Account returns the account of user, ended or not, or M_NOT_FOUND.
func (s *Service) Account(ctx context.Context, user matrix.UserID) (storage.Account, error) {
	var a storage.Account
	err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
		a, err = tx.Account(user)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return a, matrix.Errorf(matrix.CodeNotFound, "There is no user %s on this server.", user)
	}
	return a, err
}

var errDeactivated = matrix.Errorf(matrix.CodeUserDeactivated, "This account has been deactivated.")

// hide makes a wrong password of errDeactivated, where the operator would rather
// not tell those who log in.
func (s *Service) hide(err error) error {
	if s.opts.HideDeactivated && matrix.CodeOf(err) == matrix.CodeUserDeactivated {
		return errWrongPassword
	}
	return err
}

// errWrongPassword does not tell which of the two was wrong (CS API, POST
// /login: 403 M_FORBIDDEN).
var errWrongPassword = matrix.Errorf(matrix.CodeForbidden, "The username or password is wrong.")

// lockLive is what every transaction that makes a credential begins with: it
// keeps the account as it is until the commit, and refuses an ended one. That
// is why no credential survives an ending.
func (s *Service) lockLive(tx *storage.Tx, user matrix.UserID) (storage.Account, error) {
	a, err := tx.LockAccount(user)
	if errors.Is(err, storage.ErrNotFound) {
		return a, errWrongPassword
	}
	if err == nil && a.DeactivatedAt != 0 {
		return a, errDeactivated
	}
	return a, err
}

// ErrLocked is what an account that an administrator has locked is told (CS API,
// Account locking).
var ErrLocked = &matrix.Error{
	Code: matrix.CodeUserLocked, Message: "This account has been locked.", SoftLogout: true,
}

// lockUnlocked is lockLive for what a locked account may not have.
func (s *Service) lockUnlocked(tx *storage.Tx, user matrix.UserID) (storage.Account, error) {
	a, err := s.lockLive(tx, user)
	if err == nil && a.LockedAt != 0 {
		err = ErrLocked
	}
	return a, err
}

// BaseURL is where people reach this server.
func (s *Service) BaseURL() string { return s.opts.BaseURL }
