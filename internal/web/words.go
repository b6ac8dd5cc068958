package web

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lethe/internal/deactivation"
	"lethe/internal/matrix"
)

// categories are the inventory's categories in people's words. A test looks for
// those that are missing.
var categories = map[string]string{
	"password":                "Your password (only a hash of it is kept)",
	"devices":                 "Devices you are signed in on",
	"access tokens":           "Keys of signed-in devices",
	"refresh tokens":          "Keys that renew those keys",
	"login tokens":            "Codes that sign in another device",
	"OpenID tokens":           "Proofs of who you are, for other services",
	"authentication sessions": "Actions that wait for your password",
	"validation sessions":     "Addresses that wait to be confirmed",
	"addresses":               "E-mail addresses and phone numbers",
	"bindings":                "Addresses published at identity servers",
	"addresses in the log":    "Places you connected from (network addresses)",
	"account data":            "Settings of your clients",
	"filters":                 "Filters of your clients",
	"profile":                 "Your profile: name, picture and the like",
	"accepted terms":          "Terms you accepted",
	"rooms":                   "Rooms you are in",
	"invites":                 "Rooms you were asked into",
	"knocks":                  "Rooms you have asked to be let into",
	"messages":                "Messages you have sent",
	"receipts":                "Marks of how far you have read",
	"typing":                  "Marks of when you were typing",
	"presence":                "Whether you are there, and what you say of it",
	"aliases made":            "That you have given rooms the addresses you gave them",
	"rooms for notices":       "Which room the server writes to you in",
	"changes of the profile":  "Changes of your name and picture under way",
	"reports":                 "What you reported to the operators of the server",
	"transaction ids":         "Marks by which a message is not sent twice",
	"unbound":                 "Addresses taken down at identity servers",
}

// purposes are those of the inventory's lines that can stay, in people's words. A
// test looks for those that are missing.
var purposes = map[string]string{
	"the account exists, or has ended":            "Your user id, when the account was made and when it ended",
	"what the account may do":                     "Whether the account was an administrator’s, locked or suspended",
	"the ending, and its proof":                   "The record of the ending, with its receipt",
	"who did what to an account":                  "What was done to the account, when and by whom",
	"figures of the receipt":                      "How much of each kind was deleted",
	"what others see of a person":                 "Your profile",
	"messages, and names and pictures in rooms":   "Your messages, and your name and picture in rooms",
	"that there was an event, by whom and when":   "That you have sent something, when and where",
	"who is in which room, or was":                "Which rooms you were in",
	"who was in which room when":                  "When you were in them",
	"what somebody has reported to the operators": "What you reported to the operators of the server",
	"the state of rooms, as event ids; a person's id is in it where it is a state key": "That you were in your rooms, in how they are stored", //nolint:lll // a name
	"proof of consent": "Which terms you accepted, and when",
}

// stepNames are the steps of an ending in people's words.
var stepNames = map[string]string{
	"devices":  "Delete your devices, and where they connected from",
	"data":     "Delete your settings",
	"profile":  "Delete your profile, and which terms you accepted",
	"rooms":    "Leave your rooms",
	"events":   "Delete your messages where nobody is left who may read them",
	"unbind":   "Take an address of yours down at",
	"finalise": "End the account for good",
	"notify":   "Send you the link that brings the account back",
}

func inWords(names map[string]string, name string) string {
	if text, ok := names[name]; ok {
		return text
	}
	return name
}

// amount is how much there is of something.
type amount struct {
	What string
	N    int64
}

// amounts lists categories in the order of the inventory, those it does not have
// last.
func amounts(counts map[string]int64) (list []amount) {
	seen := map[string]bool{}
	add := func(category string) {
		if n := counts[category]; n > 0 && !seen[category] {
			list = append(list, amount{inWords(categories, category), n})
		}
		seen[category] = true
	}
	for _, it := range deactivation.Inventory {
		add(it.Category)
	}
	rest := make([]string, 0, len(counts))
	for category := range counts {
		rest = append(rest, category)
	}
	slices.Sort(rest)
	for _, category := range rest {
		add(category)
	}
	return list
}

func unbinds(counts map[matrix.ServerName]int64) (list []amount) {
	for server, n := range counts {
		list = append(list, amount{string(server), n})
	}
	slices.SortFunc(list, func(a, b amount) int { return strings.Compare(a.What, b.What) })
	return list
}

// stay is what stays for one reason.
type stay struct {
	Why  string
	What []string
}

// staying is what stays in people's words, by reason. What the tables and columns
// are called is in the receipt and in the inventory.
func staying(list []deactivation.Staying) (stays []stay) {
	for _, s := range list {
		purpose, _, _ := strings.Cut(s.What, " (")
		i := slices.IndexFunc(stays, func(have stay) bool { return have.Why == s.Why })
		if i < 0 {
			i, stays = len(stays), append(stays, stay{Why: s.Why})
		}
		stays[i].What = append(stays[i].What, inWords(purposes, purpose))
	}
	return stays
}

// actor is who ended an account.
func actor(by string) string {
	kind, name, _ := strings.Cut(by, ":")
	switch kind {
	case string(deactivation.Self):
		return "you"
	case string(deactivation.Operator):
		return "the operator of this server"
	case "admin":
		return "the administrator " + name
	case "appservice":
		return "the application service " + name
	}
	return by
}

// moment is a point in time, for programs and for people.
type moment struct{ Machine, Human string }

// momentOf is nil for never.
func momentOf(t matrix.Timestamp) *moment {
	if t == 0 {
		return nil
	}
	at := t.Time().UTC()
	return &moment{at.Format(time.RFC3339), at.Format("2 January 2006, 15:04 UTC")}
}

// words says how long something takes: at least d, in the largest unit of which
// there are two, or one of exactly.
func words(d time.Duration) string {
	units := []struct {
		name string
		long time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}}
	for _, u := range units {
		if d < 2*u.long && d != u.long && u.long > time.Second {
			continue
		}
		n := int(math.Ceil(float64(d) / float64(u.long)))
		if n == 1 {
			return "1 " + u.name
		}
		return fmt.Sprintf("%d %ss", n, u.name)
	}
	return "" // the last unit takes everything
}
