package storage

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// The conditions a caller may want to tell apart. They are wrapped, with what
// the engine said, in the errors of this package.
var (
	// ErrNotFound: the row that was asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrExists: a row with this key is there already.
	ErrExists = errors.New("exists already")
	// ErrNewer: the schema was made by a newer Lethe.
	ErrNewer = errors.New("the database was made by a newer version of Lethe; " +
		"use that version, or restore a backup from before the upgrade")
	// ErrLocked: another process has the database, or the folder.
	ErrLocked = errors.New("the database is in use by another process (a running lethe?)")
	// ErrReadOnly: the database cannot be written.
	ErrReadOnly = errors.New("the database cannot be written; check the permissions of its file and folder, or of its user")
	// ErrFull: the disk, or the database, is full.
	ErrFull = errors.New("no space is left for the database")
)

// PostgreSQL's SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	pgUniqueViolation      = "23505"
	pgSerializationFailure = "40001"
	pgDeadlockDetected     = "40P01"
	pgDiskFull             = "53100"
	pgReadOnly             = "25006"
	pgNoPrivilege          = "42501"
)

// wrap names the condition that err of an engine stands for.
func wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if kind := conditionOf(err); kind != nil && !errors.Is(err, kind) {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

func conditionOf(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pg.Code {
		case pgUniqueViolation:
			return ErrExists
		case pgDiskFull:
			return ErrFull
		case pgReadOnly, pgNoPrivilege:
			return ErrReadOnly
		}
		return nil
	}
	lite, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return nil
	}
	switch lite.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return ErrExists
	}
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return ErrFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return ErrReadOnly
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return ErrLocked
	}
	return nil
}

// wrapFile is wrap for the errors of opening a file.
func wrapFile(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("%w: %w", ErrReadOnly, err)
}

// retryable tells whether a transaction that failed with err may succeed when
// run again (DESIGN §7: closures are retried on SQLSTATE 40001).
func retryable(err error) bool {
	if errors.Is(err, errLapsed) {
		return true
	}
	if errors.Is(err, driver.ErrBadConn) {
		return true // a connection that broke while it was idle; nothing was sent
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == pgSerializationFailure || pg.Code == pgDeadlockDetected)
}
