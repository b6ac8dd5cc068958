package account

import (
	"context"
	"crypto/rand"
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

// maxDeviceID bounds the device ids that clients make up, in bytes.
const maxDeviceID = 255

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
