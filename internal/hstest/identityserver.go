package hstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/config"
	"lethe/internal/event"
)

// IdentityServer is an identity server with TLS on a loopback address. It has
// validated every e-mail address that it is asked about: the sid is the address.
// How it answers to unbind is the test's to say.
type IdentityServer struct {
	// Name is its server name, with the port.
	Name string
	// Certificate is its own certificate, in PEM.
	Certificate []byte

	key event.SigningKey // of the invites

	mu      sync.Mutex
	answer  http.HandlerFunc
	binding func()
	bound   map[string]string // user id by address
	unbinds []Unbind
	invites []StoredInvite
	refused string // the error code with which it refuses to store invites
	revoked bool
}

// Unbind is a request to take back an association.
type Unbind struct {
	Authorization string
	Body          []byte
	User          string
	Address       string
}

// NewIdentityServer starts an identity server, which stops when the test ends.
// Make it before the [Server] that asks it.
func NewIdentityServer(t testing.TB) *IdentityServer {
	t.Helper()
	s := &IdentityServer{bound: map[string]string{}, key: event.NewSigningKey()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_matrix/identity/v2/3pid/getValidated3pid", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string]any{"medium": "email", "address": r.URL.Query().Get("sid"), "validated_at": 1})
	})
	mux.HandleFunc("POST /_matrix/identity/v2/3pid/bind", s.bind)
	mux.HandleFunc("POST /_matrix/identity/v2/3pid/unbind", s.unbind)
	s.handleInvites(mux)
	server := httptest.NewUnstartedServer(mux)
	certificate, pemBytes := newCertificate(t)
	s.Certificate = pemBytes
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = discardLog // handshakes that fail are what some tests want
	server.StartTLS()
	t.Cleanup(server.Close)
	s.Name = strings.TrimPrefix(server.URL, "https://")
	return s
}

// newCertificate makes a certificate for the loopback address that nobody has
// seen before, and returns it in PEM, too.
func newCertificate(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "server of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Trust makes a server trust the certificates of these identity servers, and
// lets it talk to loopback addresses.
func Trust(t testing.TB, servers ...*IdentityServer) Option {
	t.Helper()
	var all []byte
	for _, s := range servers {
		all = append(all, s.Certificate...)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return Set(func(c *config.Settings) { c.TrustedCA, c.AllowPrivateNetworks = path, true })
}

// AnswerUnbind sets how it answers to requests to unbind; nil for as one that
// works does.
func (s *IdentityServer) AnswerUnbind(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = h
}

// BeforeBind has it call a function before it binds; nil for none.
func (s *IdentityServer) BeforeBind(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.binding = f
}

// Bound is the addresses that it has an association for.
func (s *IdentityServer) Bound() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []string{}
	for address := range s.bound {
		list = append(list, address)
	}
	slices.Sort(list)
	return list
}

// Unbinds is the requests to unbind so far.
func (s *IdentityServer) Unbinds() []Unbind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unbinds)
}

func (s *IdentityServer) bind(w http.ResponseWriter, r *http.Request) {
	var q struct {
		SID  string `json:"sid"`
		MXID string `json:"mxid"`
	}
	if err := json.UnmarshalRead(r.Body, &q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	before := s.binding
	s.mu.Unlock()
	if before != nil {
		before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound[q.SID] = q.MXID
	writeJSON(w, map[string]any{"medium": "email", "address": q.SID, "mxid": q.MXID})
}

func (s *IdentityServer) unbind(w http.ResponseWriter, r *http.Request) {
	var q struct {
		MXID     string `json:"mxid"`
		Threepid struct {
			Address string `json:"address"`
		} `json:"threepid"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &q)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.unbinds = append(s.unbinds, Unbind{r.Header.Get("Authorization"), body, q.MXID, q.Threepid.Address})
	answer := s.answer
	if answer == nil {
		delete(s.bound, q.Threepid.Address)
	}
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	writeJSON(w, map[string]any{})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, v) // the client may have gone
}
