package account

import (
	"context"
	"crypto/rand"
	"errors"
	"regexp"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// tokenGrammar is what a registration token looks like (CS API, Token-authenticated
// registration).
var tokenGrammar = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,64}$`)

var errBadRegToken = matrix.Errorf(matrix.CodeUnauthorized, "This registration token is not known, is used up, or has expired.")

// usable tells whether a token can still be used.
func (s *Service) usable(t storage.RegistrationToken) bool {
	return (t.UsesAllowed < 0 || t.Pending+t.Completed < t.UsesAllowed) && (t.ExpiresAt == 0 || t.ExpiresAt > s.now())
}

// lockUsableToken keeps others from using a token until the transaction ends,
// and refuses it if it can be used no more.
func (s *Service) lockUsableToken(tx *storage.Tx, token string) error {
	t, err := tx.LockRegistrationToken(token, s.now())
	if errors.Is(err, storage.ErrNotFound) || err == nil && !s.usable(t) {
		return errBadRegToken
	}
	return err
}

// CheckRegistrationToken refuses a token that cannot be used (now).
func (s *Service) CheckRegistrationToken(ctx context.Context, token string) error {
	if !tokenGrammar.MatchString(token) {
		return errBadRegToken
	}
	t, err := s.RegistrationToken(ctx, token)
	if err == nil && !s.usable(t) || matrix.CodeOf(err) == matrix.CodeNotFound {
		return errBadRegToken
	}
	return err
}

var errNoRegToken = matrix.Errorf(matrix.CodeNotFound, "There is no such registration token.")

// RegistrationToken returns a token, or M_NOT_FOUND.
func (s *Service) RegistrationToken(ctx context.Context, token string) (t storage.RegistrationToken, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		t, err = tx.RegistrationToken(token, s.now())
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		err = errNoRegToken
	}
	return t, err
}

// RegistrationTokens lists all tokens, oldest first.
func (s *Service) RegistrationTokens(ctx context.Context) (list []storage.RegistrationToken, err error) {
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		list, err = tx.RegistrationTokens(s.now())
		return err
	})
	return list, err
}

// CreateRegistrationToken makes a token; "" is replaced by a random one.
func (s *Service) CreateRegistrationToken(ctx context.Context, t storage.RegistrationToken) (storage.RegistrationToken, error) {
	if t.Token == "" {
		t.Token = rand.Text()[:16]
	}
	if !tokenGrammar.MatchString(t.Token) {
		return t, matrix.Errorf(matrix.CodeInvalidParam, "A registration token has 1 to 64 of the characters A-Z, a-z, 0-9 and ._~-.")
	}
	t.CreatedAt = s.now()
	err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.CreateRegistrationToken(t) })
	if errors.Is(err, storage.ErrExists) {
		err = matrix.Errorf(matrix.CodeInvalidParam, "There is a registration token of this name already.")
	}
	return t, err
}

// UpdateRegistrationToken changes how often (-1: any number) and how long (0:
// for ever) a token can be used.
func (s *Service) UpdateRegistrationToken(ctx context.Context, token string, uses int64, expires matrix.Timestamp) error {
	err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.UpdateRegistrationToken(token, uses, expires) })
	if errors.Is(err, storage.ErrNotFound) {
		return errNoRegToken
	}
	return err
}

// DeleteRegistrationToken deletes a token.
func (s *Service) DeleteRegistrationToken(ctx context.Context, token string) error {
	err := s.db.Update(ctx, func(tx *storage.Tx) error { return tx.DropRegistrationToken(token) })
	if errors.Is(err, storage.ErrNotFound) {
		return errNoRegToken
	}
	return err
}
