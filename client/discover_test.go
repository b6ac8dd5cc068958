package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/client"
)

// web is a host that every name leads to, with its answers by path.
type web struct {
	*httptest.Server
	clear   *httptest.Server // the same, without TLS
	answers map[string]http.HandlerFunc
	hosts   []string // that /.well-known was asked of
}

func newWeb(t *testing.T) *web {
	t.Helper()
	w := &web{answers: map[string]http.HandlerFunc{}}
	answer := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s was sent a token", r.URL)
		}
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			w.hosts = append(w.hosts, r.Host)
		}
		if answer := w.answers[r.URL.Path]; answer != nil {
			answer(rw, r)
			return
		}
		http.NotFound(rw, r)
	})
	w.Server, w.clear = httptest.NewTLSServer(answer), httptest.NewServer(answer)
	t.Cleanup(w.Close)
	t.Cleanup(w.clear.Close)
	return w
}

// client is one to which every name is this host.
func (w *web) client() *client.Client {
	transport := w.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.InsecureSkipVerify = true
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		server := w.Server
		if strings.HasSuffix(address, ":80") {
			server = w.clear
		}
		return d.DialContext(ctx, network, server.Listener.Addr().String())
	}
	return &client.Client{Token: "tok", HTTP: &http.Client{Transport: transport}}
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestDiscoverFollowsTheRulesOfTheSpecification(t *testing.T) {
	const (
		wellKnown = "/.well-known/matrix/client"
		versions  = "/_matrix/client/versions"
		identity  = "/_matrix/identity/v2"
		speaks    = `{"versions":["v1.1"]}`
		good      = `{"m.homeserver":{"base_url":"https://hs.example.org/"}}`
		withID    = `{"m.homeserver":{"base_url":"https://hs.example.org"},"m.identity_server":{"base_url":"https://id.example.org/"}}`
	)
	found := client.Discovery{BaseURL: "https://hs.example.org"}
	foundID := client.Discovery{BaseURL: "https://hs.example.org", IdentityServer: "https://id.example.org"}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	type answers = map[string]http.HandlerFunc
	tests := []struct {
		name    string
		answers answers
		want    client.Discovery
		err     error
	}{
		{"homeserver", answers{wellKnown: says(200, good), versions: says(200, speaks)}, found, nil},
		{"with identity server", answers{wellKnown: says(200, withID), versions: says(200, speaks), identity: says(200, `{}`)}, foundID, nil},
		{"redirected", answers{wellKnown: redirect("https://www.example.org/there"), "/there": says(200, good), versions: says(200, speaks)}, found, nil},
		{"redirected into the clear", answers{wellKnown: redirect("http://www.example.org/there"), "/there": says(200, good), versions: says(200, speaks)}, client.Discovery{}, client.ErrFailPrompt},
		{"redirected in circles", answers{wellKnown: redirect(wellKnown)}, client.Discovery{}, client.ErrFailPrompt},
		{"404", answers{}, client.Discovery{}, client.ErrIgnore},
		{"500", answers{wellKnown: says(500, "")}, client.Discovery{}, client.ErrFailPrompt},
		{"empty", answers{wellKnown: says(200, "")}, client.Discovery{}, client.ErrFailPrompt},
		{"not JSON", answers{wellKnown: says(200, "<html>")}, client.Discovery{}, client.ErrFailPrompt},
		{"endless", answers{wellKnown: says(200, good+strings.Repeat(" ", 1<<20))}, client.Discovery{}, client.ErrFailPrompt},
		{"no homeserver", answers{wellKnown: says(200, `{}`)}, client.Discovery{}, client.ErrFailPrompt},
		{"no base_url", answers{wellKnown: says(200, `{"m.homeserver":{}}`)}, client.Discovery{}, client.ErrFailPrompt},
		{
			"identity server without base_url",
			answers{wellKnown: says(200, `{"m.homeserver":{"base_url":"https://hs.example.org"},"m.identity_server":{}}`)},
			client.Discovery{},
			client.ErrFailPrompt,
		},
		{"base_url that is no URL", answers{wellKnown: says(200, `{"m.homeserver":{"base_url":"hs.example.org"}}`)}, client.Discovery{}, client.ErrFailError},
		{"no homeserver there", answers{wellKnown: says(200, good)}, client.Discovery{}, client.ErrFailError},
		{"something else there", answers{wellKnown: says(200, good), versions: says(200, `{"hello":"world"}`)}, client.Discovery{}, client.ErrFailError},
		{"no identity server there", answers{wellKnown: says(200, withID), versions: says(200, speaks)}, client.Discovery{}, client.ErrFailError},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWeb(t)
			w.answers = test.answers
			got, err := w.client().Discover(t.Context(), "example.org:8448")
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Errorf("error = %v; want %v", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(w.hosts) == 0 || w.hosts[0] != "example.org" {
				t.Errorf("asked %q, not the host of the server name", w.hosts)
			}
		})
	}
}

func TestDiscoverTakesServerNamesOnly(t *testing.T) {
	w := newWeb(t)
	for _, name := range []string{"", "a/b", "user@example.org", "example.org?x", ":8448", "example.org:port", "[::1"} {
		if _, err := w.client().Discover(t.Context(), name); !errors.Is(err, client.ErrFailPrompt) {
			t.Errorf("Discover(%q) = %v", name, err)
		}
	}
	if len(w.hosts) > 0 {
		t.Errorf("asked %q", w.hosts)
	}
	for name, host := range map[string]string{"[2001:db8::1]:8448": "[2001:db8::1]", "192.0.2.1": "192.0.2.1"} {
		w.hosts = nil
		if _, err := w.client().Discover(t.Context(), name); !errors.Is(err, client.ErrIgnore) || fmt.Sprint(w.hosts) != fmt.Sprint([]string{host}) {
			t.Errorf("Discover(%q) = %v, having asked %q", name, err, w.hosts)
		}
	}
}

func TestDiscoverOfAHostThatDoesNotAnswerFailsPrompt(t *testing.T) {
	w := newWeb(t)
	w.Close()
	if _, err := w.client().Discover(t.Context(), "example.org"); !errors.Is(err, client.ErrFailPrompt) {
		t.Errorf("Discover = %v", err)
	}
}
