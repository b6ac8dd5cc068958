package web_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"lethe/internal/hstest"
)

// isProper holds a page to what every page promises: nothing from elsewhere, its
// own policy allows what is in it, it is not kept, and people who use a screen
// reader find their way. Every page that the tests open goes through it.
func (v view) isProper() {
	v.t.Helper()
	fail := func(format string, args ...any) {
		v.t.Helper()
		v.t.Errorf(v.URL.Path+": "+format, args...)
	}
	csp := v.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(csp, want) {
			fail("the policy lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") {
		fail("the policy allows what is unsafe: %s", csp)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := v.Header.Get(name); got != want {
			fail("%s: %q, want %q", name, got, want)
		}
	}
	if got := v.Header.Get("Referrer-Policy"); got != "no-referrer" && got != "same-origin" {
		fail("Referrer-Policy: %q", got)
	}
	if n := len(v.all("h1")); n != 1 {
		fail("%d headings of the first level", n)
	}
	if attr(v.all("html")[0], "lang") != "en" {
		fail("no language")
	}
	ids := v.ids(fail)
	for n := range v.dom.Descendants() {
		v.elementIsProper(n, csp, ids, fail)
	}
}

func (v view) ids(fail func(string, ...any)) map[string]bool {
	ids := map[string]bool{}
	for n := range v.dom.Descendants() {
		if id := attr(n, "id"); id != "" && ids[id] {
			fail("two elements with the id %s", id)
		} else {
			ids[id] = true
		}
	}
	return ids
}

func (v view) elementIsProper(n *html.Node, csp string, ids map[string]bool, fail func(string, ...any)) {
	for _, a := range n.Attr {
		if a.Key == "src" || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
			fail("<%s %s=%q>", n.Data, a.Key, a.Val)
		}
		if a.Key == "href" && strings.HasPrefix(a.Val, "#") && !ids[a.Val[1:]] {
			fail("a link to nothing: %s", a.Val)
		}
		if a.Key == "aria-describedby" || a.Key == "aria-labelledby" || a.Key == "for" {
			for id := range strings.FieldsSeq(a.Val) {
				if !ids[id] {
					fail("%s=%q leads to nothing", a.Key, a.Val)
				}
			}
		}
	}
	switch n.Data {
	case "style", "script":
		hash := sha256.Sum256([]byte(n.FirstChild.Data))
		if want := n.Data + "-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(csp, want) {
			fail("the policy does not allow its %s: %s", n.Data, csp)
		}
	case "input":
		if attr(n, "type") != "hidden" && !v.labelled(attr(n, "id")) {
			fail("the field %s has no label", attr(n, "name"))
		}
	case "link", "img", "iframe", "object":
		fail("<%s>", n.Data)
	}
}

func (v view) labelled(id string) bool {
	for _, n := range v.all("label") {
		if attr(n, "for") == id && textOf(n) != "" {
			return true
		}
	}
	return false
}

// specScript is the script of CS API, User-interactive authentication, Fallback.
const specScript = `
if (window.onAuthDone) {
    window.onAuthDone();
} else if (window.opener && window.opener.postMessage) {
    window.opener.postMessage("authDone", "*");
}
`

func TestTheScriptIsTheOneOfTheSpecification(t *testing.T) {
	s := hstest.New(t, "sqlite")
	b := newBrowser(t, s)
	path := fallbackPath("v3", "m.login.dummy", challenge(s, "/_matrix/client/v3/register", "", map[string]any{"username": "a"}))
	form := b.get(path)
	if n := len(form.all("script")); n != 0 {
		t.Errorf("the page before the stage is complete has %d scripts", n)
	}
	scripts := b.submit(form, nil).has(http.StatusOK).all("script")
	if len(scripts) != 1 {
		t.Fatalf("the page after the stage is complete has %d scripts", len(scripts))
	}
	// isProper has compared its hash with the policy's.
	if diff := cmp.Diff(strings.TrimSpace(specScript), scripts[0].FirstChild.Data); diff != "" {
		t.Errorf("the script is another (-want +got):\n%s", diff)
	}
}

func TestHomeLeadsToTheAccountPage(t *testing.T) {
	s := hstest.New(t, "sqlite")
	v := newBrowser(t, s).get("/").has(http.StatusOK, "example.org")
	for _, a := range v.all("a") {
		if attr(a, "href") == accountPath {
			return
		}
	}
	t.Errorf("no link to %s: %s", accountPath, v.Raw)
}
