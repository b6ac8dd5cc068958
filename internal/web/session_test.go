package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/account"
	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
)

const whoami = "/_matrix/client/v3/account/whoami"

// credentials is the form that signs in.
func credentials(user, password string) url.Values {
	return url.Values{"username": {user}, "password": {password}}
}

// devices are the names of somebody's devices.
func devices(s *hstest.Server, who hstest.Session) (names []string) {
	list, _ := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/devices", who.Token, nil).Get("devices").([]any)
	for _, d := range list {
		device, _ := d.(map[string]any)
		name, _ := device["display_name"].(string)
		names = append(names, name)
	}
	return names
}

func TestSigningInBeginsASessionOfItsOwn(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		b.signIn(alice).has(http.StatusOK, alice.UserID)
		if diff := cmp.Diff([]string{"", "Account page"}, devices(s, alice)); diff != "" {
			t.Errorf("devices (-want +got):\n%s", diff)
		}
		first := b.cookie()
		s.Want(http.StatusOK, "", http.MethodGet, whoami, first, nil)

		again := newBrowser(t, s)
		again.signIn(hstest.Session{UserID: "alice", Password: alice.Password})
		if got := devices(s, alice); len(got) != 2 {
			t.Errorf("after signing in again there are the devices %q", got)
		}
		s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, whoami, first, nil)
		s.Want(http.StatusOK, "", http.MethodGet, whoami, again.cookie(), nil)
	})
}

func TestTheCookieStaysInItsBrowser(t *testing.T) {
	for base, secure := range map[string]bool{"": false, "https://matrix.example.org": true} {
		s := hstest.New(t, "sqlite", hstest.Set(func(c *config.Settings) { c.PublicBaseURL = base }))
		s.Register("alice")
		b := newBrowser(t, s)
		b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		v := b.post(signInPath, credentials("alice", "correct-horse"), nil)
		if v.Status != http.StatusSeeOther || v.Header.Get("Location") != accountPath {
			t.Errorf("sign in = %d to %q", v.Status, v.Header.Get("Location"))
		}
		c, err := http.ParseSetCookie(v.Header.Get("Set-Cookie"))
		if err != nil {
			t.Fatal(err)
		}
		want := &http.Cookie{
			Name: "lethe_account", Value: c.Value, Path: accountPath, MaxAge: 3600, HttpOnly: true,
			SameSite: http.SameSiteStrictMode, Secure: secure, Raw: c.Raw,
		}
		if diff := cmp.Diff(want, c); diff != "" {
			t.Errorf("base URL %q: cookie (-want +got):\n%s", base, diff)
		}
		if strings.Contains(s.Log.String(), c.Value) {
			t.Errorf("the log has the session's token")
		}
	}
}

func TestASessionEndsByItselfAfterAnHour(t *testing.T) {
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		b.signIn(alice)
		clock.Advance(59 * time.Minute)
		b.get(accountPath).has(http.StatusOK, "Your account")
		clock.Advance(time.Minute)
		b.get(accountPath).has(http.StatusUnauthorized, "You are not signed in any more.")
		if b.cookie() != "" {
			t.Errorf("the browser keeps the cookie")
		}
	}, hstest.Clock(clock.Now))
}

func TestSigningOutEndsTheSession(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		b.signIn(alice)
		token := b.cookie()
		b.post(signOutPath, nil, nil).has(http.StatusOK, "You are signed out.", "Sign in to your account")
		s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, whoami, token, nil)
		if got := devices(s, alice); len(got) != 1 {
			t.Errorf("the devices that are left: %q", got)
		}
		if b.cookie() != "" {
			t.Errorf("the browser keeps the cookie")
		}
		// Once more, as of a page that was left open.
		b.setCookie(token)
		b.post(signOutPath, nil, nil).has(http.StatusOK, "You are signed out.")
	})
}

func TestSigningInIsRefused(t *testing.T) {
	wrong := map[string]string{"username": "The username or password is wrong."}
	cases := map[string]struct {
		user, password string
		status         int
		errors         map[string]string
	}{
		"a wrong password":       {"alice", "wrong-horse", http.StatusForbidden, wrong},
		"nobody's name":          {"nobody", "wrong-horse", http.StatusForbidden, wrong},
		"a name of elsewhere":    {"@alice:elsewhere.org", "correct-horse", http.StatusForbidden, wrong},
		"an account without one": {"@guest:example.org", "correct-horse", http.StatusForbidden, wrong},
		"no password":            {"alice", "", http.StatusBadRequest, map[string]string{"password": "Enter your password."}},
		"nothing": {"", "", http.StatusBadRequest, map[string]string{
			"username": "Enter your username.", "password": "Enter your password.",
		}},
		"an ended account": {"ended", "correct-horse", http.StatusForbidden, map[string]string{
			"": "This account has been deactivated.",
		}},
		"a locked account": {"locked", "correct-horse", http.StatusUnauthorized, map[string]string{
			"": "This account has been locked.",
		}},
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		s.Register("alice")
		restrict(t, s, s.Register("locked"), account.Locked)
		ended := s.Register("ended")
		s.Want(http.StatusOK, "", http.MethodPost, deactivate, ended.Token, map[string]any{
			"auth": hstest.PasswordAuth("ended", ended.Password, ""),
		})
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				b := newBrowser(t, s)
				v := b.submit(b.get(accountPath), map[string]string{"username": c.user, "password": c.password})
				if diff := cmp.Diff(c.errors, v.has(c.status).errors()); diff != "" {
					t.Errorf("errors (-want +got):\n%s", diff)
				}
				if b.cookie() != "" {
					t.Errorf("there is a session all the same")
				}
				if v.value("username") != c.user || v.value("password") != "" {
					t.Errorf("the form has %q and %q", v.value("username"), v.value("password"))
				}
			})
		}
	})
}

// restrict lays a restriction on an account.
func restrict(t *testing.T, s *hstest.Server, who hstest.Session, r account.Restriction) {
	t.Helper()
	operator := account.Requester{Admin: true, UserID: "@admin:example.org"}
	if err := s.Accounts.Restrict(t.Context(), operator, matrix.UserID(who.UserID), r, true); err != nil {
		t.Fatal(err)
	}
}

func TestAnEndedAccountIsNotToldWhereTheOperatorHidesIt(t *testing.T) {
	s := hstest.New(t, "sqlite", hstest.Set(func(c *config.Settings) { c.DeactivatedLogin = "hide" }))
	ended := s.Register("ended")
	s.Want(http.StatusOK, "", http.MethodPost, deactivate, ended.Token, map[string]any{
		"auth": hstest.PasswordAuth("ended", ended.Password, ""),
	})
	b := newBrowser(t, s)
	told := b.post(signInPath, credentials("ended", "correct-horse"), nil).has(http.StatusForbidden)
	unknown := b.post(signInPath, credentials("other", "correct-horse"), nil).has(http.StatusForbidden)
	if diff := cmp.Diff(strings.ReplaceAll(unknown.Raw, "other", "ended"), told.Raw); diff != "" {
		t.Errorf("the page tells an ended account from one that never was:\n%s", diff)
	}
}

func TestSigningInIsLimited(t *testing.T) {
	on := func(change func(*config.Settings)) hstest.Option {
		return hstest.Set(func(c *config.Settings) { c.RateLimits = "on"; change(c) })
	}
	for name, limit := range map[string]hstest.Option{
		"by address":            on(func(c *config.Settings) { c.RateLogin = config.Rate{Burst: 2, Per: time.Hour} }),
		"by account":            on(func(c *config.Settings) { c.RateLoginFailed = config.Rate{Burst: 2, Per: time.Hour} }),
		"as every other page":   on(func(c *config.Settings) { c.RateAddress = config.Rate{Burst: 2, Per: time.Hour} }),
		"together with the API": on(func(c *config.Settings) { c.RateLogin = config.Rate{Burst: 3, Per: time.Hour} }),
	} {
		t.Run(name, func(t *testing.T) {
			s := hstest.New(t, "sqlite", limit)
			if strings.HasPrefix(name, "together") {
				s.Want(http.StatusForbidden, "M_FORBIDDEN", http.MethodPost, "/_matrix/client/v3/login", "", map[string]any{
					"type": "m.login.password", "user": "alice", "password": "wrong-horse",
				})
			}
			b := newBrowser(t, s)
			for range 2 {
				b.post(signInPath, credentials("alice", "wrong-horse"), nil).has(http.StatusForbidden)
			}
			v := b.post(signInPath, credentials("alice", "correct-horse"), nil).has(http.StatusTooManyRequests)
			if v.Header.Get("Retry-After") == "" {
				t.Errorf("no Retry-After: %v", v.Header)
			}
		})
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	const base = "http://matrix.example.org"
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		b.signIn(alice)
		forms := map[string]url.Values{
			signInPath: credentials("alice", alice.Password), signOutPath: nil,
			endPath: {"confirm": {"alice"}, "password": {alice.Password}},
		}
		for path, form := range forms {
			for name, header := range map[string]http.Header{
				"another site":                 {"Sec-Fetch-Site": {"cross-site"}},
				"a sister of this site":        {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.example.org"}},
				"another site, of old":         {"Origin": {"https://evil.example"}},
				"a page that hides its origin": {"Origin": {"null"}},
			} {
				b.post(path, form, header).has(http.StatusForbidden, "This form came from another site.")
				s.Want(http.StatusOK, "", http.MethodGet, whoami, alice.Token, nil)
				if got := devices(s, alice); len(got) != 2 {
					t.Errorf("%s from %s: the devices are now %q", path, name, got)
				}
			}
		}
		for name, header := range map[string]http.Header{
			"this site":                   {"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}},
			"this site, of old":           {"Origin": {s.URL}},
			"this site, behind a proxy":   {"Origin": {base}},
			"the address bar":             {"Sec-Fetch-Site": {"none"}},
			"a browser that says nothing": {},
		} {
			v := newBrowser(t, s).post(signInPath, forms[signInPath], header)
			if v.title() != "Your account" {
				t.Errorf("from %s: %d %s", name, v.Status, v.text())
			}
		}
	}, hstest.Set(func(c *config.Settings) { c.PublicBaseURL = base + "/" }))
}
