package matrix_test

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"lethe/internal/matrix"
)

func TestThreepidsAreCanonical(t *testing.T) {
	for _, tc := range []struct{ medium, address, want string }{
		{"email", "bob@example.com", "bob@example.com"},
		{"email", "bob@Example.com", "bob@example.com"},
		{"email", "Strauß@Example.com", "strauss@example.com"}, // Appendices, 3PID Types, E-Mail
		{"email", "ΣΊΣΥΦΟΣ@example.com", "σίσυφοσ@example.com"},
		{"email", "\u13a0\u13f0@example.com", "\u13a0\u13f0@example.com"}, // Cherokee folds to capitals
		{"email", "\uab70\u13f8@example.com", "\u13a0\u13f0@example.com"},
		{"email", "a.b+tag@sub.example.co.uk", "a.b+tag@sub.example.co.uk"},
		{"email", "o'hara@localhost", "o'hara@localhost"},
		{"msisdn", "447700900001", "447700900001"},
		{"msisdn", "+44 7700-900.001", "447700900001"},
		{"msisdn", "(44) 7700 900001", "447700900001"},
		{"msisdn", "12345", "12345"},
		{"msisdn", "123456789012345", "123456789012345"},
	} {
		got, err := matrix.ParseThreepid(tc.medium, tc.address)
		if want := (matrix.Threepid{Medium: tc.medium, Address: tc.want}); err != nil || got != want {
			t.Errorf("ParseThreepid(%q, %q) = %+v, %v, want %+v", tc.medium, tc.address, got, err, want)
		}
	}
}

func TestWhatIsNoThreepidIsRefused(t *testing.T) {
	for _, tc := range []struct{ medium, address string }{
		{"", "a@example.org"},
		{"Email", "a@example.org"},
		{"fax", "123456789"},
		{"email", ""},
		{"email", "a"},
		{"email", "@example.org"},
		{"email", "a@"},
		{"email", "a@b@example.org"},
		{"email", " a@example.org"},
		{"email", "a@example.org "},
		{"email", "<a@example.org>"},
		{"email", "Alice <a@example.org>"},
		{"email", "mailto:a@example.org"},
		{"email", "a@example.org, b@example.org"},
		{"email", "a@example.org (comment)"},
		{"email", `"a b"@example.org`},
		{"email", "a@example.org\r\nBcc: b@example.org"},
		{"email", "a\x00@example.org"},
		{"email", "a\u0085b@example.org"},
		{"email", "a\u2028b@example.org"},
		{"email", "a\u202eb@example.org"},
		{"email", "a\u200bb@example.org"},
		{"email", "a\xff@example.org"},
		{"email", strings.Repeat("a", 245) + "@example.org"},
		{"email", strings.Repeat("ΐ", 100) + "@example.org"}, // 213 bytes, 613 when folded
		{"msisdn", ""},
		{"msisdn", "1234"},
		{"msisdn", "1234567890123456"},
		{"msisdn", "0044x7700900001"},
		{"msisdn", "٤٤٧٧٠٠٩٠٠٠٠١"},
		{"msisdn", "44\n7700900001"},
	} {
		if got, err := matrix.ParseThreepid(tc.medium, tc.address); err == nil {
			t.Errorf("ParseThreepid(%q, %q) = %+v, want an error", tc.medium, tc.address, got)
		}
	}
}

func TestEveryLetterFoldsOnce(t *testing.T) {
	for c := rune(0x80); c <= unicode.MaxRune; c++ {
		once, err := matrix.ParseThreepid("email", string(c)+"@example.org")
		if err != nil {
			continue
		}
		if twice, err := matrix.ParseThreepid("email", once.Address); err != nil || twice != once {
			t.Errorf("%U folds to %+q, and that to %+q, %v", c, once.Address, twice.Address, err)
		}
	}
}

func TestCanonicalThreepidsStayAsTheyAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		medium := rapid.SampledFrom([]string{matrix.MediumEmail, matrix.MediumMSISDN}).Draw(t, "medium")
		address := rapid.OneOf(
			rapid.StringMatching(`\PC{1,10}@[A-Za-z]{1,10}`), rapid.StringMatching(`[0-9 +().-]{5,20}`),
		).Draw(t, "address")
		once, err := matrix.ParseThreepid(medium, address)
		if err != nil {
			return
		}
		if twice, err := matrix.ParseThreepid(once.Medium, once.Address); err != nil || twice != once {
			t.Fatalf("%q is canonically %q, and that %q, %v", address, once.Address, twice.Address, err)
		}
	})
}
