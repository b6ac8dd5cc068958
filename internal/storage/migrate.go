package storage

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Migrations are numbered and go forward
// only. A schema that is newer than this program is left alone.
func migrate(ctx context.Context, db *sql.DB, d dialect) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	kind := database.DialectSQLite3
	if d.name == postgresDialect.name {
		kind = database.DialectPostgres
	}
	provider, err := goose.NewProvider(kind, db, files)
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
