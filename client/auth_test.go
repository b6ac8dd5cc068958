package client_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/client"
)

func TestAuthDoesTheStagesOfTheShortestFlowItCan(t *testing.T) {
	const (
		dummy    = `{"auth":{"type":"m.login.dummy","session":"s1"}}`
		token    = `{"auth":{"type":"m.login.registration_token","token":"t","session":"s1"}}`
		terms    = `{"auth":{"type":"m.login.terms","session":"s1"}}`
		captcha  = `["m.login.recaptcha"]`
		twoFlows = `[{"stages":["m.login.recaptcha"]},{"stages":["m.login.registration_token","m.login.terms"]},{"stages":["m.login.dummy"]}]`
	)
	all := client.Join(client.RegistrationTokenAuth("t"), client.TermsAuth(), client.DummyAuth())
	tests := []struct {
		name   string
		auth   client.Auth
		rounds []*round
		bodies []string
	}{
		{"no authentication asked for", nil, []*round{ok(`{}`)}, []string{`{}`}},
		{"one stage", client.DummyAuth(), []*round{challenge("s1", `[{"stages":["m.login.dummy"]}]`, `[]`), ok(`{}`)}, []string{`{}`, dummy}},
		{"the shortest of what it can", all, []*round{challenge("s1", twoFlows, `[]`), ok(`{}`)}, []string{`{}`, dummy}},
		{
			"stages in their order", client.Join(client.TermsAuth(), client.RegistrationTokenAuth("t")),
			[]*round{
				challenge("s1", twoFlows, `[]`), challenge("s1", twoFlows, `["m.login.registration_token"]`), ok(`{}`),
			},
			[]string{`{}`, token, terms},
		},
		{
			"what is done already is left", client.TermsAuth(),
			[]*round{challenge("s1", twoFlows, `["m.login.registration_token"]`), ok(`{}`)},
			[]string{`{}`, terms},
		},
		{
			"no session given", client.DummyAuth(),
			[]*round{unauthorized(`{"flows":[{"stages":["m.login.dummy"]}]}`), ok(`{}`)},
			[]string{`{}`, `{"auth":{"type":"m.login.dummy"}}`},
		},
		{
			"an errcode before anything was sent", client.DummyAuth(),
			[]*round{unauthorized(`{"errcode":"M_UNAUTHORIZED","session":"s1","flows":[{"stages":["m.login.dummy"]}]}`), ok(`{}`)},
			[]string{`{}`, dummy},
		},
		{
			"a session that the server forgot", client.Join(client.TermsAuth(), client.RegistrationTokenAuth("t")),
			[]*round{
				challenge("s0", twoFlows, `["m.login.registration_token"]`),
				unauthorized(`{"errcode":"M_UNKNOWN","session":"s1","flows":` + twoFlows + `}`),
				challenge("s1", twoFlows, `["m.login.registration_token"]`), ok(`{}`),
			},
			[]string{`{}`, strings.Replace(terms, "s1", "s0", 1), token, terms},
		},
		{
			"other stages by other callers",
			client.Auth{"m.login.recaptcha": func(context.Context, *client.UIAChallenge, *client.Error) (map[string]any, error) {
				return map[string]any{"response": "r"}, nil
			}},
			[]*round{challenge("s1", `[{"stages":`+captcha+`}]`, `[]`), ok(`{}`)},
			[]string{`{}`, `{"auth":{"type":"m.login.recaptcha","response":"r","session":"s1"}}`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, test.rounds...)
			if err := s.client("").DoAuth(t.Context(), http.MethodPost, "/x", nil, nil, test.auth); err != nil {
				t.Fatal(err)
			}
			s.wantBodies(t, test.bodies...)
		})
	}
}

func TestAuthThatIsNotEnoughIsATypedError(t *testing.T) {
	limited := &round{
		status: http.StatusTooManyRequests, header: map[string]string{"Retry-After": "2"}, answer: `{"errcode":"M_LIMIT_EXCEEDED"}`,
	}
	refused := `{"errcode":"M_FORBIDDEN","error":"Wrong.","session":"s1","flows":` + passwordFlow + `,"params":{},"completed":[]}`
	gone := unauthorized(`{"errcode":"M_UNKNOWN_TOKEN","error":"Gone."}`)
	broken := errors.New("the user has closed the window")
	tests := []struct {
		name   string
		auth   client.Auth
		rounds []*round
		want   client.Error
		asks   bool // the error says what the server asks for
	}{
		{"none given", nil, []*round{challenge("s1", passwordFlow, `[]`)}, client.Error{StatusCode: 401}, true},
		{"no flow of it", client.DummyAuth(), []*round{challenge("s1", passwordFlow, `[]`)}, client.Error{StatusCode: 401}, true},
		{"no flow at all", client.DummyAuth(), []*round{challenge("s1", `[]`, `[]`)}, client.Error{StatusCode: 401}, true},
		{
			"all is done and it is still not enough", client.PasswordAuth("a", "p"),
			[]*round{challenge("s1", passwordFlow, `[]`), challenge("s1", passwordFlow, `["m.login.password"]`)},
			client.Error{StatusCode: 401},
			true,
		},
		{
			"a wrong password", client.PasswordAuth("a", "p"),
			[]*round{challenge("s1", passwordFlow, `[]`), unauthorized(refused)},
			client.Error{StatusCode: 401, Code: client.CodeForbidden},
			true,
		},
		{
			"somebody else's password", client.PasswordAuth("b", "p"),
			[]*round{challenge("s1", passwordFlow, `[]`), {status: 403, answer: `{"errcode":"M_FORBIDDEN"}`}},
			client.Error{StatusCode: 403, Code: client.CodeForbidden},
			false,
		},
		{
			"too many tries", client.PasswordAuth("a", "p"),
			[]*round{challenge("s1", passwordFlow, `[]`), limited},
			client.Error{StatusCode: 429, Code: client.CodeLimitExceeded, RetryAfter: 2 * time.Second},
			false,
		},
		{"a token that is gone", client.PasswordAuth("a", "p"), []*round{gone}, client.Error{StatusCode: 401, Code: client.CodeUnknownToken}, false},
		{
			"a server that goes round in circles", client.PasswordAuth("a", "p"),
			[]*round{
				challenge("s1", passwordFlow, `[]`), challenge("s2", passwordFlow, `[]`), challenge("s3", passwordFlow, `[]`),
				challenge("s4", passwordFlow, `[]`), challenge("s5", passwordFlow, `[]`), challenge("s6", passwordFlow, `[]`),
			},
			client.Error{StatusCode: 401},
			true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, test.rounds...)
			_, err := s.client("tok").DeactivateAccount(t.Context(), test.auth, true, "")
			e, isError := errors.AsType[*client.Error](err)
			if !isError {
				t.Fatalf("error = %v", err)
			}
			got := client.Error{StatusCode: e.StatusCode, Code: e.Code, RetryAfter: e.RetryAfter}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(client.Error{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if asks := e.UIA != nil; asks != test.asks {
				t.Errorf("UIA = %v", e.UIA)
			}
		})
	}
	t.Run("a stage that cannot be done", func(t *testing.T) {
		s := script(t, challenge("s1", passwordFlow, `[]`))
		auth := client.Auth{client.StagePassword: func(context.Context, *client.UIAChallenge, *client.Error) (map[string]any, error) {
			return nil, broken
		}}
		if _, err := s.client("tok").DeactivateAccount(t.Context(), auth, true, ""); !errors.Is(err, broken) {
			t.Errorf("error = %v", err)
		}
	})
}

func TestAStageHearsWhyItsLastTryWasRefused(t *testing.T) {
	refused := `{"errcode":"M_FORBIDDEN","error":"Wrong.","session":"s1","flows":` + passwordFlow + `,"params":{"m.login.password":{"k":1}},"completed":[]}`
	s := script(t, challenge("s1", passwordFlow, `[]`), unauthorized(refused), ok(success))
	var heard []string
	auth := client.Auth{client.StagePassword: func(_ context.Context, c *client.UIAChallenge, refused *client.Error) (map[string]any, error) {
		message := ""
		if refused != nil {
			message = refused.Message
		}
		heard = append(heard, c.Session+" "+message)
		return map[string]any{"password": strings.Repeat("p", len(heard))}, nil
	}}
	if _, err := s.client("").DeactivateAccount(t.Context(), auth, false, ""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"s1 ", "s1 Wrong."}, heard); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.wantBodies(t, `{}`, `{"auth":{"type":"m.login.password","session":"s1","password":"p"}}`,
		`{"auth":{"type":"m.login.password","session":"s1","password":"pp"}}`)
}

func TestAStageDoneElsewhereIsAskedForUntilItIsDone(t *testing.T) {
	const flow = `[{"stages":["m.login.sso"]}]`
	rounds := []*round{challenge("s1", flow, `[]`)}
	bodies := []string{`{}`}
	for range 10 {
		rounds = append(rounds, challenge("s1", flow, `[]`))
		bodies = append(bodies, `{"auth":{"session":"s1"}}`)
	}
	rounds, bodies = append(rounds, ok(success)), append(bodies, `{"auth":{"session":"s1"}}`)
	s := script(t, rounds...)
	auth := client.Auth{"m.login.sso": func(context.Context, *client.UIAChallenge, *client.Error) (map[string]any, error) { return nil, nil }}
	if _, err := s.client("").DeactivateAccount(t.Context(), auth, false, ""); err != nil {
		t.Fatal(err)
	}
	s.wantBodies(t, bodies...)
}
