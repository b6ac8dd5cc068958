package account

import (
	"context"
	"errors"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// PasswordProof says that somebody gave the password that an account has, until
// that changes.
type PasswordProof struct {
	user matrix.UserID
	hash tokenHash // of what is stored of the password
}

// Holds refuses the proof once the password is another, or the account has
// ended. What the proof is for calls it in its transaction: a password can be
// changed while it is checked.
func (p PasswordProof) Holds(tx *storage.Tx) error {
	a, err := tx.LockAccount(p.user)
	switch {
	case err != nil:
		return err
	case a.DeactivatedAt != 0:
		return errDeactivated
	case hashOf(a.PasswordHash) != p.hash:
		return errWrongPassword
	}
	return nil
}

// CheckOwnPassword tells whether password is that of user, who is signed in. A
// wrong one is 403 M_FORBIDDEN, and after too many it is M_LIMIT_EXCEEDED. They
// are counted apart from those of who is not signed in: no stranger keeps people
// from ending their accounts.
func (s *Service) CheckOwnPassword(ctx context.Context, user matrix.UserID, password string) (PasswordProof, error) {
	return s.tryPassword(ctx, "signed in "+string(user), user, password)
}

// tryPassword is checkPassword with the wrong ones counted against key.
func (s *Service) tryPassword(
	ctx context.Context, key string, user matrix.UserID, password string,
) (proof PasswordProof, err error) {
	err = s.limitWrong(key, func() (err error) {
		proof, err = s.checkPassword(ctx, user, password)
		return err
	})
	return proof, err
}

// limitWrong counts the wrong guesses that check finds against key.
func (s *Service) limitWrong(key string, check func() error) error {
	if wait, yes := s.opts.WrongPasswords.Exhausted(key); yes {
		e := matrix.Errorf(matrix.CodeLimitExceeded, "That was wrong too often. Wait a moment.")
		e.RetryAfter = wait
		return e
	}
	err := check()
	if errors.Is(err, errWrongPassword) || errors.Is(err, errBadRegToken) {
		s.opts.WrongPasswords.Allow(key)
	}
	return err
}

// checkPassword tells whether password is user's. A wrong one, a user who is not
// there ("" too) and an account without a password take equally long and are 403
// M_FORBIDDEN; an account that has ended is M_USER_DEACTIVATED whatever the
// password, since none is kept.
func (s *Service) checkPassword(ctx context.Context, user matrix.UserID, password string) (PasswordProof, error) {
	a, err := s.Account(ctx, user)
	if err != nil && matrix.CodeOf(err) != matrix.CodeNotFound {
		return PasswordProof{}, err
	}
	if a.DeactivatedAt != 0 && !s.opts.HideDeactivated {
		return PasswordProof{}, errDeactivated
	}
	if len(password) > s.opts.PasswordMaxLength {
		return PasswordProof{}, errWrongPassword
	}
	match, stale, err := s.hasher.check(ctx, a.PasswordHash, password)
	if err != nil {
		return PasswordProof{}, err
	}
	if !match {
		return PasswordProof{}, errWrongPassword
	}
	stored := a.PasswordHash
	if stale {
		if stored, err = s.rehash(ctx, a, password); err != nil {
			s.log.Warn("password hash not renewed; the next login tries again", "error", err)
		}
	}
	return PasswordProof{user, hashOf(stored)}, nil
}

// rehash replaces a hash that was made with other parameters, unless the
// password has changed meanwhile. It returns the one that is stored for this
// password then, or was.
func (s *Service) rehash(ctx context.Context, a storage.Account, password string) (stored string, err error) {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return a.PasswordHash, err
	}
	err = s.db.Update(ctx, func(tx *storage.Tx) error {
		stored = a.PasswordHash
		now, err := tx.LockAccount(a.UserID)
		if err != nil || now.PasswordHash != a.PasswordHash {
			return err
		}
		stored = hash
		return tx.SetPasswordHash(a.UserID, hash)
	})
	if err != nil {
		return a.PasswordHash, err
	}
	return stored, nil
}
