package identity_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lethe/internal/event"
	"lethe/internal/identity"
	"lethe/internal/matrix"
	"lethe/internal/outbound"
)

const (
	origin = matrix.ServerName("hs.example")
	alice  = matrix.UserID("@alice:hs.example")
)

var email = matrix.Threepid{Medium: "email", Address: "alice@example.org"}

// server is an identity server that does what a test tells it to.
type server struct {
	name   matrix.ServerName
	client *identity.Client
	key    event.SigningKey
}

func newServer(t *testing.T, h http.HandlerFunc) *server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	s := &server{name: matrix.ServerName(strings.TrimPrefix(srv.URL, "https://")), key: event.NewSigningKey()}
	s.client = identity.New(outbound.New(outbound.Options{AllowPrivateNetworks: true, TrustedCAs: pool}), origin, s.key)
	return s
}

// answering answers every request the same.
func answering(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// seen is a request as the identity server got it.
type seen struct{ method, uri, auth, contentType, body string }

func record(requests *[]seen, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*requests = append(*requests, seen{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
		next(w, r)
	}
}

func TestUnbindIsSignedByThisServer(t *testing.T) {
	var got []seen
	s := newServer(t, record(&got, answering(200, `{}`)))
	if err := s.client.Unbind(t.Context(), s.name, alice, email); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].method != "POST" || got[0].uri != "/_matrix/identity/v2/3pid/unbind" || got[0].contentType != "application/json" {
		t.Fatalf("the identity server got %+v", got)
	}
	const body = `{"mxid":"@alice:hs.example","threepid":{"medium":"email","address":"alice@example.org"}}`
	if got[0].body != body {
		t.Errorf("the body is %s, want %s", got[0].body, body)
	}
	auth, err := matrix.ParseXMatrix(got[0].auth)
	if err != nil || auth.Origin != origin || auth.Destination != string(s.name) || auth.Key != s.key.ID {
		t.Fatalf("the request is authorised by %q: %v", got[0].auth, err)
	}
	if err := event.VerifyRequest("POST", got[0].uri, string(s.name), []byte(got[0].body), auth, s.key.Public()); err != nil {
		t.Errorf("the signature does not verify: %v", err)
	}
	other := strings.Replace(got[0].body, "alice@", "bob@", 1)
	if err := event.VerifyRequest("POST", got[0].uri, string(s.name), []byte(other), auth, s.key.Public()); err == nil {
		t.Error("the signature does not cover the body")
	}
}

func TestUnbindTriesTheOlderSignature(t *testing.T) {
	// As Sydent verifies: destination_is in the place of destination.
	var got []seen
	var s *server
	s = newServer(t, record(&got, func(w http.ResponseWriter, r *http.Request) {
		last := got[len(got)-1]
		auth, err := matrix.ParseXMatrix(last.auth)
		if err != nil {
			t.Errorf("authorisation %q: %v", last.auth, err)
		}
		signed := `{"method":"POST","uri":"` + last.uri + `","origin":"hs.example","destination_is":"` + string(s.name) +
			`","content":` + last.body + `,"signatures":{"hs.example":{"` + auth.Key + `":"` + auth.Signature + `"}}}`
		if event.VerifyJSON([]byte(signed), "hs.example", auth.Key, s.key.Public()) != nil {
			answering(401, `{"errcode":"M_FORBIDDEN","error":"Invalid signature"}`)(w, r)
			return
		}
		answering(200, `{}`)(w, r)
	}))
	if err := s.client.Unbind(t.Context(), s.name, alice, email); err != nil || len(got) != 2 {
		t.Errorf("after %d requests: %v", len(got), err)
	}
}

func TestAnswersOfIdentityServers(t *testing.T) {
	const limited = `{"errcode":"M_LIMIT_EXCEEDED","error":"Slow","retry_after_ms":2500}`
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		refused bool
		code    matrix.Code
		retry   time.Duration
	}{
		"400":                      {answering(400, `{"errcode":"M_BAD_JSON","error":"x"}`), true, matrix.CodeBadJSON, 0},
		"401":                      {answering(401, `{"errcode":"M_UNAUTHORIZED","error":"x"}`), true, matrix.CodeUnauthorized, 0},
		"403":                      {answering(403, `{"errcode":"M_FORBIDDEN","error":"x"}`), true, matrix.CodeForbidden, 0},
		"404, a web server's":      {answering(404, `<html>Not found</html>`), true, "", 0},
		"405":                      {answering(405, ``), true, "", 0},
		"501":                      {answering(501, `{"errcode":"M_UNRECOGNIZED","error":"x"}`), true, matrix.CodeUnrecognized, 0},
		"redirect":                 {answering(302, ``, "Location", "https://elsewhere.example/"), true, "", 0},
		"408":                      {answering(408, ``), false, "", 0},
		"425":                      {answering(425, ``), false, "", 0},
		"429":                      {answering(429, limited), false, matrix.CodeLimitExceeded, 2500 * time.Millisecond},
		"429, header":              {answering(429, limited, "Retry-After", "7"), false, matrix.CodeLimitExceeded, 7 * time.Second},
		"429, a date":              {answering(429, limited, "Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"), false, matrix.CodeLimitExceeded, 2500 * time.Millisecond},
		"429, for ever":            {answering(429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":9223372036854775807}`), false, matrix.CodeLimitExceeded, 24 * time.Hour},
		"429, for ever, in header": {answering(429, ``, "Retry-After", "4294967295"), false, "", 24 * time.Hour},
		"429, before":              {answering(429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":-5}`), false, matrix.CodeLimitExceeded, 0},
		"429, nonsense":            {answering(429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":"soon"}`), false, matrix.CodeLimitExceeded, 0},
		"500":                      {answering(500, `{"errcode":"M_UNKNOWN","error":"x"}`), false, matrix.CodeUnknown, 0},
		"502":                      {answering(502, `<html>`), false, "", 0},
		"503":                      {answering(503, ``, "Retry-After", "120"), false, "", 2 * time.Minute},
		"no error code":            {answering(400, `{"errcode":"alice@example.org","error":"x"}`), true, "", 0},
		"a list":                   {answering(400, `[1]`), true, "", 0},
		"not quite":                {answering(201, `{}`), false, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, tc.handler)
			err := s.client.Unbind(t.Context(), s.name, alice, email)
			var status *identity.StatusError
			if !errors.As(err, &status) || status.Server != s.name {
				t.Fatalf("the error is %v", err)
			}
			if errors.Is(err, identity.ErrRefused) != tc.refused || status.Code != tc.code || status.RetryAfter != tc.retry {
				t.Errorf("refused: %v, code %q, retry after %v; want %v, %q, %v",
					errors.Is(err, identity.ErrRefused), status.Code, status.RetryAfter, tc.refused, tc.code, tc.retry)
			}
			if strings.Contains(err.Error(), email.Address) || !strings.Contains(err.Error(), string(s.name)) {
				t.Errorf("the error is %q", err)
			}
		})
	}
}

func TestFailuresAreNoRefusals(t *testing.T) {
	release := make(chan struct{})
	hang := newServer(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	gone := newServer(t, answering(200, `{}`))
	cut := newServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	large := newServer(t, answering(200, strings.Repeat("x", 2<<20)))
	for name, err := range map[string]error{
		"hangs":             hang.client.Unbind(ctx, hang.name, alice, email),
		"wrong certificate": hang.client.Unbind(t.Context(), matrix.ServerName(strings.Replace(string(gone.name), "127.0.0.1", "localhost", 1)), alice, email),
		"no such host":      gone.client.Unbind(t.Context(), "nobody.invalid", alice, email),
		"nobody listens":    gone.client.Unbind(t.Context(), "127.0.0.1:1", alice, email),
		"cut off":           cut.client.Unbind(t.Context(), cut.name, alice, email),
		"endless answer":    large.client.Unbind(t.Context(), large.name, alice, email),
	} {
		var status *identity.StatusError
		if err == nil || errors.Is(err, identity.ErrRefused) || errors.As(err, &status) {
			t.Errorf("%s: %v, want a failure", name, err)
		}
	}
	if err := hang.client.Unbind(ctx, hang.name, alice, email); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the time is up: %v", err)
	}
}

func TestBindActsForTheUser(t *testing.T) {
	var got []seen
	s := newServer(t, record(&got, answering(200, `{}`)))
	if err := s.client.Bind(t.Context(), s.name, "is-token", "sid1", "secret", alice); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].method != "POST" || got[0].uri != "/_matrix/identity/v2/3pid/bind" || got[0].auth != "Bearer is-token" {
		t.Fatalf("the identity server got %+v", got)
	}
	for _, want := range []string{`"sid":"sid1"`, `"client_secret":"secret"`, `"mxid":"@alice:hs.example"`} {
		if !strings.Contains(got[0].body, want) {
			t.Errorf("the body %s does not have %s", got[0].body, want)
		}
	}
}

func TestValidatedReadsWhatTheSessionProves(t *testing.T) {
	var got []seen
	s := newServer(t, record(&got, answering(200, `{"medium":"email","address":"Alice@Example.org","validated_at":1}`)))
	pid, err := s.client.Validated(t.Context(), s.name, "is-token", "a&b", "se=cret")
	if err != nil || pid != email {
		t.Errorf("Validated = %+v, %v", pid, err)
	}
	if want := "/_matrix/identity/v2/3pid/getValidated3pid?client_secret=se%3Dcret&sid=a%26b"; len(got) != 1 || got[0].uri != want || got[0].auth != "Bearer is-token" {
		t.Errorf("the identity server got %+v", got)
	}
	for _, body := range []string{``, `{}`, `[]`, `{"medium":"email","address":"no address"}`, `{"medium":"fax","address":"1"}`} {
		s := newServer(t, answering(200, body))
		if pid, err := s.client.Validated(t.Context(), s.name, "is-token", "sid", "secret"); err == nil {
			t.Errorf("of %q: %+v", body, pid)
		}
	}
	_, err = s.client.Validated(t.Context(), "127.0.0.1:1", "is-token", "sid", "SECRET")
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the error shows the client secret: %v", err)
	}
}
