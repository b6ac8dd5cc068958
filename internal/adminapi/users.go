package adminapi

import (
	"crypto/rand"
	"io"
	"net/http"

	"lethe/internal/account"
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

// userBody is an account, as operators see it.
type userBody struct {
	UserID        matrix.UserID       `json:"user_id"`
	Kind          storage.AccountKind `json:"kind"`
	Admin         bool                `json:"admin"`
	CreatedAt     matrix.Timestamp    `json:"created_at"`
	LockedAt      matrix.Timestamp    `json:"locked_at,omitzero"`
	SuspendedAt   matrix.Timestamp    `json:"suspended_at,omitzero"`
	DeactivatedAt matrix.Timestamp    `json:"deactivated_at,omitzero"`
	Erased        bool                `json:"erased"`
}

func userOf(a storage.Account) userBody {
	return userBody{
		UserID: a.UserID, Kind: a.Kind, Admin: a.Admin, CreatedAt: a.CreatedAt, LockedAt: a.LockedAt,
		SuspendedAt: a.SuspendedAt, DeactivatedAt: a.DeactivatedAt, Erased: a.ErasedPos != 0,
	}
}

func (a *API) users(r *wire.Request, _ deactivation.Actor) (any, error) {
	f := storage.UserFilter{Search: r.Query("search"), After: matrix.UserID(r.Query("from"))}
	var err error
	if f.Kind, err = oneOf(r, "kind", storage.KindUser, storage.KindGuest, storage.KindAppservice); err != nil {
		return nil, err
	}
	if f.Limit, err = limitOf(r); err != nil {
		return nil, err
	}
	if f.Deactivated, err = flagOf(r, "deactivated"); err != nil {
		return nil, err
	}
	if f.Admin, err = flagOf(r, "admin"); err != nil {
		return nil, err
	}
	accounts, err := a.Accounts.List(r.Context(), f)
	if err != nil {
		return nil, err
	}
	page := struct {
		Users []userBody    `json:"users"`
		Next  matrix.UserID `json:"next,omitzero"`
	}{Users: []userBody{}}
	for _, acc := range accounts {
		page.Users = append(page.Users, userOf(acc))
	}
	if len(accounts) == f.Limit {
		page.Next = accounts[len(accounts)-1].UserID
	}
	return page, nil
}

func (a *API) user(r *wire.Request, _ deactivation.Actor) (any, error) {
	user, err := a.userOf(r)
	if err != nil {
		return nil, err
	}
	acc, err := a.Accounts.Account(r.Context(), user)
	if err != nil {
		return nil, err
	}
	devices, err := a.Accounts.Devices(r.Context(), user)
	if err != nil {
		return nil, err
	}
	threepids, err := a.Accounts.Threepids(r.Context(), user)
	return struct {
		userBody
		Devices   int `json:"devices"`
		Threepids int `json:"threepids"`
	}{userOf(acc), len(devices), len(threepids)}, err
}

// createUser creates an account. Without a password it makes one up, which is
// shown this once.
func (a *API) createUser(r *wire.Request, by deactivation.Actor) (any, error) {
	var q struct {
		Localpart string `json:"localpart"`
		Password  string `json:"password"`
		Admin     bool   `json:"admin"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if err := a.checkLocalpart(r, q.Localpart); err != nil {
		return nil, err
	}
	hash, generated, err := a.passwordOf(r, q.Password)
	if err != nil {
		return nil, err
	}
	session, err := a.Accounts.Register(r.Context(), account.Registration{
		Localpart: q.Localpart, PasswordHash: hash, Kind: storage.KindUser, Admin: q.Admin,
		InTx: func(tx *storage.Tx, user matrix.UserID) error {
			return a.Accounts.Audit(tx, string(by), "account.create", user)
		},
	})
	if err != nil {
		return nil, err
	}
	return struct {
		UserID   matrix.UserID `json:"user_id"`
		Password string        `json:"password,omitzero"`
	}{session.UserID, generated}, nil
}

// passwordOf hashes a password, or one that it makes up and returns too.
func (a *API) passwordOf(r *wire.Request, password string) (hash, generated string, err error) {
	if password == "" {
		generated = rand.Text()
		password = generated
	}
	hash, err = a.Accounts.HashPassword(r.Context(), password)
	return hash, generated, err
}

func (a *API) resetPassword(r *wire.Request, by deactivation.Actor) (any, error) {
	user, err := a.userOf(r)
	if err != nil {
		return nil, err
	}
	var q struct {
		Password      string `json:"password"`
		LogoutDevices *bool  `json:"logout_devices"`
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	if _, err := a.Accounts.Account(r.Context(), user); err != nil {
		return nil, err
	}
	generated := ""
	if q.Password == "" {
		generated = rand.Text()
		q.Password = generated
	}
	err = a.Accounts.ChangePassword(r.Context(), account.PasswordChange{
		User: user, Password: q.Password, Logout: q.LogoutDevices == nil || *q.LogoutDevices,
		InTx: func(tx *storage.Tx) error {
			return a.Accounts.Audit(tx, string(by), "account.reset-password", user)
		},
	})
	if err != nil {
		return nil, err
	}
	return struct {
		UserID   matrix.UserID `json:"user_id"`
		Password string        `json:"password,omitzero"`
	}{user, generated}, nil
}

// deactivate ends an account, or with dry_run tells what that would do.
func (a *API) deactivate(r *wire.Request, by deactivation.Actor) (any, error) {
	user, err := a.userOf(r)
	if err != nil {
		return nil, err
	}
	var q struct {
		Erase    bool   `json:"erase"`
		IDServer string `json:"id_server"`
		DryRun   bool   `json:"dry_run"`
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	req := deactivation.Request{User: user, Erase: q.Erase, By: by}
	if q.IDServer != "" {
		if req.IDServer, err = matrix.ParseServerName(q.IDServer); err != nil {
			return nil, matrix.Errorf(matrix.CodeInvalidParam, "The id_server is not valid: %v.", err)
		}
	}
	if q.DryRun {
		return a.Deactivations.Preview(r.Context(), req)
	}
	result, err := a.Deactivations.Deactivate(r.Context(), req)
	if err != nil {
		return nil, err
	}
	return struct {
		ID        string                    `json:"id"`
		Unbind    deactivation.UnbindResult `json:"id_server_unbind_result"`
		UndoUntil matrix.Timestamp          `json:"undo_until,omitzero"`
		Undo      string                    `json:"undo,omitzero"`
	}{result.ID, result.Unbind, result.UndoUntil, result.Undo}, nil
}

func (a *API) reactivate(r *wire.Request, by deactivation.Actor) (any, error) {
	user, err := a.userOf(r)
	if err != nil {
		return nil, err
	}
	var q struct {
		Password string `json:"password"`
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	hash, generated, err := a.passwordOf(r, q.Password)
	if err != nil {
		return nil, err
	}
	if err := a.Deactivations.Reactivate(r.Context(), user, hash, by); err != nil {
		return nil, err
	}
	return struct {
		UserID   matrix.UserID `json:"user_id"`
		Password string        `json:"password,omitzero"`
	}{user, generated}, nil
}

func (a *API) export(r *wire.Request, by deactivation.Actor) (any, error) {
	user, err := a.userOf(r)
	if err != nil {
		return nil, err
	}
	if err := a.Accounts.AuditNow(r.Context(), string(by), "account.export", user); err != nil {
		return nil, err
	}
	return &wire.Response{
		ContentType: "application/zip",
		Header:      http.Header{"Content-Disposition": {`attachment; filename="account.zip"`}},
		Stream:      func(w io.Writer) error { return a.Deactivations.Export(r.Context(), user, w) },
	}, nil
}
