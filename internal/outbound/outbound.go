// Package outbound is the one way by which this server makes HTTP requests to
// other hosts.
//
// Holds: [Client], with time-outs for every phase, a limit for the size of
// answers, and the guard that keeps requests away from private addresses.
//
// May import: crash.
//
// Never: what the requests are for.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"lethe/internal/crash"
)

// Options are the settings of a [Client].
type Options struct {
	// AllowPrivateNetworks allows loopback, private and other special addresses.
	AllowPrivateNetworks bool
	// TrustedCAs are trusted beside those of the system; nil for none.
	TrustedCAs *x509.CertPool
	// UserAgent names this server.
	UserAgent string
	// Timeout bounds a whole request, its answer's body included. 0 is 30 s.
	Timeout time.Duration
	// MaxResponse is the largest answer, in bytes. 0 is 1 MiB.
	MaxResponse int64
}

// Errors that a caller may want to tell apart.
var (
	// ErrPrivateAddress: the host's address is one that requests may not go to.
	ErrPrivateAddress = errors.New("the address is private")
	// ErrTooLarge: the answer is larger than the limit.
	ErrTooLarge = errors.New("the answer is too large")
)

// Client makes requests. It follows no redirects, keeps no cookies and reads no
// proxy settings.
type Client struct {
	http *http.Client
	opts Options
}

// New makes a client.
func New(opts Options) *Client {
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	if opts.MaxResponse == 0 {
		opts.MaxResponse = 1 << 20
	}
	dialer := &net.Dialer{Timeout: min(opts.Timeout, 10*time.Second)}
	if !opts.AllowPrivateNetworks {
		// On the address that is dialled, after the name was resolved: a name that
		// changes its mind does not help.
		dialer.Control = refusePrivate
	}
	return &Client{opts: opts, http: &http.Client{
		Timeout: opts.Timeout,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: opts.TrustedCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    min(opts.Timeout, 10*time.Second),
			ResponseHeaderTimeout:  opts.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost:        16,
			MaxIdleConns:           100,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Response is an answer that was read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends a request with a body (nil: none) to the URL address, and reads the
// answer. Its errors do not show the address, which may have secrets.
func (c *Client) Do(ctx context.Context, method, address string, header http.Header, body []byte) (Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return Response{}, withoutQuery(err)
	}
	maps.Copy(req.Header, header)
	req.Header.Set("User-Agent", c.opts.UserAgent)
	crash.Point("outbound.before")
	resp, err := c.http.Do(req)
	if err != nil {
		return Response{}, withoutQuery(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(resp.Body, c.opts.MaxResponse+1))
	if err != nil {
		return Response{}, fmt.Errorf("read answer: %w", err)
	}
	crash.Point("outbound.after")
	if int64(len(got)) > c.opts.MaxResponse {
		return Response{}, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, c.opts.MaxResponse)
	}
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: got}, nil
}

// withoutQuery takes the URL out of an error of package net/http.
func withoutQuery(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// refusePrivate looks at the address that is about to be dialled.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrPrivateAddress, address)
	}
	if !Public(ap.Addr()) {
		return fmt.Errorf("%w: %s", ErrPrivateAddress, ap.Addr())
	}
	return nil
}

// special are the ranges that are no addresses of hosts on the open internet
// (IANA's registries of special-purpose addresses), beyond what package netip
// knows and what lies outside global.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
}

var (
	// global is what has been given out for hosts of IPv6 (RFC 4291 §2.4, IANA).
	global = netip.MustParsePrefix("2000::/3")
	// nat64 has IPv4 addresses in its last four bytes. On a network without IPv4
	// the names of all hosts of IPv4 lead there (RFC 6052 §2.1, RFC 6147).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// Public tells whether addr may be a host on the open internet.
func Public(addr netip.Addr) bool {
	if addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Is6() && !global.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(addr) })
}
