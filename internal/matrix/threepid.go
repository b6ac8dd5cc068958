package matrix

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
)

// The media of third party identifiers (Appendices, 3PID Types).
const (
	MediumEmail  = "email"
	MediumMSISDN = "msisdn"
)

// Threepid is a third party identifier in canonical form.
type Threepid struct {
	Medium  string
	Address string
}

// ParseThreepid checks and canonicalises an identifier: e-mail addresses are
// case-folded, phone numbers have digits only (Appendices, 3PID Types). What it
// returns is its own canonical form.
func ParseThreepid(medium, address string) (Threepid, error) {
	switch medium {
	case MediumEmail:
		a, err := parseEmail(address)
		return Threepid{medium, a}, err
	case MediumMSISDN:
		a, err := parseMSISDN(address)
		return Threepid{medium, a}, err
	}
	return Threepid{}, fmt.Errorf("there are e-mail addresses (email) and phone numbers (msisdn), no other kind")
}

// maxEmail is the longest e-mail address that SMTP can carry (RFC 5321 §4.5.3.1).
const maxEmail = 254

func parseEmail(s string) (string, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" || a.Address != s || len(s) > maxEmail {
		return "", fmt.Errorf("this is not an e-mail address")
	}
	refused := func(c rune) bool {
		return !unicode.IsGraphic(c) || unicode.IsSpace(c) || strings.ContainsRune(`<>"`, c)
	}
	if strings.ContainsFunc(s, refused) {
		return "", fmt.Errorf("this e-mail address has characters that mail servers refuse")
	}
	folded := fold(s)
	if len(folded) > maxEmail { // some letters fold to several
		return "", fmt.Errorf("this e-mail address is too long")
	}
	return folded, nil
}

// fold is the case folding of Unicode. That of x/text changes Cherokee letters
// from one case to the other in both directions; they fold to capitals
// (Unicode, CaseFolding.txt).
func fold(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 0xab70 <= c && c <= 0xabbf:
			return c - 0xab70 + 0x13a0
		case 0x13f8 <= c && c <= 0x13fd:
			return c - 8
		}
		return c
	}, cases.Fold().String(s))
}

func parseMSISDN(s string) (string, error) {
	var digits strings.Builder
	for _, c := range s {
		switch {
		case '0' <= c && c <= '9':
			digits.WriteRune(c)
		case strings.ContainsRune(" +-().", c):
		default:
			return "", fmt.Errorf("this is not a phone number")
		}
	}
	// ITU-T E.164 §6.2.1: 15 digits at most.
	if n := digits.Len(); n < 5 || n > 15 {
		return "", fmt.Errorf("a phone number has 5 to 15 digits, with the country code")
	}
	return digits.String(), nil
}
