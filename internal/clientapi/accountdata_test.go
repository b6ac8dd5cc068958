package clientapi_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/hstest"
)

func TestAccountDataIsItsOwners(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		user := v3 + "user/" + alice.UserID + "/"
		for _, base := range []string{user + "account_data/", user + "rooms/!room:example.org/account_data/"} {
			check(t, s,
				row{404, "M_NOT_FOUND", get, base + "org.example.x", alice.Token, nil},
				row{200, "", put, base + "org.example.x", alice.Token, `{"a": [1, {"b": null}]}`},
				row{200, "", put, base + "org.example.y", alice.Token, object{}},
				row{403, "M_FORBIDDEN", get, base + "org.example.x", bob.Token, nil},
				row{403, "M_FORBIDDEN", put, base + "org.example.x", bob.Token, object{}},
				row{401, "M_MISSING_TOKEN", get, base + "org.example.x", "", nil},
				row{405, "M_BAD_JSON", put, base + "m.fully_read", alice.Token, object{}},
				row{405, "M_BAD_JSON", put, base + "m.push_rules", alice.Token, object{}},
				row{404, "M_NOT_FOUND", get, base + "m.fully_read", alice.Token, nil},
				row{400, "M_BAD_JSON", put, base + "org.example.x", alice.Token, `[]`},
				row{400, "M_NOT_JSON", put, base + "org.example.x", alice.Token, `{]`},
				row{400, "M_INVALID_PARAM", put, base + strings.Repeat("x", 256), alice.Token, object{}},
				row{400, "M_INVALID_PARAM", get, base + "a%00", alice.Token, nil},
			)
			a := s.Want(http.StatusOK, "", get, base+"org.example.x", alice.Token, nil)
			if diff := cmp.Diff(object{"a": []any{1.0, object{"b": nil}}}, a.Body); diff != "" {
				t.Errorf("%s: %s", base, diff)
			}
		}
		check(t, s,
			row{400, "M_INVALID_PARAM", put, user + "rooms/@no:example.org/account_data/m.x", alice.Token, object{}},
			row{400, "M_INVALID_PARAM", get, user + "rooms/none/account_data/m.x", alice.Token, nil},
			row{404, "M_NOT_FOUND", get, user + "rooms/!other:example.org/account_data/org.example.x", alice.Token, nil})
	})
}

func TestFilters(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		path := v3 + "user/" + alice.UserID + "/filter"
		filter := object{
			"event_fields": []any{"content.body"}, "event_format": "client", "org.example.future": 1.0,
			"room": object{"timeline": object{"limit": 10.0, "lazy_load_members": true}, "not_rooms": []any{"!a:b"}},
		}
		id := s.Want(http.StatusOK, "", post, path, alice.Token, filter).String("filter_id")
		if id == "" || strings.HasPrefix(id, "{") {
			t.Errorf("filter_id = %q", id)
		}
		got := s.Want(http.StatusOK, "", get, path+"/"+id, alice.Token, nil)
		if diff := cmp.Diff(filter, got.Body); diff != "" {
			t.Errorf("filter: %s", diff)
		}
		if again := s.Want(http.StatusOK, "", post, path, alice.Token, filter).String("filter_id"); again != id {
			t.Errorf("the same filter is %q, was %q", again, id)
		}
		check(t, s, row{200, "", post, path, alice.Token, object{}})
		for _, unknown := range []string{"0", "1", "12", "99999999999999999999", "1e3", "none", "%7B%7D"} {
			check(t, s, row{404, "M_NOT_FOUND", get, path + "/" + unknown, alice.Token, nil}) // CLIENTS, Start-up
		}
		check(t, s,
			row{403, "M_FORBIDDEN", get, path + "/" + id, bob.Token, nil},
			row{403, "M_FORBIDDEN", post, path, bob.Token, object{}},
			row{400, "M_BAD_JSON", post, path, alice.Token, object{"event_format": "pigeon"}},
			row{400, "M_BAD_JSON", post, path, alice.Token, object{"room": []any{}}},
			row{400, "M_BAD_JSON", post, path, alice.Token, object{"room": object{"timeline": object{"limit": "10"}}}},
			row{400, "M_NOT_JSON", post, path, alice.Token, `{`},
		)
	})
}

func TestOpenIDTokensNameTheirUserAndNothingElse(t *testing.T) {
	clock := hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		alice, bob := s.Register("alice"), s.Register("bob")
		path := v3 + "user/" + alice.UserID + "/openid/request_token"
		a := s.Want(http.StatusOK, "", post, path, alice.Token, object{})
		if a.String("token_type") != "Bearer" || a.String("matrix_server_name") != "example.org" || a.Get("expires_in") != 3600.0 {
			t.Errorf("openid token = %s", a.Raw)
		}
		token := a.String("access_token")
		const userinfo = "/_matrix/federation/v1/openid/userinfo"
		if sub := s.Want(http.StatusOK, "", get, userinfo+"?access_token="+token, "", nil).String("sub"); sub != alice.UserID {
			t.Errorf("sub = %q", sub)
		}
		check(t, s,
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, token, nil},
			row{401, "M_UNKNOWN_TOKEN", get, userinfo + "?access_token=" + alice.Token, "", nil},
			row{401, "M_MISSING_TOKEN", get, userinfo, "", nil},
			row{403, "M_FORBIDDEN", post, path, bob.Token, object{}},
		)
		clock.Advance(time.Hour + time.Second)
		check(t, s, row{401, "M_UNKNOWN_TOKEN", get, userinfo + "?access_token=" + token, "", nil})
	}, hstest.Clock(clock.Now))
}

func TestWhatAUserStoresIsBounded(t *testing.T) {
	s := hstest.New(t, "sqlite")
	alice, bob := s.Register("alice"), s.Register("bob")
	user := func(who hstest.Session) string { return v3 + "user/" + who.UserID + "/" }
	big := func(i, size int) string { return `{"types": ["` + strconv.Itoa(i) + strings.Repeat("x", size) + `"]}` }
	const most = 1<<20 - 100
	for i := range 15 {
		s.Want(http.StatusOK, "", put, user(alice)+"account_data/t"+strconv.Itoa(i), alice.Token, big(i, most))
	}
	s.Want(http.StatusOK, "", put, user(alice)+"account_data/last", alice.Token, big(0, most))
	for i := range 4 {
		s.Want(http.StatusOK, "", post, user(alice)+"filter", alice.Token, big(i, most))
	}
	check(t, s,
		row{413, "M_TOO_LARGE", put, user(alice) + "account_data/more", alice.Token, big(0, 10_000)},
		row{413, "M_TOO_LARGE", post, user(alice) + "filter", alice.Token, big(9, 10_000)},
		// What is replaced does not count, nor what is there already, nor another's.
		row{200, "", put, user(alice) + "account_data/last", alice.Token, big(1, most)},
		row{200, "", post, user(alice) + "filter", alice.Token, big(1, most)},
		row{200, "", put, user(bob) + "account_data/more", bob.Token, big(0, 10_000)},
		row{200, "", post, user(bob) + "filter", bob.Token, big(9, 10_000)})
}
