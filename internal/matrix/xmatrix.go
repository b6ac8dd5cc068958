package matrix

import (
	"errors"
	"fmt"
	"strings"
)

// XMatrix is the content of an `Authorization: X-Matrix` header (Server-Server
// API, Request Authentication).
type XMatrix struct {
	Origin      ServerName
	Destination string // "": the sender is from before v1.3
	Key         string
	Signature   string
}

// String is the header's value. Values are quoted: key ids have colons, which
// tokens may not have.
func (x XMatrix) String() string {
	return fmt.Sprintf(`X-Matrix origin="%s",destination="%s",key="%s",sig="%s"`,
		x.Origin, x.Destination, x.Key, x.Signature)
}

// ParseXMatrix reads a header's value. Values may be quoted or not, parameter
// names and the scheme have any case, unknown parameters are passed over.
func ParseXMatrix(header string) (XMatrix, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "X-Matrix") {
		return XMatrix{}, errors.New("the Authorization header is not of the scheme X-Matrix")
	}
	params := map[string]string{}
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			break
		}
		name, value, after, err := authParam(rest)
		if err != nil {
			return XMatrix{}, err
		}
		if _, ok := params[name]; ok {
			return XMatrix{}, fmt.Errorf("the X-Matrix header has two parameters %q", name)
		}
		params[name], rest = value, after
	}
	origin, err := ParseServerName(params["origin"])
	if err != nil {
		return XMatrix{}, fmt.Errorf("the X-Matrix header's origin is not valid: %w", err)
	}
	x := XMatrix{Origin: origin, Destination: params["destination"], Key: params["key"], Signature: params["sig"]}
	if x.Key == "" || x.Signature == "" {
		return XMatrix{}, errors.New("the X-Matrix header lacks its key or sig")
	}
	return x, nil
}

// authParam reads one name=value (RFC 9110 §11.2), value a token or a quoted
// string.
func authParam(s string) (name, value, rest string, err error) {
	name, s, ok := strings.Cut(s, "=")
	name = strings.ToLower(strings.TrimRight(name, " \t"))
	if !ok || name == "" || strings.ContainsAny(name, " \t,\"") {
		return "", "", "", errors.New("the X-Matrix header is not a list of name=value")
	}
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return name, s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return name, b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				break
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", "", errors.New("the X-Matrix header has an unclosed quote")
}
