package client

import (
	"context"
	"net/http"
	"time"
)

// Session is what a registration, a login or a refresh gave.
type Session struct {
	UserID      string // "" after a refresh
	DeviceID    string // "" after a refresh
	AccessToken string
	// RefreshToken is "" where the server gave none.
	RefreshToken string
	// ExpiresIn is how long the access token lives, 0 for ever.
	ExpiresIn time.Duration
	// BaseURL is where the server wants to be reached from now on, "" where it
	// did not say (POST /login, well_known). Whether to go there is the caller's
	// to decide.
	BaseURL string
}

// sessionBody is the answer of POST /register, /login and /refresh.
type sessionBody struct {
	UserID       string        `json:"user_id"`
	DeviceID     string        `json:"device_id"`
	AccessToken  string        `json:"access_token"`
	RefreshToken string        `json:"refresh_token"`
	ExpiresInMS  int64         `json:"expires_in_ms"`
	WellKnown    wellKnownBody `json:"well_known"`
}

func (b sessionBody) session() Session {
	return Session{
		UserID: b.UserID, DeviceID: b.DeviceID, AccessToken: b.AccessToken, RefreshToken: b.RefreshToken,
		ExpiresIn: time.Duration(min(b.ExpiresInMS, int64(maxWait/time.Millisecond))) * time.Millisecond,
		BaseURL:   b.WellKnown.Homeserver.BaseURL,
	}
}

// RegisterRequest is the account to make (POST /register). What is not set is
// not sent.
type RegisterRequest struct {
	Username   string `json:"username,omitzero"`
	Password   string `json:"password,omitzero"`
	DeviceID   string `json:"device_id,omitzero"`
	DeviceName string `json:"initial_device_display_name,omitzero"`
	// RefreshToken asks for a refresh token.
	RefreshToken bool `json:"refresh_token,omitzero"`
	// InhibitLogin makes an account without a session.
	InhibitLogin bool `json:"inhibit_login,omitzero"`
}

// Register makes an account, and begins a session unless that is inhibited
// (Account registration). The client goes on with the token it has: see
// [Client.WithToken].
func (c *Client) Register(ctx context.Context, req RegisterRequest, auth Auth) (Session, error) {
	var body sessionBody
	err := c.WithToken("").post(ctx, "/_matrix/client/v3/register", req, &body, auth)
	return body.session(), err
}

// RegisterGuest makes a guest account, for servers that take guests (Guest
// access).
func (c *Client) RegisterGuest(ctx context.Context, deviceName string) (Session, error) {
	var body sessionBody
	req := RegisterRequest{DeviceName: deviceName}
	err := c.WithToken("").Do(ctx, http.MethodPost, "/_matrix/client/v3/register?kind=guest", req, &body)
	return body.session(), err
}

// Identifier names an account (Identifier types): see [User], [Threepid],
// [Phone].
type Identifier struct {
	Type    string `json:"type"`
	User    string `json:"user,omitzero"`
	Medium  string `json:"medium,omitzero"`
	Address string `json:"address,omitzero"`
	Country string `json:"country,omitzero"`
	Phone   string `json:"phone,omitzero"`
}

// User names an account by its id or localpart.
func User(user string) Identifier { return Identifier{Type: "m.id.user", User: user} }

// Threepid names an account by an identifier that belongs to it: the medium is
// "email" or "msisdn".
func Threepid(medium, address string) Identifier {
	return Identifier{Type: "m.id.thirdparty", Medium: medium, Address: address}
}

// Phone names an account by a phone number as people dial it in a country, of
// two letters.
func Phone(country, phone string) Identifier {
	return Identifier{Type: "m.id.phone", Country: country, Phone: phone}
}

// LoginRequest is a login (POST /login); [PasswordLogin] and [TokenLogin] make
// one, to which the other fields can be added. What is not set is not sent.
type LoginRequest struct {
	Type       string     `json:"type"`
	Identifier Identifier `json:"identifier,omitzero"`
	Password   string     `json:"password,omitzero"`
	// Token is a login token; an access token is [Client.Token].
	Token      string `json:"token,omitzero"`
	DeviceID   string `json:"device_id,omitzero"`
	DeviceName string `json:"initial_device_display_name,omitzero"`
	// RefreshToken asks for a refresh token.
	RefreshToken bool `json:"refresh_token,omitzero"`
}

// loginAppservice is the type of login that takes an access token, that of the
// application service (Appservice login).
const loginAppservice = "m.login.application_service"

// PasswordLogin is a login with a password.
func PasswordLogin(id Identifier, password string) LoginRequest {
	return LoginRequest{Type: "m.login.password", Identifier: id, Password: password}
}

// TokenLogin is a login with a login token (Token-based).
func TokenLogin(token string) LoginRequest {
	return LoginRequest{Type: "m.login.token", Token: token}
}

// Login begins a session (Login). The client goes on with the token it has: see
// [Client.WithToken]. [CodeUserDeactivated] says that the account has ended.
func (c *Client) Login(ctx context.Context, req LoginRequest) (Session, error) {
	if req.Type != loginAppservice {
		c = c.WithToken("") // some servers refuse a login that brings a dead one
	}
	var body sessionBody
	err := c.Do(ctx, http.MethodPost, "/_matrix/client/v3/login", req, &body)
	return body.session(), err
}

// Refresh exchanges a refresh token for a new access token (Refreshing access
// tokens). The refresh token of the result is the one to use next.
func (c *Client) Refresh(ctx context.Context, refreshToken string) (Session, error) {
	var body sessionBody
	in := map[string]string{"refresh_token": refreshToken}
	err := c.WithToken("").Do(ctx, http.MethodPost, "/_matrix/client/v3/refresh", in, &body)
	if err == nil && body.RefreshToken == "" {
		body.RefreshToken = refreshToken // POST /refresh: the old one can be used again
	}
	return body.session(), err
}

// Logout ends this session (POST /logout).
func (c *Client) Logout(ctx context.Context) error {
	return c.Do(ctx, http.MethodPost, "/_matrix/client/v3/logout", struct{}{}, nil)
}

// LogoutAll ends all sessions of the account (POST /logout/all).
func (c *Client) LogoutAll(ctx context.Context) error {
	return c.Do(ctx, http.MethodPost, "/_matrix/client/v3/logout/all", struct{}{}, nil)
}

// Identity is whose token a token is.
type Identity struct {
	UserID   string `json:"user_id"`
	DeviceID string `json:"device_id"` // "" for application services
	IsGuest  bool   `json:"is_guest"`
}

// Whoami tells whose token this is (GET /account/whoami).
func (c *Client) Whoami(ctx context.Context) (Identity, error) {
	var body Identity
	err := c.Do(ctx, http.MethodGet, "/_matrix/client/v3/account/whoami", nil, &body)
	return body, err
}
