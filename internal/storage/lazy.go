package storage

import (
	"context"
	"database/sql"
)

// lazy is a transaction that begins with its first statement: what finds all it
// needs in memory has no connection to wait for, and nothing to send.
type lazy struct {
	begin func() (querier, error)
	q     querier
}

func (l *lazy) started() error {
	if l.q != nil {
		return nil
	}
	q, err := l.begin()
	if err == nil {
		l.q = q
	}
	return err
}

// ExecContext is that of [querier].
func (l *lazy) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := l.started(); err != nil {
		return nil, err
	}
	return l.q.ExecContext(ctx, query, args...)
}

// QueryContext is that of [querier].
func (l *lazy) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := l.started(); err != nil {
		return nil, err
	}
	return l.q.QueryContext(ctx, query, args...)
}
