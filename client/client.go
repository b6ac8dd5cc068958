package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// AnswerTime is how long a request may take, its answer included, where the
	// context has no deadline. A download may take longer, as long as something
	// arrives within this time.
	AnswerTime = 2 * time.Minute
	// MaxAnswer is how long an answer may be, in bytes, that is not a download.
	MaxAnswer = 8 << 20
)

// Client speaks to one homeserver. Its fields are set before its first use;
// after that it is safe for concurrent use. To use another token, take a copy:
// [Client.WithToken].
type Client struct {
	// BaseURL is where the homeserver's client-server API is, as
	// "https://matrix.example.org"; [Client.Discover] finds it.
	BaseURL string
	// Token is the access token, "" for none (Using access tokens). It is sent in
	// the Authorization header, and to BaseURL only.
	Token string
	// HTTP makes the requests; nil is a client of the standard library. Redirects
	// to another host are never followed, whatever it says.
	HTTP *http.Client
}

// Unix returns a client for a homeserver that listens on a Unix socket, as
// Lethe does for its operators.
func Unix(socketPath string) *Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socketPath)
		},
	}
	return &Client{BaseURL: "http://localhost", HTTP: &http.Client{Transport: transport}}
}

// WithToken returns a copy of the client that uses another access token, ""
// for none.
func (c *Client) WithToken(token string) *Client {
	other := *c
	other.Token = token
	return &other
}

// Do makes a request and reads its answer. The path starts with a slash, is
// escaped, and may have a query; in is the body, as JSON, nil for none; out is
// what the JSON of the answer is read into, nil to pass over it.
//
// Answers other than 2xx are an [*Error]. One with a StatusCode of 2xx says that
// the server did what it was asked, and that its answer could not be read.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, AnswerTime)
		defer cancel()
	}
	resp, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := readAll(resp.Body, MaxAnswer)
	if resp.StatusCode/100 != 2 {
		return newError(resp, raw) // what came of it, if it broke off
	}
	if err == nil && out != nil {
		err = decode(raw, out)
	}
	if err != nil {
		return &Error{
			StatusCode: resp.StatusCode, Raw: raw, cause: err,
			Message: fmt.Sprintf("the answer to %s %s cannot be read: %v", method, pathOf(path), err),
		}
	}
	return nil
}

// Download copies the body of a GET to w as it arrives, however long it is. An
// error may come after part of it has been written: then what was written is
// not complete.
func (c *Client) Download(ctx context.Context, path string, w io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(AnswerTime, func() { cancel(errStalled) })
	defer stalled.Stop()
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return because(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		raw, _ := readAll(resp.Body, MaxAnswer) // what came of it, if it broke off
		return newError(resp, raw)
	}
	if _, err := io.Copy(w, watched{resp.Body, stalled}); err != nil {
		return fmt.Errorf("download of %s: %w", pathOf(path), because(ctx, err))
	}
	return nil
}

// errStalled ends a download of which nothing arrives any more.
var errStalled = errors.New("nothing arrived for " + AnswerTime.String())

// because is why a request failed: for one that its context ended, the cause.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

// watched puts a timer back each time that something is read.
type watched struct {
	r     io.Reader
	timer *time.Timer
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.timer.Reset(AnswerTime)
	return n, err
}

// send sends a request; the caller closes the body of the response.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	target, err := c.url(path)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in, json.Deterministic(true))
		if err != nil {
			return nil, fmt.Errorf("encode the body of %s %s: %w", method, pathOf(path), err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return c.http(sameOrigin).Do(req)
}

// url is where a path is.
func (c *Client) url(path string) (string, error) {
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") ||
		base.RawQuery != "" || base.Fragment != "" {
		return "", fmt.Errorf("the base URL %q is not the http or https URL of a homeserver", c.BaseURL)
	}
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("the path %q does not start with a slash", pathOf(path))
	}
	return strings.TrimRight(c.BaseURL, "/") + path, nil
}

// http is the client's HTTP, which follows a redirect only if allowed does, too.
func (c *Client) http(allowed func(to *http.Request, via []*http.Request) bool) *http.Client {
	var hc http.Client
	if c.HTTP != nil {
		hc = *c.HTTP
	}
	theirs := hc.CheckRedirect
	hc.CheckRedirect = func(to *http.Request, via []*http.Request) error {
		switch {
		case !allowed(to, via):
			return http.ErrUseLastResponse
		case theirs != nil:
			return theirs(to, via)
		case len(via) >= maxRedirects:
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return nil
	}
	return &hc
}

// maxRedirects is how often a request follows a redirect, as net/http does
// where nobody says otherwise.
const maxRedirects = 10

// sameOrigin allows redirects that leave everything as it was asked: a body
// with a password or a token goes to nobody but the host that the caller named,
// and no POST becomes a GET.
func sameOrigin(to *http.Request, via []*http.Request) bool {
	first := via[0]
	return to.Method == first.Method && to.URL.Scheme == first.URL.Scheme && to.URL.Host == first.URL.Host
}

// pathOf is the path without its query, for messages.
func pathOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

// readAll reads at most limit bytes. With an error it returns what came before
// it.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if int64(len(raw)) > limit {
		return raw[:limit], fmt.Errorf("it is longer than %d bytes", limit)
	}
	return raw, err
}

// decode reads JSON. What a server sends twice, or with broken characters, is
// taken: a client cannot mend it, and it must not hide that an account has
// ended.
func decode(raw []byte, out any) error {
	return json.Unmarshal(raw, out, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
