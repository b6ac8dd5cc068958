package identity_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"lethe/internal/identity"
	"lethe/internal/matrix"
)

// answers has each path answered with the next of a list; the last is repeated.
func answers(by map[string][]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list := by[r.URL.Path]
		if len(list) == 0 {
			http.NotFound(w, r)
			return
		}
		if len(list) > 1 {
			by[r.URL.Path] = list[1:]
		}
		if strings.Contains(list[0], "errcode") {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = w.Write([]byte(list[0]))
	}
}

func TestLookupAsksForNoMoreThanItMust(t *testing.T) {
	const (
		details = "/_matrix/identity/v2/hash_details"
		lookup  = "/_matrix/identity/v2/lookup"
		// The example of the Identity Service API, Client behaviour.
		hash = "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"
	)
	email := matrix.Threepid{Medium: matrix.MediumEmail, Address: "alice@example.com"}
	for name, tt := range map[string]struct {
		answers map[string][]string
		user    matrix.UserID
		sent    string
		fails   bool
	}{
		"hashed": {map[string][]string{
			details: {`{"lookup_pepper":"matrixrocks","algorithms":["none","sha256"]}`}, lookup: {`{"mappings":{"` + hash + `":"@a:b.example"}}`},
		}, "@a:b.example", hash, false},
		"nobody": {map[string][]string{
			details: {`{"lookup_pepper":"matrixrocks","algorithms":["sha256"]}`}, lookup: {`{"mappings":{}}`},
		}, "", hash, false},
		"plain, where it has no hashes": {map[string][]string{
			details: {`{"lookup_pepper":"p","algorithms":["none"]}`}, lookup: {`{"mappings":{"alice@example.com email":"@a:b.example"}}`},
		}, "@a:b.example", "alice@example.com email", false},
		"with the new pepper": {map[string][]string{
			details: {`{"lookup_pepper":"old","algorithms":["sha256"]}`, `{"lookup_pepper":"matrixrocks","algorithms":["sha256"]}`},
			lookup:  {`{"errcode":"M_INVALID_PEPPER"}`, `{"mappings":{"` + hash + `":"@a:b.example"}}`},
		}, "@a:b.example", hash, false},
		"no user id": {map[string][]string{
			details: {`{"lookup_pepper":"matrixrocks","algorithms":["sha256"]}`}, lookup: {`{"mappings":{"` + hash + `":"alice"}}`},
		}, "", hash, true},
		"no JSON": {map[string][]string{details: {`x`}}, "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var got []seen
			s := newServer(t, record(&got, answers(tt.answers)))
			user, err := s.client.Lookup(t.Context(), s.name, "token", email)
			if user != tt.user || (err != nil) != tt.fails {
				t.Errorf("Lookup = %q, %v; want %q", user, err, tt.user)
			}
			last := got[len(got)-1]
			if !strings.Contains(last.body, tt.sent) || last.auth != "Bearer token" {
				t.Errorf("it sent %+v; want %s in it", last, tt.sent)
			}
		})
	}
}

func TestStoredInvitesAreHeldToTheirForm(t *testing.T) {
	for answer, ok := range map[string]bool{
		`{"token":"abc","public_keys":[{"public_key":"k"}],"display_name":"a"}`: true,
		`{"token":"a b","public_keys":[{"public_key":"k"}],"display_name":"a"}`: false,
		`{"token":"","public_keys":[{"public_key":"k"}],"display_name":"a"}`:    false,
		`{"token":"abc","public_keys":[],"display_name":"a"}`:                   false,
		`{"token":1}`:                     false,
		`{"errcode":"M_THREEPID_IN_USE"}`: false,
	} {
		s := newServer(t, answers(map[string][]string{"/_matrix/identity/v2/store-invite": {answer}}))
		_, err := s.client.StoreInvite(t.Context(), s.name, "token", identity.Invitation{Medium: "email", Address: "a@b.example"})
		if (err == nil) != ok {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestWhetherAKeyIsValidIsAskedOverHTTPSAlone(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write([]byte(`{"valid":` + map[bool]string{true: "true", false: "false"}[r.URL.Query().Get("public_key") == "k+/" && r.URL.Query().Get("a") == "b"] + `}`))
	})
	base := "https://" + string(s.name)
	for _, tt := range []struct {
		key   identity.PublicKey
		valid bool
		fails bool
	}{
		{identity.PublicKey{Key: "k+/", ValidityURL: base + "/x?a=b"}, true, false},
		{identity.PublicKey{Key: "other", ValidityURL: base + "/x?a=b"}, false, false},
		{identity.PublicKey{Key: "k+/"}, true, false}, // valid for ever
		{identity.PublicKey{Key: "k+/", ValidityURL: base + "/broken?a=b"}, false, true},
		{identity.PublicKey{Key: "k+/", ValidityURL: "http://" + string(s.name) + "/x?a=b"}, false, true},
		{identity.PublicKey{Key: "k+/", ValidityURL: "https://user@" + string(s.name) + "/x?a=b"}, false, true},
		{identity.PublicKey{Key: "k+/", ValidityURL: "file:///etc/passwd"}, false, true},
	} {
		valid, err := s.client.KeyIsValid(t.Context(), tt.key)
		if valid != tt.valid || (err != nil) != tt.fails {
			t.Errorf("%+v: %v, %v", tt.key, valid, err)
		}
	}
	if err := identity.Explain(errors.New("x")); matrix.CodeOf(err) != matrix.CodeUnknown {
		t.Errorf("a failure is told as %v", err)
	}
}
