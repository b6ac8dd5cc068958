package event_test

import (
	"bytes"
	"crypto/ed25519"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lethe/internal/event"
)

// specKey is the key of the specification's test vectors (Appendices,
// Cryptographic Test Vectors).
func specKey(t testing.TB) event.SigningKey {
	t.Helper()
	seed, err := event.DecodeBase64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
	if err != nil {
		t.Fatal(err)
	}
	key, err := event.KeyFromSeed("ed25519:1", seed)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const (
	sigEmpty = "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"
	sigOne   = "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"
	signed   = `{"one":1,"signatures":{"domain":{"ed25519:1":"` + sigOne + `"}},"two":"Two"}`
)

func TestSignaturesOfTheSpecification(t *testing.T) {
	key := specKey(t)
	for _, tc := range []struct{ in, want string }{
		{`{}`, `{"signatures":{"domain":{"ed25519:1":"` + sigEmpty + `"}}}`},
		{`{"two": "Two", "one": 1}`, signed},
		{ // what is not covered stays
			`{"one":1,"two":"Two","unsigned":{"age_ts":1000000},"signatures":{"other":{"ed25519:x":"YQ"},"domain":{"ed25519:0":"YQ"}}}`,
			`{"one":1,"signatures":{"domain":{"ed25519:0":"YQ","ed25519:1":"` + sigOne + `"},"other":{"ed25519:x":"YQ"}},` +
				`"two":"Two","unsigned":{"age_ts":1000000}}`,
		},
	} {
		got, err := event.SignJSON([]byte(tc.in), "domain", key)
		if err != nil || string(got) != tc.want {
			t.Errorf("SignJSON(%s) = %s, %v, want %s", tc.in, got, err, tc.want)
			continue
		}
		if err := event.VerifyJSON(got, "domain", "ed25519:1", key.Public()); err != nil {
			t.Errorf("VerifyJSON(%s): %v", got, err)
		}
	}
}

func TestVerifyJSONTakesWhatIsTheSame(t *testing.T) {
	public := specKey(t).Public()
	for name, obj := range map[string]string{
		"other order and space": "{\n\"two\":\"Two\", \"signatures\":{\"domain\":{\"ed25519:1\":\"" + sigOne + "\"}}, \"one\": 1 }",
		"other escapes":         strings.Replace(signed, `"Two"`, `"\u0054w\u006f"`, 1),
		"padding":               strings.Replace(signed, sigOne, sigOne+"==", 1),
		"unsigned added":        strings.Replace(signed, `{"one"`, `{"unsigned":{"age":5},"one"`, 1),
		"signatures added":      strings.Replace(signed, `{"domain"`, `{"other":{"x":"y"},"domain"`, 1),
	} {
		if err := event.VerifyJSON([]byte(obj), "domain", "ed25519:1", public); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyJSONRefusesWhatIsNot(t *testing.T) {
	public := specKey(t).Public()
	edit := func(from, to string) string {
		if !strings.Contains(signed, from) {
			t.Fatalf("the object has no %s", from)
		}
		return strings.Replace(signed, from, to, 1)
	}
	for name, obj := range map[string]string{
		"value changed": edit(`"one":1`, `"one":2`), "type changed": edit(`"one":1`, `"one":"1"`),
		"float": edit(`"one":1`, `"one":1.0`), "key's case changed": edit(`"one"`, `"One"`), "key removed": edit(`"one":1,`, ``),
		"key added": edit(`{"one"`, `{"zero":0,"one"`), "key twice": edit(`"one":1`, `"one":1,"one":1`),
		"signatures twice": edit(`{"one"`, `{"signatures":{},"one"`), "nested": `{"content":` + signed + `}`,
		"unsigned in another case": edit(`{"one"`, `{"Unsigned":{},"one"`), "text after": signed + "x", "space in string": edit("Two", "Two "),
		"invisible character": edit("Two", "Two\u200b"), "invalid UTF-8": edit("Two", "Two\xff"),
		"signature changed": edit(sigOne, "L"+sigOne[1:]), "signature cut": edit(sigOne, sigOne[:80]), "signature longer": edit(sigOne, sigOne+"AAAA"),
		"another signature": edit(sigOne, sigEmpty), "no base64": edit(sigOne, "-"+sigOne[1:]), "no signature": edit(sigOne, ""),
		"other signer": edit(`"domain"`, `"Domain"`), "other key id": edit(`ed25519:1`, `ed25519:2`),
		"no signatures": `{"one":1,"two":"Two"}`, "signatures null": `{"signatures":null}`, "signatures a list": `{"signatures":[]}`,
		"signer null": `{"signatures":{"domain":null}}`, "signature null": `{"signatures":{"domain":{"ed25519:1":null}}}`,
		"signature a number": `{"signatures":{"domain":{"ed25519:1":1}}}`,
		"a list":             `[]`, "null": `null`, "a string": `"x"`, "nothing": ``,
	} {
		if err := event.VerifyJSON([]byte(obj), "domain", "ed25519:1", public); err == nil {
			t.Errorf("%s is taken: %s", name, obj)
		}
	}
	for name, key := range map[string]ed25519.PublicKey{
		"no key": nil, "short key": public[:31], "another key": event.NewSigningKey().Public(), "weak key": make([]byte, 32),
	} {
		if err := event.VerifyJSON([]byte(signed), "domain", "ed25519:1", key); err == nil {
			t.Errorf("%s verifies", name)
		}
	}
	other := strings.ReplaceAll(signed, "ed25519:1", "rsa:1")
	if err := event.VerifyJSON([]byte(other), "domain", "rsa:1", public); err == nil {
		t.Error("an algorithm that the specification does not know is taken")
	}
}

func TestSignatureThatIsMadeLargerByTheGroupOrderIsRefused(t *testing.T) {
	// S and S+L both solve the equation; only the smaller is a signature (RFC 8032 §5.1.7).
	order := []byte{
		0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
	}
	sig, err := event.DecodeBase64(sigOne)
	if err != nil {
		t.Fatal(err)
	}
	carry := 0
	for i, b := range order {
		carry += int(sig[32+i]) + int(b)
		sig[32+i] = byte(carry)
		carry >>= 8
	}
	obj := strings.Replace(signed, sigOne, event.EncodeBase64(sig), 1)
	if err := event.VerifyJSON([]byte(obj), "domain", "ed25519:1", specKey(t).Public()); err == nil {
		t.Error("a second signature of the same object verifies")
	}
}

func TestSignJSONRefusesWhatCannotBeSigned(t *testing.T) {
	key := specKey(t)
	for _, obj := range []string{
		``, `null`, `[]`, `1`, `{"a":1.5}`, `{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"signatures":null}`, `{"signatures":[]}`,
		`{"signatures":{"domain":1}}`, `{"unsigned":1.5}`,
	} {
		if got, err := event.SignJSON([]byte(obj), "domain", key); err == nil {
			t.Errorf("SignJSON(%s) = %s, want an error", obj, got)
		}
	}
}

func TestSignedObjectsVerify(t *testing.T) {
	key := event.NewSigningKey()
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.MapOfN(rapid.String(), anyJSON(2), 0, 5).Draw(t, "object")
		delete(fields, "signatures")
		var obj bytes.Buffer
		write(t, &obj, fields)
		name := rapid.String().Draw(t, "name")
		got, err := event.SignJSON(obj.Bytes(), name, key)
		if err != nil {
			t.Fatal(err)
		}
		checkForm(t, got)
		if err := event.VerifyJSON(got, name, key.ID, key.Public()); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
	})
}

func TestKeys(t *testing.T) {
	key := event.NewSigningKey()
	if !regexp.MustCompile(`^ed25519:[a-zA-Z0-9_]+$`).MatchString(key.ID) {
		t.Errorf("the key's id is %q", key.ID)
	}
	if other := event.NewSigningKey(); other.ID == key.ID || bytes.Equal(other.Private, key.Private) {
		t.Error("two new keys are the same")
	}
	again, err := event.KeyFromSeed(key.ID, key.Private.Seed())
	if err != nil || !again.Private.Equal(key.Private) || again.ID != key.ID {
		t.Errorf("KeyFromSeed = %v, %v", again.ID, err)
	}
	for _, seed := range [][]byte{nil, make([]byte, 31), make([]byte, 64)} {
		if _, err := event.KeyFromSeed("ed25519:1", seed); err == nil {
			t.Errorf("a seed of %d bytes is taken", len(seed))
		}
	}
}

func TestBase64OfTheSpecification(t *testing.T) {
	for plain, encoded := range map[string]string{
		"": "", "f": "Zg", "fo": "Zm8", "foo": "Zm9v", "foob": "Zm9vYg", "fooba": "Zm9vYmE", "foobar": "Zm9vYmFy",
	} {
		if got := event.EncodeBase64([]byte(plain)); got != encoded {
			t.Errorf("EncodeBase64(%q) = %q, want %q", plain, got, encoded)
		}
		for _, in := range []string{encoded, encoded + strings.Repeat("=", (4-len(encoded)%4)%4)} {
			if got, err := event.DecodeBase64(in); err != nil || string(got) != plain {
				t.Errorf("DecodeBase64(%q) = %q, %v, want %q", in, got, err, plain)
			}
		}
	}
}
