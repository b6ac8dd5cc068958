package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"lethe/client"
)

// round is one request as a scripted server gets it, and what it answers.
type round struct {
	status int
	header map[string]string
	answer string

	// What came.
	method, uri, token, contentType, body string
}

// scripted is a server that answers its rounds in their order, and refuses more.
type scripted struct {
	*httptest.Server
	mu     sync.Mutex
	rounds []*round
	next   int
}

func script(t *testing.T, rounds ...*round) *scripted {
	t.Helper()
	s := &scripted{rounds: rounds}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.next == len(s.rounds) {
			t.Errorf("request %d, which the test does not expect: %s %s", s.next+1, r.Method, r.RequestURI)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		now := s.rounds[s.next]
		s.next++
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		now.method, now.uri, now.body = r.Method, r.RequestURI, string(raw)
		now.token, now.contentType = r.Header.Get("Authorization"), r.Header.Get("Content-Type")
		for key, value := range now.header {
			w.Header().Set(key, value)
		}
		w.WriteHeader(now.status)
		_, _ = io.WriteString(w, now.answer)
	}))
	t.Cleanup(func() {
		s.Close()
		if s.next != len(s.rounds) {
			t.Errorf("the client made %d requests; want %d", s.next, len(s.rounds))
		}
	})
	return s
}

func (s *scripted) client(token string) *client.Client {
	return &client.Client{BaseURL: s.URL, Token: token}
}

// wantBodies compares what was sent with JSON, by what it means.
func (s *scripted) wantBodies(t *testing.T, want ...string) {
	t.Helper()
	for i, w := range want {
		got, expected := jsontext.Value(s.rounds[i].body), jsontext.Value(w)
		if err := errors.Join(got.Canonicalize(), expected.Canonicalize()); err != nil {
			t.Fatalf("body %d, %s: %v", i, s.rounds[i].body, err)
		}
		if diff := cmp.Diff(string(expected), string(got)); diff != "" {
			t.Errorf("body %d (-want +got):\n%s", i, diff)
		}
	}
}

func ok(answer string) *round { return &round{status: http.StatusOK, answer: answer} }

func unauthorized(answer string) *round {
	return &round{status: http.StatusUnauthorized, answer: answer}
}

func challenge(session string, flows string, completed string) *round {
	return unauthorized(fmt.Sprintf(`{"session":%q,"flows":%s,"params":{},"completed":%s}`, session, flows, completed))
}

const (
	passwordFlow = `[{"stages":["m.login.password"]}]`
	success      = `{"id_server_unbind_result":"success"}`
	passwordOf   = `{"type":"m.login.password","session":"s1","password":"pw","identifier":{"type":"m.id.user","user":"alice"}}`
)

func TestDeactivateAccountSendsWhatIsSetAndNothingElse(t *testing.T) {
	tests := []struct {
		name     string
		token    string
		erase    bool
		idServer string
		want     string // the body without auth
	}{
		{"nothing set", "tok", false, "", `{}`},
		{"erase", "tok", true, "", `{"erase":true}`},
		{"identity server", "tok", false, "id.example.org", `{"id_server":"id.example.org"}`},
		{"both, without a token", "", true, "id.example.org", `{"erase":true,"id_server":"id.example.org"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, challenge("s1", passwordFlow, `[]`), ok(success))
			result, err := s.client(test.token).DeactivateAccount(t.Context(), client.PasswordAuth("alice", "pw"), test.erase, test.idServer)
			if err != nil || result != client.UnbindSuccess {
				t.Fatalf("DeactivateAccount = %q, %v", result, err)
			}
			with := strings.Replace(strings.TrimSuffix(test.want, "}")+`,"auth":`+passwordOf+"}", "{,", "{", 1)
			s.wantBodies(t, test.want, with)
			for i, r := range s.rounds {
				token := ""
				if test.token != "" {
					token = "Bearer " + test.token
				}
				got := []string{r.method, r.uri, r.token, r.contentType}
				want := []string{"POST", "/_matrix/client/v3/account/deactivate", token, "application/json"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("request %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestDeactivateCanSendEraseFalse(t *testing.T) {
	s := script(t, ok(success))
	if _, err := s.client("").Deactivate(t.Context(), nil, client.DeactivateRequest{Erase: new(false)}); err != nil {
		t.Fatal(err)
	}
	s.wantBodies(t, `{"erase":false}`)
}

func TestDeactivateAccountReturnsWhateverResultTheServerGives(t *testing.T) {
	tests := []struct {
		name, answer string
		want         client.Deactivation
	}{
		{"success", success, client.Deactivation{Unbind: client.UnbindSuccess}},
		{"no-support", `{"id_server_unbind_result":"no-support"}`, client.Deactivation{Unbind: client.UnbindNoSupport}},
		{"a result of the future", `{"id_server_unbind_result":"later"}`, client.Deactivation{Unbind: "later"}},
		{"none", `{}`, client.Deactivation{}},
		{"null", `{"id_server_unbind_result":null}`, client.Deactivation{}},
		{"one given twice", `{"id_server_unbind_result":"x","id_server_unbind_result":"success"}`, client.Deactivation{Unbind: client.UnbindSuccess}},
		{"broken characters", "{\"note\":\"\xff\",\"id_server_unbind_result\":\"success\"}", client.Deactivation{Unbind: client.UnbindSuccess}},
		{
			"with Lethe's id", `{"id_server_unbind_result":"success","org.lethe.deactivation_id":"d1"}`,
			client.Deactivation{Unbind: client.UnbindSuccess, ID: "d1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, ok(test.answer))
			got, err := s.client("tok").Deactivate(t.Context(), nil, client.DeactivateRequest{})
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAnAnswerThatCannotBeReadSaysThatTheServerDidIt(t *testing.T) {
	huge := `{"x":"` + strings.Repeat("a", client.MaxAnswer) + `"}`
	tests := []struct{ name, answer, want string }{
		{"truncated JSON", `{"id_server_unbind_result":"succ`, "EOF"},
		{"nothing", ``, "EOF"},
		{"a page of a proxy", `<html>`, "invalid character"},
		{"a result that is a number", `{"id_server_unbind_result":1}`, "number"},
		{"an answer without end", huge, "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, ok(test.answer))
			_, err := s.client("tok").DeactivateAccount(t.Context(), nil, true, "")
			e, isError := errors.AsType[*client.Error](err)
			if !isError || e.StatusCode != http.StatusOK || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, which should be a 200 and about %q", err, test.want)
			}
		})
	}
}

func TestAnAnswerThatBreaksOffSaysThatTheServerDidIt(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, success)
	}))
	defer srv.Close()
	c := &client.Client{BaseURL: srv.URL}
	_, err := c.DeactivateAccount(t.Context(), nil, true, "")
	e, isError := errors.AsType[*client.Error](err)
	if !isError || e.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error = %v; want one of status 200 with ErrUnexpectedEOF", err)
	}
}

func TestRedirectsLeaveTheHostMethodAndTokenAlone(t *testing.T) {
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Method+" "+r.RequestURI+" "+r.Header.Get("Authorization"))
	}))
	defer other.Close()
	to := func(status int, location string) *round {
		return &round{status: status, header: map[string]string{"Location": location}}
	}
	deactivate := func(c *client.Client) error {
		_, err := c.DeactivateAccount(context.Background(), nil, true, "")
		return err
	}
	whoami := func(c *client.Client) error { _, err := c.Whoami(context.Background()); return err }
	export := func(c *client.Client) error { return c.Export(context.Background(), io.Discard) }
	tests := []struct {
		name   string
		call   func(*client.Client) error
		rounds []*round
		want   int // the status of the error, 0 for none
	}{
		{"GET to another host", whoami, []*round{to(302, other.URL)}, 302},
		{"POST to another host", deactivate, []*round{to(307, other.URL)}, 307},
		{"POST to another host for good", deactivate, []*round{to(308, other.URL)}, 308},
		{"download to another host", export, []*round{to(302, other.URL)}, 302},
		{"POST that would become GET", deactivate, []*round{to(302, "/elsewhere")}, 302},
		{"GET on the same host", whoami, []*round{to(302, "/elsewhere"), ok(`{"user_id":"@a:b"}`)}, 0},
		{"POST on the same host", deactivate, []*round{to(307, "/elsewhere"), ok(success)}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, test.rounds...)
			err := test.call(s.client("tok"))
			status := 0
			if e, isError := errors.AsType[*client.Error](err); isError {
				status = e.StatusCode
			}
			if status != test.want || (err == nil) != (test.want == 0) {
				t.Errorf("error = %v; want one of status %d", err, test.want)
			}
			if last := s.rounds[len(s.rounds)-1]; last.token != "Bearer tok" {
				t.Errorf("the last request had the token %q", last.token)
			}
		})
	}
	if len(elsewhere) > 0 {
		t.Errorf("another host got %q", elsewhere)
	}
}

func TestTheCallersRuleForRedirectsIsKept(t *testing.T) {
	s := script(t, &round{status: http.StatusFound, header: map[string]string{"Location": "/elsewhere"}})
	c := s.client("tok")
	refused := errors.New("no redirects at all")
	c.HTTP = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return refused }}
	if _, err := c.Whoami(t.Context()); !errors.Is(err, refused) {
		t.Errorf("error = %v", err)
	}
}

func TestABaseURLMustBeOne(t *testing.T) {
	for _, base := range []string{"", "matrix.example.org", "ftp://example.org", "https://", "https://example.org?x=1", "https://example.org#x", "://"} {
		c := &client.Client{BaseURL: base}
		if _, err := c.Versions(t.Context()); err == nil || !strings.Contains(err.Error(), "base URL") {
			t.Errorf("base URL %q: error = %v", base, err)
		}
	}
	s := script(t, ok(`{"versions":["v1.1"]}`))
	c := &client.Client{BaseURL: s.URL + "/below/"}
	if _, err := c.Versions(t.Context()); err != nil || s.rounds[0].uri != "/below/_matrix/client/versions" {
		t.Errorf("a base URL with a path and a slash: %q, %v", s.rounds[0].uri, err)
	}
	if err := c.Do(t.Context(), http.MethodGet, "no-slash", nil, nil); err == nil {
		t.Error("a path without a slash was taken")
	}
}

func TestRequestsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer srv.Close()
	c := &client.Client{BaseURL: srv.URL}
	if _, err := c.Whoami(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Whoami = %v", err)
	}
	if err := c.Export(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Export = %v", err)
	}
}

func TestADownloadThatBreaksOffIsAnError(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the first half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	var got bytes.Buffer
	err := (&client.Client{BaseURL: srv.URL}).Export(t.Context(), &got)
	if !errors.Is(err, io.ErrUnexpectedEOF) || got.String() != "the first half" {
		t.Errorf("Export = %v, with %q", err, &got)
	}
}

func TestADownloadMayBeLongerThanAnAnswer(t *testing.T) {
	const length = client.MaxAnswer + 1<<20
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(zeros{}, length))
	}))
	defer srv.Close()
	var got bytes.Buffer
	if err := (&client.Client{BaseURL: srv.URL}).Export(t.Context(), &got); err != nil || got.Len() != length {
		t.Errorf("Export = %v, with %d bytes", err, got.Len())
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestADownloadThatIsRefusedIsATypedError(t *testing.T) {
	s := script(t, &round{status: http.StatusNotFound, answer: `{"errcode":"M_UNRECOGNIZED","error":"What?"}`})
	var got bytes.Buffer
	if err := s.client("tok").Export(t.Context(), &got); client.CodeOf(err) != client.CodeUnrecognized || got.Len() > 0 {
		t.Errorf("Export = %v, with %q", err, &got)
	}
}

func TestReceiptTakesNoTokenAndKeepsWhatWasSigned(t *testing.T) {
	const receipt = `{"id":"a/b","complete":true,"ended_at":1000,"gone":{"devices":2},"signatures":{"hs":{"ed25519:1":"x"}}}`
	s := script(t, ok(receipt))
	got, err := s.client("dead").Receipt(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Raw) != receipt || !got.Complete || got.Gone["devices"] != 2 || !got.EndedAt.Time().Equal(time.Unix(1, 0)) {
		t.Errorf("Receipt = %+v", got)
	}
	if r := s.rounds[0]; r.uri != "/_lethe/client/v1/deactivation/a%2Fb/receipt" || r.token != "" {
		t.Errorf("GET %s with %q", r.uri, r.token)
	}
}

func TestWhatCannotBeEncodedIsNotSent(t *testing.T) {
	s := script(t)
	var unsupported *json.SemanticError
	if err := s.client("").Do(t.Context(), http.MethodPost, "/x?secret", func() {}, nil); !errors.As(err, &unsupported) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Do = %v", err)
	}
	if err := s.client("").DoAuth(t.Context(), http.MethodPost, "/x", []int{1}, nil, nil); err == nil {
		t.Error("DoAuth took a body that is not an object")
	}
}
