package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/client"
)

func TestSessionsSendWhatIsSetAndNoDeadToken(t *testing.T) {
	const session = `{"user_id":"@a:b","device_id":"D","access_token":"new","refresh_token":"r2","expires_in_ms":60000,` +
		`"well_known":{"m.homeserver":{"base_url":"https://hs.example.org"}}}`
	want := client.Session{
		UserID: "@a:b", DeviceID: "D", AccessToken: "new", RefreshToken: "r2", ExpiresIn: time.Minute, BaseURL: "https://hs.example.org",
	}
	login := func(req client.LoginRequest) func(context.Context, *client.Client) (client.Session, error) {
		return func(ctx context.Context, c *client.Client) (client.Session, error) { return c.Login(ctx, req) }
	}
	tests := []struct {
		name  string
		call  func(context.Context, *client.Client) (client.Session, error)
		uri   string
		body  string
		token string
	}{
		{
			"register", func(ctx context.Context, c *client.Client) (client.Session, error) {
				return c.Register(ctx, client.RegisterRequest{Username: "a", Password: "p"}, nil)
			}, "register", `{"username":"a","password":"p"}`, "",
		},
		{
			"register with everything", func(ctx context.Context, c *client.Client) (client.Session, error) {
				return c.Register(ctx, client.RegisterRequest{
					Username: "a", Password: "p", DeviceID: "D", DeviceName: "phone", RefreshToken: true, InhibitLogin: true,
				}, nil)
			}, "register",
			`{"username":"a","password":"p","device_id":"D","initial_device_display_name":"phone","refresh_token":true,"inhibit_login":true}`, "",
		},
		{
			"guest", func(ctx context.Context, c *client.Client) (client.Session, error) {
				return c.RegisterGuest(ctx, "kiosk")
			},
			"register?kind=guest", `{"initial_device_display_name":"kiosk"}`, "",
		},
		{
			"password of a user", login(client.PasswordLogin(client.User("a"), "p")), "login",
			`{"type":"m.login.password","identifier":{"type":"m.id.user","user":"a"},"password":"p"}`, "",
		},
		{
			"password of an address", login(client.PasswordLogin(client.Threepid("email", "a@b.c"), "p")), "login",
			`{"type":"m.login.password","identifier":{"type":"m.id.thirdparty","medium":"email","address":"a@b.c"},"password":"p"}`, "",
		},
		{
			"password of a phone", login(client.PasswordLogin(client.Phone("GB", "070"), "p")), "login",
			`{"type":"m.login.password","identifier":{"type":"m.id.phone","country":"GB","phone":"070"},"password":"p"}`, "",
		},
		{"login token", login(client.TokenLogin("lt")), "login", `{"type":"m.login.token","token":"lt"}`, ""},
		{
			"application service", login(client.LoginRequest{Type: "m.login.application_service", Identifier: client.User("a")}), "login",
			`{"type":"m.login.application_service","identifier":{"type":"m.id.user","user":"a"}}`, "Bearer old",
		},
		{
			"refresh", func(ctx context.Context, c *client.Client) (client.Session, error) { return c.Refresh(ctx, "r1") },
			"refresh", `{"refresh_token":"r1"}`, "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, ok(session))
			c := s.client("old")
			got, err := test.call(t.Context(), c)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			s.wantBodies(t, test.body)
			if r := s.rounds[0]; r.uri != "/_matrix/client/v3/"+test.uri || r.token != test.token {
				t.Errorf("POST %s with %q", r.uri, r.token)
			}
			if c.Token != "old" {
				t.Errorf("the client's token has changed to %q", c.Token)
			}
		})
	}
}

func TestARefreshTokenThatIsNotReplacedIsKept(t *testing.T) {
	s := script(t, ok(`{"access_token":"a2"}`))
	got, err := s.client("").Refresh(t.Context(), "r1")
	if diff := cmp.Diff(client.Session{AccessToken: "a2", RefreshToken: "r1"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
