package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"

	"lethe/client"
	"lethe/internal/deactivation"
)

// endingCommands are lethe deactivation ….
type endingCommands struct {
	List    endingList    `cmd:"" help:"List endings, latest first."`
	Show    endingShow    `cmd:"" help:"Show an ending with its steps."`
	Retry   endingRetry   `cmd:"" help:"Try all pending steps at once."`
	Undo    endingUndo    `cmd:"" help:"Take an ending back during its grace period."`
	Receipt endingReceipt `cmd:"" help:"Print the signed receipt, or check one."`
}

type endingAnswer struct {
	ID          string `json:"id"`
	UserID      string `json:"user_id"`
	Erase       bool   `json:"erase"`
	RequestedBy string `json:"requested_by"`
	State       string `json:"state"`
	CreatedAt   int64  `json:"created_at"`
	GraceUntil  int64  `json:"grace_until"`
	FinishedAt  int64  `json:"finished_at"`
	Steps       []struct {
		Name     string `json:"name"`
		Target   string `json:"target"`
		State    string `json:"state"`
		Attempts int64  `json:"attempts"`
		Error    string `json:"last_error"`
		NextTry  int64  `json:"next_try"`
	} `json:"steps"`
}

// endingList is lethe deactivation list.
type endingList struct {
	User  string `help:"Of this user id."`
	State string `enum:",grace,running,done,undone" default:"" help:"In this state: grace, running, done or undone."`
	Limit int    `default:"100" help:"How many."`
	From  string `help:"The ending after which the list begins."`
}

// Run lists endings.
func (c endingList) Run(inv *invocation) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"user_id": c.User, "state": c.State, "from": c.From} {
		if value != "" {
			query.Set(name, value)
		}
	}
	type page struct {
		Deactivations []endingAnswer `json:"deactivations"`
		Next          string         `json:"next"`
	}
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodGet, "/deactivations?"+query.Encode(), nil, func(w io.Writer, p page) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "ID\tUSER\tERASE\tSTATE\tSTEPS LEFT\tBEGAN\tFINISHED")
			for _, e := range p.Deactivations {
				left := 0
				for _, s := range e.Steps {
					if s.State != "done" {
						left++
					}
				}
				fmt.Fprintf(t, "%s\t%s\t%t\t%s\t%d\t%s\t%s\n", e.ID, e.UserID, e.Erase, e.State, left,
					moment(e.CreatedAt), moment(e.FinishedAt))
			}
			_ = t.Flush()
			if p.Next != "" {
				fmt.Fprintf(w, "There may be more: --from %s\n", p.Next)
			}
		})
	})
}

// endingShow is lethe deactivation show.
type endingShow struct {
	ID string `arg:"" help:"The ending's id."`
}

func printEnding(w io.Writer, e endingAnswer) {
	fmt.Fprintf(w, "%s\n  user      %s\n  erase     %t\n  by        %s\n  state     %s\n  began     %s\n",
		e.ID, e.UserID, e.Erase, e.RequestedBy, e.State, moment(e.CreatedAt))
	if e.GraceUntil != 0 {
		fmt.Fprintf(w, "  grace     until %s\n", moment(e.GraceUntil))
	}
	if e.FinishedAt != 0 {
		fmt.Fprintf(w, "  finished  %s\n", moment(e.FinishedAt))
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "STEP\tAT\tSTATE\tATTEMPTS\tNEXT TRY\tLAST ERROR")
	for _, s := range e.Steps {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Name, s.Target, s.State, s.Attempts, moment(s.NextTry), s.Error)
	}
	_ = t.Flush()
}

// Run shows an ending.
func (c endingShow) Run(inv *invocation) error {
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodGet, "/deactivations/"+url.PathEscape(c.ID), nil, printEnding)
	})
}

// endingRetry is lethe deactivation retry.
type endingRetry struct {
	ID string `arg:"" help:"The ending's id."`
}

// Run makes all pending steps due.
func (c endingRetry) Run(inv *invocation) error {
	type answer struct {
		Steps int64 `json:"steps"`
	}
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodPost, "/deactivations/"+url.PathEscape(c.ID)+"/retry", nil, func(w io.Writer, a answer) {
			fmt.Fprintf(w, "%d steps are tried again now.\n", a.Steps)
		})
	})
}

// endingUndo is lethe deactivation undo.
type endingUndo struct {
	ID string `arg:"" help:"The ending's id."`
}

// Run takes an ending back.
func (c endingUndo) Run(inv *invocation) error {
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodPost, "/deactivations/"+url.PathEscape(c.ID)+"/undo", nil, func(w io.Writer, _ struct{}) {
			fmt.Fprintln(w, "The account is usable again, with its old password.")
		})
	})
}

// endingReceipt is lethe deactivation receipt. A receipt is checked with the key
// that the server publishes, or one that was noted earlier.
type endingReceipt struct {
	ID     string `arg:"" optional:"" help:"The ending's id; not with --verify."`
	Verify string `placeholder:"FILE" help:"Check the receipt in this file, - for standard input."`
	Server string `placeholder:"URL" help:"Where the server that signed it publishes its key. Default: the address in its name, with https."`
	Key    string `placeholder:"ID=KEY" help:"Its key, as ed25519:abc=BASE64, in place of asking the server."`
}

// Run prints a receipt, or checks one.
func (c endingReceipt) Run(inv *invocation) error {
	if c.Verify != "" {
		return c.verify(inv)
	}
	if c.ID == "" {
		return errors.New("say whose receipt: the ending's id, or --verify FILE")
	}
	return inv.asOperator(func(o *operator) error {
		raw, err := o.call(http.MethodGet, "/deactivations/"+url.PathEscape(c.ID)+"/receipt", nil)
		if err != nil {
			return err
		}
		return inv.printRaw(raw)
	})
}

func (c endingReceipt) verify(inv *invocation) error {
	raw, err := inv.readFileOrInput(c.Verify)
	if err != nil {
		return err
	}
	keyID, key, err := c.keyFor(inv, raw)
	if err != nil {
		return err
	}
	receipt, err := deactivation.VerifyReceipt(raw, keyID, key)
	if err != nil {
		return err
	}
	if inv.json {
		return inv.printJSON(map[string]any{"valid": true, "server": receipt.Server, "key": keyID, "id": receipt.ID})
	}
	_, err = fmt.Fprintf(inv.out, "The receipt is genuine: %s signed it with %s.\n%s, %s, complete: %t\n",
		receipt.Server, keyID, receipt.UserID, receipt.ID, receipt.Complete)
	return err
}

// keyFor is the key with which a receipt says it is signed.
func (c endingReceipt) keyFor(inv *invocation, raw []byte) (id string, key ed25519.PublicKey, err error) {
	var signed struct {
		Server     string                       `json:"server"`
		Signatures map[string]map[string]string `json:"signatures"`
	}
	if err := json.Unmarshal(raw, &signed); err != nil {
		return "", nil, fmt.Errorf("this is not a receipt: %w", err)
	}
	if c.Key != "" {
		id, encoded, _ := strings.Cut(c.Key, "=")
		key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
		return id, key, err
	}
	base := strings.TrimRight(c.Server, "/")
	if base == "" {
		base = "https://" + signed.Server
	}
	var published struct {
		Keys map[string]struct {
			Key string `json:"key"`
		} `json:"verify_keys"`
	}
	api := &client.Client{BaseURL: base}
	if err := api.Do(inv.ctx, http.MethodGet, "/_matrix/key/v2/server", nil, &published); err != nil {
		return "", nil, fmt.Errorf("the key of %s: %w", signed.Server, err)
	}
	for id := range signed.Signatures[signed.Server] {
		if k, ok := published.Keys[id]; ok {
			key, err := base64.RawStdEncoding.DecodeString(k.Key)
			return id, key, err
		}
	}
	return "", nil, fmt.Errorf("%s does not publish a key that the receipt is signed with", signed.Server)
}
