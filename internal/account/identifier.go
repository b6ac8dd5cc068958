package account

import (
	"context"
	"errors"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Identifier names an account at login (CS API, Identifier types).
type Identifier struct {
	User    string // m.id.user: a user id or its localpart
	Medium  string // m.id.thirdparty
	Address string
}

// Resolve returns the account that id names, "" if there is none. It does not
// tell whether the account exists.
func (s *Service) Resolve(ctx context.Context, id Identifier) (matrix.UserID, error) {
	if id.User != "" {
		return s.asRegistered(ctx, s.userOf(id.User))
	}
	pid, err := matrix.ParseThreepid(id.Medium, id.Address)
	if err != nil {
		return "", nil //nolint:nilerr // an address that cannot be is nobody's
	}
	var user matrix.UserID
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		user, err = tx.ThreepidOwner(pid)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	return user, err
}

// userOf completes a localpart; "" stands for a user of another server, or for
// no user id at all.
func (s *Service) userOf(name string) matrix.UserID {
	if len(name) > 0 && name[0] != '@' {
		name = string(matrix.NewUserID(name, s.opts.ServerName))
	}
	user, err := matrix.ParseUserID(name)
	if err != nil || user.Server() != s.opts.ServerName {
		return ""
	}
	return user
}

// asRegistered is user as [Localpart] mapped the name that somebody chose, unless
// there is an account of exactly that name: those of old have upper-case letters.
func (s *Service) asRegistered(ctx context.Context, user matrix.UserID) (matrix.UserID, error) {
	mapped := matrix.NewUserID(Localpart(user.Localpart()), user.Server())
	if user == "" || mapped == user {
		return user, nil
	}
	_, err := s.Account(ctx, user)
	if matrix.CodeOf(err) == matrix.CodeNotFound {
		return mapped, nil
	}
	return user, err
}
