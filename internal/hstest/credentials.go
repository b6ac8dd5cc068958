package hstest

import (
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// CredentialTables are all tables whose rows let somebody act as a user.
var CredentialTables = []string{
	"access_tokens", "refresh_tokens", "login_tokens", "openid_tokens", "uia_sessions", "validation_sessions",
}

// NoCredential fails the test if anything is left with which somebody could act
// as user.
func (s *Server) NoCredential(user string) {
	s.t.Helper()
	err := s.DB.View(s.t.Context(), func(tx *storage.Tx) error {
		for _, table := range CredentialTables {
			n, err := tx.CountPersonal(table, matrix.UserID(user))
			if err != nil {
				return err
			}
			if n != 0 {
				s.t.Errorf("%d rows of %s are left in %s", n, user, table)
			}
		}
		a, err := tx.Account(matrix.UserID(user))
		if a.PasswordHash != "" {
			s.t.Errorf("the password of %s is left", user)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
