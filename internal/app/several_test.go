package app_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	v3     = "/_matrix/client/v3"
	whoami = v3 + "/account/whoami"
)

type object = map[string]any

// login begins a further session.
func login(s *hstest.Server, who hstest.Session) string {
	return s.Want(http.StatusOK, "", http.MethodPost, v3+"/login", "", object{
		"type": "m.login.password", "password": who.Password,
		"identifier": object{"type": "m.id.user", "user": who.UserID},
	}).String("access_token")
}

// knows has a server answer with what it keeps of a token, if it keeps anything.
func knows(s *hstest.Server, token string) {
	for range 2 {
		s.Want(http.StatusOK, "", http.MethodGet, whoami, token, nil)
	}
}

func refused(t *testing.T, s *hstest.Server, how, token string) {
	t.Helper()
	if a := s.Do(http.MethodGet, whoami, token, nil); a.Status != http.StatusUnauthorized {
		t.Errorf("after %s on the other server: whoami = %d %s", how, a.Status, a.Raw)
	}
}

// makeAdmin makes an account a server administrator.
func makeAdmin(t *testing.T, s *hstest.Server, who hstest.Session) {
	t.Helper()
	err := s.DB.Update(t.Context(), func(tx *storage.Tx) error { return tx.SetAdmin(matrix.UserID(who.UserID), true) })
	if err != nil {
		t.Fatal(err)
	}
}

// endings are the ways in which a token stops being good for what it was. Each
// is done on s, and returns the tokens that end with it.
var endings = []struct {
	name string
	end  func(s *hstest.Server, boss, who hstest.Session) []string
}{
	{"a logout", func(s *hstest.Server, _, who hstest.Session) []string {
		s.Want(http.StatusOK, "", http.MethodPost, v3+"/logout", who.Token, object{})
		return []string{who.Token}
	}},
	{"a logout everywhere", func(s *hstest.Server, _, who hstest.Session) []string {
		other := login(s, who)
		s.Want(http.StatusOK, "", http.MethodPost, v3+"/logout/all", other, object{})
		return []string{who.Token, other}
	}},
	{"the end of a device", func(s *hstest.Server, _, who hstest.Session) []string {
		s.Want(http.StatusOK, "", http.MethodDelete, v3+"/devices/"+url.PathEscape(who.DeviceID), login(s, who), object{
			"auth": hstest.PasswordAuth(who.UserID, who.Password, ""),
		})
		return []string{who.Token}
	}},
	{"a new password", func(s *hstest.Server, _, who hstest.Session) []string {
		s.Want(http.StatusOK, "", http.MethodPost, v3+"/account/password", login(s, who), object{
			"new_password": "another-horse", "auth": hstest.PasswordAuth(who.UserID, who.Password, ""),
		})
		return []string{who.Token}
	}},
	{"a refresh", func(s *hstest.Server, _, who hstest.Session) []string {
		fresh := s.Want(http.StatusOK, "", http.MethodPost, v3+"/refresh", "", object{"refresh_token": who.RefreshToken})
		knows(s, fresh.String("access_token")) // its first use ends the old one
		return []string{who.Token}
	}},
	{"a lock", func(s *hstest.Server, boss, who hstest.Session) []string {
		s.Want(http.StatusOK, "", http.MethodPut, "/_matrix/client/v1/admin/lock/"+url.PathEscape(who.UserID), boss.Token,
			object{"locked": true})
		return []string{who.Token}
	}},
	{"a deactivation", func(s *hstest.Server, _, who hstest.Session) []string {
		s.Want(http.StatusOK, "", http.MethodPost, v3+"/account/deactivate", who.Token, object{
			"auth": hstest.PasswordAuth(who.UserID, who.Password, ""),
		})
		return []string{who.Token}
	}},
}

// TestWhatEndsOnOneServerHasEndedOnTheOther: promise 1, as soon as the answer has
// come, over two servers with one database.
func TestWhatEndsOnOneServerHasEndedOnTheOther(t *testing.T) {
	first := hstest.New(t, "postgres")
	second := hstest.Join(first)
	boss := first.Register("boss")
	makeAdmin(t, first, boss)
	for round := range 8 {
		here, there := first, second
		if round%2 == 1 {
			here, there = second, first
		}
		for i, way := range endings {
			who := here.Register(fmt.Sprintf("u%d_%d", round, i))
			knows(there, who.Token)
			for _, token := range way.end(here, boss, who) {
				refused(t, there, way.name, token)
				refused(t, here, way.name, token)
			}
		}
	}
}

// TestAServerThatJoinsEndsWhatTheFirstRemembers: the first has the token in its
// memory, and is asked about it all the time, while the second starts.
func TestAServerThatJoinsEndsWhatTheFirstRemembers(t *testing.T) {
	first := hstest.New(t, "postgres")
	boss := first.Register("boss")
	makeAdmin(t, first, boss)
	for i, way := range endings {
		who := first.Register(fmt.Sprintf("u%d", i))
		first.Eventually("the first is alone", func() bool { _, ok := first.DB.Alone(); return ok })
		knows(first, who.Token)
		ctx, stop := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 3 {
			load.Go(func() {
				for ctx.Err() == nil {
					_, _ = first.Try(ctx, http.MethodGet, whoami, who.Token, nil) // either answer is right
				}
			})
		}
		second := hstest.Join(first)
		ended := way.end(second, boss, who)
		for _, token := range ended {
			refused(t, first, way.name, token)
		}
		second.Stop()
		first.Eventually("the first is alone again", func() bool { _, ok := first.DB.Alone(); return ok })
		stop()
		load.Wait()
		for _, token := range ended {
			refused(t, first, way.name+", alone again,", token)
		}
	}
}
