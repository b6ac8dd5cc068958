package account

import (
	"context"
	"errors"
	"net/http"

	"lethe/internal/identity"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Threepids lists the identifiers of user.
func (s *Service) Threepids(ctx context.Context, user matrix.UserID) (list []storage.ThreepidRow, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		list, err = tx.Threepids(user)
		return err
	})
	return list, err
}

// AddProven gives user the address that a complete validation proved, and ends
// the validation. inTx runs in the same transaction; may be nil.
func (s *Service) AddProven(ctx context.Context, user matrix.UserID, sid, secret string, inTx func(*storage.Tx) error) error {
	v, err := s.Proven(ctx, sid, secret)
	if err != nil {
		return err
	}
	if v.Purpose != storage.ForAdd || v.UserID != "" && v.UserID != user {
		return matrix.Errorf(matrix.CodeThreePIDAuthFailed, "This address was validated for something else.")
	}
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		if inTx != nil {
			if err := inTx(tx); err != nil {
				return err
			}
		}
		if err := tx.DropValidation(sid); err != nil {
			return err
		}
		return s.AddThreepid(tx, user, ProvenThreepid{Threepid: v.Threepid, ValidatedAt: v.ValidatedAt})
	})
}

// AddThreepid stores an identifier of user in a transaction of the caller's. One
// that another account has is M_THREEPID_IN_USE.
func (s *Service) AddThreepid(tx *storage.Tx, user matrix.UserID, pid ProvenThreepid) error {
	err := tx.AddThreepid(storage.ThreepidRow{
		Threepid: pid.Threepid, UserID: user, ValidatedAt: pid.ValidatedAt, AddedAt: s.now(),
	})
	if !errors.Is(err, storage.ErrExists) {
		return err
	}
	owner, err := tx.ThreepidOwner(pid.Threepid)
	if err == nil && owner != user {
		err = matrix.Errorf(matrix.CodeThreePIDInUse, "An account on this server has this address already.")
	}
	return err
}

// Bind publishes an identifier of user at an identity server, which has
// validated it in the session sid (CS API, POST /account/3pid/bind). Where it
// was bound is remembered first: an ending finds it although this process may
// die during the call.
func (s *Service) Bind(ctx context.Context, user matrix.UserID, server matrix.ServerName, accessToken, sid, secret string) error {
	pid, err := s.opts.Identity.Validated(ctx, server, accessToken, sid, secret)
	if err != nil {
		return bindError(err)
	}
	var fresh bool
	err = s.db.Update(ctx, func(tx *storage.Tx) (err error) {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		fresh, err = tx.AddBinding(storage.Binding{Threepid: pid, UserID: user, IDServer: server, BoundAt: s.now()})
		return err
	})
	if err != nil {
		return err
	}
	refused := s.opts.Identity.Bind(ctx, server, accessToken, sid, secret, user)
	if fresh && errors.Is(refused, identity.ErrRefused) {
		err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.DropBinding(user, pid, server) })
		if err != nil {
			return err
		}
	}
	if refused == nil {
		return s.overtaken(ctx, user, server, pid)
	}
	return bindError(refused)
}

// overtaken has a bind taken back whose account has ended meanwhile: the ending
// may have unbound it before it was bound.
func (s *Service) overtaken(ctx context.Context, user matrix.UserID, server matrix.ServerName, pid matrix.Threepid) error {
	ctx = context.WithoutCancel(ctx)
	a, err := s.Account(ctx, user)
	if err != nil || a.DeactivatedAt == 0 {
		return err
	}
	if err := s.opts.BoundTooLate(ctx, user, server, pid); err != nil {
		return err
	}
	return errUnknownToken
}

// bindError tells a client what the identity server said.
func bindError(err error) error {
	var status *identity.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status) && errors.Is(err, identity.ErrRefused):
		code := status.Code
		if code == "" {
			code = matrix.CodeUnknown
		}
		return matrix.Errorf(code, "The identity server refused this.").WithStatus(http.StatusBadRequest).Because(err)
	}
	return matrix.Errorf(matrix.CodeUnknown, "The identity server could not be asked.").
		WithStatus(http.StatusBadGateway).Because(err)
}

// Unbind takes back associations of an identifier of user at one identity
// server, or with server "" at all where it was bound. It returns true if none is
// left. What could not be unbound is remembered, and tried again when the
// account ends.
func (s *Service) Unbind(ctx context.Context, user matrix.UserID, pid matrix.Threepid, server matrix.ServerName) (bool, error) {
	servers := []matrix.ServerName{server}
	if server == "" {
		var err error
		if servers, err = s.boundAt(ctx, user, pid); err != nil {
			return false, err
		}
		if len(servers) == 0 {
			// CS API: no-support where the server does not know where it was bound.
			return false, nil
		}
	}
	all := true
	for _, server := range servers {
		if err := s.opts.Identity.Unbind(ctx, server, user, pid); err != nil {
			s.log.Warn("unbind", "server", server, "error", err)
			all = false
			continue
		}
		err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.DropBinding(user, pid, server) })
		if err != nil {
			return false, err
		}
	}
	return all, nil
}

func (s *Service) boundAt(ctx context.Context, user matrix.UserID, pid matrix.Threepid) (servers []matrix.ServerName, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) error {
		servers = nil
		bindings, err := tx.Bindings(user)
		for _, b := range bindings {
			if b.Threepid == pid {
				servers = append(servers, b.IDServer)
			}
		}
		return err
	})
	return servers, err
}

// DeleteThreepid takes an identifier from the account and unbinds it. It returns
// whether it could be unbound everywhere.
func (s *Service) DeleteThreepid(
	ctx context.Context, user matrix.UserID, pid matrix.Threepid, server matrix.ServerName,
) (bool, error) {
	err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.DropThreepid(user, pid) })
	if err != nil {
		return false, err
	}
	return s.Unbind(ctx, user, pid, server)
}
