package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"lethe/client"
)

// accountCommands are lethe account ….
type accountCommands struct {
	Create        accountCreate        `cmd:"" help:"Create an account."`
	List          accountList          `cmd:"" help:"List accounts."`
	Show          accountShow          `cmd:"" help:"Show an account."`
	Deactivate    accountDeactivate    `cmd:"" help:"End an account."`
	Export        accountExport        `cmd:"" help:"Write everything that is stored about a person to a zip."`
	Reactivate    accountReactivate    `cmd:"" help:"Make an ended account usable again, if it was not erased."`
	ResetPassword accountResetPassword `cmd:"" help:"Set a new password and log out all devices."`
}

// passwordAnswer is what commands that set a password get.
type passwordAnswer struct {
	UserID   string `json:"user_id"`
	Password string `json:"password"`
}

// printPassword says what was done to whom.
func printPassword(what string) func(io.Writer, passwordAnswer) {
	return func(w io.Writer, a passwordAnswer) {
		fmt.Fprintf(w, "%s %s\n", what, a.UserID)
		if a.Password != "" {
			fmt.Fprintf(w, "Password: %s\n", a.Password)
		}
	}
}

// accountCreate is lethe account create.
type accountCreate struct {
	User         string `arg:"" help:"Name, or user id."`
	Admin        bool   `help:"Make it a server administrator."`
	PasswordFile string `placeholder:"FILE" help:"File with the password, - for standard input. Default: one is made up and shown."`
}

// Run creates an account.
func (c accountCreate) Run(inv *invocation) error {
	password, err := inv.readPassword(c.PasswordFile)
	if err != nil {
		return err
	}
	localpart, _, _ := strings.Cut(strings.TrimPrefix(c.User, "@"), ":")
	return inv.asOperator(func(o *operator) error {
		body := map[string]any{"localpart": localpart, "password": password, "admin": c.Admin}
		return show(o, http.MethodPost, "/users", body, printPassword("Created"))
	})
}

// accountList is lethe account list.
type accountList struct {
	Search      string `help:"Part of the user id."`
	Deactivated string `enum:",true,false" default:"" help:"Only ended accounts (true), or only others (false)."`
	Limit       int    `default:"100" help:"How many."`
	From        string `help:"The user id after which the list begins."`
}

type userAnswer struct {
	UserID        string `json:"user_id"`
	Kind          string `json:"kind"`
	Admin         bool   `json:"admin"`
	CreatedAt     int64  `json:"created_at"`
	LockedAt      int64  `json:"locked_at"`
	SuspendedAt   int64  `json:"suspended_at"`
	DeactivatedAt int64  `json:"deactivated_at"`
	Erased        bool   `json:"erased"`
	Devices       int    `json:"devices"`
	Threepids     int    `json:"threepids"`
}

// state is the account's state in words.
func (u userAnswer) state() string {
	switch {
	case u.Erased:
		return "erased"
	case u.DeactivatedAt != 0:
		return "deactivated"
	case u.LockedAt != 0:
		return "locked"
	case u.SuspendedAt != 0:
		return "suspended"
	}
	return "active"
}

// Run lists accounts.
func (c accountList) Run(inv *invocation) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"search": c.Search, "deactivated": c.Deactivated, "from": c.From} {
		if value != "" {
			query.Set(name, value)
		}
	}
	type page struct {
		Users []userAnswer `json:"users"`
		Next  string       `json:"next"`
	}
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodGet, "/users?"+query.Encode(), nil, func(w io.Writer, p page) {
			t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "USER\tKIND\tADMIN\tSTATE\tCREATED")
			for _, u := range p.Users {
				fmt.Fprintf(t, "%s\t%s\t%t\t%s\t%s\n", u.UserID, u.Kind, u.Admin, u.state(), moment(u.CreatedAt))
			}
			_ = t.Flush()
			if p.Next != "" {
				fmt.Fprintf(w, "There may be more: --from %s\n", p.Next)
			}
		})
	})
}

// accountShow is lethe account show.
type accountShow struct {
	User string `arg:"" help:"User id, or name."`
}

// Run shows an account.
func (c accountShow) Run(inv *invocation) error {
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodGet, userPath(c.User), nil, func(w io.Writer, u userAnswer) {
			fmt.Fprintf(w, "%s\n  kind       %s\n  admin      %t\n  state      %s\n  created    %s\n",
				u.UserID, u.Kind, u.Admin, u.state(), moment(u.CreatedAt))
			if u.DeactivatedAt != 0 {
				fmt.Fprintf(w, "  ended      %s\n", moment(u.DeactivatedAt))
			}
			fmt.Fprintf(w, "  devices    %d\n  addresses  %d\n", u.Devices, u.Threepids)
		})
	})
}

// accountDeactivate is lethe account deactivate. With --homeserver it is the
// person who ends their account, at any server; else the operator of this one.
type accountDeactivate struct {
	User         string `arg:"" help:"User id, or name."`
	Erase        bool   `help:"Erase what the person has left here, too."`
	IDServer     string `name:"id-server" placeholder:"HOST" help:"Identity server to unbind addresses at, beside where they are known to be bound."`
	DryRun       bool   `help:"Only tell what would go."`
	Yes          bool   `help:"Do not ask."`
	Homeserver   string `placeholder:"URL" help:"End your own account at this server, with your password."`
	PasswordFile string `placeholder:"FILE" help:"File with your password, for --homeserver; - for standard input."`
}

// Run ends an account, or tells what that would do.
func (c accountDeactivate) Run(inv *invocation) error {
	if c.Homeserver != "" && c.DryRun {
		return errors.New("--dry-run is for operators; it does not go with --homeserver")
	}
	if !c.Yes && !c.DryRun {
		question := "This ends the account " + c.User + ". It cannot log in any more, and its name is never given out again."
		if c.Erase {
			question += "\nWhat it has left here is erased."
		}
		if err := inv.confirm(question, c.User); err != nil {
			return err
		}
	}
	if c.Homeserver != "" {
		return c.own(inv)
	}
	body := map[string]any{"erase": c.Erase, "dry_run": c.DryRun}
	if c.IDServer != "" {
		body["id_server"] = c.IDServer
	}
	return inv.asOperator(func(o *operator) error {
		path := userPath(c.User) + "/deactivate"
		if c.DryRun {
			return show(o, http.MethodPost, path, body, printPreview)
		}
		return show(o, http.MethodPost, path, body, printEnded)
	})
}

type previewAnswer struct {
	UserID string           `json:"user_id"`
	Goes   map[string]int64 `json:"goes"`
	Stays  []struct {
		What string `json:"what"`
		Why  string `json:"why"`
	} `json:"stays"`
	Unbinds map[string]int64 `json:"unbinds"`
}

func printPreview(w io.Writer, p previewAnswer) {
	fmt.Fprintf(w, "What would go of %s:\n", p.UserID)
	for _, name := range slices.Sorted(maps.Keys(p.Goes)) {
		fmt.Fprintf(w, "  %6d  %s\n", p.Goes[name], name)
	}
	for _, server := range slices.Sorted(maps.Keys(p.Unbinds)) {
		fmt.Fprintf(w, "  %6d  to unbind at %s\n", p.Unbinds[server], server)
	}
	fmt.Fprintln(w, "What would stay, and why:")
	for _, s := range p.Stays {
		fmt.Fprintf(w, "  %s: %s\n", s.What, s.Why)
	}
}

type endedAnswer struct {
	ID        string `json:"id"`
	Unbind    string `json:"id_server_unbind_result"`
	UndoUntil int64  `json:"undo_until"`
	Undo      string `json:"undo"`
}

func printEnded(w io.Writer, e endedAnswer) {
	fmt.Fprintf(w, "The account has ended. %s\n", unbindWords(e.Unbind))
	if e.UndoUntil != 0 {
		fmt.Fprintf(w, "It can be undone until %s: lethe deactivation undo %s\n", moment(e.UndoUntil), e.ID)
	}
	fmt.Fprintf(w, "Progress: lethe deactivation show %s\nReceipt:  lethe deactivation receipt %s\n", e.ID, e.ID)
}

// unbindWords says what an id_server_unbind_result means.
func unbindWords(result string) string {
	if result == string(client.UnbindSuccess) {
		return "No address of it is bound at an identity server any more."
	}
	return "Not every identity server has confirmed that it is unbound there."
}

// own ends the account of whoever runs the command.
func (c accountDeactivate) own(inv *invocation) error {
	password, err := inv.readPassword(c.PasswordFile)
	if err != nil {
		return err
	}
	if password == "" {
		return errors.New("--homeserver needs --password-file")
	}
	api := &client.Client{BaseURL: strings.TrimRight(c.Homeserver, "/")}
	result, err := api.DeactivateAccount(inv.ctx, client.PasswordAuth(c.User, password), c.Erase, c.IDServer)
	if err != nil {
		return err
	}
	if inv.json {
		return inv.printJSON(map[string]string{"id_server_unbind_result": string(result)})
	}
	_, err = fmt.Fprintf(inv.out, "Your account has ended. %s\n", unbindWords(string(result)))
	return err
}

// accountExport is lethe account export.
type accountExport struct {
	User   string `arg:"" help:"User id, or name."`
	Output string `short:"o" placeholder:"FILE" help:"File to write, - for standard output. Default: NAME.zip."`
}

// Run writes the zip.
func (c accountExport) Run(inv *invocation) error {
	localpart, _, _ := strings.Cut(strings.TrimPrefix(c.User, "@"), ":")
	file := cmp.Or(c.Output, strings.ReplaceAll(localpart, "/", "_")+".zip")
	return inv.asOperator(func(o *operator) error {
		path := adminPath + userPath(c.User) + "/export"
		if file == "-" {
			return o.Download(inv.ctx, path, inv.out)
		}
		out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the file
		if err != nil {
			return err
		}
		if err := errors.Join(o.Download(inv.ctx, path, out), out.Close()); err != nil {
			return errors.Join(err, os.Remove(file))
		}
		if inv.json {
			return inv.printJSON(map[string]string{"file": file})
		}
		_, err = fmt.Fprintln(inv.out, "Written to", file)
		return err
	})
}

// accountReactivate is lethe account reactivate.
type accountReactivate struct {
	User         string `arg:"" help:"User id, or name."`
	PasswordFile string `placeholder:"FILE" help:"File with the new password, - for standard input. Default: one is made up and shown."`
}

// Run makes an account usable again.
func (c accountReactivate) Run(inv *invocation) error {
	return inv.withPassword(c.PasswordFile, userPath(c.User)+"/reactivate", "Reactivated")
}

// accountResetPassword is lethe account reset-password.
type accountResetPassword struct {
	User         string `arg:"" help:"User id, or name."`
	PasswordFile string `placeholder:"FILE" help:"File with the new password, - for standard input. Default: one is made up and shown."`
}

// Run sets a new password.
func (c accountResetPassword) Run(inv *invocation) error {
	return inv.withPassword(c.PasswordFile, userPath(c.User)+"/password", "New password for")
}

// withPassword makes a request whose only argument is a password.
func (inv *invocation) withPassword(file, path, what string) error {
	password, err := inv.readPassword(file)
	if err != nil {
		return err
	}
	return inv.asOperator(func(o *operator) error {
		return show(o, http.MethodPost, path, map[string]string{"password": password}, printPassword(what))
	})
}
