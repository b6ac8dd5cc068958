package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// What a client does when the discovery of a server fails (Server discovery).
// [Client.Discover] returns one of them in the error's chain.
var (
	// ErrIgnore says that the server publishes nothing: ask the user, or use a
	// default.
	ErrIgnore = errors.New("the server name says nothing about its homeserver")
	// ErrFailPrompt says that what the server publishes is of no use: say so, and
	// ask the user.
	ErrFailPrompt = errors.New("the server name does not lead to a homeserver")
	// ErrFailError says that no homeserver is where the server says it is: say
	// so, and do not go on.
	ErrFailError = errors.New("there is no homeserver where the server name leads to")
)

// Discovery is where a server name leads to.
type Discovery struct {
	// BaseURL is that of the homeserver, for [Client.BaseURL].
	BaseURL string
	// IdentityServer is the base URL of the identity server, "" for none.
	IdentityServer string
}

// maxWellKnown bounds the file that a server name leads to, in bytes.
const maxWellKnown = 64 << 10

// wellKnownBody is GET /.well-known/matrix/client, as far as it is of use here.
type wellKnownBody struct {
	Homeserver     wellKnownServer  `json:"m.homeserver"`
	IdentityServer *wellKnownServer `json:"m.identity_server"`
}

type wellKnownServer struct {
	BaseURL string `json:"base_url"`
}

// Discover finds the homeserver of a server name, the part of a user id after
// its first colon (Well-known URIs), and checks that one is there. It uses no
// more of the client than HTTP. The error has [ErrIgnore], [ErrFailPrompt] or
// [ErrFailError] in its chain.
func (c *Client) Discover(ctx context.Context, serverName string) (Discovery, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	body, err := c.wellKnown(ctx, serverName)
	if err != nil {
		return Discovery{}, fmt.Errorf("discover %q: %w", serverName, err)
	}
	found := Discovery{BaseURL: strings.TrimRight(body.Homeserver.BaseURL, "/")}
	if body.IdentityServer != nil {
		found.IdentityServer = strings.TrimRight(body.IdentityServer.BaseURL, "/")
	}
	if err := c.check(ctx, found); err != nil {
		return Discovery{}, fmt.Errorf("discover %q: %w: %w", serverName, ErrFailError, err)
	}
	return found, nil
}

// wellKnown is steps 2 to 4, and the first half of 6.
func (c *Client) wellKnown(ctx context.Context, serverName string) (body wellKnownBody, err error) {
	u, err := url.Parse("https://" + serverName)
	if err != nil || u.Host != serverName || u.Hostname() == "" {
		return body, fmt.Errorf("%w: it is not a server name", ErrFailPrompt)
	}
	host := strings.TrimSuffix(u.Host, ":"+u.Port())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/.well-known/matrix/client", nil)
	if err != nil {
		return body, fmt.Errorf("%w: %w", ErrFailPrompt, err)
	}
	resp, err := c.http(staysSecure).Do(req)
	if err != nil {
		return body, fmt.Errorf("%w: %w", ErrFailPrompt, err)
	}
	defer resp.Body.Close()
	raw, err := readAll(resp.Body, maxWellKnown)
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return body, ErrIgnore
	case resp.StatusCode != http.StatusOK:
		return body, fmt.Errorf("%w: %w", ErrFailPrompt, newError(resp, raw))
	case err != nil:
		return body, fmt.Errorf("%w: %w", ErrFailPrompt, err)
	}
	if err := decode(raw, &body); err != nil {
		return body, fmt.Errorf("%w: %w", ErrFailPrompt, err)
	}
	if body.Homeserver.BaseURL == "" || (body.IdentityServer != nil && body.IdentityServer.BaseURL == "") {
		return body, fmt.Errorf("%w: a base_url is missing", ErrFailPrompt)
	}
	return body, nil
}

// staysSecure follows redirects (v1.20: clients should), but not into the clear.
func staysSecure(to *http.Request, _ []*http.Request) bool { return to.URL.Scheme == "https" }

// check is step 5, and the second half of 6.
func (c *Client) check(ctx context.Context, found Discovery) error {
	hs := &Client{BaseURL: found.BaseURL, HTTP: c.HTTP}
	v, err := hs.Versions(ctx)
	if err != nil {
		return err
	}
	if len(v.Versions) == 0 {
		return errors.New("it does not tell its versions")
	}
	if found.IdentityServer == "" {
		return nil
	}
	is := &Client{BaseURL: found.IdentityServer, HTTP: c.HTTP}
	return is.Do(ctx, http.MethodGet, "/_matrix/identity/v2", nil, &map[string]jsontext.Value{})
}

// Versions is what a homeserver speaks.
type Versions struct {
	Versions         []string        `json:"versions"`
	UnstableFeatures map[string]bool `json:"unstable_features"`
}

// Versions asks which versions of the specification a homeserver speaks (API
// Versions).
func (c *Client) Versions(ctx context.Context) (Versions, error) {
	var v Versions
	err := c.Do(ctx, http.MethodGet, "/_matrix/client/versions", nil, &v)
	return v, err
}
