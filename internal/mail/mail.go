// Package mail sends what this server writes to people.
//
// Holds: [Sender], and the texts, in plain text and HTML.
//
// May import: matrix, crash.
//
// Never: whom to write to, and when.
package mail

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"lethe/internal/crash"
	"lethe/internal/matrix"
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

// ErrNotConfigured is that no mail server is set.
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
// returns once the server has taken it. Its errors do not show the recipient.
func (s *Sender) Send(ctx context.Context, to string, kind Kind, data Data) error {
	if !s.Configured() {
		return ErrNotConfigured
	}
	msg, err := s.message(to, kind, data)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	client, err := s.client(ctx)
	if err != nil {
		return err
	}
	crash.Point("mail.before")
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("mail server %s: %w", s.opts.Host, cmp.Or(ctx.Err(), err))
	}
	err = client.SendWithSMTPClient(conn, msg)
	_ = client.CloseWithSMTPClient(conn)
	if err != nil && !msg.IsDelivered() { // what goes wrong after the server has taken it does not matter
		return &refusal{text: strings.ReplaceAll(err.Error(), to, "(recipient)"), cause: err}
	}
	crash.Point("mail.after")
	return nil
}

// message is a message ready to be sent.
func (s *Sender) message(to string, kind Kind, data Data) (*gomail.Msg, error) {
	if _, err := matrix.ParseThreepid(matrix.MediumEmail, to); err != nil {
		return nil, fmt.Errorf("recipient of mail: %w", err)
	}
	data.Server = s.opts.Name
	text, err := render(kind, data)
	if err != nil {
		return nil, err
	}
	msg := gomail.NewMsg()
	if err := msg.FromFormat(s.opts.Name, s.opts.From); err != nil {
		return nil, fmt.Errorf("sender of mail: %w", err)
	}
	if err := msg.To(to); err != nil {
		return nil, errors.New("recipient of mail: this is not an e-mail address")
	}
	_, domain, _ := strings.Cut(s.opts.From, "@")
	msg.Subject(text.subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(rand.Text() + "@" + domain)
	msg.SetUserAgent("Lethe")
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	msg.SetBodyString(gomail.TypeTextPlain, text.plain)
	msg.AddAlternativeString(gomail.TypeTextHTML, text.html)
	return msg, nil
}

// refusal is an error of the mail server, without the address it is about.
type refusal struct {
	text  string
	cause error
}

// Error is for the log.
func (r *refusal) Error() string { return "send mail: " + r.text }

// Unwrap returns the error as it came.
func (r *refusal) Unwrap() error { return r.cause }

func (s *Sender) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.opts.Host, RootCAs: s.opts.CAs, MinVersion: tls.VersionTLS12}
}

// dial connects. The connection closes when ctx ends: the library heeds it only
// while it connects, and leaves open what fails before the first message.
func (s *Sender) dial(ctx context.Context) gomail.DialContextFunc {
	return func(_ context.Context, network, address string) (net.Conn, error) {
		var d interface {
			DialContext(ctx context.Context, network, address string) (net.Conn, error)
		} = &net.Dialer{}
		if s.opts.Security == TLS {
			d = &tls.Dialer{Config: s.tlsConfig()}
		}
		conn, err := d.DialContext(ctx, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	}
}

func (s *Sender) client(ctx context.Context) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.opts.Port), gomail.WithTimeout(s.opts.Timeout), gomail.WithTLSConfig(s.tlsConfig()),
		gomail.WithDialContextFunc(s.dial(ctx)),
	}
	switch s.opts.Security {
	case TLS:
		// It is on already; this makes the library look.
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
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
