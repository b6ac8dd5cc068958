package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"
)

// regTokenCommands are lethe registration-token ….
type regTokenCommands struct {
	Create regTokenCreate `cmd:"" help:"Create a registration token."`
	List   regTokenList   `cmd:"" help:"List registration tokens."`
	Delete regTokenDelete `cmd:"" help:"Delete a registration token."`
}

type regTokenAnswer struct {
	Token       string `json:"token"`
	UsesAllowed *int64 `json:"uses_allowed"`
	Pending     int64  `json:"pending"`
	Completed   int64  `json:"completed"`
	ExpiryTime  *int64 `json:"expiry_time"`
}

// regTokenCreate is lethe registration-token create.
type regTokenCreate struct {
	Token string        `arg:"" optional:"" help:"The token. Default: one is made up."`
	Uses  int64         `default:"-1" help:"How often it can be used; -1 is any number."`
	For   time.Duration `help:"How long it can be used, as 48h. Default: for ever."`
}

// Run creates a token.
func (c regTokenCreate) Run(inv *invocation) error {
	body := map[string]any{}
	if c.Token != "" {
		body["token"] = c.Token
	}
	if c.Uses >= 0 {
		body["uses_allowed"] = c.Uses
	}
	if c.For > 0 {
		body["expiry_time"] = time.Now().Add(c.For).UnixMilli()
	}
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodPost, "/registration_tokens", body, func(w io.Writer, t regTokenAnswer) {
			fmt.Fprintln(w, t.Token)
		})
	})
}

// regTokenList is lethe registration-token list.
type regTokenList struct{}

// Run lists tokens.
func (regTokenList) Run(inv *invocation) error {
	type page struct {
		Tokens []regTokenAnswer `json:"registration_tokens"`
	}
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodGet, "/registration_tokens", nil, func(w io.Writer, p page) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "TOKEN\tUSED\tUNDER WAY\tALLOWED\tUNTIL")
			for _, token := range p.Tokens {
				allowed, until := "any", "-"
				if token.UsesAllowed != nil {
					allowed = fmt.Sprint(*token.UsesAllowed)
				}
				if token.ExpiryTime != nil {
					until = moment(*token.ExpiryTime)
				}
				fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\n", token.Token, token.Completed, token.Pending, allowed, until)
			}
			_ = t.Flush()
		})
	})
}

// regTokenDelete is lethe registration-token delete.
type regTokenDelete struct {
	Token string `arg:"" help:"The token."`
}

// Run deletes a token.
func (c regTokenDelete) Run(inv *invocation) error {
	return inv.asOperator(func(o *operator) error {
		path := "/registration_tokens/" + url.PathEscape(c.Token)
		return show(o, http.MethodDelete, path, nil, func(w io.Writer, _ struct{}) { fmt.Fprintln(w, "Deleted", c.Token) })
	})
}
