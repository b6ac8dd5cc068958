package event_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

// The signed events of the specification (Appendices, Event Signing).
const (
	specMinimal = `{"auth_events": [], "content": {}, "depth": 3, "hashes": {"sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"},
		"origin": "domain", "origin_server_ts": 1000000, "prev_events": [], "room_id": "!x:domain", "sender": "@a:domain",
		"signatures": {"domain": {"ed25519:1": "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"}},
		"type": "X", "unsigned": {"age_ts": 1000000}}`
	specRedactable = `{"content": {"body": "Here is the message content"}, "event_id": "$0:domain",
		"hashes": {"sha256": "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g"}, "origin": "domain", "origin_server_ts": 1000000,
		"type": "m.room.message", "room_id": "!r:domain", "sender": "@u:domain",
		"signatures": {"domain": {"ed25519:1": "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA"}},
		"unsigned": {"age_ts": 1000000}}`
)

func specKeys(t testing.TB) func(matrix.ServerName, string) (ed25519.PublicKey, bool) {
	key := specKey(t)
	return func(server matrix.ServerName, id string) (ed25519.PublicKey, bool) {
		return key.Public(), server == "domain" && id == key.ID
	}
}

func TestSignedEventsOfTheSpecification(t *testing.T) {
	eachVersion(t, "3", "12", func(t *testing.T, v *event.Version) {
		e, err := event.Parse(v, []byte(specMinimal))
		if err != nil {
			t.Fatal(err)
		}
		if e.HashMismatch() {
			t.Error("its content hash is taken for wrong")
		}
		// Redaction takes origin away since version 11: the examples are older.
		if err := event.VerifySignatures(e, specKeys(t)); (err == nil) != (numbered(v) < 11) {
			t.Errorf("its signature: %v", err)
		}
	})
	// The other has neither depth nor links: no version's event, but hash and signature can be told.
	eachVersion(t, "1", "10", func(t *testing.T, v *event.Version) {
		canonical, err := event.Canonical([]byte(specRedactable))
		if err != nil {
			t.Fatal(err)
		}
		if got := event.ContentHash(canonical); got != "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g" {
			t.Errorf("its content hash is %s", got)
		}
		e, err := event.Load(v, "$0:domain", canonical)
		if err != nil {
			t.Fatal(err)
		}
		redacted, err := e.Redacted()
		if err != nil || strings.Contains(string(redacted.JSON()), "content\":{\"body") {
			t.Fatal(redacted, err)
		}
		for _, e := range []*event.Event{e, redacted} {
			if err := event.VerifySignatures(e, specKeys(t)); err != nil {
				t.Errorf("its signature: %v", err)
			}
		}
		if _, err := event.Parse(v, canonical); err == nil {
			t.Error("it is taken for an event")
		}
	})
}

// signedPDU is an event with the signatures of servers, which all have testKey.
func signedPDU(t *testing.T, v *event.Version, e pdu, servers ...string) *event.Event {
	t.Helper()
	parse := func() *event.Event {
		parsed, err := event.Parse(v, e.JSON())
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	bare, err := event.Canonical(e.with("signatures", ``, "hashes", ``, "unsigned", ``).JSON())
	if err != nil {
		t.Fatal(err)
	}
	e = e.with("hashes", `{"sha256":"`+event.ContentHash(bare)+`"}`, "signatures", `{}`)
	raw, err := event.RedactJSON(v, parse().JSON())
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range servers {
		if raw, err = event.SignJSON(raw, server, testKey); err != nil {
			t.Fatal(err)
		}
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	e = e.with("signatures", string(fields["signatures"]))
	if parsed := parse(); !parsed.HashMismatch() {
		return parsed
	}
	t.Fatal("the hash is wrong")
	return nil
}

// anyServer knows testKey as that of every server.
func anyServer(_ matrix.ServerName, id string) (ed25519.PublicKey, bool) {
	return testKey.Public(), id == testKey.ID
}

func TestTheServersThatMustSign(t *testing.T) {
	member := func(v *event.Version, content string) pdu {
		return goodPDU(v).with("type", `"m.room.member"`, "state_key", `"@bob:bob.org"`, "sender", `"@alice:alice.org"`, "content", content)
	}
	const authorised = `"join_authorised_via_users_server":"@carol:carol.org"`
	const thirdParty = `{"membership":"invite","third_party_invite":{"signed":{"token":"t"}}}`
	for _, tc := range []struct {
		name, first, last string
		event             func(v *event.Version) pdu
		need              []string
	}{
		{"a message", "3", "12", func(v *event.Version) pdu { return member(v, `{"a":1}`).with("type", `"m.room.message"`) }, []string{"alice.org"}},
		{
			"a message with another server in its id", "1", "2",
			func(v *event.Version) pdu { return member(v, `{}`).with("type", `"x"`, "event_id", `"$1:given.org"`) },
			[]string{"alice.org", "given.org"},
		},
		{
			"a message with the same server in its id", "1", "2",
			func(v *event.Version) pdu { return member(v, `{}`).with("event_id", `"$1:alice.org"`) },
			[]string{"alice.org"},
		},
		{
			"an id that means nothing", "3", "12",
			func(v *event.Version) pdu { return member(v, `{}`).with("event_id", `"$1:given.org"`) },
			[]string{"alice.org"},
		},
		{"an invite", "3", "12", func(v *event.Version) pdu { return member(v, `{"membership":"invite"}`) }, []string{"alice.org"}},
		{"a third-party invite", "3", "12", func(v *event.Version) pdu { return member(v, thirdParty) }, nil},
		{
			"a third-party invite with a given id", "1", "2",
			func(v *event.Version) pdu { return member(v, thirdParty).with("event_id", `"$1:bob.org"`) },
			[]string{"bob.org"},
		},
		{
			"a join with a third-party invite", "3", "12",
			func(v *event.Version) pdu { return member(v, strings.Replace(thirdParty, "invite", "join", 1)) },
			[]string{"alice.org"},
		},
		{
			"another event that says third-party invite", "3", "12",
			func(v *event.Version) pdu { return member(v, thirdParty).with("type", `"m.room.message"`) },
			[]string{"alice.org"},
		},
		{"a restricted join before there are any", "3", "7", func(v *event.Version) pdu { return member(v, `{`+authorised+`}`) }, []string{"alice.org"}},
		{"a restricted join", "8", "12", func(v *event.Version) pdu { return member(v, `{`+authorised+`}`) }, []string{"alice.org", "carol.org"}},
		{
			"a message that says restricted join", "8", "12",
			func(v *event.Version) pdu { return member(v, `{`+authorised+`}`).with("type", `"m.room.message"`) },
			[]string{"alice.org"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachVersion(t, tc.first, tc.last, func(t *testing.T, v *event.Version) {
				e := tc.event(v)
				if err := event.VerifySignatures(signedPDU(t, v, e, append(tc.need, "other.org")...), anyServer); err != nil {
					t.Error(err)
				}
				for i, missing := range tc.need {
					others := append(append([]string{"other.org"}, tc.need[:i]...), tc.need[i+1:]...)
					if err := event.VerifySignatures(signedPDU(t, v, e, others...), anyServer); err == nil || !strings.Contains(err.Error(), missing) {
						t.Errorf("without %s: %v", missing, err)
					}
				}
			})
		})
	}
}

func TestNobodyIsInvitedInAnothersName(t *testing.T) {
	eachVersion(t, "3", "10", func(t *testing.T, v *event.Version) {
		// Redaction would leave a plain invite of alice's, which she has not signed.
		e, err := event.Parse(v, goodPDU(v).with("type", `"m.room.member"`, "state_key", `"@bob:bob.org"`, "signatures", `{}`,
			"content", `{"membership":"invite","third_party_invite":{}}`).JSON())
		if err != nil || !e.HashMismatch() || string(e.Content()) != `{"membership":"invite"}` {
			t.Fatalf("%v, %v", e, err)
		}
		if err := event.VerifySignatures(e, anyServer); err == nil {
			t.Error("a third-party invite with a wrong hash passes as an invite without a signature")
		}
	})
}

func TestASignatureHasToBeRight(t *testing.T) {
	v := mustVersion(t, "12")
	e := signedPDU(t, v, goodPDU(v), "example.org")
	good := testKey.Sign([]byte("something else"))
	otherKey := func(matrix.ServerName, string) (ed25519.PublicKey, bool) { return specKey(t).Public(), true }
	for name, tc := range map[string]struct {
		signatures string // added to those of example.org
		keys       func(matrix.ServerName, string) (ed25519.PublicKey, bool)
		ok         bool
	}{
		"alone":                       {``, testKeys, true},
		"a key that is not known":     {`,"ed25519:old":"` + good + `"`, testKeys, true},
		"an algorithm we do not know": {`,"rsa:test":"` + good + `"`, anyKey, true},
		"a second that is wrong":      {`,"ed25519:old":"` + good + `"`, anyKey, false},
		"a second that is no base64":  {`,"ed25519:old":"!"`, anyKey, false},
		"a second that is short":      {`,"ed25519:old":"aaaa"`, anyKey, false},
		"no key is known":             {``, func(matrix.ServerName, string) (ed25519.PublicKey, bool) { return nil, false }, false},
		"a broken key":                {``, func(matrix.ServerName, string) (ed25519.PublicKey, bool) { return nil, true }, false},
		"another key":                 {``, otherKey, false},
	} {
		raw := bytes.Replace(e.JSON(), []byte(`"}},"type"`), fmt.Appendf(nil, `"%s}},"type"`, tc.signatures), 1)
		changed, err := event.Load(v, e.ID(), raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := event.VerifySignatures(changed, tc.keys); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, changed := range []string{`"depth":13`, `"sender":"@alicf:example.org"`, `"type":"m.room.messagf"`} {
		key, _, _ := strings.Cut(changed, ":")
		at := bytes.Index(e.JSON(), []byte(key))
		end := at + bytes.IndexAny(e.JSON()[at:], ",}")
		raw := string(e.JSON()[:at]) + changed + string(e.JSON()[end:])
		other, err := event.Parse(v, []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := event.VerifySignatures(other, testKeys); err == nil || other.ID() == e.ID() {
			t.Errorf("%s passes for %s", changed, e.JSON())
		}
	}
}

func anyKey(matrix.ServerName, string) (ed25519.PublicKey, bool) { return testKey.Public(), true }
