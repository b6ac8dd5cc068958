package account

import (
	"context"
	"errors"
	"math"
	"strings"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Refresh replaces a refresh token and its access token (CS API, POST
// /refresh). The old pair works until one of the new is used, so that a client
// that did not get the answer can ask again; the pair of that earlier answer
// ends. A token that has expired is a soft logout: its device is still there.
func (s *Service) Refresh(ctx context.Context, token string) (Session, error) {
	unknown := matrix.Errorf(matrix.CodeUnknownToken, "This refresh token is not known, or was used.")
	hash, ok := parseToken(refreshToken, token)
	if !ok {
		return Session{}, unknown
	}
	var session Session
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		old, err := s.lockRefresh(tx, hash)
		if err != nil {
			return err
		}
		// Its own use ends what it replaced, and what an earlier answer brought that
		// nobody used.
		used, err := tx.Session(storage.Hash(old.AccessHash))
		if err == nil && used.Retires != nil {
			err = tx.RetireToken(storage.Hash(old.AccessHash), used.Retires)
		}
		if ignore(err, storage.ErrNotFound) != nil {
			return err
		}
		if old.SuccessorHash != nil {
			if err := tx.DropRefreshToken(old.SuccessorHash); err != nil {
				return err
			}
		}
		n := NewSession{DeviceID: old.DeviceID, RefreshToken: true, Lifetime: s.opts.AccessTokenLifetime}
		session, err = s.issue(tx, old.UserID, n, hash[:])
		return err
	})
	if errors.Is(err, storage.ErrNotFound) || matrix.CodeOf(err) == matrix.CodeUserDeactivated {
		return Session{}, unknown
	}
	if err != nil {
		return Session{}, err
	}
	s.Forget(session.UserID)
	return session, nil
}

// lockRefresh returns a refresh token that can be used, with its account locked:
// of two refreshes the second sees what the first did.
func (s *Service) lockRefresh(tx *storage.Tx, token tokenHash) (storage.RefreshToken, error) {
	old, err := tx.RefreshToken(token)
	if err != nil {
		return old, err
	}
	if _, err := s.lockUnlocked(tx, old.UserID); err != nil {
		return old, err
	}
	old, err = tx.RefreshToken(token)
	if err == nil && old.ExpiresAt != 0 && old.ExpiresAt <= s.now() {
		err = &matrix.Error{Code: matrix.CodeUnknownToken, Message: "This refresh token has expired.", SoftLogout: true}
	}
	return old, err
}

// Logout ends the session of who and deletes its device (CS API, POST /logout).
func (s *Service) Logout(ctx context.Context, who Requester) error {
	return s.DeleteDevices(ctx, who.UserID, []string{who.DeviceID}, nil)
}

// LogoutAll ends all sessions of user and deletes all devices (CS API, POST
// /logout/all).
func (s *Service) LogoutAll(ctx context.Context, user matrix.UserID) error {
	err := s.db.Update(ctx, func(tx *storage.Tx) error { return dropSessions(tx, user, "") })
	s.Forget(user) // after an error too: see Forget
	return err
}

// dropSessions ends all sessions of user but those of the device keep ("": none),
// and the login tokens with which others could still begin.
func dropSessions(tx *storage.Tx, user matrix.UserID, keep string) error {
	if err := tx.DropDevices(user, keep); err != nil {
		return err
	}
	_, err := tx.DeletePersonal("login_tokens", user, math.MaxInt32)
	return err
}

// Devices lists the devices of user, oldest first, each with when it was seen
// last: clients of old need that of the one that has just logged in, too.
func (s *Service) Devices(ctx context.Context, user matrix.UserID) (list []storage.Device, err error) {
	if err := s.flushSeen(ctx); err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		list, err = tx.Devices(user)
		return err
	})
	return list, err
}

var errNoDevice = matrix.Errorf(matrix.CodeNotFound, "You have no such device.")

// Device returns one device of user, or M_NOT_FOUND.
func (s *Service) Device(ctx context.Context, user matrix.UserID, device string) (d storage.Device, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		d, err = tx.Device(user, device)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return d, errNoDevice
	}
	return d, err
}

// EnsureDevice creates a device without a session, as application services do
// (Application Service API, Device management), and tells whether it is new.
func (s *Service) EnsureDevice(ctx context.Context, user matrix.UserID, device, name string) (created bool, err error) {
	if err := (NewSession{DeviceID: device, DeviceName: name}).check(); err != nil {
		return false, err
	}
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		_, err := tx.Device(user, device)
		if created = errors.Is(err, storage.ErrNotFound); !created {
			return err
		}
		return tx.EnsureDevice(storage.Device{UserID: user, DeviceID: device, DisplayName: name, CreatedAt: s.now()})
	})
	return created, err
}

// maxDeviceName bounds display names of devices, in bytes.
const maxDeviceName = 1024

func checkDeviceName(name string) error {
	if len(name) > maxDeviceName || strings.ContainsRune(name, 0) {
		return matrix.Errorf(matrix.CodeInvalidParam, "A device's name may have at most %d bytes, and no NUL.", maxDeviceName)
	}
	return nil
}

// RenameDevice sets the display name of a device of user, or M_NOT_FOUND.
func (s *Service) RenameDevice(ctx context.Context, user matrix.UserID, device, name string) error {
	if err := checkDeviceName(name); err != nil {
		return err
	}
	err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.RenameDevice(user, device, name) })
	if errors.Is(err, storage.ErrNotFound) {
		return errNoDevice
	}
	return err
}

// DeleteDevices deletes devices of user, with their sessions; those that are
// not there are passed over. inTx, if not nil, runs in the same transaction.
func (s *Service) DeleteDevices(ctx context.Context, user matrix.UserID, devices []string, inTx func(*storage.Tx) error) error {
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if inTx != nil {
			if err := inTx(tx); err != nil {
				return err
			}
		}
		return dropNamed(tx, user, devices)
	})
	s.Forget(user) // after an error too: see Forget
	return err
}

// dropNamed deletes those of devices that are there. A request may name any number
// of others, for which the store need not be kept busy.
func dropNamed(tx *storage.Tx, user matrix.UserID, devices []string) error {
	named := make(map[string]bool, len(devices))
	for _, device := range devices {
		named[device] = true
	}
	there, err := tx.Devices(user)
	if err != nil {
		return err
	}
	for _, d := range there {
		if !named[d.DeviceID] {
			continue
		}
		if err := tx.DropDevice(user, d.DeviceID); err != nil {
			return err
		}
	}
	return nil
}

// PasswordChange says what password to set.
type PasswordChange struct {
	User     matrix.UserID
	Password string
	// Logout deletes all devices but Keep ("": none).
	Logout bool
	Keep   string
	// RefuseLocked is for what the owner does, not an administrator.
	RefuseLocked bool
	// InTx runs in the same transaction; may be nil.
	InTx func(*storage.Tx) error
}

// ChangePassword replaces a password (CS API, POST /account/password).
func (s *Service) ChangePassword(ctx context.Context, c PasswordChange) error {
	hash, err := s.HashPassword(ctx, c.Password)
	if err != nil {
		return err
	}
	lock := s.lockLive
	if c.RefuseLocked {
		lock = s.lockUnlocked
	}
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := lock(tx, c.User); err != nil {
			return err
		}
		if c.InTx != nil {
			if err := c.InTx(tx); err != nil {
				return err
			}
		}
		if err := tx.SetPasswordHash(c.User, hash); err != nil {
			return err
		}
		// What the old password has proved is void.
		if _, err := tx.DeletePersonal("uia_sessions", c.User, math.MaxInt32); err != nil || !c.Logout {
			return err
		}
		return dropSessions(tx, c.User, c.Keep)
	})
	s.Forget(c.User) // after an error too: see Forget
	return err
}

// HashPassword checks the length of a new password and hashes it.
func (s *Service) HashPassword(ctx context.Context, password string) (string, error) {
	if err := s.CheckNewPassword(password); err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password)
}
