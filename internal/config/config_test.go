package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"lethe/internal/config"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problem is what a test expects: a line, a setting, and a part of the message.
type problem struct {
	line    int
	setting string
	message string
}

func checkProblems(t *testing.T, path string, got []config.Problem, want []problem) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("problem %+v is not found", want[i])
		case i >= len(want):
			t.Errorf("unexpected problem %s", got[i])
		case got[i].Line != want[i].line || got[i].Setting != want[i].setting || !strings.Contains(got[i].Message, want[i].message):
			t.Errorf("problem %s, want %+v", got[i], want[i])
		case want[i].line > 0 && got[i].File != path:
			t.Errorf("problem %s is not of the file %s", got[i], path)
		}
	}
}

func TestFileWithMistakesGivesEachWithItsLine(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want []problem
	}{
		"none":          {"server-name: example.org\n# a comment\nlisten: \"127.0.0.1:1\"\nguests: true\nsmtp-port: 25\n", nil},
		"empty":         {"", nil},
		"only comments": {"# nothing\n\n# here\n", nil},
		"lists":         {"trusted-proxy: [10.0.0.0/8, fd00::/8]\nappservice:\n  - a.yaml\n  - b.yaml\n", nil},
		"one for list":  {"appservice: a.yaml\n", nil},
		"all at once": {
			"server-nam: example.org\nguests: perhaps\nlisten: [a, b]\nsmtp-port: many\nguests: true\nxyzzy: 1\nrate-login: 10\n" +
				"registration: sometimes\naddress-log: 4 weeks\nargon2-threads: 300\nserver-name:\nappservice: {a: b}\ntls-cert: {}\n",
			[]problem{
				{1, "server-nam", "is it server-name?"},
				{2, "guests", "bool"},
				{3, "listen", "single value"},
				{4, "smtp-port", "many"},
				{5, "guests", "line 2"},
				{6, "xyzzy", "no such setting"},
				{7, "rate-login", "as 10/1m"},
				{8, "registration", "open"},
				{9, "address-log", "as 30s, 10m, 2h or 7d"},
				{10, "argon2-threads", "300"},
				{11, "server-name", "no single value"},
				{12, "appservice", "list"},
				{13, "tls-cert", "single value"},
			},
		},
		"nested list":   {"appservice:\n  - [a]\n", []problem{{1, "appservice", "single value"}}},
		"a list":        {"\n- server-name\n", []problem{{2, "(file)", "name: value"}}},
		"two documents": {"server-name: a\n---\nlisten: \"127.0.0.1:1\"\n", []problem{{2, "(file)", "one document"}}},
		"wrong case":    {"Server-Name: a\n", []problem{{1, "Server-Name", "is it server-name?"}}},
		"underscores":   {"server_name: a\n", []problem{{1, "server_name", "is it server-name?"}}},
		"variable":      {"LETHE_LISTEN: a\n", []problem{{1, "LETHE_LISTEN", "no such setting"}}},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "lethe.yaml", tc.file)
			_, got, err := config.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			checkProblems(t, path, got, tc.want)
		})
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	if _, _, err := config.ReadFile(filepath.Join(t.TempDir(), "none.yaml")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	for _, content := range []string{"a: b: c\n", "\tlisten: a\n"} {
		path := write(t, "lethe.yaml", "guests: true\n\n"+content)
		if _, _, err := config.ReadFile(path); err == nil || !strings.Contains(err.Error(), path+": yaml: line 3") {
			t.Errorf("%q: %v, want an error with the file and line 3", content, err)
		}
	}
}

func TestProblemsAreReadable(t *testing.T) {
	p := config.Problem{Setting: "listen", File: "a.yaml", Line: 3, Message: "it is wrong"}
	if got := p.String(); got != "a.yaml:3: listen: it is wrong" {
		t.Errorf("String() = %q", got)
	}
	p.Line = 0
	if got := p.String(); got != "listen: it is wrong" {
		t.Errorf("without a line, String() = %q", got)
	}
}

// parse reads flags, variables and a file as the program does.
func parse(t *testing.T, file string, flags ...string) config.Settings {
	t.Helper()
	f, problems, err := config.ReadFile(write(t, "lethe.yaml", file))
	if err != nil || len(problems) != 0 {
		t.Fatal(err, problems)
	}
	var s config.Settings
	parser, err := kong.New(&s, kong.DefaultEnvars(config.EnvPrefix), kong.Resolvers(f))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFlagBeforeVariableBeforeFileBeforeDefault(t *testing.T) {
	t.Setenv("LETHE_LISTEN", "variable:1")
	t.Setenv("LETHE_SERVER_NAME", "variable.example")
	got := parse(t, "server-name: file.example\nlisten: \"file:1\"\ndata-dir: /file\nsmtp-password: hush\nguests: yes\nrate-login: off\n"+
		"trusted-proxy: [10.0.0.0/8, \"fd00::/8\"]\ndeactivation-grace: 7d\n", "--server-name=flag.example")
	want := config.Defaults()
	want.ServerName, want.Listen, want.DataDir, want.SMTPPassword = "flag.example", "variable:1", "/file", "hush"
	want.Guests, want.RateLogin, want.DeactivationGrace = true, config.Rate{}, config.Duration(7*24*time.Hour)
	want.TrustedProxies = []string{"10.0.0.0/8", "fd00::/8"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestDefaultsAreFine(t *testing.T) {
	s := config.Defaults()
	if problems := s.Check(nil); len(problems) != 0 {
		t.Errorf("the defaults have problems: %v", problems)
	}
	if s.ServerName != "localhost" || s.Listen != "127.0.0.1:8008" || s.DataDir != "./lethe-data" || s.Registration != "closed" || s.AllowPrivateNetworks {
		t.Errorf("the defaults are %+v", s)
	}
	if s.RateLogin != (config.Rate{Burst: 30, Per: time.Minute}) || s.AddressLog.D() != 28*24*time.Hour {
		t.Errorf("the defaults of limits are %+v, %v", s.RateLogin, s.AddressLog)
	}
}

func TestCheckFindsWhatTypesDoNotTell(t *testing.T) {
	empty, full, none := write(t, "empty", " \n"), write(t, "full", "hush\n"), filepath.Join(t.TempDir(), "none")
	for name, tc := range map[string]struct {
		change func(*config.Settings)
		want   []problem
	}{
		"server name":     {func(s *config.Settings) { s.ServerName = "a b" }, []problem{{0, "server-name", "character"}}},
		"no listen":       {func(s *config.Settings) { s.Listen = "" }, []problem{{0, "listen", "not an address"}}},
		"no port":         {func(s *config.Settings) { s.Listen = "localhost" }, []problem{{0, "listen", "not an address"}}},
		"metrics":         {func(s *config.Settings) { s.MetricsListen = ":" }, []problem{{0, "metrics-listen", "not an address"}}},
		"every interface": {func(s *config.Settings) { s.Listen = ":8008" }, nil},
		"base URL":        {func(s *config.Settings) { s.PublicBaseURL = "example.org" }, []problem{{0, "public-base-url", "URL"}}},
		"terms":           {func(s *config.Settings) { s.TermsURL = "ftp://x/" }, []problem{{0, "terms-url", "URL"}}},
		"sms":             {func(s *config.Settings) { s.SMSGateway = "https:///x" }, []problem{{0, "sms-gateway", "URL"}}},
		"support page":    {func(s *config.Settings) { s.SupportPage = "javascript:alert()" }, []problem{{0, "support-page", "URL"}}},
		"database":        {func(s *config.Settings) { s.Database = "mysql://u:SECRET@h/d" }, []problem{{0, "database", "sqlite:PATH"}}},
		"databases":       {func(s *config.Settings) { s.Database = "postgres://u:p@h/d" }, nil},
		"federation":      {func(s *config.Settings) { s.FederationListen = ":8448" }, []problem{{0, "federation-listen", "tls-cert"}}},
		"federation files": {
			func(s *config.Settings) { s.FederationListen, s.TLSCert, s.TLSKey = ":8448", full, none },
			[]problem{{0, "tls-key", "no such file"}},
		},
		"federation name":   {func(s *config.Settings) { s.FederationName = "https://a" }, []problem{{0, "federation-name", "port"}}},
		"proxy":             {func(s *config.Settings) { s.TrustedProxies = []string{"10.0.0.1"} }, []problem{{0, "trusted-proxy", "10.0.0.0/8"}}},
		"appservice":        {func(s *config.Settings) { s.Appservices = []string{full, none} }, []problem{{0, "appservice", "no such file"}}},
		"certificates":      {func(s *config.Settings) { s.TrustedCA = none }, []problem{{0, "trusted-ca", "no such file"}}},
		"support":           {func(s *config.Settings) { s.SupportMatrixID = "alice" }, []problem{{0, "support-matrix-id", "@"}}},
		"lifetime":          {func(s *config.Settings) { s.LoginTokenLifetime = 0 }, []problem{{0, "login-token-lifetime", "0s"}}},
		"require mail":      {func(s *config.Settings) { s.RequireEmail = true }, []problem{{0, "require-email", "smtp-host"}}},
		"mail without from": {func(s *config.Settings) { s.SMTPHost = "mail" }, []problem{{0, "smtp-from", "matrix@example.org"}}},
		"mail": {
			func(s *config.Settings) { s.SMTPHost, s.SMTPFrom, s.SMTPPort = "mail", "M <m@example.org>", 0 },
			[]problem{{0, "smtp-from", "address"}, {0, "smtp-port", "65535"}},
		},
		"password lengths": {func(s *config.Settings) { s.PasswordMaxLength = 3 }, []problem{{0, "password-max-length", "at least"}}},
		"argon2":           {func(s *config.Settings) { s.Argon2Memory = 7 }, []problem{{0, "argon2-memory", "8 KiB"}}},
		"concurrency":      {func(s *config.Settings) { s.HashConcurrency = -1 }, []problem{{0, "hash-concurrency", "0 or more"}}},
		"secret twice": {
			func(s *config.Settings) { s.SMTPPassword, s.SMTPPasswordFile = "SECRET", full },
			[]problem{{0, "smtp-password-file", "only one"}},
		},
		"secret without file": {func(s *config.Settings) { s.SMTPPasswordFile = none }, []problem{{0, "smtp-password-file", "no such file"}}},
		"secret of nothing": {
			func(s *config.Settings) { s.RegistrationSharedSecretFile = empty },
			[]problem{{0, "registration-shared-secret-file", "is empty"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := config.Defaults()
			tc.change(&s)
			got := s.Check(nil)
			checkProblems(t, "", got, tc.want)
			if strings.Contains(fmt.Sprint(got), "SECRET") {
				t.Errorf("a problem shows a secret: %v", got)
			}
		})
	}
}

func TestCheckGivesTheLine(t *testing.T) {
	path := write(t, "lethe.yaml", "# one\nserver-name: \"a b\"\n\nmetrics-listen: nowhere\n")
	f, problems, err := config.ReadFile(path)
	if err != nil || len(problems) != 0 {
		t.Fatal(err, problems)
	}
	s := config.Defaults()
	s.ServerName, s.MetricsListen, s.Listen = f.Values("server-name")[0], f.Values("metrics-listen")[0], "x"
	checkProblems(t, path, s.Check(f), []problem{{2, "server-name", ""}, {0, "listen", ""}, {4, "metrics-listen", ""}})
}

func TestSecretsComeFromFiles(t *testing.T) {
	s := config.Defaults()
	path := write(t, "secret", "  hush now\n\n")
	s.SMTPPasswordFile, s.RegistrationSharedSecretFile = path, path // the same for both
	if err := s.ReadSecrets(); err != nil || s.SMTPPassword != "hush now" || s.RegistrationSharedSecret != "hush now" {
		t.Errorf("%v; the secrets have %d and %d bytes", err, len(s.SMTPPassword), len(s.RegistrationSharedSecret))
	}
	s.SMTPPasswordFile = path + "x"
	if err := s.ReadSecrets(); err == nil || !strings.Contains(err.Error(), "smtp-password-file") {
		t.Errorf("without the file: %v", err)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	s := config.Defaults()
	s.SMTPPassword, s.RegistrationSharedSecret, s.Database = "SECRET", "SECRET", "postgres://u:SECRET@h/d"
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%08b"} {
		shown[verb+" of a secret"] = fmt.Sprintf(verb, s.SMTPPassword)
		shown[verb+" of the settings"] = fmt.Sprintf(verb, s)
		shown[verb+" of a pointer"] = fmt.Sprintf(verb, &s)
	}
	var text, jsonLog bytes.Buffer
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&jsonLog, nil))} {
		log.Info("start", "settings", s, "secret", s.SMTPPassword, "pointer", &s)
	}
	shown["text log"], shown["JSON log"] = text.String(), jsonLog.String()
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	shown["JSON"], shown["YAML"] = string(asJSON), string(asYAML)
	shown["error"] = fmt.Errorf("bad: %v", s.SMTPPassword).Error()
	for how, out := range shown {
		if strings.Contains(out, "SECRET") || strings.Contains(out, "534543524554") {
			t.Errorf("%s shows a secret: %.300s", how, out)
		}
	}
	if got := fmt.Sprint(config.Secret("")); got != "" {
		t.Errorf("no secret is shown as %q", got)
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0s": 0, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "0d": 0, "65535d": 65535 * 24 * time.Hour,
	} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(in)); err != nil || d.D() != want {
			t.Errorf("%q is %v, %v, want %v", in, d.D(), err, want)
		}
	}
	for _, in := range []string{"", "7", "d", "-1d", "-5s", "1.5d", "1w", "7 d", "99999999d", "1e9h", "1d12h"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is taken for %v", in, d.D())
		}
	}
}

func TestRates(t *testing.T) {
	for in, want := range map[string]config.Rate{
		"10/1m": {Burst: 10, Per: time.Minute}, "1/7d": {Burst: 1, Per: 7 * 24 * time.Hour}, "off": {},
	} {
		got := config.Rate{Burst: 1, Per: 1}
		if err := got.UnmarshalText([]byte(in)); err != nil || got != want {
			t.Errorf("%q is %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "10", "10/", "/1m", "0/1m", "-1/1m", "10/0s", "10/-1s", "ten/1m", "10/1m/1m", "4294967296/1s", "OFF"} {
		var r config.Rate
		if err := r.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is taken for %+v", in, r)
		}
	}
}

func TestEverySettingHasANameAndHelp(t *testing.T) {
	seen := map[string]bool{}
	name := regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	for f := range reflect.TypeFor[config.Settings]().Fields() {
		tag := f.Tag.Get("name")
		if !name.MatchString(tag) || seen[tag] {
			t.Errorf("the setting %s has the name %q", f.Name, tag)
		}
		seen[tag] = true
		if help := f.Tag.Get("help"); !strings.HasSuffix(help, ".") {
			t.Errorf("the setting %s has the help %q, which is no sentence", tag, help)
		}
		secret := strings.Contains(tag, "password") || strings.Contains(tag, "secret")
		if f.Type == reflect.TypeFor[string]() && secret && !strings.HasSuffix(tag, "-file") {
			t.Errorf("the setting %s is a secret, and its type does not hide it", tag)
		}
	}
}

func TestMarkdownListsEverySetting(t *testing.T) {
	var b bytes.Buffer
	if err := config.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(b.String()), "\n")
	names := config.Names()
	if len(rows) != len(names)+2 {
		t.Fatalf("%d rows for %d settings", len(rows), len(names))
	}
	for i, name := range names {
		if row := rows[i+2]; !strings.HasPrefix(row, "| `"+name+"` |") || strings.Count(row, "|") != 4 {
			t.Errorf("the row of %s is %s", name, row)
		}
	}
}
