package storage

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Tx is a transaction. Its methods, one file per noun, are the statements of
// this program. It must not be used after the function it was given to has
// returned, nor by two goroutines.
//
// Texts are kept as both engines can have them: a NUL or a byte that is no UTF-8
// becomes U+FFFD, in what is stored as in what is looked for.
type Tx struct {
	ctx     context.Context
	q       querier
	dialect dialect
	// failed is why no more statements run. PostgreSQL aborts a transaction at its
	// first failure, SQLite may have rolled it back: neither may be left by half.
	failed error

	view bool  // it cannot write, and sees one state of the database
	seen int64 // the position of that state, once somebody has asked

	statements int64 // that it has run

	pos      int64 // the last position that is this transaction's
	reserved int64 // how many positions up to pos are reserved and not taken
	changes  []Change
}

// errTxOver is what a transaction answers after its end.
var errTxOver = errors.New("the transaction is over")

// do runs fn and ends the transaction's use.
func (tx *Tx) do(fn func(*Tx) error) error {
	defer func() { tx.failed = errTxOver }()
	if err := fn(tx); err != nil {
		return err
	}
	if tx.failed == nil && tx.reserved != 0 {
		return errors.New("positions were reserved and not taken")
	}
	return tx.failed
}

// check notes a failure of the engine and returns it with its name.
func (tx *Tx) check(err error) error {
	if err == nil {
		return nil
	}
	tx.failed = wrap(err)
	return tx.failed
}

// exec runs a statement and returns how many rows it changed.
func (tx *Tx) exec(query string, args ...any) (int64, error) {
	if tx.failed != nil {
		return 0, tx.failed
	}
	tx.statements++
	res, err := tx.q.ExecContext(tx.ctx, query, clean(args)...)
	if err != nil {
		return 0, tx.check(err)
	}
	n, err := res.RowsAffected()
	return n, tx.check(err)
}

// run is exec for callers that do not care about the number of rows.
func (tx *Tx) run(query string, args ...any) error {
	_, err := tx.exec(query, args...)
	return err
}

func (tx *Tx) query(query string, args []any) (*sql.Rows, error) {
	if tx.failed != nil {
		return nil, tx.failed
	}
	tx.statements++
	rows, err := tx.q.QueryContext(tx.ctx, query, clean(args)...)
	return rows, tx.check(err)
}

// one runs a query for one row and scans it, or returns [ErrNotFound].
func (tx *Tx) one(query string, args []any, dest ...any) error {
	rows, err := tx.query(query, args)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return tx.check(err)
		}
		return ErrNotFound
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	return tx.check(rows.Close())
}

// scanner is the part of [sql.Rows] that a noun's scan function needs.
type scanner interface{ Scan(dest ...any) error }

// all runs a query and makes a T of each row with scan. No rows are an empty
// slice, not an error.
func all[T any](tx *Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.query(query, args)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, tx.check(rows.Err())
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

// clean makes the texts among args such as both engines store.
func clean(args []any) []any {
	for i, arg := range args {
		if null, ok := arg.(sql.NullString); ok && !storable(null.String) {
			args[i] = sql.NullString{String: cleanText(null.String), Valid: null.Valid}
		} else if v := reflect.ValueOf(arg); v.Kind() == reflect.String && !storable(v.String()) {
			args[i] = cleanText(v.String())
		}
	}
	return args
}

func storable(text string) bool { return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 }

func cleanText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// null turns "" into NULL.
func null(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// nullInt turns 0 into NULL; the columns it is for hold times and positions,
// which are never 0.
func nullInt[T ~int64](n T) sql.NullInt64 { return sql.NullInt64{Int64: int64(n), Valid: n != 0} }
