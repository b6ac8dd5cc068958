package client

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// IDServerUnbindResult tells whether the server could take the account's
// identifiers back from the identity servers they were bound at.
type IDServerUnbindResult string

// The results that the specification knows (POST /account/deactivate).
const (
	// UnbindSuccess says that all are unbound, or that there were none.
	UnbindSuccess IDServerUnbindResult = "success"
	// UnbindNoSupport says that at least one is not: its identity server refused,
	// or nobody knows which one it is.
	UnbindNoSupport IDServerUnbindResult = "no-support"
)

// DeactivateAccount ends the account (Account deactivation): nobody can log in
// to it again, and nothing brings it back. With erase, the server is asked to
// erase as much as it can of what the account has sent. idServer is the identity
// server to unbind all identifiers from; "" leaves it to the server, which
// remembers where it bound them.
//
// The access token is sent if the client has one; without one, auth says which
// account it is. With a nil auth nothing ends: the error has the flows that the
// server offers, in [Error.UIA].
//
// Arguments that are not set are not sent. To the specification an `erase` that
// is false and one that is absent are the same, so a bool is all it takes;
// [Client.Deactivate] is for callers who want to send false.
//
// The result is what the server said, also where it is none of the constants:
// the account has ended. It has ended, too, where the error is an [*Error] with
// a StatusCode of 2xx, which says that the answer could not be read. After any
// other failure of the connection the caller does not know: a second call fails
// with [CodeUnknownToken] if it has.
func (c *Client) DeactivateAccount(ctx context.Context, auth Auth, erase bool, idServer string) (IDServerUnbindResult, error) {
	req := DeactivateRequest{IDServer: idServer}
	if erase {
		req.Erase = &erase
	}
	ended, err := c.Deactivate(ctx, auth, req)
	return ended.Unbind, err
}

// DeactivateRequest is how to end an account (POST /account/deactivate). What is
// not set is not sent.
type DeactivateRequest struct {
	Erase    *bool  `json:"erase,omitzero"`
	IDServer string `json:"id_server,omitzero"`
}

// Deactivation is what a server said when it ended an account.
type Deactivation struct {
	Unbind IDServerUnbindResult `json:"id_server_unbind_result"`
	// ID is for [Client.Receipt]; "" from servers other than Lethe. It is the
	// only way back to the receipt, since the session is gone: keep it.
	ID string `json:"org.lethe.deactivation_id"`
}

// Deactivate is [Client.DeactivateAccount] with all that can be sent, and all
// that comes back.
func (c *Client) Deactivate(ctx context.Context, auth Auth, req DeactivateRequest) (Deactivation, error) {
	var ended Deactivation
	err := c.post(ctx, "/_matrix/client/v3/account/deactivate", req, &ended, auth)
	return ended, err
}

// Export writes a copy of everything the server has about the account to w, as
// a zip. Servers other than Lethe answer [CodeUnrecognized]. After an error what
// was written is not complete.
func (c *Client) Export(ctx context.Context, w io.Writer) error {
	return c.Download(ctx, "/_lethe/client/v1/account/export", w)
}

// Timestamp is a time, in milliseconds since the epoch; 0 for none.
type Timestamp int64

// Time is the timestamp as a time.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t)) }

// Receipt says what of an account is gone, what stays and why, and what is still
// to do.
type Receipt struct {
	ID         string           `json:"id"`
	Server     string           `json:"server"`
	UserID     string           `json:"user_id"`
	Erase      bool             `json:"erase"`
	State      string           `json:"state"`
	Complete   bool             `json:"complete"` // nothing is left to do
	EndedAt    Timestamp        `json:"ended_at"`
	FinishedAt Timestamp        `json:"finished_at"`
	UndoUntil  Timestamp        `json:"undo_until"` // when the grace period ends
	Gone       map[string]int64 `json:"gone"`       // how many, by the category
	Stays      []Staying        `json:"stays"`
	Steps      []Step           `json:"steps"`
	// Raw is the receipt with its signature.
	Raw []byte `json:"-"`
}

// Staying is something that an ending leaves.
type Staying struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Step is a part of an ending, which the server tries until it is done.
type Step struct {
	Name      string    `json:"name"`
	Target    string    `json:"target"` // the identity server, for those that ask one
	State     string    `json:"state"`  // pending or done
	Attempts  int64     `json:"attempts"`
	LastError string    `json:"last_error"`
	NextTry   Timestamp `json:"next_try"`
	DoneAt    Timestamp `json:"done_at"`
}

// Receipt is the receipt of an ending: the final one once it is complete, before
// that one that tells how far it is. It takes no token, only the id.
func (c *Client) Receipt(ctx context.Context, id string) (Receipt, error) {
	var r Receipt
	path := "/_lethe/client/v1/deactivation/" + url.PathEscape(id) + "/receipt"
	err := c.WithToken("").Do(ctx, http.MethodGet, path, nil, &r)
	return r, err
}

// UnmarshalJSON reads a receipt, and keeps it as it is in Raw.
func (r *Receipt) UnmarshalJSON(raw []byte) error {
	type plain Receipt
	if err := decode(raw, (*plain)(r)); err != nil {
		return err
	}
	r.Raw = bytes.Clone(raw)
	return nil
}
