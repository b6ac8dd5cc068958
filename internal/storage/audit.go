package storage

import (
	"crypto/rand"

	"lethe/internal/matrix"
)

// Audit is a row of audit_log, which is only ever added to.
type Audit struct {
	ID     string // set by [Tx.AddAudit]
	At     matrix.Timestamp
	Actor  string // "self", "admin:@user:server", "appservice:id", "operator", "server"
	Action string // what was done, as "account.deactivate"
	Target matrix.UserID
	Detail string // JSON, "" for none
}

// AddAudit adds a row.
func (tx *Tx) AddAudit(a Audit) error {
	if a.Detail == "" {
		a.Detail = "{}"
	}
	return tx.run(`INSERT INTO audit_log (id, at, actor, action, target, detail) VALUES ($1, $2, $3, $4, $5, $6)`,
		rand.Text(), a.At, a.Actor, a.Action, a.Target, a.Detail)
}

// AuditLog lists up to limit rows about target ("": anybody), latest first.
func (tx *Tx) AuditLog(target matrix.UserID, limit int) ([]Audit, error) {
	return all(tx, func(s scanner) (Audit, error) {
		var a Audit
		err := s.Scan(&a.ID, &a.At, &a.Actor, &a.Action, &a.Target, &a.Detail)
		return a, err
	}, `SELECT id, at, actor, action, target, detail FROM audit_log
		WHERE ($1 = '' OR target = $1) ORDER BY at DESC, id LIMIT $2`, target, limit)
}
