package config

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"lethe/internal/matrix"
)

// Problem is a mistake in the settings.
type Problem struct {
	Setting string `json:"setting"`
	File    string `json:"file,omitzero"`
	Line    int    `json:"line,omitzero"`
	Message string `json:"message"`
}

// String is file:line: setting: what is wrong.
func (p Problem) String() string {
	where := ""
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d: ", p.File, p.Line)
	}
	return where + p.Setting + ": " + p.Message
}

// Check finds what is wrong with the settings, beyond what their types tell.
// file is where they came from, nil for nowhere; it gives the problems their
// lines.
func (s *Settings) Check(file *File) []Problem {
	c := checker{file: file}
	if _, err := matrix.ParseServerName(s.ServerName); err != nil {
		c.add("server-name", err.Error())
	}
	c.address("listen", s.Listen, true)
	c.address("federation-listen", s.FederationListen, false)
	c.address("metrics-listen", s.MetricsListen, false)
	c.url("public-base-url", s.PublicBaseURL)
	c.url("terms-url", s.TermsURL)
	c.url("sms-gateway", s.SMSGateway)
	c.url("support-page", s.SupportPage)
	if s.Database != "" && !hasPrefix(s.Database, "sqlite:", "postgres://", "postgresql://") {
		c.add("database", "it must be sqlite:PATH or postgres://…")
	}
	if s.FederationListen != "" && (s.TLSCert == "" || s.TLSKey == "") {
		c.add("federation-listen", "it needs tls-cert and tls-key too")
	}
	for name, path := range map[string]string{
		"tls-cert": s.TLSCert, "tls-key": s.TLSKey, "trusted-ca": s.TrustedCA,
		"smtp-password-file": s.SMTPPasswordFile, "registration-shared-secret-file": s.RegistrationSharedSecretFile,
	} {
		c.readable(name, path)
	}
	for _, path := range s.Appservices {
		c.readable("appservice", path)
	}
	for _, p := range s.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			c.add("trusted-proxy", fmt.Sprintf("%q is not a network, as 10.0.0.0/8", p))
		}
	}
	s.checkMail(&c)
	s.checkPasswords(&c)
	return c.problems
}

func (s *Settings) checkMail(c *checker) {
	if s.SMTPHost != "" {
		if a, err := mail.ParseAddress(s.SMTPFrom); err != nil || a.Address != s.SMTPFrom {
			c.add("smtp-from", "smtp-host needs the address that mail comes from, as matrix@example.org")
		}
	}
	if s.RequireEmail && s.SMTPHost == "" {
		c.add("require-email", "it needs smtp-host, to validate addresses")
	}
	if s.SMTPPassword != "" && s.SMTPPasswordFile != "" {
		c.add("smtp-password-file", "smtp-password is set too; only one of the two can be")
	}
	if s.RegistrationSharedSecret != "" && s.RegistrationSharedSecretFile != "" {
		c.add("registration-shared-secret-file", "registration-shared-secret is set too; only one of the two can be")
	}
}

func (s *Settings) checkPasswords(c *checker) {
	if s.PasswordMinLength < 1 || s.PasswordMaxLength < s.PasswordMinLength {
		c.add("password-max-length", "it must be at least password-min-length, and that at least 1")
	}
	if s.Argon2Time < 1 || s.Argon2Threads < 1 || s.Argon2Memory < 8*uint32(s.Argon2Threads) {
		c.add("argon2-memory", "argon2id needs one round, one thread and 8 KiB for each thread, at least")
	}
}

// ReadSecrets fills the secrets that are given as files.
func (s *Settings) ReadSecrets() error {
	for path, secret := range map[string]*Secret{
		s.SMTPPasswordFile: &s.SMTPPassword, s.RegistrationSharedSecretFile: &s.RegistrationSharedSecret,
	} {
		if path == "" {
			continue
		}
		raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			return err
		}
		*secret = Secret(strings.TrimSpace(string(raw)))
	}
	return nil
}

type checker struct {
	file     *File
	problems []Problem
}

func (c *checker) add(setting, message string) {
	p := Problem{Setting: setting, Message: message}
	if c.file != nil {
		if line := c.file.Line(setting); line > 0 {
			p.File, p.Line = c.file.Path, line
		}
	}
	c.problems = append(c.problems, p)
}

func (c *checker) address(name, value string, needed bool) {
	if value == "" && !needed {
		return
	}
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		c.add(name, fmt.Sprintf("%q is not an address, as 127.0.0.1:8008", value))
	}
}

func (c *checker) url(name, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.add(name, fmt.Sprintf("%q is not an http or https URL", value))
	}
}

func (c *checker) readable(name, path string) {
	if path == "" {
		return
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		c.add(name, err.Error())
		return
	}
	_ = f.Close()
}

func hasPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
