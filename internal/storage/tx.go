package storage

import (
	"context"
	"database/sql"

	"github.com/go-json-experiment/json"
)

// Tx is a transaction. Its methods, one file per noun, are the statements of
// this program. It must not be used after the function it was given to has
// returned, nor by two goroutines.
type Tx struct {
	ctx     context.Context
	q       querier
	dialect dialect
}

// exec runs a statement and returns how many rows it changed.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	res, err := tx.q.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, wrap(err)
	}
	n, err := res.RowsAffected()
	return n, wrap(err)
}

// run is exec for callers that do not care about the number of rows.
func (tx *Tx) run(query string, args ...any) error {
	_, err := tx.exec(query, args...)
	return err
}

// one runs a query for one row and scans it, or returns [ErrNotFound].
func (tx *Tx) one(query string, args []any, dest ...any) error {
	rows, err := tx.q.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return wrap(err)
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return wrap(err)
		}
		return ErrNotFound
	}
	if err := rows.Scan(dest...); err != nil {
		return wrap(err)
	}
	return wrap(rows.Close())
}

// scanner is the part of [sql.Rows] that a noun's scan function needs.
type scanner interface{ Scan(dest ...any) error }

// all runs a query and makes a T of each row with scan. No rows are an empty
// slice, not an error.
func all[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.q.QueryContext(tx.ctx, query, args...)
	if err != nil {
		return nil, wrap(err)
	}
	defer func() { _ = rows.Close() }()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, wrap(err)
		}
		list = append(list, v)
	}
	return list, wrap(rows.Err())
}

// first runs a query and makes a T of its first row with scan, or returns
// [ErrNotFound].
func first[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	var v T
	list, err := all(tx, scan, query, args...)
	if err != nil {
		return v, err
	}
	if len(list) == 0 {
		return v, ErrNotFound
	}
	return list[0], nil
}

// NextPos moves the server's stream position by one and returns it. Positions
// become visible in their order: the row stays locked until the commit.
func (tx *Tx) NextPos() (int64, error) {
	var pos int64
	err := tx.one(`UPDATE stream SET pos = pos + 1 WHERE id = 1 RETURNING pos`, nil, &pos)
	return pos, err
}

// jsonList encodes strings as a JSON array; it cannot fail.
func jsonList(s []string) string {
	if s == nil {
		return "[]"
	}
	b, _ := json.Marshal(s)
	return string(b)
}

// null turns "" into NULL.
func null(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// nullInt turns 0 into NULL; the columns it is for hold times and positions,
// which are never 0.
func nullInt[T ~int64](n T) sql.NullInt64 { return sql.NullInt64{Int64: int64(n), Valid: n != 0} }
