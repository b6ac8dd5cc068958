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
	if s.Database != "" && !hasPrefix(string(s.Database), "sqlite:", "postgres://", "postgresql://") {
		c.add("database", "it must be sqlite:PATH or postgres://…")
	}
	if s.FederationListen != "" && (s.TLSCert == "" || s.TLSKey == "") {
		c.add("federation-listen", "it needs tls-cert and tls-key too")
	}
	c.readable("tls-cert", s.TLSCert)
	c.readable("tls-key", s.TLSKey)
	c.readable("trusted-ca", s.TrustedCA)
	for _, path := range s.Appservices {
		c.readable("appservice", path)
	}
	for _, p := range s.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			c.add("trusted-proxy", fmt.Sprintf("%q is not a network, as 10.0.0.0/8", p))
		}
	}
	if s.FederationName != "" {
		if _, err := matrix.ParseServerName(s.FederationName); err != nil {
			c.add("federation-name", err.Error())
		}
	}
	if s.SupportMatrixID != "" {
		if _, err := matrix.ParseUserID(s.SupportMatrixID); err != nil {
			c.add("support-matrix-id", err.Error())
		}
	}
	s.checkLifetimes(&c)
	s.checkMail(&c)
	s.checkPasswords(&c)
	s.checkSecrets(&c)
	return c.problems
}

func (s *Settings) checkLifetimes(c *checker) {
	for _, l := range []struct {
		name  string
		value Duration
	}{
		{"access-token-lifetime", s.AccessTokenLifetime},
		{"login-token-lifetime", s.LoginTokenLifetime},
		{"openid-token-lifetime", s.OpenIDTokenLifetime},
		{"uia-session-lifetime", s.UIASessionLifetime},
		{"validation-lifetime", s.ValidationLifetime},
	} {
		if l.value <= 0 {
			c.add(l.name, "it must be longer than 0s")
		}
	}
}

func (s *Settings) checkMail(c *checker) {
	if s.SMTPHost != "" {
		if a, err := mail.ParseAddress(s.SMTPFrom); err != nil || a.Address != s.SMTPFrom {
			c.add("smtp-from", "smtp-host needs the address that mail comes from, as matrix@example.org")
		}
		if s.SMTPPort < 1 || s.SMTPPort > 65535 {
			c.add("smtp-port", "it must be from 1 to 65535")
		}
	}
	if s.RequireEmail && s.SMTPHost == "" {
		c.add("require-email", "it needs smtp-host, to validate addresses")
	}
}

func (s *Settings) checkPasswords(c *checker) {
	if s.PasswordMinLength < 1 || s.PasswordMaxLength < s.PasswordMinLength {
		c.add("password-max-length", "it must be at least password-min-length, and that at least 1")
	}
	if s.Argon2Time < 1 || s.Argon2Threads < 1 || s.Argon2Memory < 8*uint32(s.Argon2Threads) {
		c.add("argon2-memory", "argon2id needs one round, one thread and 8 KiB for each thread, at least")
	}
	if s.HashConcurrency < 0 {
		c.add("hash-concurrency", "it must be 0 or more")
	}
}

// secretFile is a secret that can be given as a file.
type secretFile struct {
	name   string // of the secret; its file has -file behind it
	path   string
	secret *Secret
}

func (s *Settings) secretFiles() []secretFile {
	return []secretFile{
		{"smtp-password", s.SMTPPasswordFile, &s.SMTPPassword},
		{"registration-shared-secret", s.RegistrationSharedSecretFile, &s.RegistrationSharedSecret},
	}
}

func (s *Settings) checkSecrets(c *checker) {
	for _, f := range s.secretFiles() {
		if f.path == "" {
			continue
		}
		if *f.secret != "" {
			c.add(f.name+"-file", f.name+" is set too; only one of the two can be")
		}
		if _, err := f.read(); err != nil {
			c.add(f.name+"-file", err.Error())
		}
	}
}

// ReadSecrets fills the secrets that are given as files.
func (s *Settings) ReadSecrets() error {
	for _, f := range s.secretFiles() {
		if f.path == "" {
			continue
		}
		secret, err := f.read()
		if err != nil {
			return fmt.Errorf("%s-file: %w", f.name, err)
		}
		*f.secret = secret
	}
	return nil
}

func (f secretFile) read() (Secret, error) {
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return "", err
	}
	secret := Secret(strings.TrimSpace(string(raw)))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", f.path)
	}
	return secret, nil
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
