package matrix_test

import (
	"strings"
	"testing"
	"time"

	"lethe/internal/matrix"
)

func TestServerNamesOfTheGrammarAreTaken(t *testing.T) {
	for _, name := range []string{
		// The examples of the specification (Appendices, Server Name).
		"matrix.org", "matrix.org:8888", "1.2.3.4", "1.2.3.4:1234", "[1234:5678::abcd]", "[1234:5678::abcd]:5678",
		// Its edges.
		"localhost", "MATRIX.org", "a", "xn--bcher-kva.example", "under-score.example", "1.2.3", "1.2.3.4.5",
		"1.2.3.four", "256.example.org.a", "0.0.0.0", "255.255.255.255", "[::]", "[::1]:8448", "[::ffff:1.2.3.4]",
		"example.org:1", "example.org:65535", "example.org:08448",
		strings.Repeat("a", 255), strings.Repeat("a", 255) + ":65535",
	} {
		got, err := matrix.ParseServerName(name)
		if err != nil || string(got) != name {
			t.Errorf("ParseServerName(%q) = %q, %v", name, got, err)
		}
	}
}

func TestOtherServerNamesAreRefused(t *testing.T) {
	for _, name := range []string{
		"", ":", ":8448", "example.org:", "example.org:0", "example.org:65536", "example.org:123456", "example.org:8448:1",
		"example.org:-1", "example.org:+1", "example.org: 1", "example.org:٨", "example.org/", "https://example.org",
		"user@example.org", "exa mple.org", "example.org\n", "exa\x00mple", "under_score.example", "bücher.example", "*",
		"256.1.1.1", "1.2.3.999:8448",
		"[", "[]", "]", "[::1", "::1", "[::1]x", "[::1]8448", "[::1]:", "[1.2.3.4]", "[example.org]", "[fe80::1%eth0]",
		"[::g]", "[:]", "[1:2:3:4:5:6:7:8:9]", "[[::1]]", "x[::1]",
		strings.Repeat("a", 256),
	} {
		if got, err := matrix.ParseServerName(name); err == nil || got != "" {
			t.Errorf("ParseServerName(%q) = %q, %v, want an error", name, got, err)
		}
	}
}

func TestUserIDsAreTakenWithHistoricalLocalparts(t *testing.T) {
	longest := "@" + strings.Repeat("a", 255-len("@:example.org")) + ":example.org"
	for _, tc := range []struct{ id, localpart, server string }{
		{"@alice:example.org", "alice", "example.org"},
		{"@._=-/+0:example.org:8448", "._=-/+0", "example.org:8448"},
		{"@a:[::1]:8448", "a", "[::1]:8448"},
		// Appendices, Historical User IDs.
		{"@:example.org", "", "example.org"},
		{"@Alice@B !:example.org", "Alice@B !", "example.org"},
		{"@\x01\x7f\n:example.org", "\x01\x7f\n", "example.org"},
		{"@日本語😀:example.org", "日本語😀", "example.org"},
		{longest, longest[1 : len(longest)-len(":example.org")], "example.org"},
	} {
		u, err := matrix.ParseUserID(tc.id)
		if err != nil {
			t.Errorf("ParseUserID(%q): %v", tc.id, err)
			continue
		}
		if u.Localpart() != tc.localpart || string(u.Server()) != tc.server {
			t.Errorf("%q has localpart %q and server %q, want %q and %q", tc.id, u.Localpart(), u.Server(), tc.localpart, tc.server)
		}
	}
}

func TestWhatIsNoUserIDIsRefused(t *testing.T) {
	for _, id := range []string{
		"", "@", "alice", "alice:example.org", "@alice", "@alice:", "@alice:exa mple", "@a:b:c:d", "!alice:example.org",
		" @alice:example.org", "@al\x00ice:example.org", "@\xff:example.org", "@\xed\xa0\x80:example.org",
		"@" + strings.Repeat("a", 256-len("@:example.org")) + ":example.org",
		"@" + strings.Repeat("ä", 122) + ":example.org", // 255 characters would fit, its bytes do not
	} {
		if got, err := matrix.ParseUserID(id); err == nil || got != "" {
			t.Errorf("ParseUserID(%q) = %q, %v, want an error", id, got, err)
		}
	}
}

func TestNewAccountsHaveTheNarrowLocalpart(t *testing.T) {
	long := strings.Repeat("a", 255-len("@:example.org"))
	for _, localpart := range []string{"a", "alice", "0._=-/+9", long} {
		if err := matrix.ParseLocalpart(localpart, "example.org"); err != nil {
			t.Errorf("ParseLocalpart(%q): %v", localpart, err)
		}
		if _, err := matrix.ParseUserID(string(matrix.NewUserID(localpart, "example.org"))); err != nil {
			t.Errorf("the id of %q: %v", localpart, err)
		}
	}
	for _, localpart := range []string{"", "Alice", "a b", "a:b", "a@b", "ä", "a*", "a\n", "a\x00", long + "a"} {
		if err := matrix.ParseLocalpart(localpart, "example.org"); err == nil {
			t.Errorf("ParseLocalpart(%q) is taken", localpart)
		}
	}
}

func TestTimestampsAreMilliseconds(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	ts := matrix.TimestampOf(at)
	if want := at.Truncate(time.Millisecond); !ts.Time().Equal(want) || int64(ts) != want.UnixMilli() {
		t.Errorf("TimestampOf(%v) = %d", at, ts)
	}
	if got := ts.Add(1500 * time.Millisecond); got != ts+1500 {
		t.Errorf("Add(1.5s) = %d, want %d", got, ts+1500)
	}
}

func FuzzParseUserID(f *testing.F) {
	for _, seed := range []string{"@alice:example.org", "@:a:1", "@a:[::1]:80", "@日:x", "@a:1.2.3.4", "@\xff:a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := matrix.ParseUserID(s)
		if err != nil {
			return
		}
		if string(u) != s || len(s) > matrix.MaxIDLength {
			t.Fatalf("ParseUserID(%q) = %q", s, u)
		}
		if again := matrix.NewUserID(u.Localpart(), u.Server()); again != u {
			t.Fatalf("the parts of %q make %q", u, again)
		}
		if _, err := matrix.ParseServerName(string(u.Server())); err != nil {
			t.Fatalf("%q has the server %q: %v", u, u.Server(), err)
		}
		if strings.ContainsAny(u.Localpart(), ":\x00") {
			t.Fatalf("%q has the localpart %q", u, u.Localpart())
		}
	})
}

func FuzzParseServerName(f *testing.F) {
	for _, seed := range []string{"matrix.org:8888", "1.2.3.4", "[1234:5678::abcd]:5678", "a:b", "[", "999.1.1.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := matrix.ParseServerName(s)
		if err != nil {
			return
		}
		if string(name) != s {
			t.Fatalf("ParseServerName(%q) = %q", s, name)
		}
		if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]") != "" || len(s) > 261 {
			t.Fatalf("ParseServerName takes %q", s)
		}
	})
}
