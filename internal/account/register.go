package account

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// Registration says what account to create.
type Registration struct {
	Localpart    string // "": the server makes one up
	PasswordHash string // from [Service.HashPassword]; "": none
	Kind         storage.AccountKind
	AppserviceID string
	Admin        bool
	DisplayName  string // "": none
	// InTx runs in the same transaction: a UIA session is consumed there, terms
	// are accepted, an address is added. May be nil.
	InTx func(*storage.Tx, matrix.UserID) error
	// Session, if not nil, is begun at once (CS API, POST /register,
	// inhibit_login).
	Session *NewSession
}

// Register creates an account. A localpart that is or ever was taken is
// M_USER_IN_USE.
func (s *Service) Register(ctx context.Context, r Registration) (Session, error) {
	if r.Localpart == "" {
		r.Localpart = generatedLocalpart()
	}
	if r.Session != nil {
		if err := r.Session.check(); err != nil {
			return Session{}, err
		}
	}
	if r.Localpart == s.opts.Reserved && r.Kind != storage.KindAppservice {
		return Session{}, errUserInUse
	}
	user := matrix.NewUserID(r.Localpart, s.opts.ServerName)
	var session Session
	err := s.db.Update(ctx, func(tx *storage.Tx) error {
		session = Session{UserID: user}
		err := tx.CreateAccount(storage.Account{
			UserID: user, Kind: r.Kind, AppserviceID: r.AppserviceID, Admin: r.Admin,
			PasswordHash: r.PasswordHash, CreatedAt: s.now(),
		})
		if errors.Is(err, storage.ErrExists) {
			return errUserInUse
		}
		if err != nil {
			return err
		}
		if err := s.setUp(tx, user, r); err != nil {
			return err
		}
		if r.Session == nil {
			return nil
		}
		session, err = s.begin(tx, user, *r.Session)
		return err
	})
	return session, err
}

// setUp does what belongs to the creation of an account beside its row.
func (s *Service) setUp(tx *storage.Tx, user matrix.UserID, r Registration) error {
	if r.DisplayName != "" {
		name, err := json.Marshal(r.DisplayName)
		if err != nil {
			return matrix.Errorf(matrix.CodeInvalidParam, "The display name is not valid text.").Because(err)
		}
		if err := checkField(FieldDisplayName, name); err != nil {
			return err
		}
		if err := tx.SetProfileField(user, FieldDisplayName, name); err != nil {
			return err
		}
	}
	if r.InTx == nil {
		return nil
	}
	return r.InTx(tx, user)
}

// EnsureAppserviceSender creates the account that an application service acts
// as when it names no other (Application Service API, Registration), unless it
// is there.
func (s *Service) EnsureAppserviceSender(ctx context.Context, sender matrix.UserID, id string) error {
	_, err := s.Register(ctx, Registration{
		Localpart: sender.Localpart(), Kind: storage.KindAppservice, AppserviceID: id,
	})
	if errors.Is(err, errUserInUse) {
		return nil
	}
	return err
}

var errUserInUse = matrix.Errorf(matrix.CodeUserInUse, "This username is taken.")

// CheckLocalpart tells whether an account of this name could be created: its
// grammar (M_INVALID_USERNAME) and whether it is taken (M_USER_IN_USE). An ended
// account keeps its name for ever.
func (s *Service) CheckLocalpart(ctx context.Context, localpart string) error {
	if err := matrix.ParseLocalpart(localpart, s.opts.ServerName); err != nil {
		return matrix.Errorf(matrix.CodeInvalidUsername, "This username cannot be used: %v.", err)
	}
	if localpart == s.opts.Reserved {
		return errUserInUse
	}
	_, err := s.Account(ctx, matrix.NewUserID(localpart, s.opts.ServerName))
	if err == nil {
		return errUserInUse
	}
	if matrix.CodeOf(err) == matrix.CodeNotFound {
		return nil
	}
	return err
}

// generatedLocalpart is the name of an account whose owner did not choose one:
// numbers, so that it looks like nobody's choice.
func generatedLocalpart() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	n := uint64(0)
	for _, b := range raw {
		n = n<<8 | uint64(b)
	}
	return strconv.FormatUint(n>>16, 10)
}
