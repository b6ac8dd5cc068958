package deactivation

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Goes says when something about a person goes.
type Goes string

// When something goes.
const (
	AtEnding  Goes = "deactivation" // with the account, whether erased or not
	AtErasure Goes = "erasure"      // when the account is ended with erase
	WithTime  Goes = "time"
	Never     Goes = "never" // it stays, and Why says why
	NotAtAll  Goes = "-"     // it says nothing about a person
)

// Item is a line of the inventory: columns of one table that are treated alike.
// The inventory has every column of the schema; a test fails for one that is
// missing. It is also an operator's record of processing (GDPR Art. 30).
type Item struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
	// Owner is how a row names its person: a column, "" for none.
	Owner   string `json:"owner,omitzero"`
	Purpose string `json:"purpose"`
	Goes    Goes   `json:"goes"`
	// Why is why it stays, or when time ends it.
	Why string `json:"why,omitzero"`
	// Category is under which name the rows are counted; "" where they are not.
	Category string `json:"category,omitzero"`
	// Export is the file of the export that has it; "" with NotExported.
	Export      string `json:"export,omitzero"`
	NotExported string `json:"not_exported,omitzero"`
}

const (
	secretHash = "a hash of a secret says nothing that its owner does not know"
	keptName   = "a user id is never given out again, and the end of the account has to be known to refuse it"
	keptProof  = "the operator has to be able to show that, when and by whom an account was ended"
	technical  = "it is about the server's own work"
)

// Inventory is everything this server stores, by table.
var Inventory = []Item{
	{"accounts", []string{"user_id", "kind", "appservice_id", "created_at", "deactivated_at", "erased_pos"}, "user_id",
		"the account exists, or has ended", Never, keptName, "", "account.json", ""},
	{"accounts", []string{"is_admin", "locked_at", "suspended_at"}, "user_id",
		"what the account may do", Never, keptProof, "", "account.json", ""},
	{"accounts", []string{"password_hash"}, "user_id", "login", AtEnding, "", "password", "", secretHash},
	{"devices", []string{"user_id", "device_id", "display_name", "created_at", "last_seen_at", "last_seen_ip"}, "user_id",
		"sessions, and encryption between devices", AtEnding, "", "devices", "devices.json", ""},
	{"access_tokens", []string{"token_hash", "user_id", "device_id", "created_at", "expires_at", "retires"}, "user_id",
		"sessions", AtEnding, "", "access tokens", "", secretHash},
	{"refresh_tokens", []string{"token_hash", "user_id", "device_id", "created_at", "expires_at", "access_hash", "successor_hash"},
		"user_id", "sessions", AtEnding, "", "refresh tokens", "", secretHash},
	{"login_tokens", []string{"token_hash", "user_id", "expires_at"}, "user_id",
		"login of a further client", AtEnding, "or after minutes", "login tokens", "", secretHash},
	{"openid_tokens", []string{"token_hash", "user_id", "expires_at"}, "user_id",
		"proof of identity to third parties", AtEnding, "or after an hour", "OpenID tokens", "", secretHash},
	{"uia_sessions", []string{"session_hash", "endpoint", "user_id", "device_id", "subject", "completed", "stored",
		"offer", "registration_token", "created_at", "expires_at"}, "user_id",
		"authentication under way", AtEnding, "or after an hour", "authentication sessions", "", "it lasts for minutes"},
	{"validation_sessions", []string{"sid", "purpose", "user_id", "medium", "address", "client_secret", "send_attempt",
		"token_hash", "tries", "next_link", "validated_at", "created_at", "expires_at"}, "user_id",
		"validation of an address under way", AtEnding, "or after a day", "validation sessions", "", "it lasts for minutes"},
	{"threepids", []string{"medium", "address", "user_id", "validated_at", "added_at"}, "user_id",
		"login, new passwords, notices", AtEnding, "", "addresses", "threepids.json", ""},
	{"threepid_bindings", []string{"user_id", "medium", "address", "id_server", "bound_at"}, "user_id",
		"to unbind addresses at identity servers", AtEnding, "in a job until it is unbound", "bindings", "threepids.json", ""},
	{"connections", []string{"user_id", "device_id", "ip", "user_agent", "last_seen_at"}, "user_id",
		"to find abuse of an account", AtEnding, "or after address-log-days", "addresses in the log", "connections.json", ""},
	{"account_data", []string{"user_id", "room_id", "type", "content", "pos"}, "user_id",
		"settings of clients", AtEnding, "", "account data", "account_data.json", ""},
	{"filters", []string{"user_id", "filter_id", "content"}, "user_id",
		"settings of clients", AtEnding, "", "filters", "filters.json", ""},
	{"profile_fields", []string{"user_id", "name", "value"}, "user_id",
		"what others see of a person", AtErasure, "", "profile", "profile.json", ""},
	{"terms_accepted", []string{"user_id", "policy", "version", "accepted_at"}, "user_id",
		"proof of consent", AtErasure, "", "accepted terms", "terms.json", ""},
	{"deactivations", []string{"id", "user_id", "erase", "requested_by", "state", "created_at", "grace_until",
		"finished_at", "receipt"}, "user_id", "the ending, and its proof", Never, keptProof, "", "", "it is made after any export"},
	{"deactivations", []string{"id_server"}, "user_id", "the ending", Never, keptProof, "", "", "it is made after any export"},
	{"deactivations", []string{"undo_hash", "kept_password"}, "user_id",
		"to take an ending back", WithTime, "at the end of the grace period", "", "", secretHash},
	{"audit_log", []string{"id", "at", "actor", "action", "target", "detail"}, "target",
		"who did what to an account", Never, keptProof, "", "audit.json", ""},
	{"jobs", []string{"payload", "last_error"}, "", "an address that is to be unbound or written to",
		WithTime, "when the job is done", "", "threepids.json", ""},
	{"jobs", []string{"id", "kind", "subject", "unique_key", "state", "attempts", "run_at", "lease_owner", "lease_until",
		"created_at", "done_at"}, "", "durable work", NotAtAll, "", "", "", technical},
	{"deactivation_counts", []string{"deactivation_id", "category", "gone"}, "",
		"figures of the receipt", Never, keptProof, "", "", "it is made after any export"},
	{"registration_tokens", []string{"token", "uses_allowed", "completed", "expires_at", "created_at"}, "",
		"registration", NotAtAll, "", "", "", technical},
	{"server", []string{"id", "server_name", "created_at"}, "", "the server", NotAtAll, "", "", "", technical},
	{"server_keys", []string{"key_id", "seed", "created_at"}, "", "the server", NotAtAll, "", "", "", technical},
	{"holder", []string{"id", "process"}, "", "one process at a time", NotAtAll, "", "", "", technical},
	{"stream", []string{"id", "pos"}, "", "positions", NotAtAll, "", "", "", technical},
}

// categoryOf is how rows of a table are counted.
func categoryOf(table string) string {
	i := slices.IndexFunc(Inventory, func(it Item) bool { return it.Table == table && it.Category != "" })
	if i < 0 {
		panic("deactivation: the inventory has no category for " + table)
	}
	return Inventory[i].Category
}

// Staying is what is left of a person after the ending, and why.
type Staying struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// staying lists what stays after an ending.
func staying(erase bool) []Staying {
	var list []Staying
	for _, it := range Inventory {
		switch {
		case it.Goes == Never:
			list = append(list, Staying{it.Purpose + " (" + it.Table + ": " + strings.Join(it.Columns, ", ") + ")", it.Why})
		case it.Goes == AtErasure && !erase:
			list = append(list, Staying{it.Purpose + " (" + it.Table + ")", "the account was ended without erasure"})
		}
	}
	return list
}

// WriteTable writes the inventory for a terminal.
func WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "TABLE\tCOLUMNS\tPURPOSE\tGOES\tWHY OR WHEN\tCOUNTED AS\tEXPORT")
	for _, it := range Inventory {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", it.Table, strings.Join(it.Columns, ","), it.Purpose, it.Goes,
			it.Why, it.Category, it.Export)
	}
	return t.Flush()
}

// WriteMarkdown writes the inventory as a Markdown table.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| table | columns | person | purpose | goes | why or when | counted as | export |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|\n")
	for _, it := range Inventory {
		export := it.Export
		if export == "" {
			export = "no: " + it.NotExported
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", it.Table, strings.Join(it.Columns, ", "),
			it.Owner, it.Purpose, it.Goes, it.Why, it.Category, export)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
