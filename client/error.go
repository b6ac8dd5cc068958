package client

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// Error codes that an account meets in its life (Standard error response, and
// Other error codes). Servers send more of them; an [Error] has whatever came.
const (
	CodeForbidden       = "M_FORBIDDEN"
	CodeUnknownToken    = "M_UNKNOWN_TOKEN"
	CodeMissingToken    = "M_MISSING_TOKEN"
	CodeUserLocked      = "M_USER_LOCKED"
	CodeUserSuspended   = "M_USER_SUSPENDED"
	CodeUserDeactivated = "M_USER_DEACTIVATED"
	CodeUserInUse       = "M_USER_IN_USE"
	CodeInvalidUsername = "M_INVALID_USERNAME"
	CodeWeakPassword    = "M_WEAK_PASSWORD"
	CodeLimitExceeded   = "M_LIMIT_EXCEEDED"
	CodeNotFound        = "M_NOT_FOUND"
	CodeUnrecognized    = "M_UNRECOGNIZED"
	CodeUnknown         = "M_UNKNOWN"
)

// Error is an answer that is not what was asked for (Standard error response).
type Error struct {
	// StatusCode is the HTTP status. It is 2xx where the server did what it was
	// asked, and its answer could not be read.
	StatusCode int
	// Code is the errcode, "" where the answer has none: the first answer of
	// user-interactive authentication has none, nor have those of a proxy.
	Code string
	// Message is the server's sentence for people, "" for none.
	Message string
	// RetryAfter is how long to wait before trying again, 0 where the server did
	// not say (Rate limiting).
	RetryAfter time.Duration
	// SoftLogout says that logging in again with the same device brings
	// everything back (Soft logout).
	SoftLogout bool
	// UIA is what the server asks for, nil unless it asks for user-interactive
	// authentication.
	UIA *UIAChallenge
	// Raw is the body, for the keys that are not here.
	Raw []byte

	cause error
}

// UIAChallenge is what a server asks for before it does something
// (User-Interactive Authentication API, User-interactive API in the REST API).
type UIAChallenge struct {
	// Session is to be sent back with each stage, "" for none.
	Session string
	// Flows are lists of stages: those of one of them, in their order, are enough.
	Flows [][]string
	// Params is what is to be known about stages, by the stage.
	Params map[string]any
	// Completed are the stages that are done.
	Completed []string
}

// Error says what the server did not do, and why.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Code != "" && e.Message != "":
		fmt.Fprintf(&b, "%s: %s", printable(e.Code), printable(e.Message))
	case e.Code != "" || e.Message != "":
		b.WriteString(printable(e.Code + e.Message))
	case e.UIA != nil:
		fmt.Fprintf(&b, "the server asks for authentication by %s", printable(e.UIA.String()))
	default:
		fmt.Fprintf(&b, "the server answered %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, " (try again in %s)", e.RetryAfter)
	}
	return b.String()
}

// Unwrap returns why an answer could not be read, nil otherwise.
func (e *Error) Unwrap() error { return e.cause }

// String names the flows.
func (u *UIAChallenge) String() string {
	flows := make([]string, len(u.Flows))
	for i, stages := range u.Flows {
		flows[i] = strings.Join(stages, " then ")
	}
	return strings.Join(flows, ", or ")
}

// CodeOf returns the errcode of the [Error] in err's chain, or "" if there is
// none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// printable keeps a server from writing to a terminal more than text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// newError reads an answer that is an error, as far as it is one: each key for
// itself, since one that is wrong must not hide the others.
func newError(resp *http.Response, raw []byte) *Error {
	e := &Error{StatusCode: resp.StatusCode, Raw: raw}
	var body map[string]jsontext.Value
	if decode(raw, &body) != nil {
		body = nil
	}
	get := func(key string, out any) bool { return body[key] != nil && decode(body[key], out) == nil }
	get("errcode", &e.Code)
	get("error", &e.Message)
	get("soft_logout", &e.SoftLogout)
	var ms float64
	get("retry_after_ms", &ms)
	e.RetryAfter = retryAfter(resp.Header, ms, time.Now())
	if to := resp.Header.Get("Location"); resp.StatusCode/100 == 3 && e.Message == "" {
		e.Message = fmt.Sprintf("the server redirects to %q, which is not followed", to)
	}
	var flows []struct {
		Stages []string `json:"stages"`
	}
	if resp.StatusCode == http.StatusUnauthorized && get("flows", &flows) {
		u := &UIAChallenge{}
		for _, f := range flows {
			u.Flows = append(u.Flows, f.Stages)
		}
		get("session", &u.Session)
		get("params", &u.Params)
		get("completed", &u.Completed)
		e.UIA = u
	}
	return e
}

// maxWait bounds what a server can ask to wait for, so that it fits a Duration.
const maxWait = 365 * 24 * time.Hour

// retryAfter is how long to wait (Rate limiting): the header first, in seconds
// or as a date (RFC 9110, 10.2.3), then the body's milliseconds, which servers
// sent before v1.10. A date is against the server's own clock if it tells it.
func retryAfter(h http.Header, ms float64, now time.Time) time.Duration {
	header := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseUint(header, 10, 64); err == nil {
		return time.Duration(min(s, uint64(maxWait/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
			now = theirs
		}
		return min(max(at.Sub(now), 0), maxWait)
	}
	if ms <= 0 {
		return 0
	}
	return time.Duration(math.Min(ms, float64(maxWait/time.Millisecond)) * float64(time.Millisecond))
}

// isDone tells whether a stage is completed.
func (u *UIAChallenge) isDone(stage string) bool { return slices.Contains(u.Completed, stage) }
