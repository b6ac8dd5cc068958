package account

import (
	"context"
	"errors"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// CreateOpenIDToken makes a token with which a third party can learn, from this
// server, that its bearer is user (CS API, OpenID).
func (s *Service) CreateOpenIDToken(ctx context.Context, user matrix.UserID) (string, time.Duration, error) {
	token, hash := newToken(openIDToken)
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		return tx.CreateOpenIDToken(hash, user, s.now().Add(s.opts.OpenIDTokenLifetime))
	})
	return token, s.opts.OpenIDTokenLifetime, err
}

// OpenIDUser tells whom an OpenID token names, or M_UNKNOWN_TOKEN (Server-Server
// API, OpenID).
func (s *Service) OpenIDUser(ctx context.Context, token string) (matrix.UserID, error) {
	unknown := matrix.Errorf(matrix.CodeUnknownToken, "This OpenID token is not known or has expired.")
	hash, ok := parseToken(openIDToken, token)
	if !ok {
		return "", unknown
	}
	var user matrix.UserID
	err := s.db.View(ctx, func(tx *storage.Tx) (err error) {
		user, err = tx.OpenIDUser(hash, s.now())
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return "", unknown
	}
	return user, err
}
