package clientapi_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/hstest"
)

func TestClientsFindOutWhatThereIs(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		versions := stages(s.Want(http.StatusOK, "", get, "/_matrix/client/versions", "", nil).Get("versions"))
		for _, v := range []string{"r0.6.1", "v1.1", "v1.11", "v1.19"} {
			if !slices.Contains(versions, v) {
				t.Errorf("versions has no %s: %v", v, versions)
			}
		}
		alice := s.Register("alice")
		check(t, s,
			row{404, "M_NOT_FOUND", get, "/.well-known/matrix/client", "", nil},
			row{404, "M_NOT_FOUND", get, "/.well-known/matrix/server", "", nil},
			row{404, "M_NOT_FOUND", get, "/.well-known/matrix/support", "", nil},
			row{401, "M_MISSING_TOKEN", get, v3 + "capabilities", "", nil},
			row{200, "", get, "/_matrix/client/r0/capabilities", alice.Token, nil},
			row{404, "M_UNRECOGNIZED", get, "/_matrix/client/v3/no/such/thing", "", nil},
			row{404, "M_UNRECOGNIZED", get, "/_matrix", "", nil},
			row{404, "M_UNRECOGNIZED", get, "/_matrix/client/v4/login", "", nil},
			row{405, "M_UNRECOGNIZED", drop, loginPath, "", nil},
			row{405, "M_UNRECOGNIZED", post, whoamiPath, alice.Token, object{}},
			row{400, "M_INVALID_PARAM", get, v3 + "profile/@%00:example.org", "", nil},
			row{400, "M_INVALID_PARAM", get, v3 + "devices/%FF", alice.Token, nil},
		)
		for _, path := range []string{loginPath, whoamiPath, v3 + "no/such/thing", v3 + "devices/X"} {
			a := s.Do(http.MethodOptions, path, "", nil)
			if a.Status != http.StatusOK || a.Header.Get("Access-Control-Allow-Origin") != "*" ||
				a.Header.Get("Access-Control-Allow-Headers") != "X-Requested-With, Content-Type, Authorization" ||
				a.Header.Get("Access-Control-Allow-Methods") != "GET, POST, PUT, DELETE, OPTIONS" {
				t.Errorf("OPTIONS %s = %d %v", path, a.Status, a.Header)
			}
		}
	}, hstest.Set(func(c *config.Settings) { c.RateLimits = "on" }))
}

func TestOperatorsPublishWhereTheyAre(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		for path, want := range map[string]object{
			"client": {"m.homeserver": object{"base_url": "https://matrix.example.org"}},
			"server": {"m.server": "matrix.example.org:443"},
			"support": {
				"support_page": "https://example.org/help",
				"contacts":     []any{object{"role": "m.role.admin", "email_address": "help@example.org"}},
			},
		} {
			a := s.Want(http.StatusOK, "", get, "/.well-known/matrix/"+path, "", nil)
			if diff := cmp.Diff(want, a.Body); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
		}
		who := s.Register("alice")
		if got := logIn(s, "alice", who.Password, nil).String("well_known", "m.homeserver", "base_url"); got != "https://matrix.example.org" {
			t.Errorf("login tells the base URL %q", got)
		}
	}, hstest.Set(func(c *config.Settings) {
		c.PublicBaseURL, c.FederationName = "https://matrix.example.org/", "matrix.example.org:443"
		c.SupportPage, c.SupportEmail = "https://example.org/help", "help@example.org"
	}))
}

func TestCapabilitiesAreWhatTheUserMayDo(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		boss, alice, visitor := admin(t, s, "boss"), s.Register("alice"), guest(s)
		on, off := object{"enabled": true}, object{"enabled": false}
		rooms := object{"default": "12", "available": object{
			"1": "stable", "2": "stable", "3": "stable", "4": "stable", "5": "stable", "6": "stable", "7": "stable",
			"8": "stable", "9": "stable", "10": "stable", "11": "stable", "12": "stable",
		}}
		member := object{
			"m.change_password": on, "m.set_displayname": on, "m.set_avatar_url": on, "m.profile_fields": on,
			"m.3pid_changes": on, "m.get_login_token": on, "m.room_versions": rooms,
		}
		want := func(who hstest.Session, want object) {
			t.Helper()
			a := s.Want(http.StatusOK, "", get, v3+"capabilities", who.Token, nil)
			if diff := cmp.Diff(want, a.Get("capabilities")); diff != "" {
				t.Errorf("%s: %s", who.UserID, diff)
			}
		}
		want(alice, member)
		want(boss, with(member, object{"m.account_moderation": object{"lock": true, "suspend": true}}))
		want(visitor, object{
			"m.change_password": off, "m.set_displayname": on, "m.set_avatar_url": off, "m.3pid_changes": off,
			"m.room_versions": rooms, "m.get_login_token": off, "m.profile_fields": object{"enabled": true, "allowed": []any{"displayname"}},
		})
		s.Want(http.StatusOK, "", put, v1+"admin/suspend/"+alice.UserID, boss.Token, object{"suspended": true})
		want(alice, with(member, object{"m.set_displayname": off, "m.set_avatar_url": off, "m.profile_fields": off}))
	}, hstest.Set(func(c *config.Settings) { c.Guests = true }))
}
