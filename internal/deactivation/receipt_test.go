package deactivation_test

import (
	"bytes"
	"crypto/ed25519"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"lethe/internal/config"
	"lethe/internal/deactivation"
	"lethe/internal/event"
	"lethe/internal/hstest"
	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// TestThePreviewTheReceiptAndWhatGoesAgree: what was counted before is what the
// receipt says is gone, of every table of people, with and without erasure.
func TestThePreviewTheReceiptAndWhatGoesAgree(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	for _, erase := range []bool{true, false} {
		t.Run(map[bool]string{true: "erase", false: "keep"}[erase], func(t *testing.T) {
			hstest.Each(t, func(t *testing.T, s *hstest.Server) {
				user := fill(t, s, "alice", ids)
				req := deactivation.Request{User: user, Erase: erase, By: deactivation.Operator}
				preview, err := s.Deactivations.Preview(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[matrix.ServerName]int64{matrix.ServerName(ids.Name): 1}, preview.Unbinds); diff != "" {
					t.Errorf("the preview's unbinds (-want +got):\n%s", diff)
				}
				if len(endingsOf(t, s, string(user))) != 0 {
					t.Fatal("the preview has ended the account")
				}
				result, err := s.Deactivations.Deactivate(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				receipt, raw := finalReceipt(t, s, result.ID)
				unbound := receipt.Gone["unbound"]
				delete(receipt.Gone, "unbound")
				if diff := cmp.Diff(preview.Goes, receipt.Gone); diff != "" {
					t.Errorf("the preview (-) and what went (+):\n%s", diff)
				}
				if diff := cmp.Diff(preview.Stays, receipt.Stays); diff != "" {
					t.Errorf("what the preview said stays (-) and what does (+):\n%s", diff)
				}
				if unbound != 1 || !receipt.Complete || receipt.Erase != erase || receipt.UserID != user {
					t.Errorf("receipt = %s", raw)
				}
				if strings.Contains(string(raw), planted) {
					t.Errorf("the receipt has something of the person: %s", raw)
				}
			}, hstest.Trust(t, ids))
		})
	}
}

// finalReceipt waits until an ending is done, and verifies its receipt with the
// published key.
func finalReceipt(t *testing.T, s *hstest.Server, id string) (deactivation.Receipt, []byte) {
	t.Helper()
	path := "/_lethe/client/v1/deactivation/" + id + "/receipt"
	s.Eventually("the receipt is complete", func() bool { return s.Do(http.MethodGet, path, "", nil).Get("complete") == true })
	raw := s.Do(http.MethodGet, path, "", nil).Raw
	keyID, key := serverKey(t, s)
	receipt, err := deactivation.VerifyReceipt(raw, keyID, key)
	if err != nil {
		t.Fatalf("the receipt does not verify: %v\n%s", err, raw)
	}
	return receipt, raw
}

func serverKey(t *testing.T, s *hstest.Server) (id string, key ed25519.PublicKey) {
	t.Helper()
	a := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/key/v2/server", "", nil)
	keys, _ := a.Get("verify_keys").(object)
	for id := range keys {
		key, err := event.DecodeBase64(a.String("verify_keys", id, "key"))
		if err != nil {
			t.Fatal(err)
		}
		return id, key
	}
	t.Fatalf("the server publishes no key: %s", a.Raw)
	return "", nil
}

func TestAReceiptThatWasChangedDoesNotVerify(t *testing.T) {
	s := hstest.New(t, "sqlite")
	evil := event.NewSigningKey().Private
	user := matrix.UserID(s.Register("alice").UserID)
	result, err := s.Deactivations.Deactivate(t.Context(), deactivation.Request{User: user, By: deactivation.Self})
	if err != nil {
		t.Fatal(err)
	}
	_, raw := finalReceipt(t, s, result.ID)
	keyID, key := serverKey(t, s)
	for name, change := range map[string]func([]byte) []byte{
		"a figure":     func(b []byte) []byte { return bytes.Replace(b, []byte(`"devices":1`), []byte(`"devices":2`), 1) },
		"the user":     func(b []byte) []byte { return bytes.Replace(b, []byte("@alice"), []byte("@mallo"), 1) },
		"erase":        func(b []byte) []byte { return bytes.Replace(b, []byte(`"erase":false`), []byte(`"erase":true`), 1) },
		"the server":   func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`example.org`), []byte(`example.net`)) },
		"the type":     func(b []byte) []byte { return bytes.Replace(b, []byte("receipt.v1"), []byte("receipt.v2"), 1) },
		"no signature": func(b []byte) []byte { return bytes.Replace(b, []byte(keyID), []byte("ed25519:other"), 1) },
		"more keys":    func(b []byte) []byte { return bytes.Replace(b, []byte("{"), []byte(`{"a":1,`), 1) },
	} {
		changed := change(bytes.Clone(raw))
		if bytes.Equal(changed, raw) {
			t.Errorf("%s: nothing was changed in %s", name, raw)
		}
		if _, err := deactivation.VerifyReceipt(changed, keyID, key); err == nil {
			t.Errorf("%s: a changed receipt verifies", name)
		}
	}
	theirs, err := event.SignJSON([]byte(`{"type":"org.lethe.deactivation.receipt.v1","server":"evil.example","id":"x",
		"user_id":"@alice:example.org","state":"done","complete":true}`), "evil.example", event.SigningKey{ID: keyID, Private: evil})
	if err != nil {
		t.Fatal(err)
	}
	_, err = deactivation.VerifyReceipt(theirs, keyID, evil.Public().(ed25519.PublicKey))
	if err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("another server's receipt for a user of this one = %v", err)
	}
	other := event.NewSigningKey()
	if _, err := deactivation.VerifyReceipt(raw, keyID, other.Public()); err == nil {
		t.Error("it verifies with another key")
	}
	s.Want(http.StatusNotFound, "M_NOT_FOUND", http.MethodGet, "/_lethe/client/v1/deactivation/none/receipt", "", nil)
}

// TestAReceiptTellsWhatIsStillToDo: while an identity server is down it has the
// attempts, the last error and the next try, a retry makes the step due at once,
// and once it is done the final receipt takes its place.
func TestAReceiptTellsWhatIsStillToDo(t *testing.T) {
	ids, clock := hstest.NewIdentityServer(t), hstest.NewClock()
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		user := fill(t, s, "alice", ids)
		down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		ids.AnswerUnbind(down)
		result, err := s.Deactivations.Deactivate(t.Context(), deactivation.Request{User: user, Erase: true, By: deactivation.Self})
		if err != nil {
			t.Fatal(err)
		}
		path := "/_lethe/client/v1/deactivation/" + result.ID + "/receipt"
		s.Eventually("all but the unbinding is done", func() bool {
			r := readReceipt(t, s.Do(http.MethodGet, path, "", nil).Raw)
			for _, step := range r.Steps {
				if step.Name != "unbind" && step.State != "done" {
					return false
				}
			}
			return unbindStep(r).Error != ""
		})
		raw := s.Do(http.MethodGet, path, "", nil).Raw
		keyID, key := serverKey(t, s)
		r, err := deactivation.VerifyReceipt(raw, keyID, key)
		if err != nil {
			t.Errorf("a receipt under way verifies, too: %v", err)
		}
		got := unbindStep(r)
		next := got.NextTry.Time()
		if got.State != "pending" || got.Attempts != 1 || got.Target != ids.Name || !next.After(clock.Now()) ||
			got.Error != "the identity server "+ids.Name+" answered 502 " && !strings.Contains(got.Error, "502") {
			t.Errorf("step = %+v", got)
		}
		if r.Complete || r.FinishedAt != 0 || r.State != storage.Running {
			t.Errorf("not complete: %s", raw)
		}
		if n, err := s.Deactivations.Retry(t.Context(), result.ID); err != nil || n != 1 {
			t.Errorf("retry = %d, %v; want 1 step", n, err)
		}
		s.Eventually("it was tried again", func() bool {
			return unbindStep(readReceipt(t, s.Do(http.MethodGet, path, "", nil).Raw)).Attempts == 2
		})
		ids.AnswerUnbind(nil)
		clock.Advance(24 * time.Hour)
		s.Jobs.Wake()
		final, _ := finalReceipt(t, s, result.ID)
		if step := unbindStep(final); step.State != "done" || step.Error != "" || step.DoneAt == 0 || step.NextTry != 0 {
			t.Errorf("the step, done: %+v", step)
		}
		if _, err := s.Deactivations.Retry(t.Context(), "none"); matrix.CodeOf(err) != matrix.CodeNotFound {
			t.Errorf("retry of nothing = %v", err)
		}
	}, hstest.Trust(t, ids), hstest.Clock(clock.Now), hstest.Set(func(c *config.Settings) { c.DeactivationWait = 0 }))
}

func readReceipt(t *testing.T, raw []byte) (r deactivation.Receipt) {
	t.Helper()
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return r
}

func unbindStep(r deactivation.Receipt) deactivation.Step {
	for _, step := range r.Steps {
		if step.Name == "unbind" {
			return step
		}
	}
	return deactivation.Step{}
}

// TestReactivation: an account that was not erased comes back with a new
// password and without what it had; unbinding may still be going on.
func TestReactivation(t *testing.T) {
	ids := hstest.NewIdentityServer(t)
	hstest.Each(t, func(t *testing.T, s *hstest.Server) {
		user := fill(t, s, "alice", ids)
		if err := s.Deactivations.Reactivate(t.Context(), user, "x", deactivation.Operator); matrix.CodeOf(err) != matrix.CodeInvalidParam {
			t.Errorf("reactivate a live account = %v", err)
		}
		if err := s.Deactivations.Reactivate(t.Context(), "@none:example.org", "x", deactivation.Operator); matrix.CodeOf(err) != matrix.CodeNotFound {
			t.Errorf("reactivate nobody = %v", err)
		}
		result, err := s.Deactivations.Deactivate(t.Context(), deactivation.Request{User: user, By: deactivation.Self})
		if err != nil {
			t.Fatal(err)
		}
		finalReceipt(t, s, result.ID)
		hash, err := s.Accounts.HashPassword(t.Context(), "a-new-password")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Deactivations.Reactivate(t.Context(), user, hash, deactivation.Operator); err != nil {
			t.Fatal(err)
		}
		a := s.Want(http.StatusOK, "", http.MethodPost, loginPath, "", object{
			"type": "m.login.password", "identifier": object{"type": "m.id.user", "user": "alice"}, "password": "a-new-password",
		})
		s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/profile/"+string(user), a.String("access_token"), nil)
		devices := s.Want(http.StatusOK, "", http.MethodGet, "/_matrix/client/v3/devices", a.String("access_token"), nil)
		if list, _ := devices.Get("devices").([]any); len(list) != 1 {
			t.Errorf("devices of before are back: %s", devices.Raw)
		}
		if r := readReceipt(t, receiptOf(t, s, result.ID)); r.State != storage.Undone || r.Complete {
			t.Errorf("the receipt of an ending that was taken back is %s, complete: %t", r.State, r.Complete)
		}
		if again := endingsOf(t, s, string(user)); len(again) != 1 || again[0].State != storage.Undone || again[0].Receipt == nil {
			t.Errorf("endings: %+v", again)
		}
	}, hstest.Trust(t, ids))
}

func receiptOf(t *testing.T, s *hstest.Server, id string) []byte {
	t.Helper()
	raw, err := s.Deactivations.Receipt(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestTheAuditLogIsOnlyEverAddedTo: no statement of the program changes it.
func TestTheAuditLogIsOnlyEverAddedTo(t *testing.T) {
	files, err := filepath.Glob("../storage/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	change := regexp.MustCompile(`(?i)(update|delete\s+from|truncate)\s+audit_log`)
	insert := false
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if change.Match(raw) {
			t.Errorf("%s changes the audit log", name)
		}
		insert = insert || bytes.Contains(raw, []byte("INSERT INTO audit_log"))
	}
	if !insert {
		t.Error("nothing writes the audit log: the test looks in the wrong place")
	}
}
