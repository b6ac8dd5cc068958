// Package identity talks to identity servers.
//
// Holds: [Client] with bind, unbind, lookup and invites.
//
// May import: matrix, event, outbound.
//
// Never: which identifiers a person has, or when they are unbound.
package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"lethe/internal/event"
	"lethe/internal/matrix"
	"lethe/internal/outbound"
)

// ErrRefused is that the identity server understood the request and will not do
// it, or does not have the endpoint. Trying again soon makes no sense.
var ErrRefused = errors.New("the identity server refuses")

// Client makes requests to identity servers in the name of this server. It is
// safe for concurrent use.
type Client struct {
	out    *outbound.Client
	origin matrix.ServerName
	key    event.SigningKey
}

// New makes a client that signs with key.
func New(out *outbound.Client, origin matrix.ServerName, key event.SigningKey) *Client {
	return &Client{out: out, origin: origin, key: key}
}

type threepid struct {
	Medium  string `json:"medium"`
	Address string `json:"address"`
}

// Validated returns the identifier that the session sid at an identity server
// has validated (Identity Service API, GET /3pid/getValidated3pid).
func (c *Client) Validated(
	ctx context.Context, server matrix.ServerName, accessToken, sid, clientSecret string,
) (matrix.Threepid, error) {
	path := "/_matrix/identity/v2/3pid/getValidated3pid?" +
		url.Values{"sid": {sid}, "client_secret": {clientSecret}}.Encode()
	header := http.Header{"Authorization": {"Bearer " + accessToken}}
	resp, err := c.do(ctx, http.MethodGet, server, path, header, nil)
	if err != nil {
		return matrix.Threepid{}, err
	}
	var proven threepid
	if err := json.Unmarshal(resp.Body, &proven); err != nil {
		return matrix.Threepid{}, fmt.Errorf("the identity server's answer: %w", err)
	}
	return matrix.ParseThreepid(proven.Medium, proven.Address)
}

// Bind publishes that mxid has the identifier that the session sid at the
// identity server validated (Identity Service API, POST /3pid/bind). accessToken
// is the user's, for the identity server.
func (c *Client) Bind(
	ctx context.Context, server matrix.ServerName, accessToken, sid, clientSecret string, mxid matrix.UserID,
) error {
	body, err := json.Marshal(map[string]string{"sid": sid, "client_secret": clientSecret, "mxid": string(mxid)})
	if err != nil {
		return err
	}
	header := http.Header{"Authorization": {"Bearer " + accessToken}}
	_, err = c.do(ctx, http.MethodPost, server, "/_matrix/identity/v2/3pid/bind", header, body)
	return err
}

// Unbind takes back the association of mxid with an identifier (Identity
// Service API, POST /3pid/unbind). The request is signed by this server, so no
// token of the user is needed. [ErrRefused] tells a refusal from a failure.
func (c *Client) Unbind(ctx context.Context, server matrix.ServerName, mxid matrix.UserID, pid matrix.Threepid) error {
	body, err := json.Marshal(struct {
		MXID     matrix.UserID `json:"mxid"`
		Threepid threepid      `json:"threepid"`
	}{mxid, threepid{pid.Medium, pid.Address}})
	if err != nil {
		return err
	}
	err = c.signed(ctx, event.SignRequest, server, body)
	var status *StatusError
	if errors.As(err, &status) && status.Code == matrix.CodeForbidden {
		// Sydent does not take the specification's signature, but that of before.
		err = c.signed(ctx, event.SignIdentityRequest, server, body)
	}
	return err
}

// signer is a way to sign a request: one of [event]'s.
type signer func(
	method, uri string, origin matrix.ServerName, destination string, content []byte, key event.SigningKey,
) (string, error)

// signed sends the request of [Client.Unbind].
func (c *Client) signed(ctx context.Context, sign signer, server matrix.ServerName, body []byte) error {
	const path = "/_matrix/identity/v2/3pid/unbind"
	auth, err := sign(http.MethodPost, path, c.origin, string(server), body, c.key)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, http.MethodPost, server, path, http.Header{"Authorization": {auth}}, body)
	return err
}

// StatusError is an answer of an identity server that was not 200.
type StatusError struct {
	Server     matrix.ServerName
	Status     int
	Code       matrix.Code // "" where the body had none
	Message    string
	RetryAfter time.Duration // 0 where the server gave none
}

// codeGrammar is what error codes look like. What else a server says in their
// place is not kept: it may repeat the address that the request was about.
var codeGrammar = regexp.MustCompile(`^[A-Z][A-Z0-9_.]{1,63}$`)

// Error is for the log, and for the operator who looks at an ending.
func (e *StatusError) Error() string {
	return fmt.Sprintf("the identity server %s answered %d %s", e.Server, e.Status, e.Code)
}

// Is makes refusals [ErrRefused]: every 4xx but a time-out and a rate limit, and
// 501 (CS API, POST /account/3pid/unbind: 400, 404 and 501 mean that it does not
// unbind).
func (e *StatusError) Is(target error) bool {
	if target != ErrRefused {
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	case http.StatusNotImplemented:
		return true
	}
	return e.Status >= 300 && e.Status < 500
}

func (c *Client) do(
	ctx context.Context, method string, server matrix.ServerName, path string, header http.Header, body []byte,
) (outbound.Response, error) {
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	resp, err := c.out.Do(ctx, method, "https://"+string(server)+path, header, body)
	if err != nil {
		return resp, fmt.Errorf("identity server %s: %w", server, err)
	}
	if resp.Status == http.StatusOK {
		return resp, nil
	}
	var said struct {
		Code       matrix.Code `json:"errcode"`
		Message    string      `json:"error"`
		RetryAfter int64       `json:"retry_after_ms"`
	}
	_ = json.Unmarshal(resp.Body, &said) // an error that says nothing is an error all the same
	if !codeGrammar.MatchString(string(said.Code)) {
		said.Code = ""
	}
	return resp, &StatusError{
		Server: server, Status: resp.Status, Code: said.Code, Message: said.Message,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), said.RetryAfter),
	}
}

// maxRetryAfter bounds how long a server can make this one wait.
const maxRetryAfter = 24 * time.Hour

// retryAfter is how long an answer asks to wait: in seconds in its header, or in
// milliseconds in its body where the server is from before v1.10 (CS API, Rate
// limiting).
func retryAfter(header string, millis int64) time.Duration {
	limit := maxRetryAfter.Milliseconds()
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		millis = int64(min(seconds*1000, uint64(limit))) //nolint:gosec // not above limit
	}
	return time.Duration(min(max(millis, 0), limit)) * time.Millisecond
}
