package web_test

import (
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/deactivation"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
)

// endWith ends an account and returns the path of its receipt.
func endWith(t *testing.T, s *hstest.Server, req deactivation.Request) string {
	t.Helper()
	result, err := s.Deactivations.Deactivate(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return accountPath + "/receipt/" + result.ID
}

func TestTheReceiptSaysWhatIsDone(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		page := endWith(t, s, deactivation.Request{User: matrix.UserID(alice.UserID), Erase: true, By: deactivation.Admin("@root:example.org")})
		s.Eventually("it is complete", func() bool { return strings.Contains(b.get(page).text(), "Everything is done.") })
		v := b.get(page).has(http.StatusOK,
			"Ended by the administrator @root:example.org", "Erasure yes", "What stays, and why",
			"Delete your devices, and where they connected from done", "Delete your profile, and which terms you accepted done")
		want := []map[string]string{{
			"Your password (only a hash of it is kept)": "1", "Devices you are signed in on": "1",
			"Keys of signed-in devices": "1", "Keys that renew those keys": "1",
		}}
		if diff := cmp.Diff(want, v.tables()); diff != "" {
			t.Errorf("what is gone (-want +got):\n%s", diff)
		}
		if v.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("the address, which is a secret, is told to others: %v", v.Header)
		}
		file := b.get(page + "/download")
		if file.Header.Get("Content-Disposition") != `attachment; filename="receipt.json"` || file.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("download: %v", file.Header)
		}
		id := strings.TrimPrefix(page, accountPath+"/receipt/")
		signed, err := s.Deactivations.Receipt(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(signed), file.Raw); diff != "" {
			t.Errorf("the file is not the signed receipt (-want +got):\n%s", diff)
		}
	})
}

func TestTheReceiptSaysWhatIsStuck(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/account/3pid/bind", alice.Token, map[string]any{
			"sid": "alice@example.com", "client_secret": "secret", "id_server": ids.Name, "id_access_token": "token",
		})
		ids.AnswerUnbind(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		page := endWith(t, s, deactivation.Request{User: matrix.UserID(alice.UserID), By: deactivation.Self})
		b := newBrowser(t, s)
		s.Eventually("the failure is seen", func() bool { return strings.Contains(b.get(page).text(), "What went wrong") })
		v := b.get(page).has(http.StatusOK,
			"Some of the work is still on its way", "Look again", "Take an address of yours down at "+ids.Name+" to do",
			"Next try:", "Because the account was ended without erasure:", "Your profile")
		if strings.Contains(v.Raw, "alice@example.com") {
			t.Errorf("the receipt names the address: %s", v.text())
		}
	}, hstest.Trust(t, ids))
}

func TestTheReceiptSaysHowLongTheEndingCanBeTakenBack(t *testing.T) {
	mail := hstest.NewMailServer(t, "starttls")
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		engine := path.Base(t.Name())
		for _, address := range []string{"", engine + "@example.com"} {
			name := "without"
			how := "If you change your mind, ask the operator of this server"
			if address != "" {
				name, how = "with", "open the link in the message"
			}
			who := s.Register(name)
			if address != "" {
				addEmail(t, s, who, address)
			}
			b := newBrowser(t, s)
			b.signIn(who)
			b.get(endPath).has(http.StatusOK, "For 7 days you can change your mind.")
			until := clock.Now().UTC().Add(7 * 24 * time.Hour).Format("2 January 2006, 15:04 UTC")
			b.end(who, nil).has(http.StatusOK, "Your account is closed, and will end", "Until "+until, how, "admin@example.org")
		}
		s.Eventually("the message is sent", func() bool { return len(mail.Letters(engine+"@example.com")) > 0 })
	}, hstest.Mail(t, mail), hstest.Clock(clock.Now), hstest.Set(func(c *config.Settings) {
		c.DeactivationGrace, c.SupportEmail = config.Duration(7*24*time.Hour), "admin@example.org"
	}))
}

func TestNobodyFindsAReceiptByGuessing(t *testing.T) {
	s := hstest.New(t, "sqlite")
	b := newBrowser(t, s)
	for _, page := range []string{"/receipt/x", "/receipt/x/download", "/receipt/%00", "/receipt/%ff", "/receipt/' OR 1=1"} {
		b.get(accountPath+strings.ReplaceAll(page, " ", "%20")).has(http.StatusNotFound, "There is nothing here")
	}
}
