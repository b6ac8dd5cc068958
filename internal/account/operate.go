package account

import (
	"context"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// List lists accounts by user id, for operators.
func (s *Service) List(ctx context.Context, f storage.UserFilter) (list []storage.Account, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		list, err = tx.Users(f)
		return err
	})
	return list, err
}

// AuditLog lists up to limit entries about user ("": anybody), latest first.
func (s *Service) AuditLog(ctx context.Context, user matrix.UserID, limit int) (list []storage.Audit, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		list, err = tx.AuditLog(user, limit)
		return err
	})
	return list, err
}

// Audit records what actor did to target, in the transaction that does it.
func (s *Service) Audit(tx *storage.Tx, actor, action string, target matrix.UserID) error {
	return tx.AddAudit(storage.Audit{At: s.now(), Actor: actor, Action: action, Target: target})
}

// AuditNow is Audit for what changes nothing.
func (s *Service) AuditNow(ctx context.Context, actor, action string, target matrix.UserID) error {
	return s.db.Update(ctx, func(tx *storage.Tx) error { return s.Audit(tx, actor, action, target) })
}
