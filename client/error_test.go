package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/client"
)

func TestErrorsTellWhatTheServerSaid(t *testing.T) {
	const date = "Wed, 21 Oct 2026 07:28:00 GMT"
	tests := []struct {
		name string
		round
		want client.Error // but for Raw
		text string
	}{
		{
			"errcode",
			round{status: 403, answer: `{"errcode":"M_FORBIDDEN","error":"No."}`},
			client.Error{StatusCode: 403, Code: client.CodeForbidden, Message: "No."},
			"M_FORBIDDEN: No.",
		},
		{
			"token that is gone",
			round{status: 401, answer: `{"errcode":"M_UNKNOWN_TOKEN","error":"Gone.","soft_logout":true}`},
			client.Error{StatusCode: 401, Code: client.CodeUnknownToken, Message: "Gone.", SoftLogout: true},
			"M_UNKNOWN_TOKEN: Gone.",
		},
		{
			"rate limit in seconds",
			round{status: 429, header: map[string]string{"Retry-After": "3"}, answer: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":99}`},
			client.Error{StatusCode: 429, Code: client.CodeLimitExceeded, RetryAfter: 3 * time.Second},
			"M_LIMIT_EXCEEDED (try again in 3s)",
		},
		{
			"rate limit as a date",
			round{
				status: 429, header: map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": date},
				answer: `{"errcode":"M_LIMIT_EXCEEDED","error":"Slowly."}`,
			},
			client.Error{StatusCode: 429, Code: client.CodeLimitExceeded, Message: "Slowly.", RetryAfter: 30 * time.Second},
			"M_LIMIT_EXCEEDED: Slowly. (try again in 30s)",
		},
		{
			"rate limit as a date that is over",
			round{status: 429, header: map[string]string{"Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": date}, answer: `{"errcode":"M_LIMIT_EXCEEDED"}`},
			client.Error{StatusCode: 429, Code: client.CodeLimitExceeded},
			"M_LIMIT_EXCEEDED",
		},
		{
			"rate limit in the body",
			round{status: 429, answer: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1500}`},
			client.Error{StatusCode: 429, Code: client.CodeLimitExceeded, RetryAfter: 1500 * time.Millisecond},
			"M_LIMIT_EXCEEDED (try again in 1.5s)",
		},
		{
			"rate limit of a billion years",
			round{status: 429, header: map[string]string{"Retry-After": "18446744073709551615"}, answer: `{"errcode":"M_LIMIT_EXCEEDED"}`},
			client.Error{StatusCode: 429, Code: client.CodeLimitExceeded, RetryAfter: 365 * 24 * time.Hour},
			"M_LIMIT_EXCEEDED (try again in 8760h0m0s)",
		},
		{
			"rate limit with nonsense",
			round{status: 429, header: map[string]string{"Retry-After": "soon"}, answer: `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":"soon"}`},
			client.Error{StatusCode: 429, Code: client.CodeLimitExceeded},
			"M_LIMIT_EXCEEDED",
		},
		{
			"one key of a wrong type",
			round{status: 400, answer: `{"errcode":"M_UNKNOWN","error":{"a":1},"soft_logout":"no"}`},
			client.Error{StatusCode: 400, Code: client.CodeUnknown},
			"M_UNKNOWN",
		},
		{"a page of a proxy", round{status: 502, answer: `<html>`}, client.Error{StatusCode: 502}, "the server answered 502 Bad Gateway"},
		{
			"what would write to a terminal",
			round{status: 400, answer: `{"errcode":"M_UNKNOWN","error":"a\u001b[2Jb"}`},
			client.Error{StatusCode: 400, Code: client.CodeUnknown, Message: "a\x1b[2Jb"},
			"M_UNKNOWN: a [2Jb",
		},
		{
			"a challenge",
			unauthorizedRound(`{"session":"s","flows":[{"stages":["a","b"]},{"stages":["c"]}],"params":{"c":{"k":"v"}},"completed":["a"]}`),
			client.Error{StatusCode: 401, UIA: &client.UIAChallenge{
				Session: "s", Flows: [][]string{{"a", "b"}, {"c"}}, Params: map[string]any{"c": map[string]any{"k": "v"}}, Completed: []string{"a"},
			}},
			"the server asks for authentication by a then b, or c",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := script(t, &test.round)
			_, err := s.client("tok").Whoami(t.Context())
			e, isError := errors.AsType[*client.Error](err)
			if !isError {
				t.Fatalf("error = %v", err)
			}
			if string(e.Raw) != test.answer {
				t.Errorf("Raw = %q", e.Raw)
			}
			got := client.Error{
				StatusCode: e.StatusCode, Code: e.Code, Message: e.Message, RetryAfter: e.RetryAfter, SoftLogout: e.SoftLogout, UIA: e.UIA,
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(client.Error{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err.Error() != test.text {
				t.Errorf("text = %q; want %q", err, test.text)
			}
			if client.CodeOf(fmt.Errorf("wrapped: %w", err)) != test.want.Code {
				t.Errorf("CodeOf = %q", client.CodeOf(err))
			}
		})
	}
}

func unauthorizedRound(answer string) round { return *unauthorized(answer) }

func TestAHugeErrorIsCutOff(t *testing.T) {
	s := script(t, &round{status: http.StatusInternalServerError, answer: strings.Repeat("x", client.MaxAnswer+1000)})
	_, err := s.client("").Whoami(t.Context())
	e, isError := errors.AsType[*client.Error](err)
	if !isError || len(e.Raw) != client.MaxAnswer {
		t.Errorf("error = %T of %d bytes", err, len(e.Raw))
	}
}
