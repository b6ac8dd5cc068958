package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/appservice"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

func (a *API) registerRoutes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodPost, Path: "/_matrix/client/v3/register", Handle: a.open(a.register)},
		{Method: http.MethodGet, Path: "/_matrix/client/v3/register/available", Handle: a.open(a.available)},
		{
			Method: http.MethodGet, Path: "/_matrix/client/v1/register/m.login.registration_token/validity",
			Handle: a.open(a.tokenValidity),
		},
	}
}

// registerRequest is the body of POST /register. What a later round of
// user-interactive authentication omits is taken from an earlier one.
type registerRequest struct {
	Auth       jsontext.Value `json:"auth,omitzero"`
	Type       string         `json:"type,omitzero"`
	Username   *string        `json:"username,omitzero"`
	Password   *string        `json:"password,omitzero"`
	DeviceID   *string        `json:"device_id,omitzero"`
	DeviceName *string        `json:"initial_device_display_name,omitzero"`
	Inhibit    *bool          `json:"inhibit_login,omitzero"`
	Refresh    *bool          `json:"refresh_token,omitzero"`
	// PasswordHash stands for Password in what is stored between rounds.
	PasswordHash string `json:"password_hash,omitzero"`
}

// session is the session to begin, nil for none.
func (q *registerRequest) session() *account.NewSession {
	if q.Inhibit != nil && *q.Inhibit {
		return nil
	}
	return &account.NewSession{
		DeviceID: deref(q.DeviceID), DeviceName: deref(q.DeviceName),
		RefreshToken: q.Refresh != nil && *q.Refresh,
	}
}

// continues tells whether the request names a session that is there, as the
// rounds after the first one do.
func (a *API) continues(r *wire.Request, q registerRequest) (bool, error) {
	var auth struct {
		Session string `json:"session"`
	}
	if err := json.Unmarshal(q.Auth, &auth); err != nil || auth.Session == "" {
		return false, nil //nolint:nilerr // Authorize says what is wrong with it
	}
	return a.Accounts.UIASessionLives(r.Context(), auth.Session)
}

// register is POST /register (CS API, Account registration).
func (a *API) register(r *wire.Request) (any, error) {
	switch r.Query("kind") {
	case "guest":
		return a.registerGuest(r)
	case "", "user":
	default:
		return nil, matrix.Errorf(matrix.CodeInvalidParam, "There are accounts of the kinds user and guest.")
	}
	var q registerRequest
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	q.PasswordHash = "" // nobody brings one along
	if s := a.Appservices.ByToken(a.token(r)); s != nil || q.Type == "m.login.application_service" {
		return a.registerAppservice(r, q, s)
	}
	continues, err := a.continues(r, q)
	if err != nil {
		return nil, err
	}
	if !continues {
		// Clients poll with the session while their user confirms an address.
		if err := allow(a.Limits.Register, r.Network()); err != nil {
			return nil, err
		}
	}
	if a.Options.Registration == "closed" {
		return nil, matrix.Errorf(matrix.CodeForbidden, "This server does not take registrations.")
	}
	if q.Username != nil {
		// CS API, POST /register: before user-interactive authentication, and by
		// Register after it.
		*q.Username = account.Localpart(*q.Username)
		if err := a.checkLocalpart(r, *q.Username, nil); err != nil {
			return nil, err
		}
	}
	return a.registerUser(r, q)
}

// checkLocalpart refuses a localpart that cannot be registered by s (nil: by
// anybody but an application service).
func (a *API) checkLocalpart(r *wire.Request, localpart string, s *appservice.Service) error {
	if a.Appservices.Exclusive(matrix.NewUserID(localpart, a.Options.ServerName), s) {
		return matrix.Errorf(matrix.CodeExclusive, "This username belongs to an application service.")
	}
	return a.Accounts.CheckLocalpart(r.Context(), localpart)
}

func (a *API) registerUser(r *wire.Request, q registerRequest) (any, error) {
	stored, err := a.storedRegistration(r, q)
	if err != nil {
		return nil, err
	}
	done, err := a.authorize(r, uia{
		flows: a.Accounts.RegistrationFlows(account.RegistrationRules{
			Token: a.Options.Registration == "token", Email: a.Options.RequireEmail, Terms: a.Options.Terms,
		}),
		terms: a.Options.Terms, auth: q.Auth, stored: stored,
	})
	if err != nil {
		return nil, err
	}
	all, err := json.Marshal(done.Stored)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(all, &q); err != nil {
		return nil, err
	}
	if q.PasswordHash == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no password.")
	}
	session, err := a.Accounts.Register(r.Context(), account.Registration{
		Localpart: deref(q.Username), PasswordHash: q.PasswordHash, Kind: storage.KindUser, Session: q.session(),
		InTx: func(tx *storage.Tx, user matrix.UserID) error { return a.registered(tx, user, done) },
	})
	if err != nil {
		return nil, err
	}
	return a.began(r, session), nil
}

// storedRegistration is what is kept of a round; of a password its hash.
func (a *API) storedRegistration(r *wire.Request, q registerRequest) (map[string]jsontext.Value, error) {
	if q.Password != nil {
		hash, err := a.Accounts.HashPassword(r.Context(), *q.Password)
		if err != nil {
			return nil, err
		}
		q.PasswordHash = hash
	}
	q.Auth, q.Password, q.Type = nil, nil, ""
	raw, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var stored map[string]jsontext.Value
	return stored, json.Unmarshal(raw, &stored)
}

// registered is the part of a registration's transaction that comes from its
// stages.
func (a *API) registered(tx *storage.Tx, user matrix.UserID, done *account.Authorized) error {
	if err := done.Consume(tx); err != nil {
		return err
	}
	if err := done.AcceptTerms(tx, user); err != nil {
		return err
	}
	for _, pid := range done.Threepids {
		if err := a.Accounts.AddThreepid(tx, user, pid); err != nil {
			return err
		}
	}
	return nil
}

// registerGuest makes a guest account (CS API, Guest access). POST /register:
// all but the device's name is to be ignored.
func (a *API) registerGuest(r *wire.Request) (any, error) {
	if !a.Options.Guests {
		return nil, matrix.Errorf(matrix.CodeGuestAccessForbidden, "This server does not take guests.")
	}
	if err := allow(a.Limits.Register, r.Network()); err != nil {
		return nil, err
	}
	var q struct {
		DeviceName string `json:"initial_device_display_name"`
	}
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	session, err := a.Accounts.Register(r.Context(), account.Registration{
		Kind: storage.KindGuest, Session: &account.NewSession{DeviceName: q.DeviceName},
	})
	if err != nil {
		return nil, err
	}
	return a.began(r, session), nil
}

// registerAppservice makes an account in the namespaces of an application
// service (Application Service API, Server admin style permissions).
func (a *API) registerAppservice(r *wire.Request, q registerRequest, s *appservice.Service) (any, error) {
	if s == nil {
		if a.token(r) == "" {
			return nil, matrix.Errorf(matrix.CodeMissingToken, "This registration needs the token of an application service.")
		}
		return nil, matrix.Errorf(matrix.CodeUnknownToken, "This is not the token of an application service.")
	}
	name := deref(q.Username)
	if name == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no username.")
	}
	if !s.Owns(matrix.NewUserID(name, a.Options.ServerName)) {
		return nil, matrix.Errorf(matrix.CodeExclusive, "This username is not in the application service's namespaces.")
	}
	if err := a.checkLocalpart(r, name, s); err != nil {
		return nil, err
	}
	session, err := a.Accounts.Register(r.Context(), account.Registration{
		Localpart: name, Kind: storage.KindAppservice, AppserviceID: s.ID, Session: q.session(),
	})
	if err != nil {
		return nil, err
	}
	return a.began(r, session), nil
}

// available is GET /register/available.
func (a *API) available(r *wire.Request) (any, error) {
	name := account.Localpart(r.Query("username"))
	if name == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no username.")
	}
	if err := a.checkLocalpart(r, name, nil); err != nil {
		return nil, err
	}
	return map[string]bool{"available": true}, nil
}

// tokenValidity tells whether a registration token can be used (CS API, GET
// /v1/register/m.login.registration_token/validity).
func (a *API) tokenValidity(r *wire.Request) (any, error) {
	if a.Options.Registration == "closed" {
		return nil, matrix.Errorf(matrix.CodeForbidden, "This server does not take registrations.")
	}
	if err := allow(a.Limits.Login, r.Network()); err != nil {
		return nil, err // tokens are short enough to be guessed
	}
	token := r.Query("token")
	if token == "" {
		return nil, matrix.Errorf(matrix.CodeMissingParam, "The request has no token.")
	}
	err := a.Accounts.CheckRegistrationToken(r.Context(), token)
	if err != nil && matrix.CodeOf(err) != matrix.CodeUnauthorized {
		return nil, err
	}
	return map[string]bool{"valid": err == nil}, nil
}
