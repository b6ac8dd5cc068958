package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// filesOf are the migrations of one engine: those that are for both, and those
// that another form of is for the other, NNNNN_name.sqlite.sql and
// NNNNN_name.postgres.sql. What the engines have in common stays in one file.
type filesOf struct {
	fs.FS
	other dialect
}

// Glob is that of [fs.GlobFS], by which goose finds the files.
func (f filesOf) Glob(pattern string) ([]string, error) {
	names, err := fs.Glob(f.FS, pattern)
	return slices.DeleteFunc(names, func(name string) bool {
		return strings.HasSuffix(name, "."+f.other.name+".sql")
	}), err
}

// migrate brings the schema up to date. Migrations are numbered and go forward
// only. A schema that is newer than this program is left alone.
func migrate(ctx context.Context, db *sql.DB, d dialect) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	kind, other := database.DialectSQLite3, postgresDialect
	if d.name == postgresDialect.name {
		kind, other = database.DialectPostgres, sqliteDialect
	}
	provider, err := goose.NewProvider(kind, db, filesOf{files, other})
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return wrap(err)
	}
	sources := provider.ListSources()
	if current > sources[len(sources)-1].Version {
		return ErrNewer
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", wrap(err))
	}
	return nil
}

// Schema names the schema that this program makes: it is another for other
// migrations.
func Schema() string {
	sum := sha256.New()
	_ = fs.WalkDir(migrations, ".", func(path string, _ fs.DirEntry, err error) error {
		if text, readErr := migrations.ReadFile(path); err == nil && readErr == nil {
			fmt.Fprintf(sum, "%s\n%d\n%s", path, len(text), text)
		}
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
