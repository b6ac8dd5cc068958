package account

import (
	"context"
	"errors"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// CreateLoginToken makes a short-lived token with which another client of user
// can log in, once (CS API, POST /v1/login/get_token).
func (s *Service) CreateLoginToken(
	ctx context.Context, user matrix.UserID, inTx func(*storage.Tx) error,
) (string, time.Duration, error) {
	token, hash := newToken(loginToken)
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		if err := inTx(tx); err != nil {
			return err
		}
		return tx.CreateLoginToken(hash, user, s.now().Add(s.opts.LoginTokenLifetime))
	})
	return token, s.opts.LoginTokenLifetime, err
}

// LoginToken begins a session for who has a login token.
func (s *Service) LoginToken(ctx context.Context, token string, n NewSession) (Session, error) {
	unknown := matrix.Errorf(matrix.CodeForbidden, "This login token is not known, was used, or has expired.")
	hash, ok := parseToken(loginToken, token)
	if !ok {
		return Session{}, unknown
	}
	if err := n.check(); err != nil {
		return Session{}, err
	}
	var session Session
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		user, err := tx.LoginTokenUser(hash)
		if err != nil {
			return err
		}
		if _, err := s.lockUnlocked(tx, user); err != nil {
			return err
		}
		if _, err := tx.TakeLoginToken(hash, s.now()); err != nil {
			return err
		}
		session, err = s.begin(tx, user, n)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return Session{}, unknown
	}
	if err != nil {
		return Session{}, s.hide(err)
	}
	s.Forget(session.UserID)
	return session, nil
}
