package event_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lethe/internal/event"
)

func TestCanonicalExamplesOfTheSpecification(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{}`, `{}`},
		{"{\n    \"one\": 1,\n    \"two\": \"Two\"\n}", `{"one":1,"two":"Two"}`},
		{"{\n    \"b\": \"2\",\n    \"a\": \"1\"\n}", `{"a":"1","b":"2"}`},
		{`{"b":"2","a":"1"}`, `{"a":"1","b":"2"}`},
		{
			`{"auth": {"success": true, "mxid": "@john.doe:example.com", "profile": {"display_name": "John Doe",
				"three_pids": [{"medium": "email", "address": "john.doe@example.org"}, {"medium": "msisdn", "address": "123456789"}]}}}`,
			`{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":` +
				`[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}`,
		},
		{`{"a": "日本語"}`, `{"a":"日本語"}`},
		{`{"本": 2, "日": 1}`, `{"日":1,"本":2}`},
		{`{"a": "\u65E5"}`, `{"a":"日"}`},
		{`{"a": null}`, `{"a":null}`},
		{`{"a": -0, "b": 1e10}`, `{"a":0,"b":10000000000}`},
	} {
		checkCanonical(t, tc.in, tc.want)
	}
}

func checkCanonical(t *testing.T, in, want string) {
	t.Helper()
	got, err := event.Canonical([]byte(in))
	if err != nil || string(got) != want {
		t.Errorf("Canonical(%s) = %s, %v, want %s", in, got, err, want)
	}
}

func TestCanonicalHasOneFormForAValue(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{` [ 1 , [ ] , { } , true , false , null ] `, `[1,[],{},true,false,null]`},
		{`"\u0000\u0001\b\t\n\u000B\f\r\u000e\u001F\u0020\u007f"`, `"\u0000\u0001\b\t\n\u000b\f\r\u000e\u001f` + " \x7f" + `"`},
		{`"\"\\\/<>&"`, `"\"\\/<>&"`},
		{`"\u2028\u00e9\ud83d\ude00"`, "\"\u2028é😀\""},
		{`{"\"":1,"\n":2,"\\":3}`, `{"\n":2,"\"":1,"\\":3}`}, // keys are in the order of what they say, not of their escapes
		{`{"\uffff":1,"😀":2}`, "{\"\uffff\":1,\"😀\":2}"},     // by code point: UTF-16 has them the other way round
		{`{"a":{"c":1,"b":[{"z":1,"y":2}]},"A":0,"":9}`, `{"":9,"A":0,"a":{"b":[{"y":2,"z":1}],"c":1}}`},
		{`9007199254740991`, `9007199254740991`},
		{`-9007199254740991`, `-9007199254740991`},
		{`[-0,0,1E3,1e+3,9e15,-2e00,0e7]`, `[0,0,1000,1000,9000000000000000,-2,0]`},
	} {
		checkCanonical(t, tc.in, tc.want)
	}
}

func TestCanonicalRefusesWhatHasNoCanonicalForm(t *testing.T) {
	for name, in := range map[string]string{
		"nothing": ``, "space": ` `, "two values": `{} {}`, "text after": `{}x`, "cut": `{"a":`, "cut array": `[1`,
		"trailing comma": `[1,]`, "comma in object": `{"a":1,}`, "no quotes": `{a:1}`, "apostrophes": `{'a':1}`,
		"fraction": `1.5`, "whole fraction": `1.0`, "negative exponent": `10e-1`, "zero with one": `0e-1`, "fraction and exponent": `1.5e1`,
		"too large": `9007199254740992`, "too small": `-9007199254740992`, "too large for int64": `9223372036854775808`,
		"too large exponent": `1e16`, "huge exponent": `1e999999999999`, "exponent beyond uint64": `1e99999999999999999999999`,
		"leading zero": `01`, "plus": `+1`, "NaN": `NaN`, "hexadecimal": `0x1`,
		"duplicate keys": `{"a":1,"a":1}`, "duplicate by escape": `{"a":1,"\u0061":2}`, "deep duplicate": `[{"a":{"b":1,"b":2}}]`,
		"invalid UTF-8": "\"\xff\"", "invalid in key": "{\"\xc3\":1}", "encoded surrogate": "\"\xed\xa0\x80\"",
		"lone surrogate": `"\ud800"`, "reversed surrogates": `"\ude00\ud83d"`, "control character": "\"\n\"", "bad escape": `"\x41"`,
		"byte order mark": "\xef\xbb\xbf{}", "comment": `{} // x`,
		"too deep": strings.Repeat("[", 101) + strings.Repeat("]", 101), "far too deep": strings.Repeat(`{"a":`, 100_000),
	} {
		if got, err := event.Canonical([]byte(in)); err == nil {
			t.Errorf("%s: Canonical = %.100s, want an error", name, got)
		}
	}
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	checkCanonical(t, deep, deep)
}

// anyJSON draws a value as encoding/json has it, of at most depth levels.
func anyJSON(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Int64Range(-1<<53+1, 1<<53-1).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(anyJSON(depth-1), 0, 4).AsAny(),
		rapid.MapOfN(rapid.String(), anyJSON(depth-1), 0, 5).AsAny())...)
}

// write encodes v with its keys in a drawn order, with drawn space and escapes.
func write(t *rapid.T, b *bytes.Buffer, v any) {
	space := func() { b.WriteString(rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r"}).Draw(t, "space")) }
	space()
	defer space()
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, key := range rapid.Permutation(slices.Sorted(maps.Keys(v))).Draw(t, "order") {
			if i > 0 {
				b.WriteByte(',')
			}
			write(t, b, key)
			b.WriteByte(':')
			write(t, b, v[key])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			write(t, b, item)
		}
		b.WriteByte(']')
	default:
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(rapid.Bool().Draw(t, "escapes"))
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCanonicalDoesNotDependOnHowAValueIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := anyJSON(3).Draw(t, "value")
		var one, other bytes.Buffer
		write(t, &one, value)
		write(t, &other, value)
		a, err := event.Canonical(one.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", one.Bytes(), err)
		}
		if b, err := event.Canonical(other.Bytes()); err != nil || !bytes.Equal(a, b) {
			t.Fatalf("%s is %s, and %s is %s, %v", one.Bytes(), a, other.Bytes(), b, err)
		}
		checkForm(t, a)
		if !sameJSON(one.Bytes(), a) {
			t.Fatalf("%s became %s", one.Bytes(), a)
		}
	})
}

// checkForm checks that c is canonical: not changed again, and without space.
func checkForm(t interface{ Fatalf(string, ...any) }, c []byte) {
	if again, err := event.Canonical(c); err != nil || !bytes.Equal(c, again) {
		t.Fatalf("%s became %s, %v", c, again, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, c); err != nil || !bytes.Equal(compact.Bytes(), c) {
		t.Fatalf("%s is not compact: %v", c, err)
	}
}

// sameJSON compares what the standard library reads.
func sameJSON(a, b []byte) bool {
	read := func(raw []byte) string {
		var v any
		if json.Unmarshal(raw, &v) != nil {
			return ""
		}
		out, _ := json.Marshal(v)
		return string(out)
	}
	return read(a) != "" && read(a) == read(b)
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"b":[1,-0,1e3],"a":"\u00e9\n"}`, `{"\"":{"a":null}}`, `[[[]]]`, `"\ud83d\ude00"`, `1e16`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := event.Canonical(in)
		if err != nil {
			return
		}
		checkForm(t, c)
	})
}

func BenchmarkCanonical(b *testing.B) {
	in := []byte(`{"type":"m.room.message","sender":"@alice:example.org","room_id":"!abcdefgh:example.org",
		"origin_server_ts":1767225600000,"depth":4711,"content":{"msgtype":"m.text","body":"` + strings.Repeat("Lethe ", 40) + `",
		"m.mentions":{"user_ids":["@bob:example.org"]}},"prev_events":["$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"],
		"auth_events":["$Aqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg","$Bqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"],
		"hashes":{"sha256":"5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},"signatures":{"example.org":{"ed25519:1":
		"KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"}},"unsigned":{"age":1}}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Canonical(in); err != nil {
			b.Fatal(err)
		}
	}
}
