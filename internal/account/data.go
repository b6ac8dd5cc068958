package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// managedData are the types that the server keeps itself (CS API, Account data:
// Server behaviour).
var managedData = map[string]bool{"m.fully_read": true, "m.push_rules": true}

const (
	// maxAccountData and maxFilters bound what a user stores in all, in bytes: it
	// is exported in one piece.
	maxAccountData = 16 << 20
	maxFilters     = 4 << 20
)

// AccountData returns what user stored under a type, "" being the room of
// global data, or M_NOT_FOUND.
func (s *Service) AccountData(ctx context.Context, user matrix.UserID, room, kind string) (content jsontext.Value, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		content, err = tx.AccountData(user, room, kind)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		err = matrix.Errorf(matrix.CodeNotFound, "There is no account data of this type.")
	}
	return content, err
}

// SetAccountData stores a JSON object under a type.
func (s *Service) SetAccountData(ctx context.Context, user matrix.UserID, room, kind string, content jsontext.Value) error {
	if managedData[kind] {
		return matrix.Errorf(matrix.CodeBadJSON, "Account data of the type %s is set through other endpoints.", kind).
			WithStatus(http.StatusMethodNotAllowed)
	}
	if content.Kind() != '{' {
		return matrix.Errorf(matrix.CodeBadJSON, "Account data is a JSON object.")
	}
	if len(kind) > matrix.MaxIDLength || len(room) > matrix.MaxIDLength {
		return matrix.Errorf(matrix.CodeInvalidParam, "The type or room id has more than %d bytes.", matrix.MaxIDLength)
	}
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		return putAccountData(tx, user, storage.AccountData{RoomID: room, Type: kind, Content: content})
	})
}

// putAccountData stores account data of somebody whose account is locked, if they
// have room for it.
func putAccountData(tx *storage.Tx, user matrix.UserID, d storage.AccountData) error {
	size, err := tx.AccountDataSize(user, d)
	if err == nil && size+int64(len(d.Content)) > maxAccountData {
		err = matrix.Errorf(matrix.CodeTooLarge, "Your account data would have more than %d bytes.", maxAccountData)
	}
	if err != nil {
		return err
	}
	change := storage.Change{Kind: storage.ChangeAccountData, Room: matrix.RoomID(d.RoomID), User: user}
	pos, err := tx.NextPos(change)
	if err != nil {
		return err
	}
	return tx.SetAccountData(user, d, pos)
}

// CreateFilter stores a filter and returns its id: the same for the same filter,
// so that clients that define theirs at each start do not fill the table.
func (s *Service) CreateFilter(ctx context.Context, user matrix.UserID, filter jsontext.Value) (string, error) {
	if err := filter.Canonicalize(); err != nil {
		return "", matrix.Errorf(matrix.CodeNotJSON, "The filter is not valid JSON.").Because(err)
	}
	sum := sha256.Sum256(filter)
	id := hex.EncodeToString(sum[:8])
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		if _, err := tx.Filter(user, id); !errors.Is(err, storage.ErrNotFound) {
			return err // it is there already
		}
		size, err := tx.FiltersSize(user)
		if err == nil && size+int64(len(filter)) > maxFilters {
			err = matrix.Errorf(matrix.CodeTooLarge, "Your filters would have more than %d bytes.", maxFilters)
		}
		if err != nil {
			return err
		}
		return tx.CreateFilter(user, id, filter)
	})
	return id, err
}

// Filter returns a filter of user, or M_NOT_FOUND.
func (s *Service) Filter(ctx context.Context, user matrix.UserID, id string) (content jsontext.Value, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		content, err = tx.Filter(user, id)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		err = matrix.Errorf(matrix.CodeNotFound, "You have no such filter.")
	}
	return content, err
}
