package hstest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lethe/internal/event"
)

// pepper is what the identity server has addresses hashed with.
const pepper = "pepper"

// StoredInvite is an invite that an identity server keeps.
type StoredInvite struct {
	Token string
	Body  map[string]any // of the request to store it
}

func (s *IdentityServer) handleInvites(mux *http.ServeMux) {
	const v2 = "/_matrix/identity/v2/"
	mux.HandleFunc("GET "+v2+"hash_details", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"lookup_pepper": pepper, "algorithms": []string{"none", "sha256"}})
	})
	mux.HandleFunc("POST "+v2+"lookup", s.lookup)
	mux.HandleFunc("POST "+v2+"store-invite", s.storeInvite)
	mux.HandleFunc("GET "+v2+"pubkey/ephemeral/isvalid", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		writeJSON(w, map[string]any{"valid": !s.revoked && r.URL.Query().Get("public_key") == s.publicKey()})
	})
}

func (s *IdentityServer) publicKey() string { return event.EncodeBase64(s.key.Public()) }

// Associate makes it know whose an address is.
func (s *IdentityServer) Associate(address, user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound[address] = user
}

// RefuseInvites makes it refuse to store invites, with an error code; "" for not.
func (s *IdentityServer) RefuseInvites(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = code
}

// RevokeKeys makes the keys of its invites invalid, until [IdentityServer.RestoreKeys].
func (s *IdentityServer) RevokeKeys() { s.revoke(true) }

// RestoreKeys makes them valid again.
func (s *IdentityServer) RestoreKeys() { s.revoke(false) }

func (s *IdentityServer) revoke(revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = revoked
}

// Invites is the invites that it keeps.
func (s *IdentityServer) Invites() []StoredInvite {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.invites)
}

// Sign is the proof that user has the address of an invite: third_party_signed.
func (s *IdentityServer) Sign(t testing.TB, inv StoredInvite, user string) jsontext.Value {
	t.Helper()
	object, err := json.Marshal(map[string]any{"mxid": user, "sender": inv.Body["sender"], "token": inv.Token})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := event.SignJSON(object, s.Name, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (s *IdentityServer) lookup(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Algorithm string   `json:"algorithm"`
		Pepper    string   `json:"pepper"`
		Addresses []string `json:"addresses"`
	}
	if err := json.UnmarshalRead(r.Body, &q); err != nil || q.Algorithm != "sha256" || q.Pepper != pepper {
		http.Error(w, `{"errcode":"M_INVALID_PARAM"}`, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]string{}
	for address, user := range s.bound {
		sum := sha256.Sum256([]byte(address + " email " + pepper))
		if hash := base64.RawURLEncoding.EncodeToString(sum[:]); slices.Contains(q.Addresses, hash) {
			found[hash] = user
		}
	}
	writeJSON(w, map[string]any{"mappings": found})
}

func (s *IdentityServer) storeInvite(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.UnmarshalRead(r.Body, &body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != "" {
		w.WriteHeader(http.StatusForbidden)
		writeJSON(w, map[string]any{"errcode": s.refused})
		return
	}
	inv := StoredInvite{Token: rand.Text(), Body: body}
	s.invites = append(s.invites, inv)
	writeJSON(w, map[string]any{
		"token": inv.Token, "display_name": "c...@e...",
		"public_keys": []map[string]string{
			{"public_key": event.EncodeBase64(event.NewSigningKey().Public()), "key_validity_url": "https://" + s.Name + "/_matrix/identity/v2/pubkey/isvalid"},
			{"public_key": s.publicKey(), "key_validity_url": "https://" + s.Name + "/_matrix/identity/v2/pubkey/ephemeral/isvalid"},
		},
	})
}
