package account

import (
	"context"
	"regexp"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// The fields that the specification gives a type (CS API, Profiles).
const (
	FieldDisplayName = "displayname"
	FieldAvatarURL   = "avatar_url"
	FieldTimeZone    = "m.tz"
)

const (
	// maxProfile is the size of a whole profile, maxFieldName that of a name, in
	// bytes (CS API, PUT /profile).
	maxProfile   = 64 << 10
	maxFieldName = 255
	// maxName bounds display names and avatar URLs, which go into the membership
	// event of every room.
	maxName = 1000
)

// fieldGrammar is the Common Namespaced Identifier Grammar (Appendices).
var fieldGrammar = regexp.MustCompile(`^[a-z][a-z0-9._-]*$`)

// Profile returns the profile fields of user, values as JSON. A user who is not
// there, or whose account has ended, is M_NOT_FOUND.
func (s *Service) Profile(ctx context.Context, user matrix.UserID) (map[string]jsontext.Value, error) {
	a, err := s.Account(ctx, user)
	if err != nil {
		return nil, err
	}
	if a.DeactivatedAt != 0 {
		return nil, matrix.Errorf(matrix.CodeNotFound, "There is no user %s on this server.", user)
	}
	var fields []storage.Named
	err = s.db.View(ctx, func(tx *storage.Tx) (err error) {
		fields, err = tx.Profile(user)
		return err
	})
	profile := map[string]jsontext.Value{}
	for _, f := range fields {
		profile[f.Name] = f.Value
	}
	return profile, err
}

// SetProfileField stores a field of the profile of user.
func (s *Service) SetProfileField(ctx context.Context, user matrix.UserID, name string, value jsontext.Value) error {
	if err := checkField(name, value); err != nil {
		return err
	}
	if err := value.Compact(); err != nil {
		return err
	}
	return s.changeProfile(ctx, user, name, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		fields, err := tx.Profile(user)
		if err != nil {
			return err
		}
		// Of the profile as JSON: {"name":value,…}.
		size := len(`{}`) + len(`"":`) + len(name) + len(value)
		for _, f := range fields {
			if f.Name != name {
				size += len(`"":,`) + len(f.Name) + len(f.Value)
			}
		}
		if size >= maxProfile {
			return matrix.Errorf(matrix.CodeProfileTooLarge, "The profile would have more than %d bytes.", maxProfile)
		}
		return tx.SetProfileField(user, name, value)
	})
}

func checkField(name string, value jsontext.Value) error {
	if err := checkFieldName(name); err != nil {
		return err
	}
	switch name {
	case FieldDisplayName, FieldAvatarURL, FieldTimeZone:
		if value.Kind() != '"' {
			return matrix.Errorf(matrix.CodeBadJSON, "The profile field %s is a string.", name)
		}
		if len(value) > maxName {
			return matrix.Errorf(matrix.CodeInvalidParam, "The profile field %s may have at most %d bytes.", name, maxName)
		}
	}
	return nil
}

func checkFieldName(name string) error {
	if len(name) > maxFieldName {
		return matrix.Errorf(matrix.CodeKeyTooLarge, "The name of a profile field may have at most %d bytes.", maxFieldName)
	}
	if !fieldGrammar.MatchString(name) {
		return matrix.Errorf(matrix.CodeInvalidParam,
			"The name of a profile field has the characters a-z, 0-9 and ._- and begins with a letter.")
	}
	return nil
}

// DeleteProfileField deletes a field, if it is there.
func (s *Service) DeleteProfileField(ctx context.Context, user matrix.UserID, name string) error {
	if err := checkFieldName(name); err != nil {
		return err
	}
	return s.changeProfile(ctx, user, name, func(tx *storage.Tx) error {
		if _, err := s.lockLive(tx, user); err != nil {
			return err
		}
		return tx.DropProfileField(user, name)
	})
}

// changeProfile changes a field, and has it known where it is one of those that go
// into rooms (CS API, Events on Change of Profile Information).
func (s *Service) changeProfile(ctx context.Context, user matrix.UserID, name string, change func(*storage.Tx) error) error {
	isName := name == FieldDisplayName || name == FieldAvatarURL
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		if err := change(tx); err != nil || !isName {
			return err
		}
		return s.opts.Renaming(tx, user)
	})
	if err == nil && isName {
		s.opts.Renamed(user)
	}
	return err
}
