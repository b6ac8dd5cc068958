package storagetest

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// Find names the columns of the PostgreSQL database at url that hold text, as
// part of any value: what must not be there is looked for everywhere.
func Find(t testing.TB, url, text string) []string {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatalf("open %s: %v", url, err)
	}
	defer func() { _ = db.Close() }()
	var found []string
	for _, column := range columns(t, db) {
		table, name, _ := strings.Cut(column, ".")
		// The text of bytes is their hexadecimal form.
		stmt := fmt.Sprintf(`SELECT count(*) FROM %[1]q WHERE strpos(%[2]q::text, $1) > 0 OR strpos(%[2]q::text, $2) > 0`, table, name)
		var n int
		if err := db.QueryRowContext(t.Context(), stmt, text, fmt.Sprintf("%x", text)).Scan(&n); err != nil {
			t.Fatalf("search %s: %v", column, err)
		}
		if n > 0 {
			found = append(found, column)
		}
	}
	return found
}

// columns are all columns of the application's tables, as table.column.
func columns(t testing.TB, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(),
		`SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'`)
	if err != nil {
		t.Fatalf("read the schema: %v", err)
	}
	defer func() { _ = rows.Close() }()
	var list []string
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatalf("read the schema: %v", err)
		}
		list = append(list, column)
	}
	if err := rows.Err(); err != nil || len(list) == 0 {
		t.Fatalf("the database has %d columns: %v", len(list), err)
	}
	return list
}
