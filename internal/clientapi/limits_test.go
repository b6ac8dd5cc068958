package clientapi_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

// limited turns one rate limit on, to two an hour, with all others wide open.
func limited(which func(*config.Settings) *config.Rate) hstest.Option {
	return hstest.Set(func(c *config.Settings) {
		c.RateLimits, c.AccessTokenLifetime = "on", config.Duration(1000*time.Hour)
		wide := config.Rate{Burst: 100_000, Per: time.Minute}
		c.RateAddress, c.RateAccount, c.RateLogin, c.RateLoginFailed = wide, wide, wide, wide
		c.RateRegister, c.RateMail, c.RateUnknownToken, c.RateDeactivate = wide, wide, wide, wide
		*which(c) = config.Rate{Burst: 2, Per: time.Hour}
	})
}

func TestEachLimitSaysWhenToComeBack(t *testing.T) {
	mail := hstest.NewMailServer(t, "none")
	ask := func(address string) object { return object{"client_secret": "s", "email": address, "send_attempt": 1} }
	for _, c := range []struct {
		name  string
		which func(*config.Settings) *config.Rate
		try   func(s *hstest.Server, alice hstest.Session, i int) hstest.Answer
	}{
		{"address", func(c *config.Settings) *config.Rate { return &c.RateAddress }, func(s *hstest.Server, _ hstest.Session, _ int) hstest.Answer {
			return s.Do(get, loginPath, "", nil)
		}},
		{"account", func(c *config.Settings) *config.Rate { return &c.RateAccount }, func(s *hstest.Server, alice hstest.Session, _ int) hstest.Answer {
			return s.Do(get, whoamiPath, alice.Token, nil)
		}},
		{"login", func(c *config.Settings) *config.Rate { return &c.RateLogin }, func(s *hstest.Server, alice hstest.Session, _ int) hstest.Answer {
			return logIn(s, "alice", alice.Password, nil)
		}},
		{"wrong password", func(c *config.Settings) *config.Rate { return &c.RateLoginFailed }, func(s *hstest.Server, _ hstest.Session, _ int) hstest.Answer {
			return logIn(s, "alice", "wrong", nil)
		}},
		{"wrong password of nobody", func(c *config.Settings) *config.Rate { return &c.RateLoginFailed }, func(s *hstest.Server, _ hstest.Session, _ int) hstest.Answer {
			return logIn(s, "nobody", "wrong", nil)
		}},
		{"wrong password in a stage, without a token", func(c *config.Settings) *config.Rate { return &c.RateLoginFailed }, func(s *hstest.Server, _ hstest.Session, _ int) hstest.Answer {
			return s.Do(post, endPath, "", object{"auth": hstest.PasswordAuth("alice", "wrong", "")})
		}},
		{"register", func(c *config.Settings) *config.Rate { return &c.RateRegister }, func(s *hstest.Server, _ hstest.Session, i int) hstest.Answer {
			return s.Do(post, registerPath, "", object{
				"username": "user" + strconv.Itoa(i), "password": "correct-horse", "auth": object{"session": "made up"},
			})
		}},
		{"mail, by who asks", func(c *config.Settings) *config.Rate { return &c.RateMail }, func(s *hstest.Server, _ hstest.Session, i int) hstest.Answer {
			return s.Do(post, v3+"register/email/requestToken", "", ask("a"+strconv.Itoa(i)+"@example.com"))
		}},
		{"deactivate", func(c *config.Settings) *config.Rate { return &c.RateDeactivate }, func(s *hstest.Server, alice hstest.Session, _ int) hstest.Answer {
			return s.Do(post, endPath, alice.Token, object{})
		}},
		{"dead token", func(c *config.Settings) *config.Rate { return &c.RateUnknownToken }, func(s *hstest.Server, _ hstest.Session, _ int) hstest.Answer {
			return s.Do(get, whoamiPath, "dead", nil)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := hstest.NewClock()
			s := hstest.New(t, "sqlite", limited(c.which), hstest.Mail(t, mail), hstest.Clock(clock.Now))
			alice := s.Register("alice")
			clock.Advance(2 * time.Hour)
			for i := range 2 {
				if a := c.try(s, alice, i); a.Status == http.StatusTooManyRequests {
					t.Fatalf("request %d is limited already: %s", i, a.Raw)
				}
			}
			a := c.try(s, alice, 2)
			header, err := strconv.Atoi(a.Header.Get("Retry-After"))
			ms, _ := a.Get("retry_after_ms").(float64)
			if a.Status != http.StatusTooManyRequests || a.Code() != "M_LIMIT_EXCEEDED" || err != nil ||
				header < 1 || header > 1800 || ms < 1 || int(ms) > header*1000 {
				t.Fatalf("%d %s, Retry-After %q", a.Status, a.Raw, a.Header.Get("Retry-After"))
			}
			clock.Advance(time.Duration(header) * time.Second)
			if a := c.try(s, alice, 3); a.Status == http.StatusTooManyRequests {
				t.Errorf("it is still limited after what it said: %s", a.Raw)
			}
		})
	}
}

func TestOneAddressIsNotFloodedByMany(t *testing.T) {
	mail := hstest.NewMailServer(t, "none")
	s := hstest.New(t, "sqlite", hstest.Mail(t, mail), limited(func(c *config.Settings) *config.Rate { return &c.RateMail }),
		hstest.Set(func(c *config.Settings) { c.TrustedProxies = []string{"127.0.0.0/8"} }))
	ask := func(from, to string) hstest.Answer {
		body := `{"client_secret": "` + from + `", "email": "` + to + `", "send_attempt": 1}`
		req, err := http.NewRequestWithContext(t.Context(), post, s.URL+v3+"register/email/requestToken", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		a, err := s.Send(req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for i, want := range []int{200, 200, 429, 429} {
		if a := ask("192.0.2."+strconv.Itoa(i), "Victim@example.com"); a.Status != want {
			t.Errorf("request %d = %d %s, want %d", i, a.Status, a.Raw, want)
		}
	}
	if a := ask("192.0.2.9", "other@example.com"); a.Status != http.StatusOK || len(mail.Letters("victim@example.com")) != 2 {
		t.Errorf("another = %d %s; %d messages to the first", a.Status, a.Raw, len(mail.Letters("victim@example.com")))
	}
}

func TestRegistrationTokensCannotBeGuessed(t *testing.T) {
	s := hstest.New(t, "sqlite", limited(func(c *config.Settings) *config.Rate { return &c.RateLoginFailed }),
		hstest.Set(func(c *config.Settings) { c.Registration = "token" }))
	session := challenge(t, s, "", post, registerPath, "", object{"username": "eve", "password": "correct-horse"}).String("session")
	guess := object{"auth": object{"type": "m.login.registration_token", "token": "guess", "session": session}}
	for range 2 {
		challenge(t, s, "M_UNAUTHORIZED", post, registerPath, "", guess)
	}
	check(t, s, row{429, "M_LIMIT_EXCEEDED", post, registerPath, "", guess})
}

func TestAFloodOfDeadTokensHurtsNobodyElse(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		dead, alice := s.Register("dead"), s.Register("alice")
		s.Want(http.StatusOK, "", post, endPath, dead.Token, object{"auth": proof(dead, "")})
		refused := 0
		for i := range 60 {
			switch a := s.Do(get, whoamiPath, dead.Token, nil); {
			case a.Status == http.StatusTooManyRequests && a.Get("retry_after_ms") != nil:
				refused++
			case a.Status != http.StatusUnauthorized:
				t.Fatalf("request %d = %d %s", i, a.Status, a.Raw)
			}
		}
		if refused < 30 {
			t.Errorf("%d of 60 were limited", refused)
		}
		// From the same address: a session that is cached, one that is not, a new one.
		check(t, s, row{200, "", get, whoamiPath, alice.Token, nil})
		fresh := logIn(s, "alice", alice.Password, nil).String("access_token")
		check(t, s, row{200, "", get, whoamiPath, fresh, nil}, row{200, "", get, whoamiPath, alice.Token, nil})
	}, hstest.Set(func(c *config.Settings) { c.RateLimits = "on" }))
}

func TestAWellKnownGuessIsLimitedOnEveryDoor(t *testing.T) {
	clock := hstest.NewClock()
	s := hstest.New(t, "sqlite", limited(func(c *config.Settings) *config.Rate { return &c.RateLoginFailed }), hstest.Clock(clock.Now))
	alice := s.Register("alice")
	wrong := hstest.PasswordAuth("alice", "wrong", "")
	challenge(t, s, "M_FORBIDDEN", post, endPath, "", object{"auth": wrong})
	s.Want(http.StatusForbidden, "M_FORBIDDEN", post, loginPath, "", object{"type": "m.login.password", "user": "alice", "password": "wrong"})
	check(t, s,
		row{429, "M_LIMIT_EXCEEDED", post, endPath, "", object{"auth": proof(alice, "")}},
		row{429, "M_LIMIT_EXCEEDED", post, loginPath, "", object{"type": "m.login.password", "user": "alice", "password": alice.Password}})

	// Whoever has the token is no stranger, and has guesses of their own.
	challenge(t, s, "M_FORBIDDEN", post, endPath, alice.Token, object{"auth": wrong})
	challenge(t, s, "M_FORBIDDEN", post, passwordPath, alice.Token, object{"new_password": "better-horse", "auth": wrong})
	check(t, s,
		row{429, "M_LIMIT_EXCEEDED", post, endPath, alice.Token, object{"auth": proof(alice, "")}},
		row{429, "M_LIMIT_EXCEEDED", post, passwordPath, alice.Token, object{"new_password": "better-horse", "auth": proof(alice, "")}},
		row{200, "", get, whoamiPath, alice.Token, nil})
}

func TestNoStrangerKeepsPeopleFromEndingTheirAccounts(t *testing.T) {
	s := hstest.New(t, "sqlite", limited(func(c *config.Settings) *config.Rate { return &c.RateLoginFailed }))
	alice := s.Register("alice")
	for _, status := range []int{403, 403, 429} {
		if a := logIn(s, "alice", "wrong", nil); a.Status != status {
			t.Fatalf("a stranger's guess = %d %s, want %d", a.Status, a.Raw, status)
		}
	}
	s.Want(http.StatusOK, "", post, endPath, alice.Token, object{"auth": proof(alice, "")})
}

// A message that is not sent counts against nobody.
func TestRefusedMessagesKeepNobodyFromTheirs(t *testing.T) {
	mail := hstest.NewMailServer(t, "none")
	s := hstest.New(t, "sqlite", hstest.Mail(t, mail), hstest.Set(func(c *config.Settings) {
		c.RateLimits, c.RateMail = "on", config.Rate{Burst: 3, Per: time.Hour}
		c.TrustedProxies = []string{"127.0.0.0/8"}
	}))
	alice := s.Register("alice")
	addThreepid(t, s, alice.UserID, "email", "alice@example.com")
	ask := func(from, kind string) int {
		body := `{"client_secret": "` + from + `", "email": "alice@example.com", "send_attempt": 1}`
		req, err := http.NewRequestWithContext(t.Context(), post, s.URL+v3+kind+"/email/requestToken", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		a, err := s.Send(req)
		if err != nil {
			t.Fatal(err)
		}
		return a.Status
	}
	for i := range 5 {
		if status := ask("192.0.2."+strconv.Itoa(i), "register"); status != http.StatusBadRequest {
			t.Fatalf("an address that is taken: %d", status)
		}
	}
	if status := ask("192.0.2.100", "account/password"); status != http.StatusOK {
		t.Errorf("the owner is answered %d", status)
	}
}
