package account

import (
	"context"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Connections lists from where user was seen, latest first (CS API, GET
// /admin/whois).
func (s *Service) Connections(ctx context.Context, user matrix.UserID) (list []storage.Connection, err error) {
	if err := s.flushSeen(ctx); err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		list, err = tx.Connections(user)
		return err
	})
	return list, err
}

// Restriction is what a server administrator lays on an account.
type Restriction string

// The restrictions (CS API, Account moderation).
const (
	Locked    Restriction = "locked"
	Suspended Restriction = "suspended"
)

// Restricted tells whether a restriction lies on target. Only an administrator,
// by, may know; not of other administrators (CS API, Server administration).
func (s *Service) Restricted(ctx context.Context, by Requester, target matrix.UserID, r Restriction) (bool, error) {
	a, err := s.moderated(ctx, by, target)
	if r == Suspended {
		return a.SuspendedAt != 0, err
	}
	return a.LockedAt != 0, err
}

// Restrict lays a restriction on target, or lifts it.
func (s *Service) Restrict(ctx context.Context, by Requester, target matrix.UserID, r Restriction, on bool) error {
	if by.Admin && by.UserID == target {
		return matrix.Errorf(matrix.CodeForbidden, "You cannot do this to your own account.")
	}
	if _, err := s.moderated(ctx, by, target); err != nil {
		return err
	}
	var at matrix.Timestamp
	if on {
		at = s.now()
	}
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, target); err != nil {
			return errNoTarget
		}
		action := "account.lift-" + string(r)
		if on {
			action = "account." + string(r)
		}
		audit := storage.Audit{At: s.now(), Actor: "admin:" + string(by.UserID), Action: action, Target: target}
		if err := tx.AddAudit(audit); err != nil {
			return err
		}
		if r == Suspended {
			return tx.SetSuspended(target, at)
		}
		return tx.SetLocked(target, at)
	})
	s.Forget(target) // after an error too: see Forget
	return err
}

var errNoTarget = matrix.Errorf(matrix.CodeNotFound, "There is no such user, or the account has been deactivated.")

// moderated returns the account of target if by may moderate it. Whether by is
// an administrator is looked at before anything about the target.
func (s *Service) moderated(ctx context.Context, by Requester, target matrix.UserID) (storage.Account, error) {
	if !by.Admin {
		return storage.Account{}, matrix.Errorf(matrix.CodeForbidden, "Only server administrators may do this.")
	}
	if target.Server() != s.opts.ServerName {
		return storage.Account{}, matrix.Errorf(matrix.CodeInvalidParam, "This is not a user of this server.")
	}
	a, err := s.Account(ctx, target)
	if matrix.CodeOf(err) == matrix.CodeNotFound || err == nil && a.DeactivatedAt != 0 {
		return a, errNoTarget
	}
	if err == nil && a.Admin && by.UserID != target {
		err = matrix.Errorf(matrix.CodeForbidden, "You cannot do this to another administrator.")
	}
	return a, err
}
