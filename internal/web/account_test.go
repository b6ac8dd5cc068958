package web_test

import (
	"archive/zip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/account"
	"lethe/internal/config"
	"lethe/internal/hstest"
)

const deactivate = "/_matrix/client/v3/account/deactivate"

// tables are the tables of a page, in their order: how much there is of what. Of
// the address log, which is written now and then, there may be some already.
func (v view) tables() (list []map[string]string) {
	for _, table := range v.all("table") {
		rows := map[string]string{}
		for n := range table.Descendants() {
			if n.Data == "tr" && n.Parent.Data == "tbody" {
				what := n.FirstChild
				rows[textOf(what)] = textOf(what.NextSibling)
			}
		}
		delete(rows, "Places you connected from (network addresses)")
		list = append(list, rows)
	}
	return list
}

func TestTheAccountPageShowsWhatThereIs(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		profile := "/_matrix/client/v3/profile/" + alice.UserID
		s.Want(http.StatusOK, "", http.MethodPut, profile+"/displayname", alice.Token, map[string]any{"displayname": "<Alice>"})
		user := "/_matrix/client/v3/user/" + alice.UserID
		s.Want(http.StatusOK, "", http.MethodPut, user+"/account_data/org.example", alice.Token, map[string]any{})
		s.Want(http.StatusOK, "", http.MethodPost, user+"/filter", alice.Token, map[string]any{})
		v := newBrowser(t, s).signIn(alice).has(http.StatusOK,
			"Account page (this page)", "What stays", "Your user id, when the account was made", "End this account")
		want := []map[string]string{
			{
				"Your password (only a hash of it is kept)": "1", "Devices you are signed in on": "2",
				"Keys of signed-in devices": "2", "Keys that renew those keys": "1", "Settings of your clients": "1",
				"Filters of your clients": "1",
			},
			{"Your profile: name, picture and the like": "1"},
		}
		if diff := cmp.Diff(want, v.tables()); diff != "" {
			t.Errorf("what there is (-want +got):\n%s", diff)
		}
	})
}

func TestTheCopyIsTheExport(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		b.signIn(alice)
		v := b.get(exportPath)
		if v.Status != http.StatusOK || v.Header.Get("Content-Type") != "application/zip" ||
			v.Header.Get("Content-Disposition") != `attachment; filename="account.zip"` || v.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("export = %d %v", v.Status, v.Header)
		}
		of := s.Do(http.MethodGet, "/_lethe/client/v1/account/export", alice.Token, nil)
		if diff := cmp.Diff(unzip(t, string(of.Raw)), unzip(t, v.Raw)); diff != "" {
			t.Errorf("the copy is not the export (-want +got):\n%s", diff)
		}
	})
}

func unzip(t *testing.T, raw string) map[string]string {
	t.Helper()
	r, err := zip.NewReader(strings.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{}
	for _, f := range r.File {
		file, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(file)
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name] = string(text)
	}
	return content
}

func TestWithoutASessionThereIsNothingButTheFormToSignIn(t *testing.T) {
	s := hstest.New(t, "sqlite")
	alice := s.Register("alice")
	b := newBrowser(t, s)
	b.get(accountPath).has(http.StatusOK, "Sign in to your account")
	for _, token := range []string{"", "nonsense", alice.RefreshToken} {
		b.setCookie(token)
		for _, path := range []string{exportPath, endPath} {
			b.get(path).has(http.StatusUnauthorized, "You are not signed in any more.", "Sign in to your account")
		}
		form := url.Values{"confirm": {"alice"}, "password": {alice.Password}}
		b.post(endPath, form, nil).has(http.StatusUnauthorized, "You are not signed in any more.")
	}
	s.Want(http.StatusOK, "", http.MethodGet, whoami, alice.Token, nil)
}

func TestWhoIsSignedInSkipsTheForm(t *testing.T) {
	s := hstest.New(t, "sqlite")
	b := newBrowser(t, s)
	b.signIn(s.Register("alice"))
	if v := b.get(signInPath).has(http.StatusOK); v.URL.Path != accountPath {
		t.Errorf("%s: %s", v.URL, v.text())
	}
}

func TestALockedAccountCanOnlySignOut(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice := s.Register("alice")
		b := newBrowser(t, s)
		b.signIn(alice)
		token := b.cookie()
		restrict(t, s, alice, account.Locked)
		locked := []string{"This account has been locked.", "admin@example.org", "Sign out"}
		for _, path := range []string{accountPath, exportPath, endPath} {
			b.get(path).has(http.StatusUnauthorized, locked...)
		}
		form := url.Values{"confirm": {"alice"}, "password": {alice.Password}}
		b.post(endPath, form, nil).has(http.StatusUnauthorized, locked...)
		s.Want(http.StatusUnauthorized, "M_USER_LOCKED", http.MethodGet, whoami, token, nil)
		b.post(signOutPath, nil, nil).has(http.StatusOK, "You are signed out.")
		s.Want(http.StatusUnauthorized, "M_UNKNOWN_TOKEN", http.MethodGet, whoami, token, nil)
	}, hstest.Set(func(c *config.Settings) { c.SupportEmail = "admin@example.org" }))
}

func TestASuspendedAccountMayTakeItsCopyAndEnd(t *testing.T) {
	s := hstest.New(t, "sqlite")
	alice := s.Register("alice")
	restrict(t, s, alice, account.Suspended)
	b := newBrowser(t, s)
	b.signIn(alice).has(http.StatusOK, "Your account is suspended")
	if v := b.get(exportPath); v.Status != http.StatusOK {
		t.Errorf("export = %d", v.Status)
	}
	b.end(alice, nil).has(http.StatusOK, "Your account has ended")
}

func TestAGuestHasNoUseForThePage(t *testing.T) {
	s := hstest.New(t, "sqlite", hstest.Set(func(c *config.Settings) { c.Guests = true }))
	guest := s.Want(http.StatusOK, "", http.MethodPost, "/_matrix/client/v3/register?kind=guest", "", map[string]any{})
	b := newBrowser(t, s)
	b.setCookie(guest.String("access_token"))
	for _, path := range []string{accountPath, exportPath, endPath} {
		b.get(path).has(http.StatusForbidden, "Guests have no account")
	}
	b.post(endPath, url.Values{"confirm": {"x"}, "password": {"x"}}, nil).has(http.StatusForbidden, "Guests have no account")
}
