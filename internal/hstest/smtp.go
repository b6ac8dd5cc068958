package hstest

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"lethe/internal/config"
)

// MailServer is an SMTP server on a loopback address, with a certificate that
// nobody has seen before. It keeps what it is sent.
type MailServer struct {
	// Certificate is its own certificate, in PEM.
	Certificate []byte

	security string // as the setting smtp-security
	port     int

	mu      sync.Mutex
	refuse  error
	letters []Letter
}

// Letter is a message that was sent.
type Letter struct {
	From, To string
	Header   mail.Header
	Text     string // of the part in plain text
	HTML     string
	// Secure tells whether it came over TLS, and Login as whom the sender came.
	Secure bool
	Login  string
}

// The login that the mail server asks for, where the connection is protected.
const (
	MailUser     = "lethe"
	MailPassword = "mail-password"
)

// NewMailServer starts a mail server, which stops when the test ends. security
// is starttls, tls or none.
func NewMailServer(t testing.TB, security string) *MailServer {
	t.Helper()
	certificate, pemBytes := newCertificate(t)
	m := &MailServer{Certificate: pemBytes, security: security}
	conf := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &mailSession{server: m, conn: c}, nil
	}))
	server.Domain, server.ErrorLog = "mail.test", discardLog
	server.ReadTimeout, server.WriteTimeout = 20*time.Second, 20*time.Second
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.port = listener.Addr().(*net.TCPAddr).Port
	switch security {
	case "starttls":
		server.TLSConfig = conf
	case "tls":
		listener = tls.NewListener(listener, conf)
	}
	go func() { _ = server.Serve(listener) }() // it ends with an error when it is closed
	t.Cleanup(func() { _ = server.Close() })
	return m
}

// Mail makes a server send its mail through m.
func Mail(t testing.TB, m *MailServer) Option {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mail-ca.pem")
	if err := os.WriteFile(path, m.Certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return Set(func(c *config.Settings) {
		c.SMTPHost, c.SMTPPort, c.SMTPSecurity = "127.0.0.1", m.port, m.security
		c.SMTPFrom = "matrix@example.org"
		if m.security != "none" { // nobody sends a password in the clear
			c.SMTPUser, c.SMTPPassword = MailUser, MailPassword
		}
		c.TrustedCA = cmp.Or(c.TrustedCA, path)
	})
}

// Refuse makes it refuse all messages with an error; nil ends that.
func (m *MailServer) Refuse(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = err
}

// Letters is what was sent to an address ("": to anybody), oldest first.
func (m *MailServer) Letters(to string) []Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(m.letters), func(l Letter) bool { return to != "" && l.To != to })
}

var linkPattern = regexp.MustCompile(`https?://\S+`)

// Link is the path and query of the link in the last message to an address.
func (m *MailServer) Link(t testing.TB, to string) *url.URL {
	t.Helper()
	letters := m.Letters(to)
	if len(letters) == 0 {
		t.Fatalf("there is no mail to %s", to)
	}
	link, err := url.Parse(linkPattern.FindString(letters[len(letters)-1].Text))
	if err != nil || link.Host == "" {
		t.Fatalf("the mail has no link: %s", letters[len(letters)-1].Text)
	}
	return &url.URL{Path: link.Path, RawQuery: link.RawQuery}
}

// mailSession is one connection.
type mailSession struct {
	server *MailServer
	conn   *smtp.Conn
	login  string
	letter Letter
}

// AuthMechanisms lists how senders may log in.
func (*mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

// Auth takes a login.
func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != MailUser || password != MailPassword {
			return smtp.ErrAuthFailed
		}
		s.login = user
		return nil
	}), nil
}

// Mail takes the sender.
func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.login == "" && s.server.security != "none" {
		return smtp.ErrAuthRequired
	}
	s.letter.From = from
	return nil
}

// Rcpt takes the recipient.
func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.letter.To = to
	return nil
}

// Data takes the message.
func (s *mailSession) Data(r io.Reader) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.refuse != nil {
		return s.server.refuse
	}
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	s.letter.Header = msg.Header
	if err := s.letter.parts(msg); err != nil {
		return err
	}
	_, s.letter.Secure = s.conn.TLSConnectionState()
	s.letter.Login = s.login
	s.server.letters = append(s.server.letters, s.letter)
	return nil
}

// Reset forgets the message.
func (s *mailSession) Reset() { s.letter = Letter{} }

// Logout ends the connection.
func (*mailSession) Logout() error { return nil }

// parts reads the text and HTML of a message of two parts.
func (l *Letter) parts(msg *mail.Message) error {
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return fmt.Errorf("a message of the type %s: %w", strconv.Quote(kind), err)
	}
	reader := multipart.NewReader(msg.Body, params["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // the reader returns it as it is
			return nil
		}
		if err != nil {
			return err
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			l.HTML = string(text)
		} else {
			l.Text = string(text)
		}
	}
}
