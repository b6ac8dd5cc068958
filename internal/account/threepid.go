package account

import (
	"context"
	"errors"
	"time"

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

// BindTime is how long a request to bind can be under way: after it an identity
// server has done it, or never will.
const BindTime = 2 * time.Minute

// maxBindings is how many associations are remembered of a user. Each is a
// request to make when the account ends.
const maxBindings = 100

// Bind publishes an identifier of user at an identity server, which has
// validated it in the session sid (CS API, POST /account/3pid/bind). That it is
// under way is remembered first: an ending finds it although this process may
// die during the call, and unbinds it when it must have come out.
func (s *Service) Bind(ctx context.Context, user matrix.UserID, server matrix.ServerName, accessToken, sid, secret string) error {
	pid, err := s.opts.Identity.Validated(ctx, server, accessToken, sid, secret)
	if err != nil {
		return identity.Explain(err)
	}
	b := storage.Binding{Threepid: pid, UserID: user, IDServer: server, BoundAt: s.now()}
	var known bool
	err = s.db.Update(ctx, func(tx *storage.Tx) (err error) {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		if known, err = bindable(tx, b); err != nil {
			return err
		}
		return tx.PutBinding(b)
	})
	if err != nil {
		return err
	}
	bound, cancel := context.WithTimeout(ctx, BindTime/2)
	defer cancel()
	return s.settle(ctx, b, known, s.opts.Identity.Bind(bound, server, accessToken, sid, secret, user))
}

// bindable tells whether b is bound already, and refuses one more than there may
// be.
func bindable(tx *storage.Tx, b storage.Binding) (known bool, err error) {
	bindings, err := tx.Bindings(b.UserID)
	if err != nil {
		return false, err
	}
	for _, other := range bindings {
		if other.Threepid == b.Threepid && other.IDServer == b.IDServer {
			return other.SettledAt != 0, nil
		}
	}
	if len(bindings) >= maxBindings {
		return false, matrix.Errorf(matrix.CodeForbidden, "You have bound %d addresses. Unbind some first.", maxBindings)
	}
	return false, nil
}

// settle records how a request to bind came out. Where that is not known, since
// the identity server did not answer, it stays under way. One that was overtaken
// by the account's end is unbound by that.
func (s *Service) settle(ctx context.Context, b storage.Binding, known bool, result error) error {
	refused := errors.Is(result, identity.ErrRefused)
	if result != nil && !refused {
		return identity.Explain(result)
	}
	var live bool
	err := s.db.Update(context.WithoutCancel(ctx), func(tx *storage.Tx) (err error) {
		if refused && !known {
			return tx.DropBinding(b.UserID, b.Threepid, b.IDServer)
		}
		live, err = tx.SettleBinding(b, s.now()) // one that was known is as it was
		return err
	})
	switch {
	case err != nil:
		return err
	case refused:
		return identity.Explain(result)
	case !live:
		return errUnknownToken
	}
	return nil
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
