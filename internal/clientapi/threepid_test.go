package clientapi_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/account"
	"lethe/internal/config"
	"lethe/internal/hstest"
)

// confirm opens the link of the last message to an address, as a person does:
// the page has a button, and only the button confirms.
func confirm(t *testing.T, s *hstest.Server, mail *hstest.MailServer, address string) hstest.Answer {
	t.Helper()
	link := mail.Link(t, address)
	page := s.Do(get, link.String(), "", nil)
	if page.Status != http.StatusOK || !strings.Contains(string(page.Raw), "<button") {
		t.Fatalf("GET %s = %d %s", link.Path, page.Status, page.Raw)
	}
	return press(t, s, link)
}

// press presses the button of that page.
func press(t *testing.T, s *hstest.Server, link *url.URL) hstest.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), post, s.URL+link.Path, strings.NewReader(link.RawQuery))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := s.Send(req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// threepids are the addresses of an account.
func threepids(t *testing.T, s *hstest.Server, token string) []string {
	t.Helper()
	list := []string{}
	all, _ := s.Want(http.StatusOK, "", get, v3+"account/3pid", token, nil).Get("threepids").([]any)
	for _, one := range all {
		pid := one.(object)
		if pid["validated_at"].(float64) <= 0 || pid["added_at"].(float64) <= 0 {
			t.Errorf("a 3PID without its times: %v", pid)
		}
		list = append(list, pid["medium"].(string)+" "+pid["address"].(string))
	}
	return list
}

func TestAnAddressIsAddedAndDeleted(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		address := "add-" + t.Name()[len(t.Name())-4:] + "@example.com"
		path, add := v3+"account/3pid/email/requestToken", v3+"account/3pid/add"
		ask := func(more object) object {
			return with(object{
				"client_secret": "s3cret", "email": address, "send_attempt": 1, "next_link": "https://client.example/back",
			}, more)
		}
		check(t, s,
			row{400, "M_MISSING_PARAM", post, path, alice.Token, object{"email": address, "send_attempt": 1}},
			row{400, "M_MISSING_PARAM", post, path, alice.Token, object{"client_secret": "x", "send_attempt": 1}},
			row{400, "M_INVALID_PARAM", post, path, alice.Token, ask(object{"client_secret": "a b"})},
			row{400, "M_INVALID_PARAM", post, path, alice.Token, ask(object{"client_secret": strings.Repeat("x", 256)})},
			row{400, "M_INVALID_PARAM", post, path, alice.Token, ask(object{"email": "nobody"})},
			row{400, "M_INVALID_PARAM", post, path, alice.Token, ask(object{"next_link": "javascript:alert(1)"})},
			row{400, "M_BAD_JSON", post, path, alice.Token, ask(object{"send_attempt": "1"})},
			row{401, "M_UNKNOWN_TOKEN", post, path, "nonsense", ask(nil)},
		)
		sid := s.Want(http.StatusOK, "", post, path, alice.Token, ask(nil)).String("sid")
		if again := s.Want(http.StatusOK, "", post, path, alice.Token, ask(nil)).String("sid"); again != sid || len(mail.Letters(address)) != 1 {
			t.Errorf("the same attempt: sid %q, was %q; %d messages", again, sid, len(mail.Letters(address)))
		}
		if !regexp.MustCompile(`^[0-9a-zA-Z.=_-]{1,255}$`).MatchString(sid) {
			t.Errorf("sid = %q", sid)
		}
		old := mail.Link(t, address)
		s.Want(http.StatusOK, "", post, path, alice.Token, ask(object{"send_attempt": 2}))
		if n := len(mail.Letters(address)); n != 2 {
			t.Errorf("a higher send_attempt: %d messages, want 2", n)
		}
		creds := object{"sid": sid, "client_secret": "s3cret", "auth": proof(alice, "")}
		notYet := row{400, "M_THREEPID_AUTH_FAILED", post, add, alice.Token, creds}
		press(t, s, old) // the link of the first message was replaced
		check(t, s, notYet)
		s.Do(get, mail.Link(t, address).String(), "", nil) // what a mail scanner does
		check(t, s, notYet)
		if a := confirm(t, s, mail, address); a.Status != http.StatusSeeOther || a.Header.Get("Location") != "https://client.example/back" {
			t.Errorf("the button leads to %d %q", a.Status, a.Header.Get("Location"))
		}
		challenge(t, s, "", post, add, alice.Token, object{"sid": sid, "client_secret": "s3cret"})
		check(t, s,
			row{400, "M_MISSING_PARAM", post, add, alice.Token, object{"sid": sid}},
			row{400, "M_THREEPID_AUTH_FAILED", post, add, bob.Token, object{"sid": sid, "client_secret": "s3cret", "auth": proof(bob, "")}},
			row{400, "M_THREEPID_AUTH_FAILED", post, add, alice.Token, object{"sid": sid, "client_secret": "other", "auth": proof(alice, "")}},
			row{400, "M_THREEPID_AUTH_FAILED", post, add, alice.Token, object{"sid": "\x00", "client_secret": "s3cret", "auth": proof(alice, "")}},
			row{200, "", post, add, alice.Token, creds},
			row{400, "M_THREEPID_AUTH_FAILED", post, add, alice.Token, creds}, // used
			row{400, "M_THREEPID_IN_USE", post, path, bob.Token, ask(object{"client_secret": "bob"})},
		)
		if diff := cmp.Diff([]string{"email " + address}, threepids(t, s, alice.Token)); diff != "" {
			t.Errorf("threepids: %s", diff)
		}
		remove := object{"medium": "email", "address": strings.ToUpper(address)}
		s.Want(http.StatusOK, "", post, v3+"account/3pid/delete", bob.Token, remove) // not Bob's: nothing happens
		if got := threepids(t, s, alice.Token); len(got) != 1 {
			t.Errorf("Bob deleted Alice's address: %v", got)
		}
		a := s.Want(http.StatusOK, "", post, v3+"account/3pid/delete", alice.Token, remove)
		if a.String("id_server_unbind_result") != "no-support" || len(threepids(t, s, alice.Token)) != 0 {
			t.Errorf("delete = %s; left: %v", a.Raw, threepids(t, s, alice.Token))
		}
		check(t, s, row{400, "M_INVALID_PARAM", post, v3 + "account/3pid/delete", alice.Token, object{"medium": "pigeon", "address": "x"}})

		// The deprecated way to add, and a link that came too late.
		sid = s.Want(http.StatusOK, "", post, path, alice.Token, ask(object{"client_secret": "again"})).String("sid")
		older := object{"three_pid_creds": object{"sid": sid, "client_secret": "again", "id_server": "x", "id_access_token": "y"}}
		check(t, s, row{403, "M_THREEPID_AUTH_FAILED", post, v3 + "account/3pid", alice.Token, older})
		confirm(t, s, mail, address)
		check(t, s, row{400, "M_MISSING_PARAM", post, v3 + "account/3pid", alice.Token, object{}},
			row{200, "", post, v3 + "account/3pid", alice.Token, older})
		s.Want(http.StatusOK, "", post, v3+"account/3pid/delete", alice.Token, remove)
		sid = s.Want(http.StatusOK, "", post, path, alice.Token, ask(object{"client_secret": "late"})).String("sid")
		clock.Advance(25 * time.Hour)
		fresh := logIn(s, "alice", alice.Password, nil).String("access_token")
		if a := confirm(t, s, mail, address); a.Status == http.StatusSeeOther || a.Status == http.StatusOK {
			t.Errorf("a link of yesterday: %d %s", a.Status, a.Raw)
		}
		check(t, s, row{400, "M_THREEPID_AUTH_FAILED", post, add, fresh, object{"sid": sid, "client_secret": "late", "auth": proof(alice, "")}})
	}, hstest.Mail(t, mail), hstest.Clock(clock.Now))
}

func TestMailThatCannotBeSent(t *testing.T) {
	mail := hstest.NewMailServer(t, "none")
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		mail.Refuse(io.ErrUnexpectedEOF)
		ask := object{"client_secret": "s", "email": "refused@example.com", "send_attempt": 1}
		check(t, s, row{500, "M_UNKNOWN", post, v3 + "account/3pid/email/requestToken", alice.Token, ask})
		mail.Refuse(nil)
		ask["send_attempt"] = 2
		before := len(mail.Letters(""))
		check(t, s, row{200, "", post, v3 + "account/3pid/email/requestToken", alice.Token, ask})
		if len(mail.Letters("")) != before+1 {
			t.Error("the second attempt sent nothing")
		}
	}, hstest.Mail(t, mail))

	hstest.Each(t, func(t *testing.T, s *hstest.Server) { // no mail server, no gateway
		alice := s.Register("alice")
		for _, purpose := range []string{"register", "account/3pid", "account/password"} {
			check(t, s,
				row{400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", post, v3 + purpose + "/email/requestToken", "", object{"client_secret": "s", "email": "a@example.com", "send_attempt": 1}},
				row{400, "M_THREEPID_MEDIUM_NOT_SUPPORTED", post, v3 + purpose + "/msisdn/requestToken", "", object{
					"client_secret": "s", "country": "GB", "phone_number": "07700900001", "send_attempt": 1,
				}})
		}
		if got := threepids(t, s, alice.Token); len(got) != 0 {
			t.Errorf("threepids = %v", got)
		}
	})
}

// gateway is a gateway for text messages that keeps what it is sent.
type gateway struct {
	mu   sync.Mutex
	sent []string
}

// ServeHTTP takes a text message.
func (g *gateway) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent = append(g.sent, string(body))
}

func (g *gateway) last() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sent[len(g.sent)-1]
}

func TestAPhoneNumberIsAdded(t *testing.T) {
	texts := &gateway{}
	server := httptest.NewServer(texts)
	defer server.Close()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		a := s.Want(http.StatusOK, "", post, v3+"account/3pid/msisdn/requestToken", alice.Token, object{
			"client_secret": "s", "country": "GB", "phone_number": "07700 900001", "send_attempt": 1,
		})
		submit := strings.TrimPrefix(a.String("submit_url"), s.URL)
		sid := a.String("sid")
		code := regexp.MustCompile(`\b\d{6}\b`).FindString(texts.last())
		if !strings.Contains(texts.last(), `"447700900001"`) || code == "" || submit == a.String("submit_url") {
			t.Fatalf("text %s, answer %s", texts.last(), a.Raw)
		}
		wrong := "000000" // codes begin with 1 to 9
		try := func(code string) object { return object{"sid": sid, "client_secret": "s", "token": code} }
		check(t, s,
			row{400, "M_TOKEN_INCORRECT", post, submit, "", try(wrong)},
			row{400, "M_INVALID_PARAM", post, submit, "", object{"sid": sid}},
			row{200, "", post, submit, "", try(code)},
			row{200, "", post, v3 + "account/3pid/add", alice.Token, object{"sid": sid, "client_secret": "s", "auth": proof(alice, "")}},
		)
		if diff := cmp.Diff([]string{"msisdn 447700900001"}, threepids(t, s, alice.Token)); diff != "" {
			t.Errorf("threepids: %s", diff)
		}
		// A code is short: after five wrong ones the right one is none.
		a = s.Want(http.StatusOK, "", post, v3+"account/3pid/msisdn/requestToken", alice.Token, object{
			"client_secret": "t", "country": "GB", "phone_number": "+44 7700 900002", "send_attempt": 1,
		})
		sid, code = a.String("sid"), regexp.MustCompile(`\b\d{6}\b`).FindString(texts.last())
		for range 5 {
			check(t, s, row{400, "M_TOKEN_INCORRECT", post, submit, "", try(wrong)})
		}
		check(t, s, row{400, "M_TOKEN_INCORRECT", post, submit, "", try(code)})
	}, hstest.Set(func(c *config.Settings) { c.SMSGateway, c.AllowPrivateNetworks = server.URL, true }))
}

func TestBindingAtAnIdentityServer(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		address := "bind-" + t.Name()[len(t.Name())-4:] + "@example.com"
		bind := object{"sid": address, "client_secret": "s3cret", "id_server": ids.Name, "id_access_token": "id-token"}
		without := func(key string) object {
			body := maps.Clone(bind)
			delete(body, key)
			return body
		}
		for key := range bind {
			check(t, s, row{400, "M_MISSING_PARAM", post, v3 + "account/3pid/bind", alice.Token, without(key)})
		}
		bad := without("")
		bad["id_server"] = "https://x"
		check(t, s, row{400, "M_INVALID_PARAM", post, v3 + "account/3pid/bind", alice.Token, bad},
			row{200, "", post, v3 + "account/3pid/bind", alice.Token, bind})
		if got := ids.Bound(); !cmp.Equal(got, []string{address}) {
			t.Errorf("bound = %v", got)
		}
		if got := threepids(t, s, alice.Token); len(got) != 0 {
			t.Errorf("to bind is not to add: %v", got)
		}
		unbind := func(path, want string, body object) {
			t.Helper()
			if a := s.Want(http.StatusOK, "", post, v3+"account/3pid/"+path, alice.Token, body); a.String("id_server_unbind_result") != want {
				t.Errorf("%s %v = %s, want %s", path, body, a.Raw, want)
			}
		}
		pid := object{"medium": "email", "address": address}
		ids.AnswerUnbind(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) })
		unbind("unbind", "no-support", pid)
		ids.AnswerUnbind(nil)
		unbind("unbind", "success", pid) // it knows where
		if got := ids.Bound(); len(got) != 0 {
			t.Errorf("still bound: %v", got)
		}
		unbind("unbind", "no-support", pid) // nothing is known to be bound
		s.Want(http.StatusOK, "", post, v3+"account/3pid/bind", alice.Token, bind)
		unbind("delete", "success", object{"medium": "email", "address": address, "id_server": ids.Name})
		last := ids.Unbinds()[len(ids.Unbinds())-1]
		if last.User != alice.UserID || !strings.HasPrefix(last.Authorization, "X-Matrix ") {
			t.Errorf("the request to unbind: %+v", last)
		}
		unreachable := without("")
		unreachable["id_server"] = "127.0.0.1:1"
		check(t, s, row{502, "M_UNKNOWN", post, v3 + "account/3pid/bind", alice.Token, unreachable})
		if strings.Contains(s.Log.String(), "s3cret") || strings.Contains(s.Log.String(), "id-token") {
			t.Error("the log has the client_secret or the token for the identity server")
		}
	}, hstest.Trust(t, ids))
}

// TestABindThatAnEndingOvertakesIsTakenBack: the account ends while the identity
// server binds. What is told of it then is not that all is unbound; it is when
// the request must have come out.
func TestABindThatAnEndingOvertakesIsTakenBack(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		ids.BeforeBind(func() {
			a, err := s.Try(context.WithoutCancel(t.Context()), post, v3+"account/deactivate", alice.Token, object{
				"auth": hstest.PasswordAuth("alice", alice.Password, ""),
			})
			if err != nil || a.String("id_server_unbind_result") != "no-support" {
				t.Errorf("deactivate = %s, %v", a.Raw, err)
			}
		})
		s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", post, v3+"account/3pid/bind", alice.Token, object{
			"sid": "late@example.com", "client_secret": "s3cret", "id_server": ids.Name, "id_access_token": "id-token",
		})
		if got := ids.Bound(); len(got) != 1 {
			t.Fatalf("bound = %v", got)
		}
		// An operator who is in a hurry does not unbind it before it is bound.
		if n, err := s.Deactivations.Retry(t.Context(), dead(t, s, alice).ID); n != 0 || err != nil {
			t.Errorf("retry = %d, %v", n, err)
		}
		clock.Advance(account.BindTime)
		s.Jobs.Wake()
		s.Eventually("the address is unbound", func() bool { return len(ids.Bound()) == 0 })
	}, hstest.Trust(t, ids), hstest.Clock(clock.Now))
}

func TestBindingsAreLimited(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		for i := range 100 {
			remember(t, s, alice, fmt.Sprintf("a%d@example.com", i), "id.example")
		}
		s.Want(http.StatusForbidden, "M_FORBIDDEN", post, v3+"account/3pid/bind", alice.Token, object{
			"sid": "more@example.com", "client_secret": "s3cret", "id_server": ids.Name, "id_access_token": "id-token",
		})
		if got := ids.Bound(); len(got) != 0 {
			t.Errorf("bound = %v", got)
		}
	}, hstest.Trust(t, ids))
}
