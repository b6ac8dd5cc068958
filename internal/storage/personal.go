package storage

import (
	"context"
	"fmt"
	"strings"

	"lethe/internal/matrix"
)

// personal names, for each table with rows of a person, its primary key and the
// condition, on $1, for the rows to be that person's. Names never come from
// outside: a table that is not here is a mistake in the program.
var personal = map[string]struct{ key, owned string }{
	"access_tokens":  {"token_hash", "user_id = $1"},
	"refresh_tokens": {"token_hash", "user_id = $1"},
	"login_tokens":   {"token_hash", "user_id = $1"},
	"openid_tokens":  {"token_hash", "user_id = $1"},
	"uia_sessions":   {"session_hash", "(user_id = $1 OR subject = $1)"},
	// Also those that somebody began without a token for an address of theirs:
	// they go before the address does.
	"validation_sessions": {"sid", `(user_id = $1 OR EXISTS (SELECT 1 FROM threepids t WHERE t.user_id = $1
		AND t.medium = validation_sessions.medium AND t.address = validation_sessions.address))`},
	"threepids":         {"medium, address", "user_id = $1"},
	"threepid_bindings": {"user_id, medium, address, id_server", "user_id = $1"},
	"devices":           {"user_id, device_id", "user_id = $1"},
	"connections":       {"user_id, device_id, ip, user_agent", "user_id = $1"},
	"account_data":      {"user_id, room_id, type", "user_id = $1"},
	"filters":           {"user_id, filter_id", "user_id = $1"},
	"receipts":          {"room_id, user_id, type, thread_id", "user_id = $1"},
	"typing":            {"room_id, user_id", "user_id = $1"},
	"presence":          {"user_id", "user_id = $1"},
	"notice_rooms":      {"user_id", "user_id = $1"},
	"profile_changes":   {"user_id", "user_id = $1"},
	"reports":           {"id", "reporter = $1"},
	"alias_creators":    {"alias", "user_id = $1"},
	"profile_fields":    {"user_id, name", "user_id = $1"},
	"terms_accepted":    {"user_id, policy, version", "user_id = $1"},
	"transactions":      {"user_id, device_id, scope, txn_id", "user_id = $1"},
	// Messages, and other events that are no state, with their content. They are
	// replaced, not deleted.
	"events": {"", "sender = $1 AND state_key IS NULL AND NOT erased AND redacted_by IS NULL"},
}

// CountPersonal counts the rows of user in one of the tables of people.
func (tx *Tx) CountPersonal(table string, user matrix.UserID) (n int64, err error) {
	t, ok := personal[table]
	if !ok {
		return 0, fmt.Errorf("%s is not a table of people", table)
	}
	err = tx.one(`SELECT COUNT(*) FROM `+table+` WHERE `+t.owned, []any{user}, &n)
	return n, err
}

// DeletePersonal deletes up to limit rows of user from one of the tables of
// people, and returns how many.
func (tx *Tx) DeletePersonal(table string, user matrix.UserID, limit int) (int64, error) {
	t, ok := personal[table]
	if !ok || t.key == "" {
		return 0, fmt.Errorf("%s is not a table from which the rows of people go", table)
	}
	return tx.exec(`DELETE FROM `+table+` WHERE (`+t.key+`) IN
		(SELECT `+t.key+` FROM `+table+` WHERE `+t.owned+` LIMIT $2)`, user, limit)
}

// Columns lists every column of the schema as table.column, but those of the
// migration tool's own table, and of those in which SQLite keeps an index of
// words, which the column of words stands for.
func (db *DB) Columns(ctx context.Context) (columns []string, err error) {
	query := `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = current_schema() ORDER BY 1`
	if db.dialect.name == sqliteDialect.name {
		query = `SELECT t.name || '.' || p.name FROM pragma_table_list t, pragma_table_info(t.name) p
			WHERE t.schema = 'main' AND t.type <> 'shadow' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`
	}
	err = db.View(ctx, func(tx *Tx) (err error) {
		columns, err = all(tx, func(s scanner) (string, error) {
			var name string
			err := s.Scan(&name)
			return name, err
		}, query)
		return err
	})
	kept := columns[:0]
	for _, c := range columns {
		if !strings.HasPrefix(c, "goose_db_version.") {
			kept = append(kept, c)
		}
	}
	return kept, err
}
