package matrix_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/internal/matrix"
)

func TestXMatrixIsReadInEveryFormThatIsAllowed(t *testing.T) {
	want := matrix.XMatrix{
		Origin: "origin.hs.example.com", Destination: "destination.hs.example.com", Key: "ed25519:key1", Signature: "ABC+/9",
	}
	before := want
	before.Destination = ""
	for _, tc := range []struct {
		name, header string
		want         matrix.XMatrix
	}{
		{
			"the specification's example",
			`X-Matrix origin="origin.hs.example.com",destination="destination.hs.example.com",key="ed25519:key1",sig="ABC+/9"`, want,
		},
		{
			"not quoted, with colons (compatibility)",
			`X-Matrix origin=origin.hs.example.com,destination=destination.hs.example.com,key=ed25519:key1,sig=ABC+/9`, want,
		},
		{
			"any case, any order, several spaces",
			`x-mAtRiX   SIG="ABC+/9",Key="ed25519:key1",ORIGIN=origin.hs.example.com,destination="destination.hs.example.com"`, want,
		},
		{
			"spaces and tabs around commas and equals signs",
			"X-Matrix origin = \"origin.hs.example.com\" \t,\t key=ed25519:key1 , sig=\t\"ABC+/9\" ", before,
		},
		{"escapes", `X-Matrix origin="origin\.hs.example.com",key="ed\25519:\k\ey1",sig="ABC\+/9"`, before},
		{
			"unknown parameters, an empty one among them",
			`X-Matrix origin=origin.hs.example.com,realm="a, b=\"c\"",x=,key=ed25519:key1,sig=ABC+/9`, before,
		},
		{"from before v1.3", `X-Matrix origin=origin.hs.example.com,key="ed25519:key1",sig="ABC+/9"`, before},
		{"empty elements of the list (RFC 9110 §5.6.1)", `X-Matrix ,origin=origin.hs.example.com,,key="ed25519:key1", ,sig=ABC+/9,`, before},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := matrix.ParseXMatrix(tc.header)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("ParseXMatrix (-want +got):\n%s", diff)
			}
		})
	}
}

func TestXMatrixIsRefusedWhereItIsUnclear(t *testing.T) {
	for _, header := range []string{
		"", "X-Matrix", "X-Matrix ", "Bearer token", "X-Matrix-2 origin=a,key=b,sig=c", "X-Matrixorigin=a,key=b,sig=c",
		"X-Matrix origin", "X-Matrix =a", `X-Matrix "origin"=a,key=b,sig=c`, "X-Matrix ori gin=a,key=b,sig=c",
		"X-Matrix key=b,sig=c", "X-Matrix origin=a,sig=c", "X-Matrix origin=a,key=b", `X-Matrix origin=a,key="",sig=c`,
		"X-Matrix origin=,key=b,sig=c", "X-Matrix origin=a/b,key=b,sig=c", `X-Matrix origin="a b",key=b,sig=c`,
		"X-Matrix origin=a,origin=b,key=b,sig=c", "X-Matrix origin=a,key=b,sig=c,SIG=d", "X-Matrix origin=a,x=1,x=2,key=b,sig=c",
		`X-Matrix origin="a,key=b,sig=c`, `X-Matrix origin=a,key=b,sig="c\`, `X-Matrix origin=a,key=b,sig="c\"`,
		`X-Matrix origin=a key=b sig=c`, `X-Matrix origin="a"key="b"sig="c"`, `X-Matrix origin=a"b",key=b,sig=c`,
	} {
		if got, err := matrix.ParseXMatrix(header); err == nil {
			t.Errorf("ParseXMatrix(%q) = %+v, want an error", header, got)
		}
	}
}

func TestXMatrixIsWrittenAsOlderServersReadIt(t *testing.T) {
	x := matrix.XMatrix{Origin: "a.example", Destination: "[::1]:8448", Key: "ed25519:1", Signature: "K8+/"}
	const want = `X-Matrix origin="a.example",destination="[::1]:8448",key="ed25519:1",sig="K8+/"`
	if got := x.String(); got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
}

func TestXMatrixRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := matrix.XMatrix{
			Origin:      matrix.ServerName(rapid.StringMatching(`[a-z][a-z0-9.-]{0,20}(:[1-9][0-9]{0,3})?`).Draw(t, "origin")),
			Destination: rapid.String().Draw(t, "destination"),
			Key:         rapid.StringN(1, 20, -1).Draw(t, "key"),
			Signature:   rapid.StringN(1, 100, -1).Draw(t, "sig"),
		}
		got, err := matrix.ParseXMatrix(want.String())
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", want, diff)
		}
	})
}

func FuzzXMatrix(f *testing.F) {
	for _, seed := range []string{
		`X-Matrix origin="a",destination="b",key="ed25519:1",sig="c"`, `x-matrix ORIGIN=a,key=ed25519:1,sig=c,x="\""`,
		`X-Matrix origin=a, key = "b" , sig="\\"`, `X-Matrix origin="a`, `X-Matrix a=b=c,`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		x, err := matrix.ParseXMatrix(header)
		if err != nil {
			return
		}
		if x.Origin == "" || x.Key == "" || x.Signature == "" {
			t.Fatalf("ParseXMatrix(%q) = %+v", header, x)
		}
		again, err := matrix.ParseXMatrix(x.String())
		if err != nil || again != x {
			t.Fatalf("%+v is written as %q and read as %+v, %v", x, x.String(), again, err)
		}
	})
}
