package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// echo answers with what the handler was given.
func echo(r *wire.Request) (any, error) {
	return map[string]string{"route": r.Route, "id": r.PathValue("id"), "query": r.Query("q")}, nil
}

func newServer(t *testing.T, opts wire.Options, routes ...wire.Route) *httptest.Server {
	t.Helper()
	rt := wire.NewRouter(opts)
	rt.Add(routes...)
	srv := httptest.NewServer(rt)
	t.Cleanup(srv.Close)
	return srv
}

func get(path string, h wire.Handler) wire.Route {
	return wire.Route{Method: "GET", Path: path, Handle: h}
}

func post(path string, h wire.Handler) wire.Route {
	return wire.Route{Method: "POST", Path: path, Handle: h}
}

// answer is a response that was read.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// code is the errcode of an answer.
func (a answer) code() matrix.Code {
	var body struct {
		Code    matrix.Code `json:"errcode"`
		Message string      `json:"error"`
	}
	if json.Unmarshal([]byte(a.Body), &body) != nil || body.Message == "" {
		return ""
	}
	return body.Code
}

func do(t *testing.T, srv *httptest.Server, method, path, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

func TestEveryAnswerHasCORSAndAnID(t *testing.T) {
	srv := newServer(t, wire.Options{}, get("/a/{id}", echo), post("/panic", func(*wire.Request) (any, error) { panic("x") }))
	ids := map[string]bool{}
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/a/1", 200},
		{"HEAD", "/a/1", 200},
		{"OPTIONS", "/a/1", 200},
		{"OPTIONS", "/unknown", 200},
		{"POST", "/a/1", 405},
		{"GET", "/unknown", 404},
		{"GET", "/a//1", 404},
		{"POST", "/panic", 500},
	} {
		got := do(t, srv, tc.method, tc.path, "", "Origin", "https://app.example")
		if got.Status != tc.status {
			t.Errorf("%s %s: status %d, want %d", tc.method, tc.path, got.Status, tc.status)
		}
		for key, want := range map[string]string{
			"Access-Control-Allow-Origin":  "*",
			"Access-Control-Allow-Methods": "GET, POST, PUT, DELETE, OPTIONS",
			"Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization",
			"Content-Type":                 "application/json",
		} {
			if value := got.Header.Get(key); value != want {
				t.Errorf("%s %s: %s is %q, want %q", tc.method, tc.path, key, value, want)
			}
		}
		if id := got.Header.Get("X-Request-Id"); id == "" || ids[id] {
			t.Errorf("%s %s: the request's id is %q", tc.method, tc.path, id)
		} else {
			ids[id] = true
		}
	}
}

func TestOptionsRunsNoHandler(t *testing.T) {
	srv := newServer(t, wire.Options{}, post("/a", func(*wire.Request) (any, error) { panic("it ran") }), get("/a", echo))
	got := do(t, srv, "OPTIONS", "/a", "")
	if got.Status != 200 || got.Header.Get("Allow") != "GET, OPTIONS, POST" {
		t.Errorf("OPTIONS /a: %d, Allow %q", got.Status, got.Header.Get("Allow"))
	}
}

func TestUnknownEndpointsAndMethodsAreUnrecognized(t *testing.T) {
	srv := newServer(t, wire.Options{}, get("/a/{id}", echo), wire.Route{Method: "DELETE", Path: "/a/{id}", Handle: echo})
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404},
		{"GET", "/b", 404},
		{"GET", "/a", 404},
		{"GET", "/a/", 404},
		{"GET", "/a/1/", 404},
		{"GET", "/a/1/2", 404},
		{"GET", "/a/../a/1", 404},
		{"GET", "/./a/1", 404},
		{"GET", "//a/1", 404},
		{"GET", "/A/1", 404},
		{"POST", "/b", 404},
		{"POST", "/a/1", 405},
		{"PATCH", "/a/1", 405},
		{"QUERY", "/a/1", 405},
	} {
		got := do(t, srv, tc.method, tc.path, "")
		if got.Status != tc.status || got.code() != matrix.CodeUnrecognized {
			t.Errorf("%s %s: %d %s, want %d M_UNRECOGNIZED", tc.method, tc.path, got.Status, got.Body, tc.status)
		}
		if want := "DELETE, GET, OPTIONS"; tc.status == 405 && got.Header.Get("Allow") != want {
			t.Errorf("%s %s: Allow is %q, want %q", tc.method, tc.path, got.Header.Get("Allow"), want)
		}
	}
}

func TestPathValuesAreDecodedOnce(t *testing.T) {
	srv := newServer(t, wire.Options{}, get("/a/{id}", echo), get("/a/{id}/b", echo), get("/a/fixed", echo))
	for _, tc := range []struct{ path, id, route string }{
		{"/a/@u:example.org", "@u:example.org", "/a/{id}"},
		{"/a/%40u%3Aexample.org", "@u:example.org", "/a/{id}"},
		{"/a/%40a%2Fb:example.org", "@a/b:example.org", "/a/{id}"},
		{"/a/%40a%2Fb:example.org/b", "@a/b:example.org", "/a/{id}/b"},
		{"/a/%252F", "%2F", "/a/{id}"},
		{"/a/a+b%20c", "a+b c", "/a/{id}"},
		{"/a/%E6%97%A5", "日", "/a/{id}"},
		{"/a/%2E%2E", "..", "/a/{id}"},
		{"/a/fixed", "", "/a/fixed"},
	} {
		got := do(t, srv, "GET", tc.path+"?q=a%26b", "")
		want := answer{Status: 200, Body: fmt.Sprintf(`{"id":%q,"query":"a\u0026b","route":%q}`, tc.id, tc.route)}
		want.Body = strings.ReplaceAll(want.Body, `\u0026`, "&")
		if got.Status != want.Status || got.Body != want.Body {
			t.Errorf("%s: %d %s, want %s", tc.path, got.Status, got.Body, want.Body)
		}
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	srv := newServer(t, wire.Options{}, get("/a", echo), post("/b", echo))
	full, head := do(t, srv, "GET", "/a", ""), do(t, srv, "HEAD", "/a", "")
	if head.Status != 200 || head.Body != "" || head.Header.Get("Content-Length") != full.Header.Get("Content-Length") {
		t.Errorf("HEAD /a: %+v", head)
	}
	if got := do(t, srv, "HEAD", "/b", ""); got.Status != 405 {
		t.Errorf("HEAD of a path without GET: %d, want 405", got.Status)
	}
}

func TestTwoRoutesForTheSameOperationAreAMistakeOfTheProgram(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the second route is taken")
		}
	}()
	wire.NewRouter(wire.Options{}).Add(get("/a", echo), get("/a", echo))
}

func TestRoutesListsAll(t *testing.T) {
	rt := wire.NewRouter(wire.Options{})
	rt.Add(get("/a", echo), post("/a", echo))
	var got []string
	for _, r := range rt.Routes() {
		got = append(got, r.Method+" "+r.Path)
	}
	if diff := cmp.Diff([]string{"GET /a", "POST /a"}, got); diff != "" {
		t.Errorf("Routes (-want +got):\n%s", diff)
	}
}

func TestErrorsAreWrittenAsTheSpecificationSays(t *testing.T) {
	limited := func(wait time.Duration) error {
		e := matrix.Errorf(matrix.CodeLimitExceeded, "Too many.")
		e.RetryAfter = wait
		return e
	}
	soft := matrix.Errorf(matrix.CodeUnknownToken, "Expired.")
	soft.SoftLogout = true
	for name, tc := range map[string]struct {
		err        error
		status     int
		body       string
		retryAfter string
	}{
		"usual status": {matrix.Errorf(matrix.CodeForbidden, "No."), 403, `{"errcode":"M_FORBIDDEN","error":"No."}`, ""},
		"no status of its own": {
			matrix.Errorf(matrix.CodeUserInUse, "Taken."), 400, `{"errcode":"M_USER_IN_USE","error":"Taken."}`, "",
		},
		"own status": {
			matrix.Errorf(matrix.CodeForbidden, "No.").WithStatus(401), 401, `{"errcode":"M_FORBIDDEN","error":"No."}`, "",
		},
		"wrapped, with a cause": {
			fmt.Errorf("outer: %w", matrix.Errorf(matrix.CodeNotFound, "None.").Because(errors.New("cause"))), 404,
			`{"errcode":"M_NOT_FOUND","error":"None."}`, "",
		},
		"hard logout":     {matrix.Errorf(matrix.CodeUnknownToken, "Dead."), 401, `{"errcode":"M_UNKNOWN_TOKEN","error":"Dead."}`, ""},
		"soft logout":     {soft, 401, `{"errcode":"M_UNKNOWN_TOKEN","error":"Expired.","soft_logout":true}`, ""},
		"limit":           {limited(1500 * time.Millisecond), 429, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too many.","retry_after_ms":1500}`, "2"},
		"limit, at once":  {limited(0), 429, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too many.","retry_after_ms":1}`, "1"},
		"limit, a second": {limited(time.Second), 429, `{"errcode":"M_LIMIT_EXCEEDED","error":"Too many.","retry_after_ms":1000}`, "1"},
		"message quotes bytes that are no text": {
			matrix.Errorf(matrix.CodeInvalidParam, "Not \xff."), 400, `{"errcode":"M_INVALID_PARAM","error":"Not ` + "\ufffd" + `."}`, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := newServer(t, wire.Options{}, get("/a", func(*wire.Request) (any, error) { return nil, tc.err }))
			got := do(t, srv, "GET", "/a", "")
			if got.Status != tc.status || got.Body != tc.body || got.Header.Get("Retry-After") != tc.retryAfter {
				t.Errorf("%d %s, Retry-After %q, want %d %s, %q",
					got.Status, got.Body, got.Header.Get("Retry-After"), tc.status, tc.body, tc.retryAfter)
			}
		})
	}
}

func TestOwnFailuresAreNotExplainedToClients(t *testing.T) {
	srv := newServer(t, wire.Options{},
		get("/error", func(*wire.Request) (any, error) { return nil, errors.New("table secrets is gone") }),
		get("/panic", func(*wire.Request) (any, error) { panic("nil secrets") }),
		get("/encode", func(*wire.Request) (any, error) { return map[string]any{"secrets": make(chan int)}, nil }),
		get("/fine", echo))
	for _, path := range []string{"/error", "/panic", "/encode"} {
		got := do(t, srv, "GET", path, "")
		if got.Status != 500 || got.code() != matrix.CodeUnknown || strings.Contains(got.Body, "secrets") {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
		if !strings.Contains(got.Body, got.Header.Get("X-Request-Id")) {
			t.Errorf("%s: the answer does not name the request: %s", path, got.Body)
		}
		if after := do(t, srv, "GET", "/fine", ""); after.Status != 200 {
			t.Errorf("after %s: %d", path, after.Status)
		}
	}
}

// A mail server that takes no mail, say: the client gets an error of ours, and
// the operator has to see why.
func TestWhatAnotherServerDoesNotDoIsInTheLog(t *testing.T) {
	var log bytes.Buffer
	rt := wire.NewRouter(wire.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	refused := matrix.Errorf(matrix.CodeUnknown, "Not sent.").Because(errors.New("no route to host"))
	rt.Add(get("/mail", func(*wire.Request) (any, error) { return nil, refused.WithStatus(http.StatusBadGateway) }),
		get("/theirs", func(*wire.Request) (any, error) { return nil, refused.WithStatus(http.StatusBadRequest) }))
	for path, want := range map[string]int{"/mail": 1, "/theirs": 0} {
		log.Reset()
		rt.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if n := strings.Count(log.String(), "no route to host"); n != want {
			t.Errorf("%s: the cause is in the log %d times, want %d:\n%s", path, n, want, log.String())
		}
	}
}

// deadlineWriter notes until when an answer may be written.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (w *deadlineWriter) SetWriteDeadline(t time.Time) error {
	if w.Body.Len() > 0 {
		return errors.New("it was written to already")
	}
	w.deadline = t
	return nil
}

// Who hangs up, as each client that syncs does at its end, is no failure of the
// server's; what goes wrong while they do is.
func TestWhoHangsUpIsNoFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		status int
		failed bool
	}{
		"waited":        {fmt.Errorf("read: %w", context.Canceled), 499, false},
		"failed":        {errors.New("table is gone"), 500, true},
		"still listens": {nil, 500, true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			status := 0
			rt := wire.NewRouter(wire.Options{
				Log:     slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})),
				Observe: func(_, _ string, s int, _ time.Duration) { status = s },
			})
			ctx, hangUp := context.WithCancel(t.Context())
			defer hangUp()
			rt.Add(get("/sync", func(*wire.Request) (any, error) {
				if tc.err == nil {
					return nil, context.Canceled // of something else
				}
				hangUp()
				return nil, tc.err
			}))
			rt.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/sync", nil))
			if status != tc.status || (log.Len() > 0) != tc.failed {
				t.Errorf("status %d, and the log of errors has %q", status, log.String())
			}
		})
	}
}

// Without an end, who does not read keeps an answer in memory for ever.
func TestEveryAnswerHasAnEnd(t *testing.T) {
	rt := wire.NewRouter(wire.Options{})
	rt.Add(get("/json", echo), get("/stream", func(*wire.Request) (any, error) {
		return &wire.Response{ContentType: "text/plain", Stream: func(w io.Writer) error { _, err := w.Write([]byte("x")); return err }}, nil
	}))
	for _, path := range []string{"/json", "/stream", "/none"} {
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		before := time.Now()
		rt.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Body.Len() == 0 || !w.deadline.After(before) {
			t.Errorf("%s: it has until %v to answer %q", path, w.deadline, w.Body)
		}
	}
}

func TestResponses(t *testing.T) {
	respond := func(r *wire.Response) wire.Handler { return func(*wire.Request) (any, error) { return r, nil } }
	srv := newServer(t, wire.Options{},
		get("/nothing", func(*wire.Request) (any, error) { return nil, nil }),
		get("/json", respond(&wire.Response{Status: 401, JSON: map[string]int{"b": 1, "a": 2}})),
		get("/html", respond(&wire.Response{ContentType: "text/html", Body: []byte("<p>"), Header: http.Header{"X-A": {"b"}}})),
		get("/redirect", respond(&wire.Response{Status: 302, Header: http.Header{"Location": {"/x"}}})),
		get("/none", respond(&wire.Response{Status: 204})),
		get("/stream", respond(&wire.Response{ContentType: "application/zip", Stream: func(w io.Writer) error {
			_, err := io.WriteString(w, "zip")
			return err
		}})),
		get("/answer", func(*wire.Request) (any, error) {
			return nil, fmt.Errorf("wrapped: %w", wire.Answer{Response: &wire.Response{Status: 401, JSON: map[string]string{"session": "s"}}})
		}),
		get("/bytes", func(*wire.Request) (any, error) { return map[string]string{"a": "\xff"}, nil }))
	for path, want := range map[string]answer{
		"/nothing":  {200, http.Header{"Content-Type": {"application/json"}}, `{}`},
		"/json":     {401, http.Header{"Content-Type": {"application/json"}}, `{"a":2,"b":1}`},
		"/html":     {200, http.Header{"Content-Type": {"text/html"}, "X-A": {"b"}}, `<p>`},
		"/redirect": {302, http.Header{"Location": {"/x"}}, ``},
		"/none":     {204, http.Header{}, ``},
		"/stream":   {200, http.Header{"Content-Type": {"application/zip"}}, `zip`},
		"/answer":   {401, http.Header{"Content-Type": {"application/json"}}, `{"session":"s"}`},
		"/bytes":    {200, http.Header{}, `{"a":"` + "\ufffd" + `"}`},
	} {
		got := do(t, srv, "GET", path, "")
		if got.Status != want.Status || got.Body != want.Body {
			t.Errorf("%s: %d %s, want %d %s", path, got.Status, got.Body, want.Status, want.Body)
		}
		for key := range want.Header {
			if got.Header.Get(key) != want.Header.Get(key) {
				t.Errorf("%s: %s is %q, want %q", path, key, got.Header.Get(key), want.Header.Get(key))
			}
		}
	}
}

func TestStreamThatFailsIsCutOffForTheClientToSee(t *testing.T) {
	srv := newServer(t, wire.Options{}, get("/a", func(*wire.Request) (any, error) {
		return &wire.Response{ContentType: "text/plain", Stream: func(w io.Writer) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<16))
			return errors.New("the disk is gone")
		}}, nil
	}))
	resp, err := http.Get(srv.URL + "/a") //nolint:noctx // it ends with the server
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Error("the answer looks complete")
	}
}

func TestForwardedAddressIsBelievedOfTrustedProxiesOnly(t *testing.T) {
	remote := func(r *wire.Request) (any, error) { return map[string]string{"remote": r.Remote.String()}, nil }
	prefixes := func(list ...string) (out []netip.Prefix) {
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return out
	}
	for _, tc := range []struct {
		name    string
		peer    string
		trusted []netip.Prefix
		header  []string
		want    string
	}{
		{"nobody is trusted", "192.0.2.1:1", nil, []string{"198.51.100.1"}, "192.0.2.1"},
		{"the peer is not trusted", "192.0.2.1:1", prefixes("10.0.0.0/8"), []string{"198.51.100.1"}, "192.0.2.1"},
		{"a proxy", "10.0.0.1:1", prefixes("10.0.0.0/8"), []string{"198.51.100.1"}, "198.51.100.1"},
		{"no header", "10.0.0.1:1", prefixes("10.0.0.0/8"), nil, "10.0.0.1"},
		{"the client's invention", "10.0.0.1:1", prefixes("10.0.0.0/8"), []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", prefixes("10.0.0.0/8"), []string{"1.1.1.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"two headers", "10.0.0.1:1", prefixes("10.0.0.0/8"), []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"all trusted", "10.0.0.1:1", prefixes("10.0.0.0/8"), []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		{"nonsense", "10.0.0.1:1", prefixes("10.0.0.0/8"), []string{"198.51.100.1, x"}, "10.0.0.1"},
		{"nonsense further out", "10.0.0.1:1", prefixes("10.0.0.0/8"), []string{"x, 10.0.0.2"}, "10.0.0.2"},
		{"IPv6", "[fd00::1]:1", prefixes("fd00::/8"), []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", prefixes("10.0.0.0/8"), []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"no address", "@", prefixes("10.0.0.0/8"), []string{"198.51.100.1"}, "invalid IP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rt := wire.NewRouter(wire.Options{TrustedProxies: tc.trusted})
			rt.Add(get("/a", remote))
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/a", nil)
			r.RemoteAddr = tc.peer
			r.Header["X-Forwarded-For"] = tc.header
			w := httptest.NewRecorder()
			rt.ServeHTTP(w, r)
			if want := fmt.Sprintf(`{"remote":%q}`, tc.want); w.Body.String() != want {
				t.Errorf("%s, want %s", w.Body, want)
			}
		})
	}
}

func TestLogHasWhatHappenedAndNoSecret(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	type seen struct {
		route, method string
		status        int
	}
	var observed []seen
	rt := wire.NewRouter(wire.Options{Log: logger, Observe: func(route, method string, status int, _ time.Duration) {
		observed = append(observed, seen{route, method, status})
	}})
	rt.Add(post("/login/{id}", func(r *wire.Request) (any, error) {
		var q struct {
			Password string
			Number   int
			Text     string `json:"text"`
		}
		return nil, r.Decode(&q)
	}), get("/fail", func(*wire.Request) (any, error) { return nil, errors.New("the database is gone") }))
	serve := func(method, path, body string) string {
		r := httptest.NewRequestWithContext(t.Context(), method, path+"?access_token=SECRET", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer SECRET")
		r.Header.Set("Cookie", "SECRET")
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, r)
		return w.Header().Get("X-Request-Id")
	}
	serve("POST", "/login/SECRET", `{"Password":"SECRET"}`)
	serve("POST", "/login/SECRET", `{"Number":"SECRET"}`)
	serve("POST", "/login/SECRET", `{"text":123454321}`)
	serve("POST", "/login/SECRET", `{"Password":"SECRET`)
	serve("POST", "/login/SECRET", `"SECRET"`)
	serve("POST", "/login/SECRET", strings.Repeat("SECRET", 1<<20))
	serve("GET", "/login/SECRET", "")
	serve("GET", "/SECRET", "")
	id := serve("GET", "/fail", "")
	if strings.Contains(log.String(), "SECRET") || strings.Contains(log.String(), "123454321") {
		t.Errorf("the log has a secret:\n%s", log.String())
	}
	for _, want := range []string{`"request":"` + id + `"`, `"route":"/login/{id}"`, `"status":413`, `"method":"POST"`, "the database is gone"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, log.String())
		}
	}
	want := []seen{
		{"/login/{id}", "POST", 200},
		{"/login/{id}", "POST", 400},
		{"/login/{id}", "POST", 400},
		{"/login/{id}", "POST", 400},
		{"/login/{id}", "POST", 400},
		{"/login/{id}", "POST", 413},
		{"/login/{id}", "GET", 405},
		{"", "GET", 404},
		{"/fail", "GET", 500},
	}
	if diff := cmp.Diff(want, observed, cmp.AllowUnexported(seen{})); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

// slowServer gives requests little time to come.
func slowServer(t *testing.T, routes ...wire.Route) *httptest.Server {
	t.Helper()
	rt := wire.NewRouter(wire.Options{})
	rt.Add(routes...)
	srv := httptest.NewUnstartedServer(rt)
	srv.Config.ReadTimeout = 100 * time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	return srv
}

func TestBodyThatDoesNotComeEndsTheRequest(t *testing.T) {
	srv := slowServer(t, post("/a", func(r *wire.Request) (any, error) {
		var q struct{}
		return nil, r.Decode(&q)
	}))
	conn, err := net.Dial("tcp", srv.Listener.Addr().String()) //nolint:noctx // it ends with the server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	got := answer{resp.StatusCode, resp.Header, string(body)}
	if err != nil || got.Status != 408 || got.code() != matrix.CodeUnknown || !resp.Close {
		t.Errorf("%d %s, closed: %v, %v; want 408 M_UNKNOWN and an end", got.Status, got.Body, resp.Close, err)
	}
}

func TestLongPollOutlivesTheTimeOutOfReading(t *testing.T) {
	wait := func(r *wire.Request) (any, error) {
		if _, err := r.Body(); err != nil {
			return nil, err
		}
		select {
		case <-r.Context().Done():
			return nil, matrix.Errorf(matrix.CodeUnknown, "ended: %v", r.Context().Err())
		case <-time.After(5 * 100 * time.Millisecond): // five times the time-out
			return nil, nil
		}
	}
	srv := slowServer(t, get("/a", wait), post("/a", wait))
	for _, method := range []string{"GET", "POST"} {
		if got := do(t, srv, method, "/a", strings.Repeat("{}", len(method)-3)); got.Status != 200 {
			t.Errorf("%s: %d %s", method, got.Status, got.Body)
		}
	}
}
