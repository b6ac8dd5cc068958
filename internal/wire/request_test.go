package wire_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// loginBody has a field of every type that bodies have.
type loginBody struct {
	Type       string            `json:"type"`
	Refresh    bool              `json:"refresh_token"`
	Number     int64             `json:"number"`
	Small      int8              `json:"small"`
	Pointer    *string           `json:"pointer"`
	List       []string          `json:"list"`
	Map        map[string]string `json:"map"`
	Raw        jsontext.Value    `json:"raw"`
	Identifier struct {
		Type string `json:"type"`
		User string `json:"user"`
	} `json:"identifier"`
}

func TestDecodeTellsNoJSONFromTheWrongShape(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want matrix.Code
	}{
		"empty":                     {``, matrix.CodeNotJSON},
		"space":                     {" \n", matrix.CodeNotJSON},
		"text":                      {`hello`, matrix.CodeNotJSON},
		"form":                      {`a=b&c=d`, matrix.CodeNotJSON},
		"cut":                       {`{"type":`, matrix.CodeNotJSON},
		"two values":                {`{}{}`, matrix.CodeNotJSON},
		"trailing comma":            {`{"type":"a",}`, matrix.CodeNotJSON},
		"single quotes":             {`{'type':'a'}`, matrix.CodeNotJSON},
		"NaN":                       {`{"number":NaN}`, matrix.CodeNotJSON},
		"duplicate keys":            {`{"type":"a","type":"b"}`, matrix.CodeNotJSON},
		"duplicate keys by escape":  {`{"type":"a","\u0074ype":"b"}`, matrix.CodeNotJSON},
		"duplicate keys, unknown":   {`{"x":{"y":1,"y":1}}`, matrix.CodeNotJSON},
		"invalid UTF-8":             {"{\"type\":\"\xff\"}", matrix.CodeNotJSON},
		"invalid UTF-8, unknown":    {"{\"x\":\"\xff\"}", matrix.CodeNotJSON},
		"lone surrogate":            {`{"type":"\ud800"}`, matrix.CodeNotJSON},
		"byte order mark":           {"\xef\xbb\xbf{}", matrix.CodeNotJSON},
		"null":                      {`null`, matrix.CodeBadJSON},
		"list":                      {`[]`, matrix.CodeBadJSON},
		"list of objects":           {`[{"type":"a"}]`, matrix.CodeBadJSON},
		"string":                    {`"type"`, matrix.CodeBadJSON},
		"number":                    {`1`, matrix.CodeBadJSON},
		"true":                      {`true`, matrix.CodeBadJSON},
		"number for string":         {`{"type":1}`, matrix.CodeBadJSON},
		"string for bool":           {`{"refresh_token":"true"}`, matrix.CodeBadJSON},
		"number for bool":           {`{"refresh_token":1}`, matrix.CodeBadJSON},
		"string for number":         {`{"number":"1"}`, matrix.CodeBadJSON},
		"fraction":                  {`{"number":1.5}`, matrix.CodeBadJSON},
		"whole fraction":            {`{"number":1.0}`, matrix.CodeBadJSON},
		"exponent":                  {`{"number":1e3}`, matrix.CodeBadJSON},
		"beyond int64":              {`{"number":9223372036854775808}`, matrix.CodeBadJSON},
		"below int64":               {`{"number":-9223372036854775809}`, matrix.CodeBadJSON},
		"beyond int8":               {`{"small":128}`, matrix.CodeBadJSON},
		"list for object":           {`{"identifier":[]}`, matrix.CodeBadJSON},
		"string for object":         {`{"identifier":"a"}`, matrix.CodeBadJSON},
		"object for list":           {`{"list":{}}`, matrix.CodeBadJSON},
		"number in list":            {`{"list":["a",1]}`, matrix.CodeBadJSON},
		"number in map":             {`{"map":{"a":1}}`, matrix.CodeBadJSON},
		"deep":                      {`{"identifier":{"user":{}}}`, matrix.CodeBadJSON},
		"too deep":                  {`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, matrix.CodeBadJSON},
		"far too deep, and cut":     {`{"x":` + strings.Repeat("[", 500_000), matrix.CodeBadJSON},
		"far too deep with objects": {strings.Repeat(`{"x":`, 100_000), matrix.CodeBadJSON},
	} {
		t.Run(name, func(t *testing.T) {
			var got loginBody
			if code := matrix.CodeOf(wire.DecodeJSON([]byte(tc.body), &got)); code != tc.want {
				t.Errorf("DecodeJSON(%.80q): %q, want %s", tc.body, code, tc.want)
			}
		})
	}
}

func TestDecodeNamesTheValueThatIsWrong(t *testing.T) {
	var got loginBody
	err := wire.DecodeJSON([]byte(`{"identifier":{"user":12345}}`), &got)
	if err == nil || !strings.Contains(err.Error(), "/identifier/user") || strings.Contains(err.Error(), "12345") {
		t.Errorf("the error is %q, want one with the place and without the value", err)
	}
	long := `{"map":{"` + strings.Repeat("é", 10_000) + `":1}}`
	if err := wire.DecodeJSON([]byte(long), &got); err == nil || len(err.Error()) > 1000 {
		t.Errorf("the error of a long key has %d bytes", len(err.Error()))
	}
}

func TestDecodeTakesWhatClientsSend(t *testing.T) {
	pointer := "p"
	for name, tc := range map[string]struct {
		body string
		want loginBody
	}{
		"nothing": {`{}`, loginBody{}},
		"space":   {" \r\n\t{ } \n", loginBody{}},
		"all": {
			`{"type":"a","refresh_token":true,"number":-9223372036854775808,"small":-128,"pointer":"p","list":["a"],"map":{"k":"v"}}`,
			loginBody{
				Type: "a", Refresh: true, Number: -9223372036854775808, Small: -128, Pointer: &pointer,
				List: []string{"a"}, Map: map[string]string{"k": "v"},
			},
		},
		"unknown keys": {`{"x":[1.5,1e400,{"y":null}],"type":"a"}`, loginBody{Type: "a"}},
		"keys in another case are others": {
			`{"Type":"a","TYPE":"b","Identifier":1}`, loginBody{},
		},
		"null is nothing": {
			`{"type":null,"refresh_token":null,"number":null,"pointer":null,"list":null,"map":null,"identifier":null}`, loginBody{},
		},
		"null can be told from nothing": {`{"raw":null}`, loginBody{Raw: jsontext.Value("null")}},
		"raw":                           {`{"raw":{"a" : 1}}`, loginBody{Raw: jsontext.Value(`{"a" : 1}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			var got loginBody
			if err := wire.DecodeJSON([]byte(tc.body), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("DecodeJSON (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	decode := func(r *wire.Request) (any, error) {
		var q loginBody
		if err := r.Decode(&q); err != nil {
			return nil, err
		}
		again, err := r.Body() // a second time is the same
		return map[string]string{"body": string(again)}, err
	}
	optional := func(r *wire.Request) (any, error) {
		q := loginBody{Type: "kept"}
		err := r.DecodeOptional(&q)
		return map[string]string{"type": q.Type}, err
	}
	srv := newServer(t, wire.Options{MaxBody: 100}, post("/decode", decode), post("/optional", optional))
	full := `{"type":"` + strings.Repeat("x", 100-len(`{"type":""}`)) + `"}`
	for _, tc := range []struct {
		path, body string
		status     int
		code       matrix.Code
		want       string
	}{
		{"/decode", `{"type":"a"}`, 200, "", `{"body":"{\"type\":\"a\"}"}`},
		{"/decode", full, 200, "", ""},
		{"/decode", full + " ", 413, matrix.CodeTooLarge, ""},
		{"/decode", strings.Repeat("x", 1<<20), 413, matrix.CodeTooLarge, ""},
		{"/decode", ``, 400, matrix.CodeNotJSON, ""},
		{"/decode", `{`, 400, matrix.CodeNotJSON, ""},
		{"/decode", `{"type":1}`, 400, matrix.CodeBadJSON, ""},
		{"/optional", ``, 200, "", `{"type":"kept"}`},
		{"/optional", `{}`, 200, "", `{"type":"kept"}`},
		{"/optional", `{"type":"a"}`, 200, "", `{"type":"a"}`},
		{"/optional", `null`, 400, matrix.CodeBadJSON, ""},
		{"/optional", ` `, 400, matrix.CodeNotJSON, ""},
		{"/optional", full + " ", 413, matrix.CodeTooLarge, ""},
	} {
		got := do(t, srv, "POST", tc.path, tc.body)
		if got.Status != tc.status || got.code() != tc.code || tc.want != "" && got.Body != tc.want {
			t.Errorf("%s %.40q: %d %.200s, want %d %s %s", tc.path, tc.body, got.Status, got.Body, tc.status, tc.code, tc.want)
		}
	}
}

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"": "", "Bearer": "", "Bearer ": "", "Bearer abc": "abc", "bearer abc": "abc", "BEARER  abc ": "abc", "Basic abc": "",
		"Bearerabc": "", "X-Matrix origin=a": "",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got := (&wire.Request{Request: r}).Bearer(); got != want {
			t.Errorf("Bearer of %q is %q, want %q", header, got, want)
		}
	}
}

func TestUserAgentIsShortText(t *testing.T) {
	for header, want := range map[string]string{
		"Element/1": "Element/1", "a\xffb": "ab", strings.Repeat("é", 150): strings.Repeat("é", 100),
		strings.Repeat("x", 199) + "é": strings.Repeat("x", 199),
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("User-Agent", header)
		if got := (&wire.Request{Request: r}).UserAgent(); got != want {
			t.Errorf("UserAgent of %q is %q, want %q", header, got, want)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		login, `{"raw":null,"map":{"a":"b"},"number":1e3}`, `{"a":1,"a":2}`, `[]`, `null`, "{\"type\":\"\xff\"}", `{"small":128}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got loginBody
		err := wire.DecodeJSON(body, &got)
		switch matrix.CodeOf(err) {
		case matrix.CodeNotJSON:
			return
		case matrix.CodeBadJSON:
			if strings.Contains(err.Error(), "levels deep") { // it has not been read to its end
				return
			}
		default:
			if err != nil {
				t.Fatalf("DecodeJSON(%q): %v", body, err)
			}
			var again loginBody
			if err := wire.DecodeJSON(body, &again); err != nil || !cmp.Equal(got, again) {
				t.Fatalf("DecodeJSON(%q) differs the second time: %v", body, err)
			}
		}
		if !json.Valid(body) {
			t.Fatalf("DecodeJSON takes %q for JSON", body)
		}
	})
}

const login = `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"correct horse battery staple",
	"initial_device_display_name":"Element Desktop on Linux","refresh_token":true}`

func BenchmarkDecodeJSON(b *testing.B) {
	b.SetBytes(int64(len(login)))
	b.ReportAllocs()
	for b.Loop() {
		var q loginBody
		if err := wire.DecodeJSON([]byte(login), &q); err != nil {
			b.Fatal(err)
		}
	}
}
