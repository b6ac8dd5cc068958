package appservice_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/internal/appservice"
	"lethe/internal/matrix"
)

const server = "example.org"

const irc = `id: "irc"
url: null
as_token: "as-irc"
hs_token: "hs-irc"
sender_localpart: "_irc_bot"
de.example.extension: true
rate_limited: false
namespaces:
  users:
    - exclusive: true
      regex: "@_irc_.*|@exactly:example\\.org"
      group_id: "+irc:example.org"
    - exclusive: false
      regex: "@shared_.*"
  aliases: []
  rooms: []
`

func write(t *testing.T, files ...string) (names []string) {
	t.Helper()
	dir := t.TempDir()
	for i, content := range files {
		name := filepath.Join(dir, string(rune('a'+i))+".yaml")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func TestNamespaces(t *testing.T) {
	other := strings.NewReplacer(`"irc"`, `"other"`, "as-irc", "as-other", "_irc_bot", "otherbot",
		"@_irc_.*|@exactly:example\\\\.org", "@_other_.*").Replace(irc)
	reg, err := appservice.Load(server, write(t, irc, other))
	if err != nil {
		t.Fatal(err)
	}
	s := reg.ByToken("as-irc")
	if s == nil || s.ID != "irc" || s.Sender != "@_irc_bot:example.org" || s.RateLimited || s.URL != "" {
		t.Fatalf("ByToken = %+v", s)
	}
	for _, token := range []string{"", "as-", "as-irc2", "hs-irc"} {
		if got := reg.ByToken(token); got != nil {
			t.Errorf("ByToken(%q) = %s, want none", token, got.ID)
		}
	}
	for _, tc := range []struct {
		user            matrix.UserID
		owns, exclusive bool // exclusive: to others than irc
	}{
		{"@_irc_bot:example.org", true, false},
		{"@_irc_alice:example.org", true, false},
		{"@_irc_alice:elsewhere.org", false, false},
		{"@exactly:example.org", true, false},
		{"@exactlynot:example.org", false, false},
		{"@x@_irc_alice:example.org", false, false},
		{"@shared_alice:example.org", true, false},
		{"@alice:example.org", false, false},
		{"@otherbot:example.org", false, true},
		{"@_other_alice:example.org", false, true},
	} {
		if got := s.Owns(tc.user); got != tc.owns {
			t.Errorf("Owns(%s) = %v, want %v", tc.user, got, tc.owns)
		}
		if got := reg.Exclusive(tc.user, s); got != tc.exclusive {
			t.Errorf("Exclusive(%s, irc) = %v, want %v", tc.user, got, tc.exclusive)
		}
	}
	if !reg.Exclusive("@_irc_alice:example.org", nil) || reg.Exclusive("@shared_alice:example.org", nil) {
		t.Error("for people: what is exclusive must be refused, what is shared must not")
	}
}

func TestNoServices(t *testing.T) {
	var reg *appservice.Registry
	if reg.ByToken("x") != nil || reg.Exclusive("@a:example.org", nil) || len(reg.Services()) != 0 {
		t.Error("a nil registry must have no services")
	}
}

func TestMistakes(t *testing.T) {
	edit := func(from, to string) string {
		if !strings.Contains(irc, from) {
			t.Fatalf("the registration has no %q", from)
		}
		return strings.Replace(irc, from, to, 1)
	}
	for _, tc := range []struct {
		name string
		file string
		want []string
	}{
		{"no id", edit(`id: "irc"`, ``), []string{"id is needed"}},
		{"empty token", edit(`"as-irc"`, `""`), []string{"line 3", "as_token is needed"}},
		{"token is a number", edit(`"as-irc"`, `12345`), []string{"line 3", "string"}},
		{"no url", edit(`url: null`, ``), []string{"url is needed"}},
		{"url of another kind", edit(`url: null`, `url: "ftp://x"`), []string{"line 2", "http"}},
		{"sender", edit(`_irc_bot`, `a:b`), []string{"line 5", "sender_localpart"}},
		{"regex", edit(`@shared_.*`, `@shared_(.*`), []string{"line 14", "regex"}},
		{"regex that closes a bracket", edit(`@shared_.*`, `@a)|(?:@b`), []string{"line 14", "regex"}},
		{"lookahead", edit(`@shared_.*`, `@(?!x).*`), []string{"line 14", "regex"}},
		{"exclusive missing", edit("exclusive: false\n      ", ""), []string{"line 13", "exclusive"}},
		{"exclusive is a list", edit("exclusive: false", `exclusive: []`), []string{"line 13"}},
		{"two at once", strings.Replace(edit(`"hs-irc"`, `""`), "null", `"x"`, 1), []string{"line 4", "line 2"}},
		{"no namespaces", irc[:strings.Index(irc, "namespaces:")], []string{"namespaces is needed"}},
		{"not YAML", "id: [", []string{"line 1"}},
		{"key twice", irc + "id: again\n", []string{"already defined"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := write(t, tc.file)
			_, err := appservice.Load(server, files)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range append(tc.want, files[0]) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestDuplicates(t *testing.T) {
	rest := strings.NewReplacer(`"irc"`, `"b"`, "as-irc", "as-b", "_irc_bot", "b")
	for name, second := range map[string]string{
		"id":     strings.NewReplacer("as-irc", "as-b", "_irc_bot", "b").Replace(irc),
		"token":  strings.NewReplacer(`"irc"`, `"b"`, "_irc_bot", "b").Replace(irc),
		"sender": strings.NewReplacer(`"irc"`, `"b"`, "as-irc", "as-b").Replace(irc),
	} {
		if _, err := appservice.Load(server, write(t, irc, second)); err == nil || !strings.Contains(err.Error(), `"irc"`) {
			t.Errorf("the same %s: error = %v, want one that names the other", name, err)
		}
	}
	if _, err := appservice.Load(server, write(t, irc, rest.Replace(irc))); err != nil {
		t.Errorf("all different: %v", err)
	}
}
