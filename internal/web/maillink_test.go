package web_test

import (
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"lethe/internal/account"
	"lethe/internal/config"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
)

func pidOf(address string) account.ProvenThreepid {
	return account.ProvenThreepid{Threepid: matrix.Threepid{Medium: matrix.MediumEmail, Address: address}, ValidatedAt: 1}
}

// requestToken asks for a message to an address, for a registration.
func requestToken(s *hstest.Server, address, next string) (sid string) {
	body := map[string]any{"client_secret": "secret", "email": address, "send_attempt": 1}
	if next != "" {
		body["next_link"] = next
	}
	return s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/register/email/requestToken", "", body).String("sid")
}

func TestOnlyTheButtonConfirmsAnAddress(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		b := newBrowser(t, s)
		sid := requestToken(s, "alice@example.com", "")
		proven := func() error { _, err := s.Accounts.Proven(t.Context(), sid, "secret"); return err }
		link := mail.Link(t, "alice@example.com")
		page := b.get(link.String()).has(http.StatusOK, "Confirm your address")
		if proven() == nil {
			t.Fatalf("to look at the page confirms the address")
		}
		b.submit(page, map[string]string{"token": "wrong"}).has(http.StatusBadRequest, "The link or code is wrong")
		if proven() == nil {
			t.Fatalf("a wrong token confirms the address")
		}
		b.submit(page, nil).has(http.StatusOK, "Your address is confirmed")
		if err := proven(); err != nil {
			t.Errorf("the address is not confirmed: %v", err)
		}
	}, hstest.Mail(t, mail))
}

func TestTheButtonLeadsBackToTheClient(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		b := newBrowser(t, s)
		b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		requestToken(s, "alice@example.com", "https://app.example.com/next?a=b")
		page := b.get(mail.Link(t, "alice@example.com").String())
		v := b.submit(page, nil)
		if v.Status != http.StatusSeeOther || v.Header.Get("Location") != "https://app.example.com/next?a=b" {
			t.Errorf("the button leads to %d %q", v.Status, v.Header.Get("Location"))
		}
		// Browsers hold also the redirect to the policy of the form's page.
		if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https: http:;") {
			t.Errorf("the policy keeps the button from leading there: %s", csp)
		}
	}, hstest.Mail(t, mail))
}

func TestTheLinkOfTheMessageKeepsTheAccount(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		address := path.Base(t.Name()) + "@example.com" // the mail server is both engines'
		addEmail(t, s, alice, address)
		b := newBrowser(t, s)
		b.signIn(alice)
		receipt := b.end(alice, nil).has(http.StatusOK).URL.Path
		s.Eventually("the message is sent", func() bool { return len(mail.Letters(address)) > 0 })
		page := b.get(mail.Link(t, address).String()).has(http.StatusOK, "Keep your account")
		login := map[string]any{"type": "m.login.password", "user": "alice", "password": alice.Password}
		s.Want(http.StatusForbidden, "M_USER_DEACTIVATED", http.MethodPost, "/_matrix/client/v3/login", "", login)
		b.submit(page, map[string]string{"secret": "wrong"}).has(http.StatusNotFound, "This link was used already, or its time is over.")
		b.submit(page, nil).has(http.StatusOK, "You keep your account")
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/login", "", login)
		b.submit(page, nil).has(http.StatusNotFound, "This link was used already, or its time is over.")
		b.get(receipt).has(http.StatusOK, "This ending was taken back")
	}, hstest.Mail(t, mail), hstest.Set(func(c *config.Settings) { c.DeactivationGrace = config.Duration(time.Hour) }))
}

func TestHalfALinkIsToldFromAWrongOne(t *testing.T) {
	s := hstest.New(t, "sqlite")
	b := newBrowser(t, s)
	for _, path := range []string{"/_lethe/validate", "/_lethe/validate?sid=x", "/_lethe/validate?token=x", "/_lethe/undo"} {
		b.get(path).has(http.StatusBadRequest, "A part of the link is missing.")
	}
	b.post("/_lethe/undo", url.Values{}, nil).has(http.StatusNotFound)
	b.post("/_lethe/validate", url.Values{}, nil).has(http.StatusBadRequest)
}
