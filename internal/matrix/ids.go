package matrix

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxIDLength is the longest a user id, room id, alias or event id may be, in
// bytes, sigil and server name included (Appendices, Common Identifier Format).
const MaxIDLength = 255

// maxHost is the longest a host name may be, in bytes (Appendices, Server Name).
const maxHost = 255

// ServerName is a valid server name: a host name, an IPv4 address or an IPv6
// address in brackets, and perhaps a port (Appendices, Server Name).
type ServerName string

// ParseServerName checks s against the grammar of server names. Host names are
// taken as the grammar has them, labels that no name server would give included;
// ports are those that exist.
func ParseServerName(s string) (ServerName, error) {
	var host, port string
	var hasPort bool
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", fmt.Errorf("server name has an unclosed bracket")
		}
		host = s[:end+1]
		if rest := s[end+1:]; rest != "" {
			if rest[0] != ':' {
				return "", fmt.Errorf("server name has text after its brackets")
			}
			port, hasPort = rest[1:], true
		}
	} else {
		host, port, hasPort = strings.Cut(s, ":")
	}
	if err := checkHost(host); err != nil {
		return "", err
	}
	if hasPort && !validPort(port) {
		return "", fmt.Errorf("server name has no valid port after its colon")
	}
	return ServerName(s), nil
}

func checkHost(host string) error {
	if host == "" || len(host) > maxHost {
		return fmt.Errorf("server name must have a host of 1 to %d bytes", maxHost)
	}
	if host[0] == '[' {
		ip, err := netip.ParseAddr(host[1 : len(host)-1])
		if err != nil || !ip.Is6() || ip.Zone() != "" {
			return fmt.Errorf("server name has no IPv6 address in its brackets")
		}
		return nil
	}
	for i := range len(host) {
		if c := host[i]; !isAlnum(c) && c != '-' && c != '.' {
			return fmt.Errorf("server name has the character %q, which host names do not have", c)
		}
	}
	return checkIPv4(host)
}

// checkIPv4 refuses what has the form of an IPv4 literal and is none.
func checkIPv4(host string) error {
	groups := strings.Split(host, ".")
	if len(groups) != 4 {
		return nil
	}
	inRange := true
	for _, g := range groups {
		if len(g) < 1 || len(g) > 3 || strings.Trim(g, "0123456789") != "" {
			return nil // a name
		}
		n, _ := strconv.Atoi(g)
		inRange = inRange && n < 256
	}
	if !inRange {
		return fmt.Errorf("server name is an IPv4 address with a number above 255")
	}
	return nil
}

func validPort(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	n, _ := strconv.Atoi(s)
	return n > 0 && n < 65536
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// UserID is a syntactically valid user id, `@localpart:server`; historical
// localparts are valid too (Appendices, User Identifiers).
type UserID string

// ParseUserID checks s against the grammar of user ids, with the historical
// one for the localpart: any character but a colon and NUL.
func ParseUserID(s string) (UserID, error) {
	if len(s) > MaxIDLength {
		return "", fmt.Errorf("user id has more than %d bytes", MaxIDLength)
	}
	if !strings.HasPrefix(s, "@") {
		return "", fmt.Errorf("user id does not begin with @")
	}
	localpart, server, ok := strings.Cut(s[1:], ":")
	if !ok {
		return "", fmt.Errorf("user id has no server name")
	}
	if !utf8.ValidString(localpart) || strings.ContainsRune(localpart, 0) {
		return "", fmt.Errorf("user id has an invalid localpart")
	}
	if _, err := ParseServerName(server); err != nil {
		return "", err
	}
	return UserID(s), nil
}

// NewUserID makes the id of localpart at server. It does not check them: the
// localpart must come from [ParseLocalpart] or an existing id.
func NewUserID(localpart string, server ServerName) UserID {
	return UserID("@" + localpart + ":" + string(server))
}

// Localpart is the part between @ and the first colon.
func (u UserID) Localpart() string {
	localpart, _, _ := strings.Cut(strings.TrimPrefix(string(u), "@"), ":")
	return localpart
}

// Server is the part after the first colon.
func (u UserID) Server() ServerName {
	_, server, _ := strings.Cut(string(u), ":")
	return ServerName(server)
}

// ParseLocalpart checks the localpart of an account that is to be created at
// server: a-z, 0-9 and ._=-/+ only, not empty, and short enough for the whole
// id (Appendices, User Identifiers). Historical forms exist, but no new ones
// are made.
func ParseLocalpart(localpart string, server ServerName) error {
	if localpart == "" {
		return fmt.Errorf("the username is empty")
	}
	for i := range len(localpart) {
		c := localpart[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("._=-/+", c) >= 0) {
			return fmt.Errorf("a username can only have the characters a-z, 0-9 and ._=-/+")
		}
	}
	if n := len(NewUserID(localpart, server)); n > MaxIDLength {
		return fmt.Errorf("the user id would have %d bytes, more than %d", n, MaxIDLength)
	}
	return nil
}

// Timestamp is a time in milliseconds since the Unix epoch, as the
// specification and the database write it.
type Timestamp int64

// TimestampOf converts t.
func TimestampOf(t time.Time) Timestamp { return Timestamp(t.UnixMilli()) }

// Time converts ts.
func (ts Timestamp) Time() time.Time { return time.UnixMilli(int64(ts)) }

// Add returns the moment d after ts.
func (ts Timestamp) Add(d time.Duration) Timestamp { return ts + Timestamp(d.Milliseconds()) }

// RoomID is a room id: `!opaque:server`, or from room version 12 on `!` and the
// hash of the create event (Appendices, Room IDs).
type RoomID string

// ParseRoomID checks s against the grammar of room ids, old and new.
func ParseRoomID(s string) (RoomID, error) {
	switch {
	case len(s) > MaxIDLength:
		return "", fmt.Errorf("room id has more than %d bytes", MaxIDLength)
	case len(s) < 2 || s[0] != '!':
		return "", errors.New("room id has no ! at its beginning")
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return "", fmt.Errorf("room id has invalid characters")
	}
	if _, server, ok := strings.Cut(s, ":"); ok {
		if _, err := ParseServerName(server); err != nil {
			return "", err
		}
	}
	return RoomID(s), nil
}

// RoomAlias is a room alias, `#localpart:server` (Appendices, Room Aliases).
type RoomAlias string

// ParseRoomAlias checks s against the grammar of room aliases.
func ParseRoomAlias(s string) (RoomAlias, error) {
	localpart, server, ok := strings.Cut(strings.TrimPrefix(s, "#"), ":")
	switch {
	case len(s) > MaxIDLength:
		return "", fmt.Errorf("room alias has more than %d bytes", MaxIDLength)
	case s == "" || s[0] != '#' || !ok || localpart == "":
		return "", fmt.Errorf("room alias is not #localpart:server")
	case !utf8.ValidString(localpart) || strings.ContainsRune(localpart, 0):
		return "", fmt.Errorf("room alias has an invalid localpart")
	}
	if _, err := ParseServerName(server); err != nil {
		return "", err
	}
	return RoomAlias(s), nil
}

// Server is the part after the first colon.
func (a RoomAlias) Server() ServerName {
	_, server, _ := strings.Cut(string(a), ":")
	return ServerName(server)
}
