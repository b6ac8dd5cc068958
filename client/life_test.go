package client_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"sync"
	"testing"

	"lethe/client"
	"lethe/internal/config"
	"lethe/internal/hstest"
)

// begin registers an account with the password "correct-horse" and returns a
// client that is logged in.
func begin(t *testing.T, s *hstest.Server, name string) (*client.Client, client.Session) {
	t.Helper()
	c := &client.Client{BaseURL: s.URL}
	session, err := c.Register(t.Context(), client.RegisterRequest{
		Username: name, Password: "correct-horse", RefreshToken: true,
	}, client.DummyAuth())
	if err != nil {
		t.Fatal(err)
	}
	return c.WithToken(session.AccessToken), session
}

func wantCode(t *testing.T, what, code string, err error) {
	t.Helper()
	if client.CodeOf(err) != code {
		t.Errorf("%s: error = %v; want %s", what, err, code)
	}
}

func TestTheWholeLifeOfAnAccount(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		c, session := begin(t, s, "alice")
		if v, err := c.Versions(t.Context()); err != nil || len(v.Versions) == 0 {
			t.Errorf("Versions = %v, %v", v, err)
		}
		me, err := c.Whoami(t.Context())
		if err != nil || me != (client.Identity{UserID: "@alice:example.org", DeviceID: session.DeviceID}) {
			t.Errorf("Whoami = %+v, %v", me, err)
		}
		refreshed, err := c.Refresh(t.Context(), session.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		c = c.WithToken(refreshed.AccessToken)
		other, err := c.Login(t.Context(), client.PasswordLogin(client.User("alice"), "correct-horse"))
		if err != nil {
			t.Fatal(err)
		}
		second := c.WithToken(other.AccessToken)
		if err := second.Logout(t.Context()); err != nil {
			t.Errorf("Logout: %v", err)
		}
		_, err = second.Whoami(t.Context())
		wantCode(t, "a token after Logout", client.CodeUnknownToken, err)

		var archive bytes.Buffer
		if err := c.Export(t.Context(), &archive); err != nil {
			t.Fatal(err)
		}
		if _, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len())); err != nil {
			t.Errorf("the export is not a zip: %v", err)
		}

		_, err = c.DeactivateAccount(t.Context(), client.PasswordAuth("alice", "wrong"), true, "")
		wantCode(t, "a wrong password", client.CodeForbidden, err)
		ended, err := c.Deactivate(t.Context(), client.PasswordAuth(me.UserID, "correct-horse"), client.DeactivateRequest{Erase: new(true)})
		if err != nil || ended.Unbind != client.UnbindSuccess || ended.ID == "" {
			t.Fatalf("Deactivate = %+v, %v", ended, err)
		}
		var receipt client.Receipt
		s.Eventually("the receipt is complete", func() bool {
			receipt, err = c.Receipt(t.Context(), ended.ID)
			return err == nil && receipt.Complete
		})
		if receipt.UserID != me.UserID || !receipt.Erase || receipt.Gone["password"] != 1 || !bytes.Contains(receipt.Raw, []byte(`"signatures"`)) {
			t.Errorf("Receipt = %+v", receipt)
		}
		_, err = c.Whoami(t.Context())
		wantCode(t, "the token after the end", client.CodeUnknownToken, err)
		if e, isError := errors.AsType[*client.Error](err); isError && e.SoftLogout {
			t.Error("the token after the end is a soft logout")
		}
		_, err = c.Refresh(t.Context(), refreshed.RefreshToken)
		wantCode(t, "the refresh token after the end", client.CodeUnknownToken, err)
		_, err = c.Login(t.Context(), client.PasswordLogin(client.User("alice"), "correct-horse"))
		wantCode(t, "a login after the end", client.CodeUserDeactivated, err)
		_, err = c.Register(t.Context(), client.RegisterRequest{Username: "alice", Password: "correct-horse"}, client.DummyAuth())
		wantCode(t, "the name after the end", client.CodeUserInUse, err)
	})
}

func TestAClientIsSafeForConcurrentUse(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		c, _ := begin(t, s, "alice")
		auth := client.PasswordAuth("alice", "correct-horse")
		var wg sync.WaitGroup
		results := make([]error, 8)
		for i := range results {
			wg.Go(func() { _, results[i] = c.DeactivateAccount(t.Context(), auth, true, "") })
		}
		wg.Wait()
		ended := 0
		for _, err := range results {
			if err == nil {
				ended++
				continue
			}
			if e, isError := errors.AsType[*client.Error](err); !isError || e.StatusCode != http.StatusUnauthorized {
				t.Errorf("DeactivateAccount = %v", err)
			}
		}
		if ended == 0 {
			t.Error("no call has ended the account")
		}
	})
}

func TestLogoutAllEndsEverySession(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		c, _ := begin(t, s, "alice")
		other, err := c.Login(t.Context(), client.PasswordLogin(client.User("alice"), "correct-horse"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.LogoutAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = c.WithToken(other.AccessToken).Whoami(t.Context())
		wantCode(t, "the other session's token", client.CodeUnknownToken, err)
	})
}

func TestGuestsAreRegisteredAndCannotBeEnded(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		c := &client.Client{BaseURL: s.URL}
		session, err := c.RegisterGuest(t.Context(), "kiosk")
		if err != nil {
			t.Fatal(err)
		}
		c = c.WithToken(session.AccessToken)
		if me, err := c.Whoami(t.Context()); err != nil || !me.IsGuest || me.UserID != session.UserID {
			t.Errorf("Whoami = %+v, %v", me, err)
		}
		_, err = c.DeactivateAccount(t.Context(), client.PasswordAuth(session.UserID, "x"), true, "")
		wantCode(t, "a guest's end", "M_GUEST_ACCESS_FORBIDDEN", err)
	}, hstest.Set(func(settings *config.Settings) { settings.Guests = true }))
}

func TestRegistrationByToken(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		operator := client.Unix(s.Socket())
		defer operator.HTTP.CloseIdleConnections()
		in := map[string]any{"token": "invited", "uses_allowed": 1}
		if err := operator.Do(t.Context(), http.MethodPost, "/_lethe/admin/v1/registration_tokens", in, nil); err != nil {
			t.Fatal(err)
		}
		c := &client.Client{BaseURL: s.URL}
		req := client.RegisterRequest{Username: "alice", Password: "correct-horse"}
		_, err := c.Register(t.Context(), req, client.DummyAuth())
		if e, isError := errors.AsType[*client.Error](err); !isError || e.UIA == nil {
			t.Errorf("Register without a token = %v", err)
		}
		_, err = c.Register(t.Context(), req, client.RegistrationTokenAuth("guessed"))
		if e, isError := errors.AsType[*client.Error](err); !isError || e.StatusCode != http.StatusUnauthorized || e.Code == "" {
			t.Errorf("Register with a wrong token = %v", err)
		}
		if _, err := c.Register(t.Context(), req, client.RegistrationTokenAuth("invited")); err != nil {
			t.Errorf("Register with the token = %v", err)
		}
	}, hstest.Set(func(settings *config.Settings) { settings.Registration = "token" }))
}

func TestARateLimitTellsHowLongToWait(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		c, _ := begin(t, s, "alice")
		var err error
		for range 100 {
			if _, err = c.Login(t.Context(), client.PasswordLogin(client.User("alice"), "wrong")); client.CodeOf(err) != client.CodeForbidden {
				break
			}
		}
		e, isError := errors.AsType[*client.Error](err)
		if !isError || e.Code != client.CodeLimitExceeded || e.RetryAfter <= 0 {
			t.Errorf("the last login of many = %v", err)
		}
	}, hstest.Set(func(settings *config.Settings) { settings.RateLimits = "on" }))
}

func TestUnixReachesTheOperatorsSocket(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		begin(t, s, "alice")
		operator := client.Unix(s.Socket())
		defer operator.HTTP.CloseIdleConnections()
		var user struct {
			UserID string `json:"user_id"`
		}
		if err := operator.Do(t.Context(), http.MethodGet, "/_lethe/admin/v1/users/@alice:example.org", nil, &user); err != nil || user.UserID != "@alice:example.org" {
			t.Errorf("the account = %+v, %v", user, err)
		}
		s.Stop()
		if err := operator.Do(t.Context(), http.MethodGet, "/_lethe/admin/v1/users", nil, nil); err == nil {
			t.Error("a server that is stopped has answered")
		}
		nobody := client.Unix("/nonexistent/admin.sock")
		if err := nobody.Do(t.Context(), http.MethodGet, "/health", nil, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no socket: %v", err)
		}
	})
}
