package web_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

// end ends the account of who, by the form; values are what is different from
// one that is filled in well.
func (b *browser) end(who hstest.Session, values map[string]string) view {
	b.t.Helper()
	form := map[string]string{"confirm": who.UserID, "password": who.Password}
	maps.Copy(form, values)
	return b.submit(b.get(endPath), form)
}

func TestThePageEndsTheAccount(t *testing.T) {
	for name, erase := range map[string]map[string]string{"plain": nil, "erased": {"erase": "yes"}} {
		t.Run(name, func(t *testing.T) {
			hstest.Each(t, func(t *testing.T, s *hstest.Server) {
				alice := s.Register("alice")
				profile := "/_matrix/client/v3/profile/" + alice.UserID + "/displayname"
				s.Want(http.StatusOK, "", http.MethodPut, profile, alice.Token, map[string]any{"displayname": "Alice"})
				b := newBrowser(t, s)
				b.signIn(alice)
				token := b.cookie()
				v := b.end(alice, erase).has(http.StatusOK, "Your account has ended", "@alice:example.org")
				id, ok := strings.CutPrefix(v.URL.Path, accountPath+"/receipt/")
				if !ok || len(id) < 26 {
					t.Fatalf("the receipt is at %s", v.URL)
				}
				for _, dead := range []string{token, alice.Token} {
					s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, whoami, dead, nil)
				}
				s.Want(http.StatusForbidden, "M_USER_DEACTIVATED", http.MethodPost, "/_matrix/client/v3/login", "", map[string]any{
					"type": "m.login.password", "user": "alice", "password": alice.Password,
				})
				if b.cookie() != "" {
					t.Errorf("the browser keeps the cookie")
				}
				s.Eventually("the receipt is complete", func() bool { return strings.Contains(b.get(v.URL.Path).text(), "Everything is done.") })
				receipt := s.Want(http.StatusOK, "", http.MethodGet, "/_lethe/client/v1/deactivation/"+id+"/receipt", "", nil)
				if receipt.Get("erase") != (erase != nil) || receipt.String("requested_by") != "self" {
					t.Errorf("receipt = %s", receipt.Raw)
				}
			})
		})
	}
}

func TestNothingEndsUnlessItIsMeant(t *testing.T) {
	const confirm, password = "Type your username, alice, to confirm that you mean it.", "Enter your password."
	cases := map[string]struct {
		values map[string]string
		status int
		errors map[string]string
	}{
		"nothing filled in": {
			map[string]string{"confirm": "", "password": ""},
			http.StatusBadRequest,
			map[string]string{"confirm": confirm, "password": password},
		},
		"another name":       {map[string]string{"confirm": "alicia"}, http.StatusBadRequest, map[string]string{"confirm": confirm}},
		"another's name":     {map[string]string{"confirm": "@bob:example.org"}, http.StatusBadRequest, map[string]string{"confirm": confirm}},
		"no password":        {map[string]string{"password": ""}, http.StatusBadRequest, map[string]string{"password": password}},
		"a wrong password":   {map[string]string{"password": "wrong-horse"}, http.StatusForbidden, map[string]string{"password": "The password is wrong."}},
		"another's password": {map[string]string{"password": "bobs-password"}, http.StatusForbidden, map[string]string{"password": "The password is wrong."}},
	}
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/password", bob.Token, map[string]any{
			"auth": hstest.PasswordAuth("bob", bob.Password, ""), "new_password": "bobs-password",
		})
		b := newBrowser(t, s)
		b.signIn(alice)
		var v view
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				c.values["erase"] = "yes"
				v = b.end(alice, c.values).has(c.status)
				if diff := cmp.Diff(c.errors, v.errors()); diff != "" {
					t.Errorf("errors (-want +got):\n%s", diff)
				}
				s.Want(http.StatusOK, "", http.MethodGet, whoami, alice.Token, nil)
				if v.value("password") != "" || !slices.ContainsFunc(v.all("input"), isTicked) {
					t.Errorf("what need not be typed again is gone, or the password is not: %s", v.Raw)
				}
			})
		}
		// The page that the last of them was given, filled in well.
		b.submit(v, map[string]string{"confirm": "alice", "password": alice.Password}).has(http.StatusOK, "Your account has ended")
	})
}

func isTicked(n *html.Node) bool { return attr(n, "name") == "erase" && hasAttr(n, "checked") }

func TestPeopleAskTheOperatorWhereTheyMayNotEndTheirAccounts(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		contacts := []string{"only its operators end accounts", "admin@example.org", "@admin:example.org", "https://example.org/help"}
		b.signIn(alice).has(http.StatusOK, contacts...)
		b.get(endPath).has(http.StatusForbidden, contacts...)
		form := url.Values{"confirm": {"alice"}, "password": {alice.Password}}
		b.post(endPath, form, nil).has(http.StatusForbidden, contacts...)
		s.Want(http.StatusOK, "", http.MethodGet, whoami, alice.Token, nil)
	}, hstest.Set(func(c *config.Settings) {
		c.SelfDeactivation, c.SupportEmail = "off", "admin@example.org"
		c.SupportMatrixID, c.SupportPage = "@admin:example.org", "https://example.org/help"
	}))
}

func TestAnEndingElsewhereEndsTheSessionOfThePage(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		b.signIn(alice)
		form := b.get(endPath)
		s.Want(http.StatusOK, "", http.MethodPost, deactivate, alice.Token, map[string]any{
			"auth": hstest.PasswordAuth("alice", alice.Password, ""),
		})
		b.submit(form, map[string]string{"confirm": "alice", "password": alice.Password}).
			has(http.StatusUnauthorized, "You are not signed in any more.")
		b.setCookie("leth_a_")
		b.get(accountPath).has(http.StatusUnauthorized, "You are not signed in any more.")
	})
}

// TestWhoPressesTheButtonTwiceSeesTheReceipt: while an identity server lets the
// first request wait, the session has ended already.
func TestWhoPressesTheButtonTwiceSeesTheReceipt(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/3pid/bind", alice.Token, map[string]any{
			"sid": "alice@example.com", "client_secret": "secret", "id_server": ids.Name, "id_access_token": "token",
		})
		asked, answer := make(chan struct{}), make(chan struct{})
		ids.AnswerUnbind(func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-answer
			_, _ = w.Write([]byte("{}"))
		})
		b := newBrowser(t, s)
		b.signIn(alice).has(http.StatusOK, "Your addresses are published at these identity servers", ids.Name)
		form := url.Values{"confirm": {"alice"}, "password": {alice.Password}}
		views := make([]view, 3)
		var both sync.WaitGroup
		token := b.cookie()
		press := func(i int) {
			window := newBrowser(t, s)
			window.setCookie(token)
			both.Go(func() { views[i] = window.post(endPath, form, nil) })
		}
		press(0)
		<-asked
		s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, whoami, token, nil)
		press(1)
		close(answer)
		both.Wait()
		views[2] = b.post(endPath, form, nil) // and once more, later
		for _, v := range views {
			v.has(http.StatusOK, "Your account has ended")
		}
		if views[0].URL.Path != views[1].URL.Path || views[0].URL.Path != views[2].URL.Path {
			t.Errorf("more than one receipt: %s, %s and %s", views[0].URL, views[1].URL, views[2].URL)
		}
		form.Set("password", "another-horse")
		b.setCookie(token)
		b.post(endPath, form, nil).has(http.StatusUnauthorized, "You are not signed in any more.")
	}, hstest.Trust(t, ids), hstest.Set(func(c *config.Settings) { c.DeactivationWait = config.Duration(time.Minute) }))
}

func TestEndingIsLimited(t *testing.T) {
	for name, limit := range map[string]func(*config.Settings){
		"tries":           func(c *config.Settings) { c.RateDeactivate = config.Rate{Burst: 2, Per: time.Hour} },
		"wrong passwords": func(c *config.Settings) { c.RateLoginFailed = config.Rate{Burst: 2, Per: time.Hour} },
		"requests":        func(c *config.Settings) { c.RateAccount = config.Rate{Burst: 5, Per: time.Hour} },
	} {
		t.Run(name, func(t *testing.T) {
			s := hstest.New(t, "sqlite", hstest.Set(func(c *config.Settings) { c.RateLimits = "on"; limit(c) }))
			alice := s.Register("alice")
			b := newBrowser(t, s)
			b.signIn(alice)
			form := url.Values{"confirm": {"alice"}, "password": {"wrong-horse"}}
			status := 0
			for range 5 {
				status = b.post(endPath, form, nil).Status
			}
			if status != http.StatusTooManyRequests {
				t.Errorf("status after five wrong passwords: %d", status)
			}
			form.Set("password", alice.Password)
			b.post(endPath, form, nil).has(http.StatusTooManyRequests, "Please wait a moment")
		})
	}
}
