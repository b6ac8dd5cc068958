//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// inbox keeps the messages that came for addresses: mail, or texts to phones.
type inbox struct {
	mu   sync.Mutex
	text map[string][]string
	read map[string]int
}

func newInbox() *inbox { return &inbox{text: map[string][]string{}, read: map[string]int{}} }

func (i *inbox) add(to, text string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.text[to] = append(i.text[to], text)
}

// next waits for the next message to an address.
func (i *inbox) next(t *testing.T, to string) (text string) {
	t.Helper()
	eventually(t, "a message for "+to, func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.read[to] == len(i.text[to]) {
			return false
		}
		text = i.text[to][i.read[to]]
		i.read[to]++
		return true
	})
	return text
}

// mailServer takes mail over STARTTLS only, for every address.
type mailServer struct {
	*inbox
	port int
}

func newMailServer(t *testing.T, ca *authority) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{inbox: newInbox(), port: l.Addr().(*net.TCPAddr).Port}
	s := smtp.NewServer(m)
	s.Domain = "localhost"
	s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{ca.cert}, MinVersion: tls.VersionTLS12}
	s.ReadTimeout, s.WriteTimeout = time.Minute, time.Minute
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return m
}

// NewSession is the start of a connection.
func (m *mailServer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &mailSession{server: m, conn: c}, nil
}

type mailSession struct {
	server *mailServer
	conn   *smtp.Conn
	to     []string
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error {
	if _, secure := s.conn.TLSConnectionState(); !secure {
		return &smtp.SMTPError{Code: 530, Message: "STARTTLS first"}
	}
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	text, err := plainText(raw)
	if err != nil {
		return err
	}
	for _, to := range s.to {
		s.server.add(to, text)
	}
	return nil
}

func (s *mailSession) Reset()        { s.to = nil }
func (s *mailSession) Logout() error { return nil }

// plainText is the text of a message, or of its part that is plain text.
func plainText(raw []byte) (string, error) {
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "", err
	}
	body := message.Body
	kind, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(kind, "multipart/") {
		// The first part is plain text; NextPart undoes quoted-printable.
		part, err := multipart.NewReader(body, params["boundary"]).NextPart()
		if err != nil {
			return "", err
		}
		body = part
	} else if strings.EqualFold(message.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	return string(text), err
}

// newTextGateway takes text messages for phones, as settings name it by
// sms-gateway. It returns its URL.
func newTextGateway(t *testing.T, messages *inbox) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ To, Text string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.To == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		messages.add(q.To, q.Text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

var (
	linkPattern = regexp.MustCompile(`https?://\S+`)
	codePattern = regexp.MustCompile(`\d{6}`)
)

// find is the first match of a pattern in a message.
func find(t *testing.T, pattern *regexp.Regexp, text string) string {
	t.Helper()
	found := pattern.FindString(text)
	if found == "" {
		t.Fatalf("there is no %s in this message:\n%s", pattern, text)
	}
	return found
}
