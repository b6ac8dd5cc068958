package clientapi_test

import (
	"net/http"
	"testing"

	"lethe/internal/hstest"
)

func TestWhoisIsForAdministratorsAndOneself(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		boss, alice := admin(t, s, "boss"), s.Register("alice")
		req, err := http.NewRequestWithContext(t.Context(), get, s.URL+whoamiPath, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+alice.Token)
		req.Header.Set("User-Agent", "a-client/1.0")
		if _, err := s.Send(req); err != nil {
			t.Fatal(err)
		}
		path := v3 + "admin/whois/"
		a := s.Want(http.StatusOK, "", get, path+alice.UserID, boss.Token, nil)
		device, _ := a.Get("devices", alice.DeviceID, "sessions").([]any)
		if a.String("user_id") != alice.UserID || len(device) != 1 {
			t.Fatalf("whois = %s", a.Raw)
		}
		agents := map[string]bool{}
		for _, c := range device[0].(object)["connections"].([]any) {
			c := c.(object)
			agents[c["user_agent"].(string)] = true
			if c["ip"] != "127.0.0.1" || c["last_seen"].(float64) <= 0 {
				t.Errorf("connection = %v", c)
			}
		}
		if !agents["a-client/1.0"] {
			t.Errorf("user agents = %v", agents)
		}
		seen := s.Want(http.StatusOK, "", get, v3+"devices/"+alice.DeviceID, alice.Token, nil)
		if seen.String("last_seen_ip") != "127.0.0.1" || seen.Get("last_seen_ts") == nil {
			t.Errorf("device = %s", seen.Raw)
		}
		check(t, s,
			row{200, "", get, path + alice.UserID, alice.Token, nil},
			row{403, "M_FORBIDDEN", get, path + boss.UserID, alice.Token, nil},
			row{403, "M_FORBIDDEN", get, path + "@nobody:example.org", alice.Token, nil}, // no enumeration
			row{404, "M_NOT_FOUND", get, path + "@nobody:example.org", boss.Token, nil},
		)
	})
}

func TestOnlyAdministratorsLockAndSuspend(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		boss, other, alice, gone := admin(t, s, "boss"), admin(t, s, "other"), s.Register("alice"), s.Register("gone")
		s.Want(http.StatusOK, "", post, endPath, gone.Token, object{"auth": proof(gone, "")})
		for kind, key := range map[string]string{"lock": "locked", "suspend": "suspended"} {
			path := v1 + "admin/" + kind + "/"
			on := object{key: true}
			is := func(want bool) {
				t.Helper()
				if a := s.Want(http.StatusOK, "", get, path+alice.UserID, boss.Token, nil); a.Get(key) != want {
					t.Errorf("%s = %s, want %v", key, a.Raw, want)
				}
			}
			check(t, s,
				row{403, "M_FORBIDDEN", get, path + boss.UserID, alice.Token, nil},
				row{403, "M_FORBIDDEN", put, path + "@nobody:example.org", alice.Token, on},
				row{403, "M_FORBIDDEN", put, path + "@nobody:elsewhere.org", alice.Token, on},
				row{400, "M_INVALID_PARAM", put, path + "@nobody:elsewhere.org", boss.Token, on},
				row{400, "M_INVALID_PARAM", get, path + "nobody", boss.Token, nil},
				row{404, "M_NOT_FOUND", put, path + "@nobody:example.org", boss.Token, on},
				row{404, "M_NOT_FOUND", get, path + gone.UserID, boss.Token, nil},
				row{404, "M_NOT_FOUND", put, path + gone.UserID, boss.Token, on},
				row{403, "M_FORBIDDEN", put, path + other.UserID, boss.Token, on},
				row{403, "M_FORBIDDEN", get, path + other.UserID, boss.Token, nil},
				row{403, "M_FORBIDDEN", put, path + boss.UserID, boss.Token, on},
				row{400, "M_MISSING_PARAM", put, path + alice.UserID, boss.Token, object{}},
				row{400, "M_BAD_JSON", put, path + alice.UserID, boss.Token, object{key: "yes"}},
				row{401, "M_MISSING_TOKEN", get, path + alice.UserID, "", nil},
			)
			is(false)
			a := s.Want(http.StatusOK, "", put, path+alice.UserID, boss.Token, object{key: true, "org.example.reason": "x"})
			if a.Get(key) != true {
				t.Errorf("PUT = %s", a.Raw)
			}
			is(true)
			s.Want(http.StatusOK, "", put, path+alice.UserID, boss.Token, object{key: false})
			is(false)
		}
	})
}

func TestALockedAccountCanOnlyLogOut(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		boss, alice := admin(t, s, "boss"), s.Register("alice")
		second := logIn(s, "alice", alice.Password, nil).String("access_token")
		challengeFor := challenge(t, s, "", post, v1+"login/get_token", alice.Token, object{})
		loginToken := s.Want(http.StatusOK, "", post, v1+"login/get_token", alice.Token,
			object{"auth": proof(alice, challengeFor.String("session"))}).String("login_token")
		lock := func(on bool) {
			t.Helper()
			s.Want(http.StatusOK, "", put, v1+"admin/lock/"+alice.UserID, boss.Token, object{"locked": on})
		}
		lock(true)
		user := v3 + "user/" + alice.UserID
		for _, r := range []row{
			{0, "", get, whoamiPath, alice.Token, nil},
			{0, "", get, v3 + "devices", alice.Token, nil},
			{0, "", get, v3 + "account/3pid", alice.Token, nil},
			{0, "", get, v3 + "capabilities", alice.Token, nil},
			{0, "", put, v3 + "profile/" + alice.UserID + "/displayname", alice.Token, object{"displayname": "x"}},
			{0, "", put, user + "/account_data/m.x", alice.Token, object{}},
			{0, "", post, user + "/filter", alice.Token, object{}},
			{0, "", post, user + "/openid/request_token", alice.Token, object{}},
			{0, "", post, endPath, alice.Token, object{}},
			{0, "", post, passwordPath, alice.Token, object{"new_password": "better-horse"}},
			{0, "", post, v3 + "account/3pid/email/requestToken", alice.Token, object{"client_secret": "s", "email": "a@b.example", "send_attempt": 1}},
			// No way to a new token (CS API, Soft logout).
			{0, "", post, refreshPath, "", object{"refresh_token": alice.RefreshToken}},
			{0, "", post, loginPath, "", object{"type": "m.login.password", "user": "alice", "password": alice.Password}},
			{0, "", post, loginPath, "", object{"type": "m.login.token", "token": loginToken}},
		} {
			a := s.Do(r.method, r.path, r.token, r.body)
			if a.Status != http.StatusUnauthorized || a.Code() != "M_USER_LOCKED" || a.Get("soft_logout") != true {
				t.Errorf("%s %s = %d %s", r.method, r.path, a.Status, a.Raw)
			}
		}
		check(t, s,
			row{403, "M_FORBIDDEN", post, loginPath, "", object{"type": "m.login.password", "user": "alice", "password": "wrong"}}, // told to the owner only
			row{200, "", get, v3 + "profile/" + alice.UserID, "", nil})
		lock(false) // the sessions are still there
		check(t, s, row{200, "", get, whoamiPath, alice.Token, nil}, row{200, "", get, whoamiPath, second, nil})
		lock(true)
		check(t, s,
			row{200, "", post, v3 + "logout", second, nil},
			row{200, "", post, v3 + "logout/all", alice.Token, nil},
			row{401, "M_UNKNOWN_TOKEN", get, whoamiPath, alice.Token, nil})
	})
}

func TestASuspendedAccountMayReadAndLeave(t *testing.T) {
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		boss, alice := admin(t, s, "boss"), s.Register("alice")
		addThreepid(t, s, alice.UserID, "email", "suspended@example.com")
		s.Want(http.StatusOK, "", put, v1+"admin/suspend/"+alice.UserID, boss.Token, object{"suspended": true})
		const no = "M_USER_SUSPENDED"
		profile := v3 + "profile/" + alice.UserID
		pid := object{"medium": "email", "address": "suspended@example.com"}
		second := logIn(s, "alice", alice.Password, nil).String("access_token")
		check(t, s, // CS API, Account suspension
			row{403, no, put, profile + "/displayname", alice.Token, object{"displayname": "x"}},
			row{403, no, put, profile + "/avatar_url", second, object{"avatar_url": "mxc://a/b"}},
			row{403, no, drop, profile + "/displayname", alice.Token, nil},
			row{403, no, post, v3 + "account/3pid/delete", alice.Token, pid},
			row{403, no, post, v3 + "account/3pid/unbind", alice.Token, pid},
			row{200, "", get, whoamiPath, second, nil},
			row{200, "", get, v3 + "account/3pid", alice.Token, nil},
			row{200, "", get, v3 + "devices", alice.Token, nil},
			row{200, "", put, v3 + "user/" + alice.UserID + "/account_data/m.x", alice.Token, object{}},
			row{200, "", post, passwordPath, alice.Token, object{"new_password": "better-horse", "auth": proof(alice, ""), "logout_devices": false}},
			row{200, "", drop, v3 + "devices/" + alice.DeviceID, second, object{"auth": hstest.PasswordAuth("alice", "better-horse", "")}},
			row{200, "", post, endPath, second, object{"auth": hstest.PasswordAuth("alice", "better-horse", "")}},
		)
	})
}
