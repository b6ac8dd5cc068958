package outbound_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lethe/internal/outbound"
)

func TestHostsOfTheOpenInternetArePublic(t *testing.T) {
	for _, addr := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255",
		"2001:200::1", "2001:4860:4860::8888", "2606:4700:4700::1111", "2a00::1", "2620:fe::fe", "3ffe::1",
		"::ffff:1.1.1.1", "64:ff9b::1.1.1.1",
	} {
		if !outbound.Public(netip.MustParseAddr(addr)) {
			t.Errorf("%s is refused", addr)
		}
	}
}

func TestSpecialAddressesAreNotPublic(t *testing.T) {
	for name, addrs := range map[string][]string{
		"this network":            {"0.0.0.0", "0.0.0.1", "0.255.255.255"},
		"private":                 {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"},
		"shared (carriers)":       {"100.64.0.0", "100.127.255.255"},
		"loopback":                {"127.0.0.0", "127.0.0.1", "127.255.255.255"},
		"link local, clouds":      {"169.254.0.0", "169.254.169.254", "169.254.255.255"},
		"protocol assignments":    {"192.0.0.0", "192.0.0.170", "192.0.0.255"},
		"documentation":           {"192.0.2.0", "192.0.2.255", "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255"},
		"relays of 6to4":          {"192.88.99.0", "192.88.99.255"},
		"benchmarks":              {"198.18.0.0", "198.19.255.255"},
		"multicast":               {"224.0.0.0", "239.255.255.255"},
		"reserved":                {"240.0.0.0", "255.255.255.254"},
		"broadcast":               {"255.255.255.255"},
		"IPv6 unspecified":        {"::"},
		"IPv6 loopback":           {"::1"},
		"IPv4-compatible":         {"::7f00:1", "::1.1.1.1"},
		"IPv4-mapped":             {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "::ffff:a00:1"},
		"IPv4-translated":         {"::ffff:0:127.0.0.1", "::ffff:0:1.1.1.1"},
		"NAT64":                   {"64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b::", "64:ff9b::a00:1"},
		"NAT64, local":            {"64:ff9b:1::", "64:ff9b:1::1.1.1.1", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"},
		"discard":                 {"100::", "100::1", "100::ffff:ffff:ffff:ffff", "100:0:0:1::1"},
		"Teredo":                  {"2001::", "2001:0:7f00:1::", "2001::1"},
		"IPv6 protocol":           {"2001:1::1", "2001:2::1", "2001:20::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"IPv6 documentation":      {"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff::1"},
		"6to4":                    {"2002::", "2002:7f00:1::", "2002:a00:1::1", "2002:ffff:ffff::"},
		"unique local":            {"fc00::", "fd00::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"IPv6 link local":         {"fe80::", "fe80::1", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"site local":              {"fec0::1", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"IPv6 multicast":          {"ff00::", "ff02::1", "ff0e::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		"segment routing":         {"5f00::1"},
		"not given out":           {"4000::1", "8000::1", "1::1", "1fff::1"},
		"zones":                   {"fe80::1%eth0", "2606:4700::1%eth0", "64:ff9b::1.1.1.1%eth0"},
		"IPv4 in IPv6, with zone": {"::ffff:1.1.1.1%eth0"},
	} {
		for _, addr := range addrs {
			if outbound.Public(netip.MustParseAddr(addr)) {
				t.Errorf("%s: %s is public", name, addr)
			}
		}
	}
	if outbound.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// listen serves h on loopback, and counts the connections.
func listen(t *testing.T, h http.HandlerFunc) (srv *httptest.Server, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	srv = httptest.NewUnstartedServer(h)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv, connections
}

func fine(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }

func TestPrivateAddressesAreNotDialled(t *testing.T) {
	srv, connections := listen(t, fine)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := outbound.New(outbound.Options{})
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::127.0.0.1]",
	} {
		_, err := c.Do(t.Context(), http.MethodGet, "http://"+host+":"+port+"/", nil, nil)
		if !errors.Is(err, outbound.ErrPrivateAddress) {
			t.Errorf("%s: %v, want ErrPrivateAddress", host, err)
		}
	}
	// Forms of an address that some resolvers read and others do not.
	for _, host := range []string{"127.1", "0x7f000001", "2130706433", "0177.0.0.1"} {
		if _, err := c.Do(t.Context(), http.MethodGet, "http://"+host+":"+port+"/", nil, nil); err == nil {
			t.Errorf("%s is reached", host)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	allowed := outbound.New(outbound.Options{AllowPrivateNetworks: true})
	if got, err := allowed.Do(t.Context(), http.MethodGet, srv.URL, nil, nil); err != nil || string(got.Body) != "fine" {
		t.Errorf("with private networks allowed: %s, %v", got.Body, err)
	}
}

// open is a client that may reach the servers of tests.
func open(change ...func(*outbound.Options)) *outbound.Client {
	opts := outbound.Options{AllowPrivateNetworks: true, UserAgent: "Lethe/test"}
	for _, f := range change {
		f(&opts)
	}
	return outbound.New(opts)
}

func TestRequestsCarryWhatTheyAreGiven(t *testing.T) {
	srv, _ := listen(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Header.Get("X-A")+" "+r.UserAgent()+"|"+r.Header.Get("Cookie"))
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "kept"})
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	})
	c := open()
	for range 2 { // the second time without the cookie
		got, err := c.Do(t.Context(), http.MethodPut, srv.URL+"/a%2Fb?c=d", http.Header{"X-A": {"b"}}, []byte("body"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "PUT /a%2Fb?c=d b Lethe/test|"; got.Status != http.StatusTeapot || string(got.Body) != "body" || got.Header.Get("X-Seen") != want {
			t.Errorf("%d %s, the server saw %q, want %q", got.Status, got.Body, got.Header.Get("X-Seen"), want)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		target, connections := listen(t, fine)
		srv, _ := listen(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, status) })
		got, err := open().Do(t.Context(), http.MethodPost, srv.URL, nil, []byte("{}"))
		if err != nil || got.Status != status || connections.Load() != 0 {
			t.Errorf("%d: answer %d, %v, and %d connections to the target", status, got.Status, err, connections.Load())
		}
	}
}

func TestLargeAnswersAreRefused(t *testing.T) {
	limit := func(o *outbound.Options) { o.MaxResponse = 1000 }
	for _, size := range []int{0, 999, 1000, 1001, 1 << 20} {
		for _, compressed := range []bool{false, true} {
			srv, _ := listen(t, func(w http.ResponseWriter, _ *http.Request) {
				body := bytes.Repeat([]byte("x"), size)
				if compressed {
					w.Header().Set("Content-Encoding", "gzip")
					z := gzip.NewWriter(w)
					_, _ = z.Write(body)
					_ = z.Close()
					return
				}
				_, _ = w.Write(body)
			})
			got, err := open(limit).Do(t.Context(), http.MethodGet, srv.URL, nil, nil)
			if size <= 1000 && (err != nil || len(got.Body) != size) {
				t.Errorf("%d bytes, compressed: %v: %d bytes, %v", size, compressed, len(got.Body), err)
			}
			if size > 1000 && (!errors.Is(err, outbound.ErrTooLarge) || got.Body != nil) {
				t.Errorf("%d bytes, compressed: %v: %d bytes, %v, want ErrTooLarge", size, compressed, len(got.Body), err)
			}
		}
	}
	srv, _ := listen(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-A", strings.Repeat("x", 100<<10)) })
	if _, err := open().Do(t.Context(), http.MethodGet, srv.URL, nil, nil); err == nil {
		t.Error("a header of 100 KB is taken")
	}
}

func TestSlowServersAreGivenUp(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	started := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "x")
		_ = http.NewResponseController(w).Flush()
	}
	for name, h := range map[string]http.HandlerFunc{
		"header": func(http.ResponseWriter, *http.Request) { <-release },
		"body":   func(w http.ResponseWriter, _ *http.Request) { started(w); <-release },
	} {
		srv := httptest.NewServer(h)
		t.Cleanup(func() { go srv.Close() })
		short := open(func(o *outbound.Options) { o.Timeout = 50 * time.Millisecond })
		_, err := short.Do(t.Context(), http.MethodGet, srv.URL, nil, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slow %s: %v, want a time-out", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := open().Do(ctx, http.MethodGet, srv.URL, nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("slow %s, and the caller gives up: %v", name, err)
		}
	}
	// A server that takes the connection and does not shake hands.
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not block
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	short := open(func(o *outbound.Options) { o.Timeout = 50 * time.Millisecond })
	if _, err := short.Do(t.Context(), http.MethodGet, "https://"+l.Addr().String(), nil, nil); err == nil {
		t.Error("a server without TLS is taken")
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(fine))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	trusting := open(func(o *outbound.Options) { o.TrustedCAs = pool })
	if got, err := trusting.Do(t.Context(), http.MethodGet, srv.URL, nil, nil); err != nil || string(got.Body) != "fine" {
		t.Errorf("with its certificate trusted: %s, %v", got.Body, err)
	}
	var unknown x509.UnknownAuthorityError
	if _, err := open().Do(t.Context(), http.MethodGet, srv.URL, nil, nil); !errors.As(err, &unknown) {
		t.Errorf("with a certificate of nobody: %v, want UnknownAuthorityError", err)
	}
	var wrongName x509.HostnameError
	named := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	if _, err := trusting.Do(t.Context(), http.MethodGet, named, nil, nil); !errors.As(err, &wrongName) {
		t.Errorf("with a certificate of another name: %v, want HostnameError", err)
	}
}

func TestErrorsDoNotShowTheURL(t *testing.T) {
	srv, _ := listen(t, fine)
	srv.Close()
	for _, address := range []string{srv.URL + "/?client_secret=SECRET", "http://SECRET:SECRET@127.0.0.1:1/", "http://[SECRET/", "x\x00SECRET"} {
		_, err := open().Do(t.Context(), http.MethodGet, address, nil, nil)
		if err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
