package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const register = "/_matrix/client/v3/register"

// fallbackPath is the page of a stage (CS API, Fallback).
func fallbackPath(version, stage, session string) string {
	return "/_matrix/client/" + version + "/auth/" + stage + "/fallback/web?" + url.Values{"session": {session}}.Encode()
}

// challenge begins a session of user-interactive authentication.
func challenge(s *hstest.Server, path, token string, body map[string]any) string {
	return s.Do(http.MethodPost, path, token, body).String("session")
}

// poll repeats a request with the session alone, as clients do when the page is
// done.
func poll(s *hstest.Server, path, token, session string, body map[string]any) hstest.Answer {
	all := map[string]any{"auth": map[string]any{"session": session}}
	maps.Copy(all, body)
	return s.Do(http.MethodPost, path, token, all)
}

func addEmail(t *testing.T, s *hstest.Server, who hstest.Session, address string) {
	t.Helper()
	err := s.DB.Update(t.Context(), func(tx *storage.Tx) error {
		return s.Accounts.AddThreepid(tx, matrix.UserID(who.UserID), pidOf(address))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// textGateway keeps the last text message.
type textGateway struct {
	*httptest.Server
	mu   sync.Mutex
	last map[string]string
}

func newTextGateway(t *testing.T) *textGateway {
	t.Helper()
	g := &textGateway{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if err := json.UnmarshalRead(r.Body, &g.last); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

var codePattern = regexp.MustCompile(`\d{6}`)

func (g *textGateway) code() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return codePattern.FindString(g.last["text"])
}

func TestEachStageCanBeCompletedInABrowser(t *testing.T) {
	mail, texts := hstest.NewMailServer(t, "starttls"), newTextGateway(t)
	closed := func(c *config.Settings) { c.Registration = "token" }
	terms := func(c *config.Settings) { c.TermsURL, c.TermsName = "https://example.org/terms?a=1&b=2", "House rules" }
	email := func(c *config.Settings) { c.RequireEmail = true }
	for stage, c := range map[string]struct {
		set  func(*config.Settings)
		walk func(t *testing.T, s *hstest.Server, b *browser, page view) view
	}{
		"m.login.dummy": {nil, func(_ *testing.T, _ *hstest.Server, b *browser, page view) view { return b.submit(page, nil) }},
		"m.login.registration_token": {closed, func(t *testing.T, s *hstest.Server, b *browser, page view) view {
			_, err := s.Accounts.CreateRegistrationToken(t.Context(), storage.RegistrationToken{Token: "welcome", UsesAllowed: 1})
			if err != nil {
				t.Fatal(err)
			}
			again := b.submit(page, map[string]string{"token": "wrong"}).has(http.StatusUnauthorized)
			if again.errors()["token"] == "" || again.value("token") != "wrong" {
				t.Errorf("a wrong token: %s", again.text())
			}
			return b.submit(again, map[string]string{"token": "welcome"})
		}},
		"m.login.terms": {terms, func(t *testing.T, _ *hstest.Server, b *browser, page view) view {
			if links := page.all("a"); attr(links[len(links)-1], "href") != "https://example.org/terms?a=1&b=2" {
				t.Errorf("no link to the terms: %s", page.Raw)
			}
			b.submit(page, nil).has(http.StatusBadRequest, "This has to be accepted to go on.")
			return b.submit(page.has(http.StatusOK, "I accept: House rules"), map[string]string{"terms-0": "yes"})
		}},
		"m.login.email.identity": {email, func(t *testing.T, _ *hstest.Server, b *browser, page view) view {
			b.submit(page, map[string]string{"do": "send"}).has(http.StatusBadRequest, "Fill in: E-mail address.")
			b.submit(page, map[string]string{"do": "send", "address": "x"}).has(http.StatusBadRequest, "The address cannot be used")
			sent := b.submit(page, map[string]string{"do": "send", "address": " new@example.com "}).
				has(http.StatusOK, "A message was sent to new@example.com")
			first := mail.Link(t, "new@example.com")
			early := b.submit(sent, map[string]string{"do": "check"}).has(http.StatusBadRequest, "The address has not been confirmed yet")
			again := b.submit(early, map[string]string{"do": "send"}).has(http.StatusOK)
			second := mail.Link(t, "new@example.com")
			if first.String() == second.String() {
				t.Errorf("the second message has the link of the first")
			}
			b.submit(b.get(second.String()), nil).has(http.StatusOK, "Your address is confirmed")
			return b.submit(again, map[string]string{"do": "check"})
		}},
		"m.login.msisdn": {nil, func(t *testing.T, _ *hstest.Server, b *browser, page view) view {
			sent := b.submit(page, map[string]string{"do": "send", "address": "+44 7700 900000"}).
				has(http.StatusOK, "A text message was sent to +44 7700 900000")
			b.submit(sent, map[string]string{"do": "check"}).has(http.StatusBadRequest, "Fill in: Code from the message.")
			wrong := b.submit(sent, map[string]string{"do": "check", "code": "12345"}).has(http.StatusBadRequest)
			if wrong.errors()["code"] == "" {
				t.Errorf("a wrong code: %s", wrong.text())
			}
			return b.submit(wrong, map[string]string{"do": "check", "code": " " + texts.code() + " "})
		}},
	} {
		t.Run(stage, func(t *testing.T) {
			opts := []hstest.Option{hstest.Set(func(s *config.Settings) { s.SMSGateway, s.AllowPrivateNetworks = texts.URL, true })}
			if stage != "m.login.terms" && stage != "m.login.registration_token" {
				opts = append(opts, hstest.Mail(t, mail))
			} else {
				opts = nil // with addresses there would be a further stage
			}
			if c.set != nil {
				opts = append(opts, hstest.Set(c.set))
			}
			hstest.Each(t, func(t *testing.T, s *hstest.Server) {
				b := newBrowser(t, s)
				body := map[string]any{"username": "new", "password": "correct-horse"}
				session := challenge(s, register, "", body)
				path := fallbackPath("v3", stage, session)
				done := c.walk(t, s, b, b.get(path).has(http.StatusOK))
				done.has(http.StatusOK, "Done", "You can close this page")
				if len(done.all("script")) != 1 {
					t.Errorf("nothing tells the client: %s", done.Raw)
				}
				if a := poll(s, register, "", session, nil); a.Status != http.StatusOK || a.String("user_id") != "@new:example.org" {
					t.Errorf("the request with the session alone: %d %s", a.Status, a.Raw)
				}
				b.get(path).has(http.StatusForbidden, "The time for this is over, or it was done already.")
			}, opts...)
		})
	}
}

func TestThePasswordPage(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		b := newBrowser(t, s)

		// With an access token: the page knows whose password it is.
		session := challenge(s, deactivate, alice.Token, map[string]any{"erase": true})
		page := b.get(fallbackPath("r0", "m.login.password", session)).has(http.StatusOK, "It is the password of @alice:example.org.")
		want := map[string]string{"password": "Fill in: Password."}
		if diff := cmp.Diff(want, b.submit(page, nil).has(http.StatusBadRequest).errors()); diff != "" {
			t.Errorf("errors (-want +got):\n%s", diff)
		}
		wrong := b.submit(page, map[string]string{"password": "wrong-horse"}).has(http.StatusForbidden)
		if wrong.errors()["password"] == "" || strings.Contains(wrong.Raw, "wrong-horse") {
			t.Errorf("a wrong password: %s", wrong.Raw)
		}
		// Somebody else's name in a form that has none.
		b.submit(page, map[string]string{"user": "bob", "password": bob.Password}).has(http.StatusForbidden)
		b.submit(wrong, map[string]string{"password": alice.Password}).has(http.StatusOK, "Done")
		b.get(fallbackPath("v3", "m.login.password", session)).has(http.StatusOK, "Done")
		if a := poll(s, deactivate, alice.Token, session, nil); a.Status != http.StatusOK {
			t.Errorf("the request with the session alone: %d %s", a.Status, a.Raw)
		}

		// Without one, it asks. Who is sent here by somebody else has to see what for.
		session = challenge(s, deactivate, "", map[string]any{})
		page = b.get(fallbackPath("v3", "m.login.password", session)).
			has(http.StatusOK, "Enter your password to end your account", "close this page", "End my account")
		again := b.submit(page, map[string]string{"user": "bob", "password": "wrong-horse"}).has(http.StatusForbidden)
		if again.value("user") != "bob" {
			t.Errorf("the name has to be typed again: %s", again.Raw)
		}
		b.submit(again, map[string]string{"password": bob.Password}).has(http.StatusOK, "Done")
		if a := poll(s, deactivate, "", session, nil); a.Status != http.StatusOK {
			t.Errorf("the request with the session alone: %d %s", a.Status, a.Raw)
		}
	})
}

func TestFallbackPagesAreOnlyForTheirSessions(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		b := newBrowser(t, s)
		session := challenge(s, register, "", map[string]any{"username": "new", "password": "correct-horse"})
		for _, c := range []struct {
			path   string
			status int
			text   string
		}{
			{fallbackPath("v3", "m.login.dummy", ""), http.StatusBadRequest, "The address of this page has no session."},
			{fallbackPath("v3", "m.login.dummy", "other"), http.StatusForbidden, "Go back to your Matrix client and begin again."},
			{fallbackPath("v3", "m.login.password", session), http.StatusNotFound, "This request does not take a stage of that type"},
			{fallbackPath("v3", "m.login.msisdn", session), http.StatusNotFound, "This request does not take a stage of that type"},
			{fallbackPath("v3", "m.login.sso", session), http.StatusNotFound, "This request does not take a stage of that type"},
			{fallbackPath("v3", "<b>", session), http.StatusNotFound, "This request does not take a stage of that type"},
		} {
			b.get(c.path).has(c.status, c.text)
			b.post(c.path, url.Values{"password": {"x"}}, nil).has(c.status, c.text)
		}
	})
}

func TestThePageOfAnAddressTakesTheAddressesThatItsRequestTakes(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		addEmail(t, s, alice, "alice@example.com")
		b := newBrowser(t, s)
		send := func(path, address string) view {
			t.Helper()
			session := challenge(s, path, "", map[string]any{"username": "new", "password": "correct-horse"})
			return b.submit(b.get(fallbackPath("v3", "m.login.email.identity", session)), map[string]string{"do": "send", "address": address})
		}
		password := "/_matrix/client/v3/account/password"
		send(register, "alice@example.com").has(http.StatusBadRequest, "An account on this server has this address already.")
		send(password, "new@example.com").has(http.StatusBadRequest, "No account on this server has this address.")
		sent := send(password, "alice@example.com").has(http.StatusOK)
		b.submit(b.get(mail.Link(t, "alice@example.com").String()), nil).has(http.StatusOK)
		b.submit(sent, map[string]string{"do": "check"}).has(http.StatusOK, "Done")
		session := sent.URL.Query().Get("session")
		a := poll(s, password, "", session, map[string]any{"new_password": "another-horse"})
		if a.Status != http.StatusOK {
			t.Errorf("the request with the session alone: %d %s", a.Status, a.Raw)
		}
		b.signIn(hstest.Session{UserID: alice.UserID, Password: "another-horse"})
	}, hstest.Mail(t, mail))
}

func TestFallbackPagesAreNoWayAroundTheLimits(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	on := func(change func(*config.Settings)) hstest.Option {
		return hstest.Set(func(c *config.Settings) { c.RateLimits = "on"; change(c) })
	}
	few := config.Rate{Burst: 2, Per: time.Hour}
	for name, c := range map[string]struct {
		limit  hstest.Option
		path   string
		stage  string
		values map[string]string
	}{
		"passwords, by address": {
			on(func(c *config.Settings) { c.RateLogin = few }), deactivate, "m.login.password",
			map[string]string{"user": "alice", "password": "wrong-horse"},
		},
		"passwords, by account": {
			on(func(c *config.Settings) { c.RateLoginFailed = few }), deactivate, "m.login.password",
			map[string]string{"user": "alice", "password": "wrong-horse"},
		},
		"messages, by where they go": {
			hstest.Set(func(c *config.Settings) {
				c.RateLimits, c.RateMail, c.TrustedProxies = "on", few, []string{"127.0.0.0/8"}
			}), register, "m.login.email.identity",
			map[string]string{"do": "send", "address": "victim@example.com"},
		},
		"messages": {
			on(func(c *config.Settings) { c.RateMail = few }), register, "m.login.email.identity",
			map[string]string{"do": "send", "address": "somebody@example.com"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := hstest.New(t, "sqlite", c.limit, hstest.Mail(t, mail))
			s.Register("alice")
			b := newBrowser(t, s)
			page := b.get(fallbackPath("v3", c.stage, challenge(s, c.path, "", map[string]any{"username": "new"})))
			for i := range 2 {
				b.from = fmt.Sprint("192.0.2.", i) // of no effect but behind a proxy
				if v := b.submit(page, c.values); v.Status == http.StatusTooManyRequests {
					t.Fatalf("refused too early: %s", v.text())
				}
			}
			b.from = "192.0.2.9"
			v := b.submit(page, c.values).has(http.StatusTooManyRequests)
			if v.Header.Get("Retry-After") == "" {
				t.Errorf("no Retry-After: %v", v.Header)
			}
		})
	}
}

func TestAMessageThatCannotBeSentIsTold(t *testing.T) {
	s := hstest.New(t, "sqlite", hstest.Set(func(c *config.Settings) {
		c.SMTPHost, c.SMTPPort, c.SMTPSecurity, c.SMTPFrom = "127.0.0.1", 1, "none", "matrix@example.org"
	}))
	b := newBrowser(t, s)
	page := b.get(fallbackPath("v3", "m.login.email.identity", challenge(s, register, "", map[string]any{"username": "new"})))
	b.submit(page, map[string]string{"do": "send", "address": "a@example.com"}).
		has(http.StatusInternalServerError, "The message could not be sent. Try again later.")
	for line := range strings.Lines(s.Log.String()) {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, "connection refused") {
			return
		}
	}
	t.Errorf("the operator is not told why:\n%s", s.Log.String())
}
