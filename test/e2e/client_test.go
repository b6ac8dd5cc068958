//go:build e2e

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// object is a JSON object.
type object = map[string]any

// trusting is an HTTP client that trusts the test's authority, and follows no
// redirects.
func trusting(ca *authority) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool, MinVersion: tls.VersionTLS12}}
	return &http.Client{
		Transport: transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// client makes requests, with a token or without.
type client struct {
	t     *testing.T
	base  string
	own   string // for what the specification does not have; "": base
	token string
	http  *http.Client
	seen  *coverage // nil: nobody counts
}

// address is where a request goes. For what is not in the specification that is
// past the proxy: Go's reverse proxy may cut off the answer to a request with a
// body, where the answer is too large for one read, as pages are.
func (c *client) address(path string) string {
	if c.own != "" && (strings.HasPrefix(path, "/_lethe/") || strings.HasPrefix(path, "/_synapse/") ||
		strings.Contains(path, "/fallback/web")) {
		return c.own + path
	}
	return c.base + path
}

// with is the same client with another token.
func (c *client) with(token string) *client {
	other := *c
	other.token = token
	return &other
}

// answer is what came back.
type answer struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   []byte
}

// call sends a request. The body is JSON of any value, but a string as it is, and
// nil is none.
func (c *client) call(method, path string, body any) answer {
	c.t.Helper()
	kind := "application/json"
	var raw []byte
	switch b := body.(type) {
	case nil:
		kind = ""
	case string:
		raw = []byte(b)
	case url.Values:
		raw, kind = []byte(b.Encode()), "application/x-www-form-urlencoded"
	default:
		var err error
		if raw, err = json.Marshal(body); err != nil {
			c.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.address(path), bytes.NewReader(raw))
	if err != nil {
		c.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	c.seen.add(req, resp.StatusCode)
	return answer{t: c.t, what: method + " " + path, status: resp.StatusCode, header: resp.Header, body: got}
}

// want fails the test unless the answer has a status and, with code not "", an
// errcode.
func (a answer) want(status int, code string) answer {
	a.t.Helper()
	if a.status != status || code != "" && a.json()["errcode"] != code {
		a.t.Fatalf("%s answered %d %.1000s, want %d %s", a.what, a.status, a.body, status, code)
	}
	return a
}

// refused fails the test unless the request was one that the server does not
// take, for whatever reason: pages say it in words.
func (a answer) refused() {
	a.t.Helper()
	if a.status < 400 || a.status >= 500 {
		a.t.Fatalf("%s answered %d %.1000s, want a refusal", a.what, a.status, a.body)
	}
}

// json is the body as an object.
func (a answer) json() object {
	a.t.Helper()
	var o object
	if err := json.Unmarshal(a.body, &o); err != nil {
		a.t.Fatalf("%s answered %d with what is no JSON object: %q", a.what, a.status, a.body)
	}
	return o
}

// text is a string of the body, which has to be there.
func (a answer) text(key string) string {
	a.t.Helper()
	s, ok := a.json()[key].(string)
	if !ok || s == "" {
		a.t.Fatalf("%s answered %s, without a %s", a.what, a.body, key)
	}
	return s
}

// prove makes a request as clients do that know nothing of its flows: without
// auth, which has to be refused, and then with a stage in the session given.
func (c *client) prove(method, path string, body, stage object) answer {
	c.t.Helper()
	if body == nil {
		body = object{}
	}
	first := c.call(method, path, body).want(http.StatusUnauthorized, "")
	if first.json()["flows"] == nil {
		c.t.Fatalf("%s: the 401 has no flows: %s", first.what, first.body)
	}
	return c.call(method, path, authed(body, stage, first.text("session")))
}

// authed is a body with a stage of user-interactive authentication.
func authed(body, stage object, session string) object {
	whole, auth := maps.Clone(body), maps.Clone(stage)
	if whole == nil {
		whole = object{}
	}
	if session != "" {
		auth["session"] = session
	}
	whole["auth"] = auth
	return whole
}

// password is the stage of that name.
func password(user, secret string) object {
	return object{
		"type": "m.login.password", "password": secret, "identifier": object{"type": "m.id.user", "user": user},
	}
}

// hiddenField is an input of a page that people do not see.
var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// browse opens a link as a person does, presses the button if there is one, and
// wants to read something on the page that comes.
func (c *client) browse(link, want string) {
	c.t.Helper()
	browser := c.with("")
	path, ours := strings.CutPrefix(link, c.base)
	if !ours {
		browser.base = ""
	}
	page := browser.call(http.MethodGet, path, nil).want(http.StatusOK, "")
	if form := hiddenField.FindAllStringSubmatch(string(page.body), -1); form != nil {
		values := url.Values{}
		for _, field := range form {
			values.Set(field[1], field[2])
		}
		page = browser.call(http.MethodPost, path, values).want(http.StatusOK, "")
	}
	if !strings.Contains(string(page.body), want) {
		c.t.Fatalf("%s: the page does not say %q:\n%s", link, want, page.body)
	}
}
