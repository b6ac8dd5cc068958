package clientapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

func TestProfiles(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		path := v3 + "profile/" + alice.UserID
		field := func(name string) string { return path + "/" + name }
		long := "org.example." + strings.Repeat("x", 243)
		check(t, s,
			row{200, "", get, path, "", nil},
			row{404, "M_NOT_FOUND", get, field("displayname"), "", nil},
			row{404, "M_NOT_FOUND", get, v3 + "profile/@nobody:example.org", "", nil},
			row{404, "M_NOT_FOUND", get, v3 + "profile/@nobody:elsewhere.org/displayname", "", nil},
			row{400, "M_INVALID_PARAM", get, v3 + "profile/nobody", "", nil},
			row{200, "", put, field("displayname"), alice.Token, object{"displayname": "Alice"}},
			row{200, "", put, field("avatar_url"), alice.Token, object{"avatar_url": "mxc://example.org/abc"}},
			row{200, "", put, field("m.tz"), alice.Token, object{"m.tz": "Europe/London"}},
			row{200, "", put, field("org.example.pet"), alice.Token, `{"org.example.pet": {"kind": "cat",  "lives": 9}}`},
			row{200, "", put, field("org.example.none"), alice.Token, object{"org.example.none": nil}},
			row{200, "", put, field(long), alice.Token, object{long: 1}},

			row{401, "M_MISSING_TOKEN", put, field("displayname"), "", object{"displayname": "x"}},
			row{403, "M_FORBIDDEN", put, field("displayname"), bob.Token, object{"displayname": "x"}},
			row{403, "M_FORBIDDEN", drop, field("displayname"), bob.Token, nil},
			row{400, "M_MISSING_PARAM", put, field("displayname"), alice.Token, object{"avatar_url": "x"}},
			row{400, "M_BAD_JSON", put, field("displayname"), alice.Token, object{"displayname": 1}},
			row{400, "M_BAD_JSON", put, field("displayname"), alice.Token, object{"displayname": nil}},
			row{400, "M_BAD_JSON", put, field("displayname"), alice.Token, `"Alice"`},
			row{400, "M_NOT_JSON", put, field("displayname"), alice.Token, `{`},
			row{400, "M_INVALID_PARAM", put, field("displayname"), alice.Token, object{"displayname": strings.Repeat("x", 2000)}},
			row{400, "M_KEY_TOO_LARGE", put, field(long + "x"), alice.Token, object{long + "x": 1}},
			row{400, "M_INVALID_PARAM", put, field("Org.Example"), alice.Token, object{"Org.Example": 1}},
			row{400, "M_INVALID_PARAM", put, field("1st"), alice.Token, object{"1st": 1}},
			row{400, "M_INVALID_PARAM", drop, field("Org.Example"), alice.Token, nil},
			row{400, "M_PROFILE_TOO_LARGE", put, field("org.example.big"), alice.Token, object{"org.example.big": strings.Repeat("x", 65536)}},
			row{200, "", drop, field(long), alice.Token, nil},
			row{200, "", drop, field(long), alice.Token, nil}, // it does not exist
		)
		want := object{
			"displayname": "Alice", "avatar_url": "mxc://example.org/abc", "m.tz": "Europe/London",
			"org.example.pet": object{"kind": "cat", "lives": 9.0}, "org.example.none": nil,
		}
		got := s.Want(http.StatusOK, "", get, path, bob.Token, nil)
		if diff := cmp.Diff(want, got.Body); diff != "" {
			t.Errorf("profile: %s", diff)
		}
		one := s.Want(http.StatusOK, "", get, field("org.example.pet"), "", nil)
		if diff := cmp.Diff(object{"org.example.pet": want["org.example.pet"]}, one.Body); diff != "" {
			t.Errorf("field: %s", diff)
		}
		// The whole profile stays under 64 KiB, to the byte.
		room := 65535 - len(got.Raw) - len(`,"org.example.big":""`)
		check(t, s,
			row{400, "M_PROFILE_TOO_LARGE", put, field("org.example.big"), alice.Token, object{"org.example.big": strings.Repeat("x", room+1)}},
			row{200, "", put, field("org.example.big"), alice.Token, object{"org.example.big": strings.Repeat("x", room)}},
			row{400, "M_PROFILE_TOO_LARGE", put, field("a"), alice.Token, object{"a": 1}},
			row{200, "", put, field("org.example.big"), alice.Token, object{"org.example.big": "small"}},
		)
	})
}
