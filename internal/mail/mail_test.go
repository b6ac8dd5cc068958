package mail_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"lethe/internal/mail"
)

// letter is a message as the mail server got it.
type letter struct {
	from, user string
	to         []string
	encrypted  bool
	data       string
}

// post is a mail server.
type post struct {
	t        *testing.T
	password string // "": no authentication
	refuse   error  // of recipients

	mu      sync.Mutex
	letters []letter
	clients int
}

// NewSession is called for each client that says hello.
func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clients++
	return &session{post: p, conn: c}, nil
}

func (p *post) got() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.letters
}

type session struct {
	post   *post
	conn   *smtp.Conn
	letter letter
}

func (s *session) Reset()        { s.letter = letter{user: s.letter.user} }
func (s *session) Logout() error { return nil }
func (s *session) AuthMechanisms() []string {
	if s.post.password == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if password != s.post.password {
			return smtp.ErrAuthFailed
		}
		s.letter.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, encrypted := s.conn.TLSConnectionState()
	if s.post.password != "" && s.letter.user == "" {
		return smtp.ErrAuthRequired
	}
	s.letter.from, s.letter.encrypted = from, encrypted
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.letter.to = append(s.letter.to, to)
	return s.post.refuse
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.letter.data = string(data)
	s.post.mu.Lock()
	defer s.post.mu.Unlock()
	s.post.letters = append(s.post.letters, s.letter)
	return err
}

// certificate is one for 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return srv.TLS.Certificates[0], pool
}

// start runs a mail server and returns a sender for it. security is what the
// server offers.
func (p *post) start(t *testing.T, security mail.Security) mail.Options {
	t.Helper()
	cert, pool := certificate(t)
	srv := smtp.NewServer(p)
	srv.Domain, srv.AllowInsecureAuth, srv.ErrorLog = "mail.test", true, log.New(io.Discard, "", 0)
	srv.EnableSMTPUTF8 = true
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on TCP
	switch security {
	case mail.StartTLS:
		srv.TLSConfig = config
	case mail.TLS:
		l = tls.NewListener(l, config)
	case mail.None:
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return mail.Options{
		Host: "127.0.0.1", Port: port, Security: security, From: "matrix@hs.example", Name: "hs.example", CAs: pool,
		Timeout: 10 * time.Second,
	}
}

func send(t *testing.T, opts mail.Options) error {
	t.Helper()
	return mail.New(opts).Send(t.Context(), "alice@example.org", mail.KindAdd, mail.Data{Link: "https://hs.example/x?token=abc&b=c"})
}

func TestMailIsSentEncryptedAndAuthenticated(t *testing.T) {
	for _, security := range []mail.Security{mail.StartTLS, mail.TLS, mail.None} {
		t.Run(string(security), func(t *testing.T) {
			p := &post{t: t}
			opts := p.start(t, security)
			if security != mail.None {
				p.password, opts.User, opts.Password = "letmein", "lethe", "letmein"
			}
			if err := send(t, opts); err != nil {
				t.Fatal(err)
			}
			got := p.got()
			if len(got) != 1 || got[0].from != "matrix@hs.example" || strings.Join(got[0].to, " ") != "alice@example.org" {
				t.Fatalf("the mail server got %+v", got)
			}
			if want := security != mail.None; got[0].encrypted != want || (got[0].user == "lethe") != want {
				t.Errorf("encrypted: %v, user %q", got[0].encrypted, got[0].user)
			}
		})
	}
}

func TestWithoutTheProtectionThatIsSetNothingIsSent(t *testing.T) {
	for name, tc := range map[string]struct {
		offered mail.Security
		change  func(*mail.Options)
	}{
		"no STARTTLS":                  {mail.None, func(o *mail.Options) { o.Security = mail.StartTLS }},
		"no setting is STARTTLS":       {mail.None, func(o *mail.Options) { o.Security = "" }},
		"no TLS":                       {mail.None, func(o *mail.Options) { o.Security = mail.TLS }},
		"STARTTLS for TLS":             {mail.StartTLS, func(o *mail.Options) { o.Security = mail.TLS }},
		"certificate of nobody":        {mail.StartTLS, func(o *mail.Options) { o.CAs = nil }},
		"certificate of another name":  {mail.StartTLS, func(o *mail.Options) { o.Host = "localhost" }},
		"certificate of nobody, TLS":   {mail.TLS, func(o *mail.Options) { o.CAs = nil }},
		"another name, TLS":            {mail.TLS, func(o *mail.Options) { o.Host = "localhost" }},
		"password where none is taken": {mail.StartTLS, func(o *mail.Options) { o.User, o.Password = "lethe", "SECRET" }},
	} {
		t.Run(name, func(t *testing.T) {
			p := &post{t: t}
			opts := p.start(t, tc.offered)
			opts.Timeout = 2 * time.Second
			tc.change(&opts)
			err := send(t, opts)
			if err == nil || len(p.got()) != 0 {
				t.Errorf("%v, and the server got %+v", err, p.got())
			}
			if err != nil && (strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "alice")) {
				t.Errorf("the error shows too much: %v", err)
			}
		})
	}
}

func TestWrongPasswordIsAnError(t *testing.T) {
	p := &post{t: t, password: "letmein"}
	opts := p.start(t, mail.StartTLS)
	opts.User, opts.Password = "lethe", "SECRET"
	if err := send(t, opts); err == nil || strings.Contains(err.Error(), "SECRET") || len(p.got()) != 0 {
		t.Errorf("%v, and the server got %+v", err, p.got())
	}
}

func TestRefusalDoesNotShowTheRecipient(t *testing.T) {
	p := &post{t: t, refuse: &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no alice@example.org here"}}
	err := send(t, p.start(t, mail.StartTLS))
	if err == nil || strings.Contains(err.Error(), "alice") || !strings.Contains(err.Error(), "550") {
		t.Errorf("the error is %v, want one with 550 and without the address", err)
	}
}

func TestRecipientsAreOneAddressOnly(t *testing.T) {
	p := &post{t: t}
	s := mail.New(p.start(t, mail.StartTLS))
	for _, to := range []string{
		"", "alice", "alice@example.org\r\nBcc: eve@example.org", "alice@example.org\nX: y", "alice@example.org, eve@example.org",
		"alice@example.org> RCPT TO:<eve@example.org", "Eve <eve@example.org>", "<alice@example.org>", `"a\r\nb"@example.org`, "alice@example.org\x00",
	} {
		err := s.Send(t.Context(), to, mail.KindAdd, mail.Data{})
		if err == nil || len(p.got()) != 0 || p.clients != 0 {
			t.Errorf("%q: %v, %d connections, %+v", to, err, p.clients, p.got())
		}
		if to != "" && err != nil && strings.Contains(err.Error(), to) {
			t.Errorf("the error shows the address: %v", err)
		}
	}
	if err := s.Send(t.Context(), "strauß@bücher.example", mail.KindAdd, mail.Data{}); err != nil || len(p.got()) != 1 {
		t.Errorf("an address of today: %v", err)
	}
}

// parts reads the alternatives of a message, by type.
func parts(t *testing.T, data string) (netmail.Header, map[string]string) {
	t.Helper()
	msg, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("the message is %s, %v", kind, err)
	}
	found := map[string]string{}
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return msg.Header, found
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatalf("part %v: %v", part.Header, err)
		}
		found[part.Header.Get("Content-Type")] = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
}

func TestEveryKindHasTextAndHTML(t *testing.T) {
	const link = "https://hs.example/_matrix/x?token=abc&sid=1"
	subjects := map[string]bool{}
	for _, kind := range []mail.Kind{mail.KindRegister, mail.KindAdd, mail.KindPassword, mail.KindEnded} {
		t.Run(string(kind), func(t *testing.T) {
			p := &post{t: t}
			s := mail.New(p.start(t, mail.StartTLS))
			data := mail.Data{Link: link, User: "@<b>alice</b>:hs.example", Until: "2 January 2027"}
			if err := s.Send(t.Context(), "alice@example.org", kind, data); err != nil {
				t.Fatal(err)
			}
			header, got := parts(t, p.got()[0].data)
			subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
			if err != nil || subject == "" {
				t.Errorf("the subject is %q, %v", subject, err)
			}
			subjects[subject] = true
			for key, want := range map[string]string{
				"From": `"hs.example" <matrix@hs.example>`, "To": "<alice@example.org>", "Auto-Submitted": "auto-generated",
			} {
				if header.Get(key) != want {
					t.Errorf("%s is %q, want %q", key, header.Get(key), want)
				}
			}
			if _, err := header.Date(); err != nil || !strings.HasSuffix(header.Get("Message-Id"), "@hs.example>") {
				t.Errorf("date %q, %v, message id %q", header.Get("Date"), err, header.Get("Message-Id"))
			}
			text, html := got["text/plain; charset=UTF-8"], got["text/html; charset=UTF-8"]
			escaped := strings.ReplaceAll(link, "&", "&amp;")
			if !strings.Contains(text, "\n"+link+"\n") || strings.Count(html, escaped) != 2 {
				t.Errorf("the link is missing:\n%s\n%s", text, html)
			}
			if strings.Contains(text, "<no value>") || strings.Contains(html, "<no value>") || strings.Contains(html, "<b>") {
				t.Errorf("the templates are not well:\n%s\n%s", text, html)
			}
			if !strings.Contains(text, "hs.example") || !strings.Contains(html, "hs.example") {
				t.Error("the message does not say which server it is from")
			}
			if kind == mail.KindEnded && (!strings.Contains(text, data.User) || !strings.Contains(text, data.Until) || !strings.Contains(html, data.Until)) {
				t.Errorf("the message does not say which account ends, and until when:\n%s\n%s", text, html)
			}
		})
	}
	if len(subjects) != 3 {
		t.Errorf("the subjects are %v", subjects)
	}
	if err := mail.New(mail.Options{Host: "127.0.0.1"}).Send(t.Context(), "a@example.org", "other", mail.Data{}); err == nil {
		t.Error("a kind that does not exist is sent")
	}
}

func TestNoMailServerIsSet(t *testing.T) {
	s := mail.New(mail.Options{})
	if err := s.Send(t.Context(), "a@example.org", mail.KindAdd, mail.Data{}); s.Configured() || !errors.Is(err, mail.ErrNotConfigured) {
		t.Errorf("configured: %v, %v", s.Configured(), err)
	}
}

// scripted is a mail server that answers each line a client sends: with nothing
// for "", and by closing for "bye".
func scripted(t *testing.T, greeting string, reply func(line string) string) mail.Options {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		say := func(text string) {
			if text != "" {
				_, _ = io.WriteString(conn, text+"\r\n")
			}
		}
		say(greeting)
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			text, bye := strings.CutSuffix(reply(lines.Text()), " bye")
			if say(text); bye {
				return
			}
		}
	}()
	return mail.Options{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: mail.None, From: "a@hs.example", Name: "hs.example", //nolint:forcetypeassert // TCP
		Timeout: 100 * time.Millisecond,
	}
}

func TestServerThatDoesNotAnswerIsGivenUp(t *testing.T) {
	nothing := func(string) string { return "" }
	for name, opts := range map[string]mail.Options{
		"no greeting":        scripted(t, "", nothing),
		"no answer to hello": scripted(t, "220 here", nothing),
		"no answer to the sender": scripted(t, "220 here", func(line string) string {
			if strings.HasPrefix(line, "EHLO") {
				return "250 hello"
			}
			return ""
		}),
	} {
		if err := send(t, opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	opts := scripted(t, "", nothing)
	opts.Timeout = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := mail.New(opts).Send(ctx, "alice@example.org", mail.KindAdd, mail.Data{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is up: %v", err)
	}
}

func TestMailThatWasTakenIsSent(t *testing.T) {
	inData := false
	opts := scripted(t, "220 here", func(line string) string {
		switch {
		case line == ".":
			return "250 taken bye" // and gone, before the client says goodbye
		case inData:
			return ""
		case line == "DATA":
			inData = true
			return "354 go on"
		}
		return "250 fine"
	})
	opts.Timeout = 5 * time.Second
	if err := send(t, opts); err != nil {
		t.Errorf("the server has taken it: %v", err)
	}
}
