package account_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/storage/storagetest"
)

const (
	uiaEndpoint = "POST /_matrix/client/v3/account/deactivate"
	alice       = matrix.UserID("@alice:example.org")
	bob         = matrix.UserID("@bob:example.org")
)

// uiaServer is a service with two users, whose passwords are their localparts
// and "-secret", and a clock that the test moves.
type uiaServer struct {
	*account.Service
	t     testing.TB
	db    *storage.DB
	clock atomic.Int64 // milliseconds
}

func newUIAServer(t testing.TB, db *storage.DB) *uiaServer {
	t.Helper()
	s := &uiaServer{t: t, db: db}
	s.clock.Store(1_800_000_000_000)
	s.Service = account.New(db, account.Options{
		ServerName: "example.org", Now: func() time.Time { return time.UnixMilli(s.clock.Load()) },
		UIALifetime: 15 * time.Minute, PasswordMinLength: 8, PasswordMaxLength: 512,
		AccessTokenLifetime: time.Hour, ValidationLifetime: time.Hour,
		Argon2: account.Argon2{MemoryKiB: 8, Time: 1, Threads: 1}, HashConcurrency: 2,
	})
	for _, user := range []matrix.UserID{alice, bob} {
		hash, err := s.HashPassword(t.Context(), user.Localpart()+"-secret")
		if err != nil {
			t.Fatal(err)
		}
		reg := account.Registration{Localpart: user.Localpart(), PasswordHash: hash, Kind: storage.KindUser}
		if _, err := s.Register(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *uiaServer) after(d time.Duration) { s.clock.Add(d.Milliseconds()) }

func flows(flows ...[]string) (list []account.Flow) {
	for _, stages := range flows {
		list = append(list, account.Flow{Stages: stages})
	}
	return list
}

// auth is an `auth` object: keys and values in turn.
func auth(t testing.TB, pairs ...string) jsontext.Value {
	t.Helper()
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func withPassword(user matrix.UserID) []string {
	return []string{"type", account.StagePassword, "user", string(user), "password", user.Localpart() + "-secret"}
}

// challenge takes a round that has to end in a challenge.
func (s *uiaServer) challenge(req account.UIARequest) *account.Challenge {
	s.t.Helper()
	_, err := s.Authorize(s.t.Context(), req)
	var c *account.Challenge
	if !errors.As(err, &c) {
		s.t.Fatalf("error = %v, want a challenge", err)
	}
	if c.Session == "" || c.Params == nil || len(c.Flows) != len(req.Flows) {
		s.t.Fatalf("challenge = %+v, want session, params and flows", c)
	}
	return c
}

// authorized takes a round that has to complete a flow.
func (s *uiaServer) authorized(req account.UIARequest) *account.Authorized {
	s.t.Helper()
	a, err := s.Authorize(s.t.Context(), req)
	if err != nil {
		s.t.Fatalf("error = %v, want success", err)
	}
	return a
}

// refused takes a round that has to end in an error of the given code.
func (s *uiaServer) refused(req account.UIARequest, code matrix.Code) {
	s.t.Helper()
	if _, err := s.Authorize(s.t.Context(), req); matrix.CodeOf(err) != code {
		s.t.Fatalf("error = %v, want %s", err, code)
	}
}

func (s *uiaServer) consume(a *account.Authorized) error {
	return s.db.Update(s.t.Context(), a.Consume)
}

func TestUIASessionIsBound(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		phone := &account.Requester{UserID: alice, DeviceID: "PHONE"}
		req := account.UIARequest{Endpoint: uiaEndpoint, Requester: phone, Flows: flows([]string{account.StagePassword})}
		c := s.challenge(req)
		if c.Code != "" || len(c.Completed) != 0 {
			t.Errorf("the first challenge = %+v, want nothing completed or failed", c)
		}
		req.Auth = auth(t, append(withPassword(alice), "session", c.Session)...)
		for name, change := range map[string]func(*account.UIARequest){
			"another endpoint": func(r *account.UIARequest) { r.Endpoint = "POST /_matrix/client/v3/account/password" },
			"another device":   func(r *account.UIARequest) { r.Requester = &account.Requester{UserID: alice, DeviceID: "LAPTOP"} },
			"another user":     func(r *account.UIARequest) { r.Requester = &account.Requester{UserID: bob, DeviceID: "PHONE"} },
			"no token":         func(r *account.UIARequest) { r.Requester = nil },
			"unknown": func(r *account.UIARequest) {
				r.Auth = auth(t, append(withPassword(alice), "session", c.Session+"x")...)
			},
		} {
			other := req
			change(&other)
			got := s.challenge(other)
			if got.Code != matrix.CodeForbidden || got.Session == c.Session || len(got.Completed) != 0 {
				t.Errorf("%s: challenge = %+v, want M_FORBIDDEN and a new session", name, got)
			}
		}
		if a := s.authorized(req); a.Subject != alice {
			t.Errorf("subject = %q, want alice: the session must have survived", a.Subject)
		}
		s.after(15 * time.Minute)
		if got := s.challenge(req); got.Code != matrix.CodeForbidden || got.Session == c.Session {
			t.Errorf("expired: challenge = %+v, want M_FORBIDDEN and a new session", got)
		}
	})
}

func TestUIAWrongPasswordKeepsSession(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		who := &account.Requester{UserID: alice, DeviceID: "PHONE"}
		req := account.UIARequest{Endpoint: uiaEndpoint, Requester: who, Flows: flows([]string{account.StagePassword})}
		session := s.challenge(req).Session
		req.Auth = auth(t, "type", account.StagePassword, "password", "wrong", "session", session)
		if c := s.challenge(req); c.Session != session || c.Code != matrix.CodeForbidden || c.Message == "" {
			t.Fatalf("challenge = %+v, want M_FORBIDDEN in the same session", c)
		}
		req.Auth = auth(t, append(withPassword(bob), "session", session)...)
		s.refused(req, matrix.CodeForbidden)
		req.Auth = auth(t, "type", account.StagePassword, "password", "alice-secret", "session", session)
		a := s.authorized(req)
		if err := s.consume(a); err != nil {
			t.Fatal(err)
		}
		var c *account.Challenge
		if err := s.consume(a); !errors.As(err, &c) || c.Code != matrix.CodeForbidden {
			t.Errorf("the second use = %v, want a challenge", err)
		}
		if c := s.challenge(req); c.Session == session {
			t.Error("a used session must not go on")
		}
	})
}

func TestUIASingleStageWithoutSession(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		who := &account.Requester{UserID: alice, DeviceID: "PHONE"}
		req := account.UIARequest{
			Endpoint: uiaEndpoint, Requester: who, Flows: flows([]string{account.StagePassword}),
			Auth: auth(t, withPassword(alice)...), Stored: map[string]jsontext.Value{"erase": jsontext.Value("true")},
		}
		a := s.authorized(req)
		if a.Subject != alice || string(a.Stored["erase"]) != "true" {
			t.Errorf("authorized = %+v", a)
		}
		if err := s.consume(a); err != nil {
			t.Error(err)
		}
		req.Auth = auth(t, withPassword(bob)...)
		s.refused(req, matrix.CodeForbidden)
		req.Auth = auth(t, "type", account.StageDummy)
		if c := s.challenge(req); c.Code != matrix.CodeUnrecognized {
			t.Errorf("a stage that no flow has: %+v", c)
		}
		// Without a token the stage tells who it is.
		req.Requester, req.Auth = nil, auth(t, withPassword(bob)...)
		if a := s.authorized(req); a.Subject != bob {
			t.Errorf("subject = %q, want bob", a.Subject)
		}
	})
}

func TestUIAFlowsInOrder(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		terms := []account.Policy{{ID: "privacy", Version: "1", Name: "Privacy", URL: "https://example.org/p"}}
		req := account.UIARequest{
			Endpoint: "POST /_matrix/client/v3/register", Terms: terms,
			Flows: flows([]string{account.StageTerms, account.StageDummy}),
			Auth:  auth(t, "type", account.StageDummy),
		}
		c := s.challenge(req)
		if c.Code != matrix.CodeUnrecognized || len(c.Completed) != 0 {
			t.Errorf("out of order: %+v, want it refused", c)
		}
		want := map[string]any{account.StageTerms: map[string]any{"policies": map[string]any{
			"privacy": map[string]any{"version": "1", "en": map[string]string{"name": "Privacy", "url": "https://example.org/p"}},
		}}}
		if diff := cmp.Diff(want, c.Params); diff != "" {
			t.Errorf("params (-want +got):\n%s", diff)
		}
		req.Auth = auth(t, "type", account.StageTerms, "session", c.Session)
		if c = s.challenge(req); c.Code != "" || !cmp.Equal(c.Completed, []string{account.StageTerms}) {
			t.Errorf("after the first stage: %+v", c)
		}
		// A completed stage, and a poll, are answered with the state.
		for _, again := range []jsontext.Value{req.Auth, auth(t, "session", c.Session)} {
			req.Auth = again
			if got := s.challenge(req); got.Code != "" || !cmp.Equal(got, c) {
				t.Errorf("%s: %+v, want %+v", again, got, c)
			}
		}
		req.Auth = auth(t, "type", account.StageDummy, "session", c.Session)
		s.authorized(req)
		req.Auth = auth(t, "session", c.Session)
		a := s.authorized(req) // the act may have failed: the poll succeeds until it is used
		err := db.Update(t.Context(), func(tx *storage.Tx) error {
			if err := a.Consume(tx); err != nil {
				return err
			}
			return a.AcceptTerms(tx, alice)
		})
		if err != nil {
			t.Fatal(err)
		}
		var accepted []storage.AcceptedTerms
		err = db.View(t.Context(), func(tx *storage.Tx) (err error) {
			accepted, err = tx.TermsOf(alice)
			return err
		})
		if err != nil || len(accepted) != 1 || accepted[0].Policy != "privacy" || accepted[0].Version != "1" {
			t.Errorf("accepted = %v, %v", accepted, err)
		}
	})
}

func TestUIAStored(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		req := account.UIARequest{
			Endpoint: uiaEndpoint, Flows: flows([]string{account.StagePassword}),
			Stored: map[string]jsontext.Value{"erase": jsontext.Value("true"), "id_server": jsontext.Value(`"one.example"`)},
		}
		session := s.challenge(req).Session
		req.Auth, req.Stored = auth(t, "session", session), map[string]jsontext.Value{"erase": jsontext.Value("false")}
		s.challenge(req)
		req.Auth, req.Stored = auth(t, append(withPassword(alice), "session", session)...), nil
		a := s.authorized(req)
		got := map[string]string{"erase": string(a.Stored["erase"]), "id_server": string(a.Stored["id_server"])}
		if diff := cmp.Diff(map[string]string{"erase": "false", "id_server": `"one.example"`}, got); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
		req.Auth, req.Stored = nil, map[string]jsontext.Value{"x": jsontext.Value(`"` + strings.Repeat("x", 17<<10) + `"`)}
		s.refused(req, matrix.CodeTooLarge)
	})
}

func TestUIAAuthObject(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		req := account.UIARequest{Endpoint: uiaEndpoint, Flows: flows([]string{account.StagePassword})}
		for _, raw := range []string{`"x"`, `[]`, `1`, `true`, `{"type": 1}`, `{"session": null, "type": {}}`, `{"identifier": "x", "type": "m.login.password"}`} {
			req.Auth = jsontext.Value(raw)
			s.refused(req, matrix.CodeBadJSON)
		}
		for _, raw := range []string{`null`, `{}`, `{"session": ""}`, `{"unknown": 1}`} {
			req.Auth = jsontext.Value(raw)
			if c := s.challenge(req); c.Code != "" {
				t.Errorf("auth %s: %+v, want a plain challenge", raw, c)
			}
		}
		for raw, code := range map[string]matrix.Code{
			`{"type": "m.login.password"}`:                                                                      matrix.CodeMissingParam,
			`{"type": "m.login.password", "user": "alice"}`:                                                     matrix.CodeForbidden,
			`{"type": "m.login.password", "identifier": {"type": "m.id.user"}}`:                                 matrix.CodeMissingParam,
			`{"type": "m.login.password", "identifier": {"type": "m.id.other"}}`:                                matrix.CodeUnknown,
			`{"type": "m.login.password", "password": "x", "identifier": {"type": "m.id.user", "user": "zoe"}}`: matrix.CodeForbidden,
			`{"type": "m.login.recaptcha"}`:                                                                     matrix.CodeUnrecognized,
		} {
			req.Auth = jsontext.Value(raw)
			if c := s.challenge(req); c.Code != code {
				t.Errorf("auth %s: %+v, want %s", raw, c, code)
			}
		}
		req.Auth = jsontext.Value(`{"type": "m.login.password", "password": "x",
			"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "nobody@example.org"}}`)
		s.refused(req, matrix.CodeForbidden)
		for _, raw := range []string{
			`{"type": "m.login.password", "password": "alice-secret", "identifier": {"type": "m.id.user", "user": "alice"}}`,
			`{"type": "m.login.password", "password": "alice-secret", "identifier": {"type": "m.id.user", "user": "@alice:example.org"}}`,
			`{"type": "m.login.password", "password": "alice-secret", "user": "alice"}`,
		} {
			req.Auth = jsontext.Value(raw)
			if a := s.authorized(req); a.Subject != alice {
				t.Errorf("auth %s: subject %q", raw, a.Subject)
			}
		}
	})
}

func TestUIASubjectsAgree(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		validated := s.validation(storage.ForPassword, "bob@example.org", bob)
		req := account.UIARequest{
			Endpoint: uiaEndpoint, Flows: flows([]string{account.StagePassword, account.StageEmail}),
			Auth: auth(t, withPassword(alice)...),
		}
		session := s.challenge(req).Session
		req.Auth = jsontext.Value(`{"type": "m.login.email.identity", "session": "` + session + `", "threepidCreds": ` + validated + `}`)
		s.refused(req, matrix.CodeForbidden)
		req.Auth = auth(t, "session", session)
		if c := s.challenge(req); !cmp.Equal(c.Completed, []string{account.StagePassword}) {
			t.Errorf("completed = %v, want the password alone", c.Completed)
		}
	})
}

// validation makes a complete validation session, of an address that owner has
// ("": nobody), and returns its threepid_creds.
func (s *uiaServer) validation(purpose storage.ValidationPurpose, address string, owner matrix.UserID) string {
	s.t.Helper()
	pid := matrix.Threepid{Medium: matrix.MediumEmail, Address: address}
	now := matrix.Timestamp(s.clock.Load())
	err := s.db.Update(s.t.Context(), func(tx *storage.Tx) error {
		if owner != "" {
			if err := s.AddThreepid(tx, owner, account.ProvenThreepid{Threepid: pid, ValidatedAt: now}); err != nil {
				return err
			}
		}
		v := storage.Validation{
			SID: "sid-" + address, Purpose: purpose, Threepid: pid, SendAttempt: 1, ValidatedAt: now,
			ClientSecret: account.HashForTest("the-secret"), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}
		return tx.PutValidation(v)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return `{"sid": "sid-` + address + `", "client_secret": "the-secret", "id_server": "ignored.example"}`
}

func TestUIAEmail(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		creds := s.validation(storage.ForRegister, "new@example.org", "")
		req := account.UIARequest{
			Endpoint: "POST /_matrix/client/v3/register", Flows: flows([]string{account.StageEmail}),
			Auth: jsontext.Value(`{"type": "m.login.email.identity", "threepid_creds": {"sid": "none", "client_secret": "x"}}`),
		}
		if c := s.challenge(req); c.Code != matrix.CodeThreePIDAuthFailed {
			t.Errorf("unknown validation: %+v", c)
		}
		req.Auth = jsontext.Value(`{"type": "m.login.email.identity"}`)
		if c := s.challenge(req); c.Code != matrix.CodeMissingParam {
			t.Errorf("no creds: %+v", c)
		}
		req.Auth = jsontext.Value(`{"type": "m.login.email.identity", "threepid_creds": ` + creds + `}`)
		a := s.authorized(req)
		if len(a.Threepids) != 1 || a.Threepids[0].Address != "new@example.org" || a.Subject != "" {
			t.Fatalf("authorized = %+v", a)
		}
		if err := s.consume(a); err != nil {
			t.Fatal(err)
		}
		if c := s.challenge(req); c.Code != matrix.CodeThreePIDAuthFailed {
			t.Errorf("a validation counts once: %+v", c)
		}
	})
}

// TestUIARegistrationTokens: a session that has completed the stage holds a use
// of the token until it is used or expires.
func TestUIARegistrationTokens(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		ctx := t.Context()
		if _, err := s.CreateRegistrationToken(ctx, storage.RegistrationToken{Token: "once", UsesAllowed: 1}); err != nil {
			t.Fatal(err)
		}
		counts := func(pending, completed int64) {
			t.Helper()
			got, err := s.RegistrationToken(ctx, "once")
			if err != nil || got.Pending != pending || got.Completed != completed {
				t.Errorf("token = %+v, %v; want %d pending and %d completed", got, err, pending, completed)
			}
		}
		req := account.UIARequest{
			Endpoint: "POST /_matrix/client/v3/register",
			Flows:    flows([]string{account.StageRegistrationToken, account.StageDummy}),
			Auth:     auth(t, "type", account.StageRegistrationToken, "token", "none"),
		}
		if c := s.challenge(req); c.Code != matrix.CodeUnauthorized {
			t.Errorf("unknown token: %+v", c)
		}
		req.Auth = auth(t, "type", account.StageRegistrationToken, "token", "once")
		first := s.challenge(req)
		counts(1, 0)
		if c := s.challenge(req); c.Code != matrix.CodeUnauthorized || len(c.Completed) != 0 {
			t.Errorf("a second session took the only use: %+v", c)
		}
		s.after(16 * time.Minute) // the first one expires
		counts(0, 0)
		second := s.challenge(req)
		if second.Code != "" || second.Session == first.Session {
			t.Fatalf("the use was not released: %+v", second)
		}
		req.Auth = auth(t, "type", account.StageDummy, "session", second.Session)
		if err := s.consume(s.authorized(req)); err != nil {
			t.Fatal(err)
		}
		counts(0, 1)
		if err := s.CheckRegistrationToken(ctx, "once"); matrix.CodeOf(err) != matrix.CodeUnauthorized {
			t.Errorf("used up: %v", err)
		}
	})
}

func TestUIARoundsAtOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		req := account.UIARequest{
			Endpoint: uiaEndpoint, Requester: &account.Requester{UserID: alice, DeviceID: "PHONE"},
			Flows: flows([]string{account.StagePassword}),
		}
		session := s.challenge(req).Session
		req.Auth = auth(t, append(withPassword(alice), "session", session)...)
		const rounds = 20
		var used, challenged atomic.Int32
		var wg sync.WaitGroup
		for range rounds {
			wg.Go(func() {
				a, err := s.Authorize(context.WithoutCancel(t.Context()), req)
				if err == nil {
					err = s.consume(a)
				}
				var c *account.Challenge
				switch {
				case err == nil:
					used.Add(1)
				case errors.As(err, &c):
					challenged.Add(1)
				default:
					t.Errorf("error = %v, want none or a challenge", err)
				}
			})
		}
		wg.Wait()
		if used.Load() != 1 || challenged.Load() != rounds-1 {
			t.Errorf("%d used the session and %d were challenged, want 1 and %d", used.Load(), challenged.Load(), rounds-1)
		}
	})
}

// TestUIATokenAtOnce: of many sessions at once as many take a token as it has
// uses.
func TestUIATokenAtOnce(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		if _, err := s.CreateRegistrationToken(t.Context(), storage.RegistrationToken{Token: "three", UsesAllowed: 3}); err != nil {
			t.Fatal(err)
		}
		req := account.UIARequest{
			Endpoint: "POST /_matrix/client/v3/register",
			Flows:    flows([]string{account.StageRegistrationToken, account.StageDummy}),
			Auth:     auth(t, "type", account.StageRegistrationToken, "token", "three"),
		}
		var took atomic.Int32
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				_, err := s.Authorize(context.WithoutCancel(t.Context()), req)
				if c, ok := errors.AsType[*account.Challenge](err); !ok {
					t.Errorf("error = %v, want a challenge", err)
				} else if len(c.Completed) == 1 {
					took.Add(1)
				}
			})
		}
		wg.Wait()
		if took.Load() != 3 {
			t.Errorf("%d sessions took the token, want 3", took.Load())
		}
	})
}

func TestUIAFloodIsBounded(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		req := account.UIARequest{
			Endpoint: uiaEndpoint, Requester: &account.Requester{UserID: alice, DeviceID: "PHONE"},
			Flows: flows([]string{account.StagePassword}),
		}
		oldest := s.challenge(req).Session
		var latest string
		for range 70 {
			s.after(time.Millisecond)
			latest = s.challenge(req).Session
		}
		var n int64
		err := db.View(t.Context(), func(tx *storage.Tx) (err error) {
			n, err = tx.CountPersonal("uia_sessions", alice)
			return err
		})
		if err != nil || n > 64 {
			t.Errorf("alice has %d sessions (%v), want 64 at most", n, err)
		}
		req.Auth = auth(t, "session", oldest)
		if c := s.challenge(req); c.Session == oldest {
			t.Error("the oldest session must have given way")
		}
		req.Auth = auth(t, "session", latest)
		if c := s.challenge(req); c.Session != latest {
			t.Error("the latest session must be there")
		}
	})
}

func TestUIAFallback(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		ctx := t.Context()
		req := account.UIARequest{
			Endpoint: uiaEndpoint, Requester: &account.Requester{UserID: alice, DeviceID: "PHONE"},
			Flows: flows([]string{account.StagePassword}),
		}
		session := s.challenge(req).Session
		for name, tc := range map[string]struct {
			auth jsontext.Value
			code matrix.Code
		}{
			"no session":     {auth(t, withPassword(alice)...), matrix.CodeForbidden},
			"wrong password": {auth(t, "type", account.StagePassword, "password", "x", "session", session), matrix.CodeForbidden},
			"another user":   {auth(t, append(withPassword(bob), "session", session)...), matrix.CodeForbidden},
			"another stage":  {auth(t, "type", account.StageDummy, "session", session), matrix.CodeUnrecognized},
		} {
			if err := s.CompleteStage(ctx, tc.auth); matrix.CodeOf(err) != tc.code {
				t.Errorf("%s: error = %v, want %s", name, err, tc.code)
			}
		}
		req.Auth = auth(t, "session", session)
		s.challenge(req)
		if err := s.CompleteStage(ctx, auth(t, append(withPassword(alice), "session", session)...)); err != nil {
			t.Fatal(err)
		}
		if a := s.authorized(req); a.Subject != alice {
			t.Errorf("subject = %q after the page, want alice", a.Subject)
		}
	})
}

func TestUIAEndedAccount(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		s := newUIAServer(t, db)
		who := &account.Requester{UserID: alice, DeviceID: "PHONE"}
		req := account.UIARequest{Endpoint: uiaEndpoint, Requester: who, Flows: flows([]string{account.StagePassword})}
		session := s.challenge(req).Session
		err := db.Update(t.Context(), func(tx *storage.Tx) error {
			_, err := tx.MarkDeactivated(alice, matrix.Timestamp(s.clock.Load()), 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		req.Auth = auth(t, "session", session)
		s.refused(req, matrix.CodeUnknownToken)
		req.Auth = nil
		s.refused(req, matrix.CodeUnknownToken)
		req.Requester, req.Auth = nil, auth(t, withPassword(alice)...)
		s.refused(req, matrix.CodeUserDeactivated)
	})
}

// FuzzUIAAuth: whatever `auth` is, the answer is a challenge or an error for the
// requester; never a proof, and never the server's own failure.
func FuzzUIAAuth(f *testing.F) {
	s := newUIAServer(f, storagetest.Open(f, storagetest.URL(f, "sqlite")))
	req := account.UIARequest{Endpoint: uiaEndpoint, Flows: flows(
		[]string{account.StagePassword}, []string{account.StageRegistrationToken}, []string{account.StageEmail}, []string{account.StageMSISDN})}
	for _, seed := range []string{
		`{}`, `null`, `{"session":"x"}`, `{"type":"m.login.password","identifier":{"type":"m.id.user","user":"alice"},"password":"x"}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.thirdparty","medium":"email","address":"a@b.c"}}`,
		`{"type":"m.login.password","identifier":{"type":"m.id.phone","country":"GB","phone":"0123"}}`,
		`{"type":"m.login.email.identity","threepid_creds":{"sid":"1","client_secret":"2"}}`,
		`{"type":"m.login.registration_token","token":"t"}`, `{"type":"m.login.msisdn","threepidCreds":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !jsontext.Value(raw).IsValid() {
			return // the body's decoder lets only valid JSON through
		}
		req.Auth = raw
		a, err := s.Authorize(t.Context(), req)
		var c *account.Challenge
		var e *matrix.Error
		if a != nil || !errors.As(err, &c) && !errors.As(err, &e) {
			t.Errorf("Authorize(%s) = %+v, %v", raw, a, err)
		}
	})
}
