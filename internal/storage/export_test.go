package storage

import (
	"context"
	"database/sql"
	"testing"
	"time"
)

// Hook has SQLite's writer call before with each statement before it runs; an
// error of before is the statement's error. Set it while nothing runs.
func Hook(db *DB, before func(query string) error) {
	e := db.engine.(*liteEngine)
	e.q = hooked{e.writer, before}
}

type hooked struct {
	querier
	before func(query string) error
}

func (h hooked) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := h.before(query); err != nil {
		return nil, err
	}
	return h.querier.ExecContext(ctx, query, args...)
}

// Control runs a statement on SQLite's writer, while nothing else runs.
func Control(db *DB, stmt string) error { return db.engine.(*liteEngine).control(stmt) }

// Pragma is a setting of SQLite's writer, while nothing else runs.
func Pragma(ctx context.Context, db *DB, name string) (value string, err error) {
	err = db.engine.(*liteEngine).writer.conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	return value, err
}

// Exec runs SQL text in a transaction.
func (tx *Tx) Exec(query string, args ...any) error { return tx.run(query, args...) }

// Wrap is wrap.
func Wrap(err error) error { return wrap(err) }

// WrapFile is wrapFile.
func WrapFile(err error) error { return wrapFile(err) }

// ShortLeases makes the leases of nodes that are opened from here on short.
func ShortLeases(t *testing.T) {
	old := []time.Duration{leaseTime, leaseTrust, leaseEvery, hintEvery}
	leaseTime, leaseTrust, leaseEvery, hintEvery = 2*time.Second, time.Second, 50*time.Millisecond, 20*time.Millisecond
	t.Cleanup(func() { leaseTime, leaseTrust, leaseEvery, hintEvery = old[0], old[1], old[2], old[3] })
}

// ErrLapsed is errLapsed.
var ErrLapsed = errLapsed

// CheckpointSoon empties the log soon after a change, in databases that are
// opened from here on.
func CheckpointSoon(t *testing.T) {
	old := checkpointAfter
	checkpointAfter = 10 * time.Millisecond
	t.Cleanup(func() { checkpointAfter = old })
}

// TextsOf gives back a list of texts, by way of the database: those that are in
// both lists by the condition, and all of the first from the table.
func (tx *Tx) TextsOf(list, among []string) (in, from []string, err error) {
	scan := func(s scanner) (text string, err error) { return text, s.Scan(&text) }
	in, err = all(tx, scan, `SELECT list.v FROM `+tx.fromTexts(1)+` WHERE list.v `+tx.in(2), texts(tx, list), texts(tx, among))
	if err != nil {
		return nil, nil, err
	}
	from, err = all(tx, scan, `SELECT list.v FROM `+tx.fromTexts(1), texts(tx, list))
	return in, from, err
}

// BytesOf is TextsOf for bytes.
func (tx *Tx) BytesOf(list, among [][]byte) (in, from [][]byte, err error) {
	scan := func(s scanner) (b []byte, err error) { return b, s.Scan(&b) }
	in, err = all(tx, scan, `SELECT list.v FROM `+tx.fromBytes(1)+` WHERE list.v `+tx.inBytes(2), tx.bytes(list), tx.bytes(among))
	if err != nil {
		return nil, nil, err
	}
	from, err = all(tx, scan, `SELECT list.v FROM `+tx.fromBytes(1), tx.bytes(list))
	return in, from, err
}
