// Package serverkey makes and keeps what identifies this server: its name, which
// its database is bound to, and its signing key.
//
// Holds: [Load].
//
// May import: matrix, event, storage.
//
// Never: what is signed.
package serverkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Load returns the signing key of the server called name, and makes one where
// the database is new. A database that belongs to another name is refused: user
// ids and signatures would be wrong in it.
func Load(ctx context.Context, db *storage.DB, name matrix.ServerName, now time.Time) (event.SigningKey, error) {
	var key event.SigningKey
	err := db.Update(ctx, func(tx *storage.Tx) error {
		owner, err := tx.ServerName()
		if errors.Is(err, storage.ErrNotFound) {
			if err := tx.SetServerName(name, matrix.TimestampOf(now)); err != nil {
				return err
			}
			owner, err = tx.ServerName() // of several processes that start at once, the first's; and so the key
		}
		if err != nil {
			return err
		}
		if owner != name {
			return fmt.Errorf("this database belongs to the server %s, and the setting server-name is %s", owner, name)
		}
		id, seed, err := tx.ServerKey()
		if errors.Is(err, storage.ErrNotFound) {
			key = event.NewSigningKey()
			return tx.AddServerKey(key.ID, key.Private.Seed(), matrix.TimestampOf(now))
		}
		if err != nil {
			return err
		}
		key, err = event.KeyFromSeed(id, seed)
		return err
	})
	return key, err
}
