package account

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// NewSession says what session to begin: at login and at registration.
type NewSession struct {
	DeviceID     string // "": the server makes one up
	DeviceName   string // for a device that is new
	RefreshToken bool   // the client can refresh access tokens
	// Lifetime is that of a session without refresh token; 0: it does not expire.
	Lifetime time.Duration
}

// Session is what a client gets when a session begins, or is refreshed.
type Session struct {
	UserID       matrix.UserID
	DeviceID     string
	AccessToken  string
	RefreshToken string        // "": none
	ExpiresIn    time.Duration // of the access token; 0: never
}

// Identifier names an account at login (CS API, Identifier types).
type Identifier struct {
	User    string // m.id.user: a user id or its localpart
	Medium  string // m.id.thirdparty
	Address string
}

// maxDeviceID bounds the device ids that clients make up, in bytes.
const maxDeviceID = 255

// Resolve returns the account that id names, "" if there is none. It does not
// tell whether the account exists.
func (s *Service) Resolve(ctx context.Context, id Identifier) (matrix.UserID, error) {
	if id.User != "" {
		return s.asRegistered(ctx, s.userOf(id.User))
	}
	pid, err := matrix.ParseThreepid(id.Medium, id.Address)
	if err != nil {
		return "", nil //nolint:nilerr // an address that cannot be is nobody's
	}
	var user matrix.UserID
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		user, err = tx.ThreepidOwner(pid)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return user, err
}

// userOf completes a localpart; "" stands for a user of another server, or for
// no user id at all.
func (s *Service) userOf(name string) matrix.UserID {
	if len(name) > 0 && name[0] != '@' {
		name = string(matrix.NewUserID(name, s.opts.ServerName))
	}
	user, err := matrix.ParseUserID(name)
	if err != nil || user.Server() != s.opts.ServerName {
		return ""
	}
	return user
}

// asRegistered is user as [Localpart] mapped the name that somebody chose, unless
// there is an account of exactly that name: those of old have upper-case letters.
func (s *Service) asRegistered(ctx context.Context, user matrix.UserID) (matrix.UserID, error) {
	mapped := matrix.NewUserID(Localpart(user.Localpart()), user.Server())
	if user == "" || mapped == user {
		return user, nil
	}
	_, err := s.Account(ctx, user)
	if matrix.CodeOf(err) == matrix.CodeNotFound {
		return mapped, nil
	}
	return user, err
}

// PasswordProof says that somebody gave the password that an account has, until
// that changes.
type PasswordProof struct {
	user matrix.UserID
	hash tokenHash // of what is stored of the password
}

// Holds refuses the proof once the password is another, or the account has
// ended. What the proof is for calls it in its transaction: a password can be
// changed while it is checked.
func (p PasswordProof) Holds(tx *storage.Tx) error {
	a, err := tx.LockAccount(p.user)
	switch {
	case err != nil:
		return err
	case a.DeactivatedAt != 0:
		return errDeactivated
	case hashOf(a.PasswordHash) != p.hash:
		return errWrongPassword
	}
	return nil
}

// CheckOwnPassword tells whether password is that of user, who is signed in. A
// wrong one is 403 M_FORBIDDEN, and after too many it is M_LIMIT_EXCEEDED. They
// are counted apart from those of who is not signed in: no stranger keeps people
// from ending their accounts.
func (s *Service) CheckOwnPassword(ctx context.Context, user matrix.UserID, password string) (PasswordProof, error) {
	return s.tryPassword(ctx, "signed in "+string(user), user, password)
}

// tryPassword is checkPassword with the wrong ones counted against key.
func (s *Service) tryPassword(
	ctx context.Context, key string, user matrix.UserID, password string,
) (proof PasswordProof, err error) {
	err = s.limitWrong(key, func() (err error) {
		proof, err = s.checkPassword(ctx, user, password)
		return err
	})
	return proof, err
}

// limitWrong counts the wrong guesses that check finds against key.
func (s *Service) limitWrong(key string, check func() error) error {
	if wait, yes := s.opts.WrongPasswords.Exhausted(key); yes {
		e := matrix.Errorf(matrix.CodeLimitExceeded, "That was wrong too often. Wait a moment.")
		e.RetryAfter = wait
		return e
	}
	err := check()
	if errors.Is(err, errWrongPassword) || errors.Is(err, errBadRegToken) {
		s.opts.WrongPasswords.Allow(key)
	}
	return err
}

// checkPassword tells whether password is user's. A wrong one, a user who is not
// there ("" too) and an account without a password take equally long and are 403
// M_FORBIDDEN; an account that has ended is M_USER_DEACTIVATED whatever the
// password, since none is kept.
func (s *Service) checkPassword(ctx context.Context, user matrix.UserID, password string) (PasswordProof, error) {
	a, err := s.Account(ctx, user)
	if err != nil && matrix.CodeOf(err) != matrix.CodeNotFound {
		return PasswordProof{}, err
	}
	if a.DeactivatedAt != 0 && !s.opts.HideDeactivated {
		return PasswordProof{}, errDeactivated
	}
	if len(password) > s.opts.PasswordMaxLength {
		return PasswordProof{}, errWrongPassword
	}
	match, stale, err := s.hasher.check(ctx, a.PasswordHash, password)
	if err != nil {
		return PasswordProof{}, err
	}
	if !match {
		return PasswordProof{}, errWrongPassword
	}
	stored := a.PasswordHash
	if stale {
		if stored, err = s.rehash(ctx, a, password); err != nil {
			s.log.Warn("password hash not renewed; the next login tries again", "error", err)
		}
	}
	return PasswordProof{user, hashOf(stored)}, nil
}

// rehash replaces a hash that was made with other parameters, unless the
// password has changed meanwhile. It returns the one that is stored for this
// password then, or was.
func (s *Service) rehash(ctx context.Context, a storage.Account, password string) (stored string, err error) {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return a.PasswordHash, err
	}
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		stored = a.PasswordHash
		now, err := tx.LockAccount(a.UserID)
		if err != nil || now.PasswordHash != a.PasswordHash {
			return err
		}
		stored = hash
		return tx.SetPasswordHash(a.UserID, hash)
	})
	if err != nil {
		return a.PasswordHash, err
	}
	return stored, nil
}

// LoginPassword begins a session for who knows the password.
func (s *Service) LoginPassword(ctx context.Context, id Identifier, password string, n NewSession) (Session, error) {
	user, err := s.Resolve(ctx, id)
	if err != nil {
		return Session{}, err
	}
	key := string(user)
	if user == "" {
		key = id.Medium + " " + id.Address // limited as those that somebody has
	}
	proof, err := s.tryPassword(ctx, key, user, password)
	if err != nil {
		return Session{}, err
	}
	return s.login(ctx, user, n, proof.Holds)
}

// Login begins a session for user, who has been authenticated by the caller. An
// ended account is refused, and a locked one: it cannot have a new access token
// (CS API, Soft logout).
func (s *Service) Login(ctx context.Context, user matrix.UserID, n NewSession) (Session, error) {
	return s.login(ctx, user, n, func(*storage.Tx) error { return nil })
}

// login is Login with a condition that has to hold in the transaction.
func (s *Service) login(
	ctx context.Context, user matrix.UserID, n NewSession, holds func(*storage.Tx) error,
) (Session, error) {
	if err := n.check(); err != nil {
		return Session{}, err
	}
	var session Session
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockUnlocked(tx, user); err != nil {
			return err
		}
		if err := holds(tx); err != nil {
			return err
		}
		var err error
		session, err = s.begin(tx, user, n)
		return err
	})
	if err != nil {
		return Session{}, s.hide(err)
	}
	s.Forget(user) // the device may have had a session before
	return session, nil
}

// check refuses a device that cannot be stored.
func (n NewSession) check() error {
	if err := checkDeviceID(n.DeviceID); err != nil {
		return err
	}
	return checkDeviceName(n.DeviceName)
}

func checkDeviceID(id string) error {
	if len(id) > maxDeviceID || strings.ContainsRune(id, 0) {
		return matrix.Errorf(matrix.CodeInvalidParam, "The device_id has more than %d bytes, or NUL in it.", maxDeviceID)
	}
	return nil
}

// begin begins a session on a device; the sessions that the device had end (CS
// API, Relationship between access tokens and devices). The caller has called
// lockLive.
func (s *Service) begin(tx *storage.Tx, user matrix.UserID, n NewSession) (Session, error) {
	if n.DeviceID == "" {
		n.DeviceID = rand.Text()[:10]
	}
	device := storage.Device{UserID: user, DeviceID: n.DeviceID, DisplayName: n.DeviceName, CreatedAt: s.now()}
	if err := tx.EnsureDevice(device); err != nil {
		return Session{}, err
	}
	if err := tx.DropDeviceTokens(user, n.DeviceID); err != nil {
		return Session{}, err
	}
	if n.RefreshToken {
		n.Lifetime = s.opts.AccessTokenLifetime
	}
	return s.issue(tx, user, n, nil)
}

// issue makes the tokens of a session. retires is the refresh token that they
// replace, nil for none.
func (s *Service) issue(tx *storage.Tx, user matrix.UserID, n NewSession, retires []byte) (Session, error) {
	now, device := s.now(), n.DeviceID
	access, accessHash := newToken(accessToken)
	session := Session{UserID: user, DeviceID: device, AccessToken: access, ExpiresIn: n.Lifetime}
	row := storage.AccessToken{Hash: accessHash, UserID: user, DeviceID: device, CreatedAt: now, Retires: retires}
	if n.Lifetime != 0 {
		row.ExpiresAt = now.Add(n.Lifetime)
	}
	if err := tx.CreateAccessToken(row); err != nil || !n.RefreshToken {
		return session, err
	}
	refresh, refreshHash := newToken(refreshToken)
	session.RefreshToken = refresh
	next := storage.RefreshToken{
		Hash: refreshHash, UserID: user, DeviceID: device, CreatedAt: now, AccessHash: accessHash[:],
	}
	if s.opts.RefreshTokenLifetime != 0 {
		next.ExpiresAt = now.Add(s.opts.RefreshTokenLifetime)
	}
	if err := tx.CreateRefreshToken(next); err != nil {
		return session, err
	}
	if retires != nil {
		return session, tx.SetSuccessor(storage.Hash(retires), refreshHash)
	}
	return session, nil
}

// CreateLoginToken makes a short-lived token with which another client of user
// can log in, once (CS API, POST /v1/login/get_token).
func (s *Service) CreateLoginToken(
	ctx context.Context, user matrix.UserID, inTx func(*storage.Tx) error,
) (string, time.Duration, error) {
	token, hash := newToken(loginToken)
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		if err := inTx(tx); err != nil {
			return err
		}
		return tx.CreateLoginToken(hash, user, s.now().Add(s.opts.LoginTokenLifetime))
	})
	return token, s.opts.LoginTokenLifetime, err
}

// LoginToken begins a session for who has a login token.
func (s *Service) LoginToken(ctx context.Context, token string, n NewSession) (Session, error) {
	unknown := matrix.Errorf(matrix.CodeForbidden, "This login token is not known, was used, or has expired.")
	hash, ok := parseToken(loginToken, token)
	if !ok {
		return Session{}, unknown
	}
	if err := n.check(); err != nil {
		return Session{}, err
	}
	var session Session
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		user, err := tx.LoginTokenUser(hash)
		if err != nil {
			return err
		}
		if _, err := s.lockUnlocked(tx, user); err != nil {
			return err
		}
		if _, err := tx.TakeLoginToken(hash, s.now()); err != nil {
			return err
		}
		session, err = s.begin(tx, user, n)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return Session{}, unknown
	}
	if err != nil {
		return Session{}, s.hide(err)
	}
	s.Forget(session.UserID)
	return session, nil
}

// CreateOpenIDToken makes a token with which a third party can learn, from this
// server, that its bearer is user (CS API, OpenID).
func (s *Service) CreateOpenIDToken(ctx context.Context, user matrix.UserID) (string, time.Duration, error) {
	token, hash := newToken(openIDToken)
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		return tx.CreateOpenIDToken(hash, user, s.now().Add(s.opts.OpenIDTokenLifetime))
	})
	return token, s.opts.OpenIDTokenLifetime, err
}

// OpenIDUser tells whom an OpenID token names, or M_UNKNOWN_TOKEN (Server-Server
// API, OpenID).
func (s *Service) OpenIDUser(ctx context.Context, token string) (matrix.UserID, error) {
	unknown := matrix.Errorf(matrix.CodeUnknownToken, "This OpenID token is not known or has expired.")
	hash, ok := parseToken(openIDToken, token)
	if !ok {
		return "", unknown
	}
	var user matrix.UserID
	err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
		user, err = tx.OpenIDUser(hash, s.now())
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return "", unknown
	}
	return user, err
}

// generatedLocalpart is the name of an account whose owner did not choose one:
// numbers, so that it looks like nobody's choice.
func generatedLocalpart() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	n := uint64(0)
	for _, b := range raw {
		n = n<<8 | uint64(b)
	}
	return strconv.FormatUint(n>>16, 10)
}
