package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/matrix"
)

// Request is what a [Handler] gets: the HTTP request, and what every handler
// needs beside it.
type Request struct {
	*http.Request
	// ID names the request in the log and in the answer's X-Request-Id.
	ID string
	// Route is the path pattern that matched.
	Route string
	// Remote is the address of the client.
	Remote netip.Addr
	// Log carries the request's id and route.
	Log *slog.Logger

	header http.Header
	w      http.ResponseWriter
	body   []byte
	read   bool
}

// setHeader sets a header of the answer.
func (r *Request) setHeader(key, value string) { r.header.Set(key, value) }

// Patient takes the limit of time from the reading of the request. A handler that
// waits calls it when it has read what it needs: the limit would end the request
// in the middle of that.
func (r *Request) Patient() {
	_ = http.NewResponseController(r.w).SetReadDeadline(time.Time{}) // not all writers can
}

// UserAgent is the client's name for itself, at most 200 bytes of it.
func (r *Request) UserAgent() string {
	ua := strings.ToValidUTF8(r.Request.UserAgent(), "")
	if len(ua) > 200 {
		ua = strings.ToValidUTF8(ua[:200], "")
	}
	return ua
}

// Query is the first value of a query parameter, or "".
func (r *Request) Query(name string) string { return r.URL.Query().Get(name) }

// Bearer is the token in the Authorization header, or "" where there is none
// (CS API, Using access tokens).
func (r *Request) Bearer() string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// maxDepth is how deeply the values in a body may be nested. Nothing in the
// specification needs more than a few levels.
const maxDepth = 100

// Body reads the body, once, up to the router's limit and the server's time-out.
func (r *Request) Body() ([]byte, error) {
	if r.read {
		return r.body, nil
	}
	body, err := io.ReadAll(r.Request.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, matrix.Errorf(matrix.CodeTooLarge, "The request body has more than %d bytes.", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, matrix.Errorf(matrix.CodeUnknown, "The request body did not come in time.").
			WithStatus(http.StatusRequestTimeout).Because(err)
	case err != nil:
		return nil, matrix.Errorf(matrix.CodeNotJSON, "The request body could not be read to its end.").Because(err)
	}
	r.body, r.read = body, true
	return body, nil
}

// Decode reads the body, a JSON object, into dst, the address of a struct or map.
// A body that is no JSON (CS API, M_NOT_JSON: also with duplicate keys or invalid
// UTF-8) and one that does not fit dst (M_BAD_JSON) are told apart. Keys are
// case-sensitive; those that dst does not have are allowed. A value null is the
// zero value, as if the key were missing: clients send it for what they have not
// got. Where that is not the same, dst has a [jsontext.Value].
func (r *Request) Decode(dst any) error {
	body, err := r.Body()
	if err != nil {
		return err
	}
	return DecodeJSON(body, dst)
}

// DecodeOptional is Decode for endpoints that ask for nothing: an empty body
// leaves dst as it is.
func (r *Request) DecodeOptional(dst any) error {
	body, err := r.Body()
	if err != nil || len(body) == 0 {
		return err
	}
	return DecodeJSON(body, dst)
}

// DecodeJSON is [Request.Decode] on bytes.
func DecodeJSON(body []byte, dst any) error {
	if err := checkJSON(body); err != nil {
		return err
	}
	err := json.Unmarshal(body, dst)
	var semantic *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &semantic):
		// Not the error itself: it quotes the value, which may be a password.
		return matrix.Errorf(matrix.CodeBadJSON, "The value at %.200q in the request body has the wrong type.", semantic.JSONPointer).
			Because(fmt.Errorf("a JSON %v for a Go %v", semantic.JSONKind, semantic.GoType))
	}
	return matrix.Errorf(matrix.CodeBadJSON, "The request body does not have the shape this endpoint expects.")
}

// checkJSON makes sure that body is one JSON object that is not nested too
// deeply.
func checkJSON(body []byte) error {
	notJSON := matrix.Errorf(matrix.CodeNotJSON, "The request body is not valid JSON.")
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	kind := dec.PeekKind()
	for {
		_, err := dec.ReadToken()
		if err != nil {
			return notJSON.Because(err)
		}
		if dec.StackDepth() > maxDepth {
			return matrix.Errorf(matrix.CodeBadJSON, "The request body is nested more than %d levels deep.", maxDepth)
		}
		if dec.StackDepth() == 0 {
			break
		}
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return notJSON.Because(err)
	}
	if kind != '{' {
		return matrix.Errorf(matrix.CodeBadJSON, "The request body must be a JSON object.")
	}
	return nil
}
