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
// tokens may not have. Older servers cannot read escapes; valid names, key ids
// and signatures need none.
func (x XMatrix) String() string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
	return fmt.Sprintf(`X-Matrix origin="%s",destination="%s",key="%s",sig="%s"`,
		quote(string(x.Origin)), quote(x.Destination), quote(x.Key), quote(x.Signature))
}

// ParseXMatrix reads a header's value. Values may be quoted or not, parameter
// names and the scheme have any case, unknown parameters are passed over. The
// signature is called sig, as in the specification's examples and by every
// server; its list of parameters says signature.
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

// authParam reads one name=value (RFC 9110 §11.2), and what is between it and
// the next. Values that are not quoted may have more than the characters of
// tokens: older servers send colons, slashes and brackets.
func authParam(s string) (name, value, rest string, err error) {
	name, s, ok := strings.Cut(s, "=")
	name = strings.ToLower(strings.TrimRight(name, " \t"))
	if !ok || name == "" || strings.ContainsAny(name, " \t,\"") {
		return "", "", "", errors.New("the X-Matrix header is not a list of name=value")
	}
	s = strings.TrimLeft(s, " \t")
	if strings.HasPrefix(s, `"`) {
		if value, rest, ok = quotedString(s[1:]); !ok {
			return "", "", "", errors.New("the X-Matrix header has an unclosed quote")
		}
	} else {
		end := strings.IndexAny(s, ", \t\"")
		if end < 0 {
			end = len(s)
		}
		value, rest = s[:end], s[end:]
	}
	rest = strings.TrimLeft(rest, " \t")
	if rest != "" && rest[0] != ',' {
		return "", "", "", fmt.Errorf("the X-Matrix header has no comma after its parameter %q", name)
	}
	return name, value, rest, nil
}

// quotedString reads to the closing quote, with a backslash and a character
// replaced by the character (RFC 9110 §5.6.4). s begins after the opening quote.
func quotedString(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
