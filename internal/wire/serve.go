package wire

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// DefaultMaxBody is the largest body a route takes, in bytes.
const DefaultMaxBody = 1 << 20

// Options are what all routes of a [Router] share.
type Options struct {
	// Log gets one line for each request; nil discards it.
	Log *slog.Logger
	// MaxBody is the largest body, in bytes; 0 is DefaultMaxBody.
	MaxBody int64
	// TrustedProxies are the addresses whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// Observe is told of each answered request: route ("" for none), method,
	// status and duration. May be nil.
	Observe func(route, method string, status int, took time.Duration)
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Observe == nil {
		o.Observe = func(string, string, int, time.Duration) {}
	}
	return o
}

// Response is an answer that is not plain JSON with status 200.
type Response struct {
	// Status 0 is 200.
	Status int
	// JSON is the body, if ContentType is "".
	JSON any
	// ContentType and Body are a body of another kind.
	ContentType string
	Body        []byte
	// Stream, if set, writes the body instead; an error in the middle of it cuts
	// the answer off.
	Stream func(io.Writer) error
	// Header has further headers.
	Header http.Header
}

// serve runs one handler between the request's first byte and the answer's
// last: limits, request id, panic guard, answer, log.
func (rt *Router) serve(w http.ResponseWriter, r *http.Request, route string, handle Handler) {
	start := time.Now()
	id := rand.Text()[:12]
	setCORS(w.Header())
	w.Header().Set("X-Request-Id", id)
	r.Body = http.MaxBytesReader(w, r.Body, rt.opts.MaxBody)
	req := &Request{
		Request: r, ID: id, Route: route, Remote: rt.remote(r), header: w.Header(), w: w,
		Log: rt.opts.Log.With("request", id, "method", r.Method, "route", route),
	}
	result, err := guard(handle, req)
	status := rt.write(w, req, result, err)
	took := time.Since(start)
	rt.opts.Observe(route, r.Method, status, took)
	req.Log.Info("request", "status", status, "ms", took.Milliseconds())
}

// guard turns a panic into an error, so that one request ends and not the
// process.
func guard(handle Handler, r *Request) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // panic values are compared as net/http does
				panic(p)
			}
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return handle(r)
}

// Answer makes an error of a response, for helpers that end a request with one.
type Answer struct{ *Response }

// Error is for the log.
func (Answer) Error() string { return "answered already" }

// writeTime is how long a client may take to read an answer. It begins with the
// answer: requests may wait for longer.
const writeTime = 5 * time.Minute

// write writes the answer and returns its status.
func (rt *Router) write(w http.ResponseWriter, r *Request, result any, err error) int {
	// Not all writers can; those of package net/http do.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	if answer, ok := errors.AsType[Answer](err); ok {
		result, err = answer.Response, nil
	}
	if err != nil {
		return writeError(w, r, err)
	}
	resp, ok := result.(*Response)
	if !ok {
		resp = &Response{JSON: result}
	}
	maps.Copy(w.Header(), resp.Header)
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	if resp.Stream != nil {
		w.Header().Set("Content-Type", resp.ContentType)
		w.WriteHeader(status)
		if err := resp.Stream(w); err != nil {
			r.Log.Error("answer cut off", "error", err)
			panic(http.ErrAbortHandler)
		}
		return status
	}
	if resp.ContentType != "" || status == http.StatusNoContent || (status >= 300 && status < 400) {
		writeBody(w, status, resp.ContentType, resp.Body)
		return status
	}
	return writeJSON(w, r, status, resp.JSON)
}

func writeJSON(w http.ResponseWriter, r *Request, status int, v any) int {
	if v == nil {
		v = struct{}{}
	}
	var buf bytes.Buffer
	if err := json.MarshalWrite(&buf, v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return writeError(w, r, fmt.Errorf("encode answer: %w", err))
	}
	writeBody(w, status, "application/json", buf.Bytes())
	return status
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone; there is nobody left to tell
}

// remote is the client's address: the peer's, or what a trusted proxy says.
func (rt *Router) remote(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if !containsAddr(rt.opts.TrustedProxies, addr) {
		return addr
	}
	return forwardedFor(r.Header.Values("X-Forwarded-For"), rt.opts.TrustedProxies, addr)
}

// errStatus is the usual HTTP status of each code (CS API, Standard error
// response and the endpoints' own).
var errStatus = map[matrix.Code]int{
	matrix.CodeCannotLeaveNoticeRoom: http.StatusForbidden,
	matrix.CodeInviteBlocked:         http.StatusForbidden,
	matrix.CodeForbidden:             http.StatusForbidden,
	matrix.CodeUnknownToken:          http.StatusUnauthorized,
	matrix.CodeMissingToken:          http.StatusUnauthorized,
	matrix.CodeUserLocked:            http.StatusUnauthorized,
	matrix.CodeUserSuspended:         http.StatusForbidden,
	matrix.CodeUserDeactivated:       http.StatusForbidden,
	matrix.CodeNotFound:              http.StatusNotFound,
	matrix.CodeLimitExceeded:         http.StatusTooManyRequests,
	matrix.CodeUnrecognized:          http.StatusNotFound,
	matrix.CodeUnauthorized:          http.StatusUnauthorized,
	matrix.CodeTooLarge:              http.StatusRequestEntityTooLarge,
	matrix.CodeGuestAccessForbidden:  http.StatusForbidden,
}

// errorBody is the standard error response (CS API).
type errorBody struct {
	Code         matrix.Code `json:"errcode"`
	Message      string      `json:"error"`
	RetryAfterMS int64       `json:"retry_after_ms,omitzero"`
	SoftLogout   bool        `json:"soft_logout,omitzero"`
}

// statusClientGone is what the log and the metrics have of a request whose client
// hung up before the answer, as those do that sync; nobody gets it.
const statusClientGone = 499

// writeError is the one place where an error becomes an answer. What is not a
// [matrix.Error] is the server's own failure: the log has it, the client gets
// 500 M_UNKNOWN and the request's id.
func writeError(w http.ResponseWriter, r *Request, err error) int {
	var e *matrix.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			return statusClientGone
		}
		r.Log.Error("request failed", "error", err)
		e = matrix.Errorf(matrix.CodeUnknown, "The server could not do this. Its log tells why under request %s.", r.ID).
			WithStatus(http.StatusInternalServerError)
	}
	status := StatusOf(e)
	body := errorBody{Code: e.Code, Message: e.Message, SoftLogout: e.SoftLogout}
	if e.Code == matrix.CodeLimitExceeded {
		// Whole seconds, rounded up, in the header; milliseconds in the body, for
		// clients from before v1.10 (CS API, Rate limiting).
		body.RetryAfterMS = max(e.RetryAfter.Milliseconds(), 1)
		w.Header().Set("Retry-After", strconv.FormatInt((body.RetryAfterMS+999)/1000, 10))
	}
	level := slog.LevelDebug
	if status >= http.StatusInternalServerError {
		level = slog.LevelError // a mail server that takes no mail, say: an operator has to see it
	}
	r.Log.Log(r.Context(), level, "request refused", "error", err)
	var buf bytes.Buffer
	// Strings and numbers only: it cannot fail, even if a message quotes bytes that
	// are no text.
	_ = json.MarshalWrite(&buf, body, jsontext.AllowInvalidUTF8(true))
	writeBody(w, status, "application/json", buf.Bytes())
	return status
}
