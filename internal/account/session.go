package account

import (
	"context"
	"errors"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Refresh replaces a refresh token and its access token (CS API, POST
// /refresh). The old pair works until the new one is used, so that a client that
// did not get the answer can ask again; the pair of that earlier answer ends.
func (s *Service) Refresh(ctx context.Context, token string) (Session, error) {
	// Not a soft logout: the session has no other way back.
	unknown := matrix.Errorf(matrix.CodeUnknownToken, "This refresh token is not known, was used, or has expired.")
	hash, ok := parseToken(refreshToken, token)
	if !ok {
		return Session{}, unknown
	}
	var session Session
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		old, err := tx.RefreshToken(hash)
		if err != nil {
			return err
		}
		if _, err := s.lockLive(tx, old.UserID); err != nil {
			return storage.ErrNotFound // it ended between the two reads
		}
		// With the account locked: what another refresh did is seen here.
		if old, err = tx.RefreshToken(hash); err != nil {
			return err
		}
		if old.ExpiresAt != 0 && old.ExpiresAt <= s.now() {
			return storage.ErrNotFound
		}
		if old.SuccessorHash != nil {
			if err := tx.DropRefreshToken(old.SuccessorHash); err != nil {
				return err
			}
		}
		session, err = s.issue(tx, old.UserID, old.DeviceID, true, hash[:])
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return Session{}, unknown
	}
	if err != nil {
		return Session{}, err
	}
	s.Forget(session.UserID)
	return session, nil
}

// Logout ends the session of who and deletes its device (CS API, POST /logout).
func (s *Service) Logout(ctx context.Context, who Requester) error {
	return s.DeleteDevices(ctx, who.UserID, []string{who.DeviceID}, nil)
}

// LogoutAll ends all sessions of user and deletes all devices (CS API, POST
// /logout/all).
func (s *Service) LogoutAll(ctx context.Context, user matrix.UserID) error {
	err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.DropDevices(user, "") })
	if err == nil {
		s.Forget(user)
	}
	return err
}

// Devices lists the devices of user, oldest first.
func (s *Service) Devices(ctx context.Context, user matrix.UserID) (list []storage.Device, err error) {
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
	if err := checkDeviceID(device); err != nil {
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

// RenameDevice sets the display name of a device of user, or M_NOT_FOUND.
func (s *Service) RenameDevice(ctx context.Context, user matrix.UserID, device, name string) error {
	if len(name) > maxDeviceName {
		return matrix.Errorf(matrix.CodeTooLarge, "A device's name may have at most %d bytes.", maxDeviceName)
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
		for _, device := range devices {
			if err := tx.DropDevice(user, device); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.Forget(user)
	}
	return err
}

// ChangePassword replaces the password of user (CS API, POST
// /account/password). With logout, all devices but keep ("": none) are deleted.
// inTx runs in the same transaction.
func (s *Service) ChangePassword(ctx context.Context, user matrix.UserID, password string, logout bool, keep string, inTx func(*storage.Tx) error) error {
	hash, err := s.HashPassword(ctx, password)
	if err != nil {
		return err
	}
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		if inTx != nil {
			if err := inTx(tx); err != nil {
				return err
			}
		}
		if err := tx.SetPasswordHash(user, hash); err != nil || !logout {
			return err
		}
		return tx.DropDevices(user, keep)
	})
	if err == nil {
		s.Forget(user)
	}
	return err
}

// HashPassword checks the length of a new password and hashes it.
func (s *Service) HashPassword(ctx context.Context, password string) (string, error) {
	if err := s.checkNewPassword(password); err != nil {
		return "", err
	}
	return s.hasher.hash(ctx, password)
}
