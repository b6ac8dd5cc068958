package clientapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

func (a *API) loginRoutes() []wire.Route {
	return []wire.Route{
		{Method: http.MethodGet, Path: "/_matrix/client/v3/login", Handle: a.open(a.loginFlows)},
		{Method: http.MethodPost, Path: "/_matrix/client/v3/login", Handle: a.login},
		{Method: http.MethodPost, Path: "/_matrix/client/v1/login/get_token", Handle: a.member(a.getLoginToken)},
	}
}

// loginFlow is one entry of GET /login.
type loginFlow struct {
	Type          string `json:"type"`
	GetLoginToken bool   `json:"get_login_token,omitzero"`
}

func (a *API) loginFlows(*wire.Request) (any, error) {
	return map[string][]loginFlow{"flows": {
		{Type: "m.login.password"},
		{Type: "m.login.token", GetLoginToken: true},
		{Type: "m.login.application_service"},
	}}, nil
}

// loginRequest is the body of POST /login, with the deprecated ways to say who.
type loginRequest struct {
	Type       string      `json:"type"`
	Identifier *identifier `json:"identifier"`
	User       string      `json:"user"`
	Medium     string      `json:"medium"`
	Address    string      `json:"address"`
	Password   string      `json:"password"`
	Token      string      `json:"token"`
	DeviceID   string      `json:"device_id"`
	DeviceName string      `json:"initial_device_display_name"`
	Refresh    bool        `json:"refresh_token"`
}

type identifier struct {
	Type    string `json:"type"`
	User    string `json:"user"`
	Medium  string `json:"medium"`
	Address string `json:"address"`
	Country string `json:"country"`
	Phone   string `json:"phone"`
}

func (q *loginRequest) session() account.NewSession {
	return account.NewSession{DeviceID: q.DeviceID, DeviceName: q.DeviceName, RefreshToken: q.Refresh}
}

// who is the account that the request is for.
func (q *loginRequest) who() (account.Identifier, error) {
	switch id := q.Identifier; {
	case id != nil:
		return account.ParseIdentifier(id.Type, id.User, id.Medium, id.Address, id.Country, id.Phone)
	case q.User != "":
		return account.Identifier{User: q.User}, nil
	case q.Medium != "" && q.Address != "":
		return account.Identifier{Medium: q.Medium, Address: q.Address}, nil
	}
	return account.Identifier{}, matrix.Errorf(matrix.CodeMissingParam, "The request does not say who logs in.")
}

// login is POST /login (CS API, Login).
func (a *API) login(r *wire.Request) (any, error) {
	if err := allow(a.Limits.Login, r.Network()); err != nil {
		return nil, err
	}
	var q loginRequest
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	var session account.Session
	var err error
	switch q.Type {
	case "m.login.password":
		var id account.Identifier
		if id, err = q.who(); err == nil {
			session, err = a.Accounts.LoginPassword(r.Context(), id, q.Password, q.session())
		}
	case "m.login.token":
		session, err = a.Accounts.LoginToken(r.Context(), q.Token, q.session())
	case "m.login.application_service":
		session, err = a.loginAppservice(r, q)
	case "":
		err = matrix.Errorf(matrix.CodeMissingParam, "The request has no login type.")
	default:
		err = matrix.Errorf(matrix.CodeUnknown, "This server does not know logins of that type.").WithStatus(http.StatusBadRequest)
	}
	if err != nil {
		return nil, err
	}
	return a.began(r, session), nil
}

// loginAppservice begins a session for a user of the application service whose
// token the request carries (CS API, Appservice Login: M_FORBIDDEN if there is
// no such service or user, M_EXCLUSIVE if the user is not its own).
func (a *API) loginAppservice(r *wire.Request, q loginRequest) (account.Session, error) {
	s := a.Appservices.ByToken(a.token(r))
	if s == nil {
		if a.token(r) == "" {
			return account.Session{}, matrix.Errorf(matrix.CodeMissingToken, "This login needs the token of an application service.")
		}
		return account.Session{}, matrix.Errorf(matrix.CodeForbidden, "This is not the token of an application service.")
	}
	id, err := q.who()
	if err != nil {
		return account.Session{}, err
	}
	user, err := a.Accounts.Resolve(r.Context(), id)
	if err != nil {
		return account.Session{}, err
	}
	if user == "" || !s.Owns(user) {
		return account.Session{}, matrix.Errorf(matrix.CodeExclusive, "This user is not in the application service's namespaces.")
	}
	return a.Accounts.Login(r.Context(), user, q.session())
}

// sessionBody is the answer of POST /login and POST /register.
type sessionBody struct {
	UserID       matrix.UserID     `json:"user_id"`
	HomeServer   matrix.ServerName `json:"home_server"` // deprecated; old clients need it
	DeviceID     string            `json:"device_id,omitzero"`
	AccessToken  string            `json:"access_token,omitzero"`
	RefreshToken string            `json:"refresh_token,omitzero"`
	ExpiresInMS  int64             `json:"expires_in_ms,omitzero"`
	WellKnown    any               `json:"well_known,omitzero"`
}

// began notes that the device of a new session was seen, and makes the answer.
func (a *API) began(r *wire.Request, s account.Session) sessionBody {
	a.Accounts.Seen(account.Requester{UserID: s.UserID, DeviceID: s.DeviceID}, r.Remote.String(), r.UserAgent())
	body := sessionBody{
		UserID: s.UserID, HomeServer: a.Options.ServerName, DeviceID: s.DeviceID,
		AccessToken: s.AccessToken, RefreshToken: s.RefreshToken, ExpiresInMS: s.ExpiresIn.Milliseconds(),
	}
	if s.AccessToken != "" && a.Options.ClientBaseURL != "" {
		body.WellKnown = a.clientWellKnown()
	}
	return body
}

// getLoginToken is POST /v1/login/get_token.
func (a *API) getLoginToken(r *wire.Request, who account.Requester) (any, error) {
	var q struct {
		Auth jsontext.Value `json:"auth"`
	}
	if err := r.DecodeOptional(&q); err != nil {
		return nil, err
	}
	done, err := a.authorize(r, uia{who: &who, flows: passwordFlow, auth: q.Auth})
	if err != nil {
		return nil, err
	}
	token, lifetime, err := a.Accounts.CreateLoginToken(r.Context(), who.UserID, done.Consume)
	if err != nil {
		return nil, err
	}
	return map[string]any{"login_token": token, "expires_in_ms": lifetime.Milliseconds()}, nil
}
