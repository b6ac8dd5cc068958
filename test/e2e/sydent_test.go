//go:build e2e

package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sydent is a real identity server. It speaks HTTP, so there is a proxy with TLS
// in front of it, as in real life; that one lives on while Sydent is down.
type sydent struct {
	t    *testing.T
	name string // localhost:PORT, of the proxy
	port int
	dir  string
	ca   *authority
	run  *process
}

func newSydent(t *testing.T, dir string, ca *authority, mailPort int) *sydent {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{ca.cert}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &sydent{
		t: t, ca: ca, dir: filepath.Join(dir, "sydent"), port: freePort(t),
		name: fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port),
	}
	target := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", s.port)}
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: log.New(&output{}, "", 0), // that it is down, now and then, is on purpose
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	s.configure(mailPort)
	s.start()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("Sydent:\n%s", &s.run.out)
		}
	})
	return s
}

// configure writes sydent.conf. It checks signed requests against its own name,
// which has to be the one that they are sent to.
func (s *sydent) configure(mailPort int) {
	s.t.Helper()
	here, err := filepath.Abs("sydent")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	config := fmt.Sprintf(`[general]
server.name = %[1]s
ip.whitelist = 127.0.0.0/8, ::1/128
[db]
db.file = %[2]s/sydent.db
[http]
clientapi.http.bind_address = 127.0.0.1
clientapi.http.port = %[3]d
client_http_base = https://%[1]s
verify_response_template = %[5]s/verified.html
[email]
email.template = %[5]s/verification.eml
email.from = sydent@example.org
email.hostname = localhost
email.smtphost = localhost
email.smtpport = %[4]d
email.tlsmode = STARTTLS
email.ratelimit_sender.burst = 100
`, s.name, s.dir, s.port, mailPort, here)
	if err := os.WriteFile(s.conf(), []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sydent) conf() string { return filepath.Join(s.dir, "sydent.conf") }

func (s *sydent) start() {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(cache, "python/bin/python"), "-m", "sydent.sydent")
	cmd.Dir = s.dir
	// Python and Twisted trust the authority in this variable's file.
	cmd.Env = append(os.Environ(), "SYDENT_CONF="+s.conf(), "SSL_CERT_FILE="+s.ca.caFile, "PYTHONDONTWRITEBYTECODE=1")
	s.run = start(s.t, cmd)
	listening(s.t, s.port)
}

// stop ends Sydent, as its operator would.
func (s *sydent) stop() {
	_ = s.run.cmd.Process.Signal(syscall.SIGCONT) // it may have been stopped
	_ = s.run.stop(syscall.SIGTERM)
}

// signal stops Sydent's process without an end, or lets it go on.
func (s *sydent) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.run.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// client is a client of the Identity Service API.
func (s *sydent) client(t *testing.T, token string) *client {
	return &client{t: t, base: "https://" + s.name + "/_matrix/identity/v2", token: token, http: trusting(s.ca)}
}

// register makes an account of a homeserver's user, with an OpenID token that
// Sydent checks at the homeserver.
func (s *sydent) register(t *testing.T, openID answer) *client {
	t.Helper()
	c := s.client(t, "")
	c.token = c.call(http.MethodPost, "/account/register", openID.json()).want(http.StatusOK, "").text("token")
	return c
}

// validate proves to Sydent who reads the mail of an address, and returns the
// session.
func (s *sydent) validate(t *testing.T, c *client, mail *mailServer, address, secret string) (sid string) {
	t.Helper()
	sid = c.call(http.MethodPost, "/validate/email/requestToken", object{
		"client_secret": secret, "email": address, "send_attempt": 1,
	}).want(http.StatusOK, "").text("sid")
	c.browse(find(t, linkPattern, mail.next(t, address)), "Verification successful")
	return sid
}

// lookup asks who has an address; "" is nobody that Sydent knows.
func (s *sydent) lookup(c *client, address string) (user string) {
	c.t.Helper()
	pepper := c.call(http.MethodGet, "/hash_details", nil).want(http.StatusOK, "").text("lookup_pepper")
	sum := sha256.Sum256([]byte(address + " email " + pepper))
	hash := base64.RawURLEncoding.EncodeToString(sum[:])
	mappings := c.call(http.MethodPost, "/lookup", object{
		"addresses": []string{hash}, "algorithm": "sha256", "pepper": pepper,
	}).want(http.StatusOK, "").json()["mappings"]
	user, _ = mappings.(map[string]any)[hash].(string)
	return user
}
