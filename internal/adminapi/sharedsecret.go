package adminapi

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the protocol's choice; HMAC-SHA1 is not broken
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"lethe/internal/account"
	"lethe/internal/cache"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

const (
	// nonceLifetime is how long a nonce can be used.
	nonceLifetime = time.Minute
	// maxNonces bounds how many there are; the oldest give way.
	maxNonces = 10_000
)

// sharedSecretRoutes are the registration with a shared secret that Synapse
// brought and existing tools speak (Synapse's documentation, Shared-Secret
// Registration); none where no secret is set.
func (a *API) sharedSecretRoutes() []wire.Route {
	if a.SharedSecret == "" {
		return nil
	}
	s := &sharedSecret{api: a, nonces: cache.New(cache.Options[string, struct{}]{
		Size: maxNonces, Written: nonceLifetime,
	})}
	const path = "/_synapse/admin/v1/register"
	return []wire.Route{
		{Method: http.MethodGet, Path: path, Handle: s.nonce},
		{Method: http.MethodPost, Path: path, Handle: s.register},
	}
}

// sharedSecret registers accounts for whoever proves to know the secret.
type sharedSecret struct {
	api    *API
	nonces *cache.Cache[string, struct{}]
}

func (s *sharedSecret) nonce(*wire.Request) (any, error) {
	nonce := rand.Text()
	s.nonces.Set(nonce, struct{}{})
	return map[string]string{"nonce": nonce}, nil
}

// sharedSecretRequest is the body of POST /_synapse/admin/v1/register.
type sharedSecretRequest struct {
	Nonce       string `json:"nonce"`
	Username    string `json:"username"`
	DisplayName string `json:"displayname"`
	Password    string `json:"password"`
	Admin       bool   `json:"admin"`
	UserType    string `json:"user_type"`
	MAC         string `json:"mac"`
	Inhibit     bool   `json:"inhibit_login"`
}

// mac is the HMAC-SHA1 of the nonce, name, password and rights, with NUL between
// them.
func (q *sharedSecretRequest) mac(secret string) []byte {
	rights := "notadmin"
	if q.Admin {
		rights = "admin"
	}
	parts := []string{q.Nonce, q.Username, q.Password, rights}
	if q.UserType != "" {
		parts = append(parts, q.UserType)
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

func (s *sharedSecret) register(r *wire.Request) (any, error) {
	var q sharedSecretRequest
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	if strings.Contains(q.Username+q.Password, "\x00") {
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "The username or password has a NUL character.")
	}
	if _, ok := s.nonces.Take(q.Nonce); !ok {
		return nil, matrix.Errorf(matrix.CodeUnknown, "This nonce is not known, was used, or has expired.").
			WithStatus(http.StatusBadRequest)
	}
	got, err := hex.DecodeString(q.MAC)
	if err != nil || !hmac.Equal(got, q.mac(s.api.SharedSecret)) {
		return nil, matrix.Errorf(matrix.CodeForbidden, "The mac is wrong: is it the same secret?")
	}
	return s.create(r, q)
}

func (s *sharedSecret) create(r *wire.Request, q sharedSecretRequest) (any, error) {
	accounts := s.api.Accounts
	localpart := account.Localpart(q.Username)
	if err := s.api.checkLocalpart(r, localpart); err != nil {
		return nil, err
	}
	hash, err := accounts.HashPassword(r.Context(), q.Password)
	if err != nil {
		return nil, err
	}
	reg := account.Registration{
		Localpart: localpart, PasswordHash: hash, Kind: storage.KindUser, Admin: q.Admin, DisplayName: q.DisplayName,
		InTx: func(tx *storage.Tx, user matrix.UserID) error {
			return accounts.Audit(tx, "shared-secret", "account.create", user)
		},
	}
	if !q.Inhibit {
		reg.Session = &account.NewSession{}
	}
	session, err := accounts.Register(r.Context(), reg)
	if err != nil {
		return nil, err
	}
	return struct {
		UserID      matrix.UserID     `json:"user_id"`
		HomeServer  matrix.ServerName `json:"home_server"`
		DeviceID    string            `json:"device_id,omitzero"`
		AccessToken string            `json:"access_token,omitzero"`
	}{session.UserID, s.api.ServerName, session.DeviceID, session.AccessToken}, nil
}
