package deactivation_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lethe/internal/config"
	"lethe/internal/deactivation"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	graceAddress = "alice.secret@example.org"
	loginPath    = "/_matrix/client/v3/login"
	tokenPath    = "/_matrix/client/v3/account/password/email/requestToken"
)

// inGrace runs a test with an account whose ending can be taken back for a week:
// alice, with an address that is bound.
func inGrace(t *testing.T, test func(t *testing.T, g *grace)) {
	t.Helper()
	clock, mails, ids := hstest.NewClock(), hstest.NewMailServer(t, "none"), hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		g := &grace{Server: s, clock: clock, mails: mails, ids: ids, who: s.Register("alice" + s.DB.Engine())}
		g.user = matrix.UserID(g.who.UserID)
		g.address = s.DB.Engine() + graceAddress
		update(t, s.DB, func(tx *storage.Tx) error {
			return tx.AddThreepid(storage.ThreepidRow{
				Threepid: matrix.Threepid{Medium: matrix.MediumEmail, Address: g.address}, UserID: g.user, ValidatedAt: 1, AddedAt: 1,
			})
		})
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/3pid/bind", g.who.Token, object{
			"sid": g.address, "client_secret": "secret", "id_server": ids.Name, "id_access_token": "token",
		})
		test(t, g)
	}, hstest.Mail(t, mails), hstest.Trust(t, ids), hstest.Clock(clock.Now),
		hstest.Set(func(c *config.Settings) { c.DeactivationGrace = config.Duration(7 * 24 * time.Hour) }))
}

type grace struct {
	*hstest.Server
	clock   *hstest.FakeClock
	mails   *hstest.MailServer
	ids     *hstest.IdentityServer
	who     hstest.Session
	user    matrix.UserID
	address string
}

// end ends the account with erasure, and returns the ending.
func (g *grace) end(t *testing.T) storage.Deactivation {
	t.Helper()
	a := g.Want(http.StatusOK, "", http.MethodPost, endPath, g.who.Token,
		object{"auth": hstest.PasswordAuth(g.who.UserID, g.who.Password, ""), "erase": true})
	if got := a.String("id_server_unbind_result"); got != "no-support" {
		t.Errorf("id_server_unbind_result = %q, and nothing is unbound in a grace period", got)
	}
	if strings.Contains(string(a.Raw), "undo") {
		t.Errorf("the answer has the secret that takes it back: %s", a.Raw)
	}
	list := endingsOf(t, g.Server, g.who.UserID)
	return list[len(list)-1]
}

func (g *grace) login(password string) (status int, code string) {
	a := g.Do(http.MethodPost, loginPath, "", object{
		"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": g.who.UserID}, "password": password,
	})
	return a.Status, a.Code()
}

func (g *grace) state(t *testing.T, id string) (d storage.Deactivation) {
	t.Helper()
	view(t, g.DB, func(tx *storage.Tx) (err error) {
		d, err = tx.Deactivation(id)
		return err
	})
	return d
}

func TestAGracePeriodLocksOutAtOnce(t *testing.T) {
	inGrace(t, func(t *testing.T, g *grace) {
		d := g.end(t)
		if d.State != storage.InGrace || d.GraceUntil == 0 {
			t.Errorf("the ending is %s until %d", d.State, d.GraceUntil)
		}
		g.NoCredential(g.who.UserID)
		g.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, "/_matrix/client/v3/account/whoami", g.who.Token, nil)
		if status, code := g.login(g.who.Password); status != http.StatusForbidden || code != "M_USER_DEACTIVATED" {
			t.Errorf("login = %d %s", status, code)
		}
		// The address is nobody else's, and no way in.
		g.Want(http.StatusForbidden, "M_USER_DEACTIVATED", http.MethodPost, loginPath, "", object{
			"type": "m.login.password", "password": g.who.Password,
			"identifier": object{"type": "m.id.thirdparty", "medium": "email", "address": g.address},
		})
		ask := object{"client_secret": "secret", "email": g.address, "send_attempt": 1}
		g.Want(http.StatusBadRequest, "M_THREEPID_NOT_FOUND", http.MethodPost, tokenPath, "", ask)
		other := g.Register("other")
		for _, path := range []string{"/_matrix/client/v3/account/3pid/email/requestToken", "/_matrix/client/v3/register/email/requestToken"} {
			g.Want(http.StatusBadRequest, "M_THREEPID_IN_USE", http.MethodPost, path, other.Token, ask)
		}
		if got := g.ids.Unbinds(); len(got) != 0 && got[len(got)-1].User == g.who.UserID {
			t.Error("it was unbound while it could be taken back")
		}
		if _, err := g.Deactivations.Retry(t.Context(), d.ID); matrix.CodeOf(err) != matrix.CodeInvalidParam {
			t.Errorf("retry = %v, want it refused: it would cut the grace period short", err)
		}
	})
}

func TestTheLinkInTheMailTakesAnEndingBackOnce(t *testing.T) {
	inGrace(t, func(t *testing.T, g *grace) {
		d := g.end(t)
		g.Eventually("the mail is there", func() bool { return len(g.mails.Letters(g.address)) == 1 })
		g.clock.Advance(time.Second) // the audit log is in the order of time
		link := g.mails.Link(t, g.address)
		if a := g.Do(http.MethodGet, link.RequestURI(), "", nil); a.Status != http.StatusOK {
			t.Fatalf("the page of the link: %d %s", a.Status, a.Raw)
		}
		if g.state(t, d.ID).State != storage.InGrace {
			t.Error("to look at the page has taken the ending back: programs look at links, too")
		}
		if err := g.Deactivations.Undo(t.Context(), "wrong"); matrix.CodeOf(err) != matrix.CodeNotFound {
			t.Errorf("undo with a wrong secret: %v", err)
		}
		if status := press(t, g, link); status != http.StatusOK {
			t.Errorf("the button = %d", status)
		}
		undone(t, g, d, "self")
		if status := press(t, g, link); status != http.StatusNotFound {
			t.Errorf("the button, a second time = %d", status)
		}
		// Ended again it is a new ending, with a new link, and the old one is dead.
		again := g.Want(http.StatusOK, "", http.MethodPost, loginPath, "", object{
			"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": g.who.UserID}, "password": g.who.Password,
		})
		g.clock.Advance(time.Second)
		g.who.Token = again.String("access_token")
		g.end(t)
		if status := press(t, g, link); status != http.StatusNotFound {
			t.Errorf("the button of the first ending takes the second back: %d", status)
		}
		g.Eventually("the second mail is there", func() bool { return len(g.mails.Letters(g.address)) == 2 })
		if status := press(t, g, g.mails.Link(t, g.address)); status != http.StatusOK {
			t.Errorf("the button of the second mail = %d", status)
		}
	})
}

// press sends the form of the page that a link leads to.
func press(t *testing.T, g *grace, link *url.URL) int {
	t.Helper()
	body := strings.NewReader(url.Values{"secret": {link.Query().Get("secret")}}.Encode())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+link.Path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := g.Send(req)
	if err != nil {
		t.Fatal(err)
	}
	return a.Status
}

// undone fails the test unless the account is as it was, and nothing of its
// ending is still to do.
func undone(t *testing.T, g *grace, d storage.Deactivation, actor string) {
	t.Helper()
	if got := g.state(t, d.ID); got.State != storage.Undone || got.KeptPassword != "" || got.UndoHash != nil {
		t.Errorf("after undo: %+v", got)
	}
	if status, code := g.login(g.who.Password); status != http.StatusOK {
		t.Errorf("login with the old password = %d %s", status, code)
	}
	g.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, "/_matrix/client/v3/account/whoami", g.who.Token, nil)
	view(t, g.DB, func(tx *storage.Tx) error {
		jobs, err := tx.JobsOf(d.ID)
		for _, j := range jobs {
			if !j.Done {
				t.Errorf("the job %s of an ending that was taken back is pending", j.Kind)
			}
		}
		log, err2 := tx.AuditLog(g.user, 1)
		if len(log) != 1 || log[0].Action != "account.undo" || log[0].Actor != actor {
			t.Errorf("the audit log: %+v", log)
		}
		return errors.Join(err, err2)
	})
	if got := g.ids.Bound(); len(got) == 0 {
		t.Error("the address is not bound any more")
	}
}

func TestAnOperatorTakesAnEndingBack(t *testing.T) {
	inGrace(t, func(t *testing.T, g *grace) {
		d := g.end(t)
		g.Eventually("the mail is sent", func() bool { return len(g.mails.Letters(g.address)) == 1 })
		err := g.Deactivations.Reactivate(t.Context(), g.user, "hash", deactivation.Operator)
		if matrix.CodeOf(err) != matrix.CodeForbidden {
			t.Errorf("reactivate in a grace period = %v, want it refused", err)
		}
		g.clock.Advance(time.Second)
		by := deactivation.Admin("@root:example.org")
		if err := g.Deactivations.UndoByID(t.Context(), d.ID, by); err != nil {
			t.Fatal(err)
		}
		undone(t, g, d, "admin:@root:example.org")
		if err := g.Deactivations.UndoByID(t.Context(), d.ID, by); matrix.CodeOf(err) != matrix.CodeForbidden {
			t.Errorf("a second undo = %v", err)
		}
		if err := g.Deactivations.UndoByID(t.Context(), "none", by); matrix.CodeOf(err) != matrix.CodeNotFound {
			t.Errorf("undo of nothing = %v", err)
		}
	})
}

// The clock may be put back between two endings of one account.
func TestReactivationLooksAtTheEndingThatWasNotTakenBack(t *testing.T) {
	inGrace(t, func(t *testing.T, g *grace) {
		first := g.end(t)
		if err := g.Deactivations.UndoByID(t.Context(), first.ID, deactivation.Operator); err != nil {
			t.Fatal(err)
		}
		g.clock.Advance(-time.Hour)
		_, err := g.Deactivations.Deactivate(t.Context(), deactivation.Request{User: g.user, By: deactivation.Self})
		if err != nil {
			t.Fatal(err)
		}
		err = g.Deactivations.Reactivate(t.Context(), g.user, "hash", deactivation.Operator)
		if matrix.CodeOf(err) != matrix.CodeForbidden {
			t.Errorf("reactivate in a grace period = %v, want it refused", err)
		}
	})
}

// TestAfterTheGracePeriodItIsFinal: also where the mail never went out; then
// nothing of the address is left in the job that should have sent it.
func TestAfterTheGracePeriodItIsFinal(t *testing.T) {
	inGrace(t, func(t *testing.T, g *grace) {
		g.mails.Refuse(errors.New("no such user " + g.address))
		defer g.mails.Refuse(nil)
		d := g.end(t)
		g.Eventually("the mail has failed", func() bool { return step(t, g, d.ID, "notify").Error != "" })
		if got := step(t, g, d.ID, "notify").Error; strings.Contains(got, "secret") {
			t.Errorf("the error %q names the address", got)
		}
		g.clock.Advance(7*24*time.Hour + time.Second)
		if err := g.Deactivations.UndoByID(t.Context(), d.ID, deactivation.Operator); matrix.CodeOf(err) != matrix.CodeForbidden {
			t.Errorf("undo after the grace period = %v, want it refused", err)
		}
		g.Jobs.Wake()
		g.Eventually("the ending is done", func() bool { return g.state(t, d.ID).State == storage.Done })
		got := g.state(t, d.ID)
		if got.KeptPassword != "" || got.UndoHash != nil {
			t.Errorf("after the grace period: %+v", got)
		}
		for _, address := range g.ids.Bound() {
			if address == g.address {
				t.Error("the address is still bound")
			}
		}
		if status, code := g.login(g.who.Password); status != http.StatusForbidden || code != "M_USER_DEACTIVATED" {
			t.Errorf("login = %d %s", status, code)
		}
		receipt := string(got.Receipt)
		if strings.Contains(receipt, "secret") || !strings.Contains(receipt, `"password":1`) || !strings.Contains(receipt, `"addresses":1`) {
			t.Errorf("the receipt is %s", receipt)
		}
		view(t, g.DB, func(tx *storage.Tx) error {
			jobs, err := tx.JobsOf(d.ID)
			for _, j := range jobs {
				if !j.Done || strings.Contains(string(j.Payload)+j.UniqueKey+j.LastError, "secret") {
					t.Errorf("job %+v", j)
				}
			}
			return err
		})
		err := g.Deactivations.Reactivate(t.Context(), g.user, "hash", deactivation.Operator)
		if matrix.CodeOf(err) != matrix.CodeForbidden {
			t.Errorf("reactivate after erasure = %v, want it refused", err)
		}
	})
}

func step(t *testing.T, g *grace, id, name string) deactivation.Step {
	t.Helper()
	ending, err := g.Deactivations.Show(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range ending.Steps {
		if s.Name == name {
			return s
		}
	}
	return deactivation.Step{}
}
