package storage

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// stmtCache keeps prepared statements by their text. The texts are constants of
// this program, so it does not grow for ever.
type stmtCache struct {
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

func (c *stmtCache) get(query string) *sql.Stmt {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.stmts[query]
}

// put stores stmt unless another goroutine was quicker, and returns the one to
// use.
func (c *stmtCache) put(query string, stmt *sql.Stmt) *sql.Stmt {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.stmts[query]; other != nil {
		_ = stmt.Close()
		return other
	}
	if c.stmts == nil {
		c.stmts = map[string]*sql.Stmt{}
	}
	c.stmts[query] = stmt
	return stmt
}

func (c *stmtCache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, stmt := range c.stmts {
		errs = append(errs, stmt.Close())
	}
	c.stmts = nil
	return errors.Join(errs...)
}

// preparer is a querier that prepares each statement once: parsing is half the
// cost of a small SQLite statement.
type preparer struct {
	cache   *stmtCache
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
}

func (p preparer) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	stmt := p.cache.get(query)
	if stmt == nil {
		made, err := p.prepare(ctx, query)
		if err != nil {
			return nil, err
		}
		stmt = p.cache.put(query, made)
	}
	return stmt, nil
}

func (p preparer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (p preparer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}
