// Package mail sends what this server writes to people.
//
// Holds: [Sender], and the texts, in plain text and HTML.
//
// May import: matrix, crash.
//
// Never: whom to write to, and when.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	gomail "github.com/wneessen/go-mail"

	"lethe/internal/crash"
)

// Security says how the connection to the mail server is protected.
type Security string

// The kinds of [Security].
const (
	StartTLS Security = "starttls" // required, not only tried
	TLS      Security = "tls"
	None     Security = "none" // for a server on the same machine
)

// Options are the settings of a [Sender].
type Options struct {
	Host     string // "": mail is not set up
	Port     int
	User     string // "": no authentication
	Password string
	Security Security
	From     string // the address of the sender
	Name     string // the name of the sender, and of this server in the texts
	CAs      *x509.CertPool
	Timeout  time.Duration // for a whole message; 0 is 20 s
}

// ErrNotConfigured: no mail server is set.
var ErrNotConfigured = errors.New("no mail server is configured")

// Sender sends mail. It is safe for concurrent use: every message has a
// connection of its own.
type Sender struct{ opts Options }

// New makes a sender.
func New(opts Options) *Sender {
	if opts.Timeout == 0 {
		opts.Timeout = 20 * time.Second
	}
	return &Sender{opts: opts}
}

// Configured tells whether there is a mail server.
func (s *Sender) Configured() bool { return s.opts.Host != "" }

// Send renders a message of the given kind and hands it to the mail server. It
// returns once the server has taken it.
func (s *Sender) Send(ctx context.Context, to string, kind Kind, data Data) error {
	if !s.Configured() {
		return ErrNotConfigured
	}
	data.Server = s.opts.Name
	text, err := render(kind, data)
	if err != nil {
		return err
	}
	msg := gomail.NewMsg()
	if err := msg.FromFormat(s.opts.Name, s.opts.From); err != nil {
		return fmt.Errorf("sender of mail: %w", err)
	}
	if err := msg.To(to); err != nil {
		return fmt.Errorf("recipient of mail: %w", err)
	}
	msg.Subject(text.subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	msg.SetBodyString(gomail.TypeTextPlain, text.plain)
	msg.AddAlternativeString(gomail.TypeTextHTML, text.html)
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	crash.Point("mail.before")
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	crash.Point("mail.after")
	return nil
}

func (s *Sender) client() (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.opts.Port), gomail.WithTimeout(s.opts.Timeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.opts.Host, RootCAs: s.opts.CAs, MinVersion: tls.VersionTLS12}),
	}
	switch s.opts.Security {
	case TLS:
		options = append(options, gomail.WithSSL())
	case None:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.opts.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(s.opts.User), gomail.WithPassword(s.opts.Password))
	}
	client, err := gomail.NewClient(s.opts.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	return client, nil
}
