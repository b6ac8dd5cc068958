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

// passwordCategory is counted by hand: the password is a column, not a row.
const passwordCategory = "password"

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
