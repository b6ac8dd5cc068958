package web_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"lethe/internal/hstest"
)

// The pages of the account.
const (
	accountPath = "/_lethe/account"
	signInPath  = accountPath + "/sign-in"
	signOutPath = accountPath + "/sign-out"
	endPath     = accountPath + "/end"
	exportPath  = accountPath + "/export"
)

// browser goes through pages as a person does: it keeps cookies, follows the
// answers to forms, and sends forms with what is hidden in them.
type browser struct {
	t    testing.TB
	s    *hstest.Server
	http *http.Client
	from string // the address that a proxy says it has, "" for none
}

func newBrowser(t testing.TB, s *hstest.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, s: s, http: &http.Client{Jar: jar}}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

// view is what a browser shows.
type view struct {
	t      testing.TB
	Status int
	Header http.Header
	URL    *url.URL // after redirects
	Raw    string
	dom    *html.Node
}

// get opens a page.
func (b *browser) get(path string) view {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.s.URL+path, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(req)
}

// post sends a form, with further headers.
func (b *browser) post(path string, form url.Values, header http.Header) view {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(req)
}

func (b *browser) send(req *http.Request) view {
	b.t.Helper()
	if b.from != "" {
		req.Header.Set("X-Forwarded-For", b.from)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	v := view{t: b.t, Status: resp.StatusCode, Header: resp.Header, URL: resp.Request.URL, Raw: string(raw)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		if v.dom, err = html.Parse(strings.NewReader(v.Raw)); err != nil {
			b.t.Fatal(err)
		}
		v.isProper()
	}
	return v
}

// submit sends the form of a page: what is hidden in it, what is in its fields,
// and what is given.
func (b *browser) submit(v view, values map[string]string) view {
	b.t.Helper()
	form, path := url.Values{}, v.URL.RequestURI()
	forms := slices.DeleteFunc(v.all("form"), func(n *html.Node) bool { return attr(n, "action") == signOutPath })
	if len(forms) != 1 {
		b.t.Fatalf("the page has %d forms: %s", len(forms), v.Raw)
	}
	if action := attr(forms[0], "action"); action != "" {
		path = action
	}
	for n := range forms[0].Descendants() {
		if n.Data == "input" && (attr(n, "type") != "checkbox" || hasAttr(n, "checked")) {
			form.Set(attr(n, "name"), attr(n, "value"))
		}
	}
	for name, value := range values {
		form.Set(name, value)
	}
	return b.post(path, form, nil)
}

// signIn signs in as a person does.
func (b *browser) signIn(who hstest.Session) view {
	b.t.Helper()
	v := b.submit(b.get(accountPath), map[string]string{"username": who.UserID, "password": who.Password})
	if v.Status != http.StatusOK || v.title() != "Your account" {
		b.t.Fatalf("sign in: %d %s", v.Status, v.text())
	}
	return v
}

// cookie is the session of the browser, "" for none.
func (b *browser) cookie() string {
	u, err := url.Parse(b.s.URL + accountPath)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == "lethe_account" {
			return c.Value
		}
	}
	return ""
}

// setCookie gives the browser a session.
func (b *browser) setCookie(token string) {
	u, err := url.Parse(b.s.URL + accountPath)
	if err != nil {
		b.t.Fatal(err)
	}
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "lethe_account", Value: token, Path: accountPath}})
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// all lists the elements of a name, in the page's order.
func (v view) all(name string) (list []*html.Node) {
	v.t.Helper()
	if v.dom == nil {
		v.t.Fatalf("%s is no page: %d %s", v.URL, v.Status, v.Raw)
	}
	for n := range v.dom.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			list = append(list, n)
		}
	}
	return list
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// title is the page's heading.
func (v view) title() string { return textOf(v.all("h1")[0]) }

// text is what the page says.
func (v view) text() string { return textOf(v.all("main")[0]) }

// errors are the errors that the page shows: at its top, with the field that
// each leads to.
func (v view) errors() map[string]string {
	found := map[string]string{}
	for _, div := range v.all("div") {
		if attr(div, "role") != "alert" {
			continue
		}
		for n := range div.Descendants() {
			if n.Data != "li" {
				continue
			}
			field := ""
			for a := range n.Descendants() {
				field += strings.TrimPrefix(attr(a, "href"), "#")
			}
			found[field] = textOf(n)
		}
	}
	return found
}

// value is what a field of the page's form has.
func (v view) value(name string) string {
	for _, n := range v.all("input") {
		if attr(n, "name") == name {
			return attr(n, "value")
		}
	}
	v.t.Fatalf("the page has no field %s: %s", name, v.Raw)
	return ""
}

// has fails the test unless the page has the status and says all of the texts.
func (v view) has(status int, texts ...string) view {
	v.t.Helper()
	if v.Status != status {
		v.t.Fatalf("%s: status %d, want %d: %s", v.URL.Path, v.Status, status, v.text())
	}
	for _, text := range texts {
		if got := textOf(v.all("body")[0]); !strings.Contains(got, text) {
			v.t.Errorf("%s does not say %q: %s", v.URL.Path, text, got)
		}
	}
	return v
}
