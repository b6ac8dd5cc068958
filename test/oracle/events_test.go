package oracle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"encoding/json/jsontext"
	jsonv2 "encoding/json/v2"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matrix-org/gomatrixserverlib"
	"github.com/matrix-org/gomatrixserverlib/spec"
	"maunium.net/go/mautrix/crypto/canonicaljson"
	"maunium.net/go/mautrix/federation/pdu"
	"maunium.net/go/mautrix/id"
	"pgregory.net/rapid"

	"lethe/internal/event"
	"lethe/internal/matrix"
)

const origin = "example.org"

var key = func() event.SigningKey {
	key, err := event.KeyFromSeed("ed25519:k", sha256.New().Sum(nil))
	if err != nil {
		panic(err)
	}
	return key
}()

func ourKeys(server matrix.ServerName, keyID string) (ed25519.PublicKey, bool) {
	return key.Public(), server == origin && keyID == key.ID
}

// library is another implementation of what internal/event does.
type library struct {
	name   string
	id     func(version string, raw []byte) (string, error)
	redact func(version string, raw []byte) ([]byte, error)
	// verify checks content hash and signature.
	verify func(version string, raw []byte) error
	// sign makes the event from one without signatures.
	sign func(version string, raw []byte) ([]byte, error)
	// spares takes out of an event what the library is known to get wrong: each has
	// its case in TestKnownDifferencesOfEvents.
	spares func(version int, typ string, content map[string]any)
}

var libraries = []library{
	{
		name: "gomatrixserverlib",
		id: func(version string, raw []byte) (string, error) {
			e, err := gomatrixserverlib.MustGetRoomVersion(gomatrixserverlib.RoomVersion(version)).NewEventFromTrustedJSON(raw, false)
			if err != nil {
				return "", err
			}
			return e.EventID(), nil
		},
		redact: func(version string, raw []byte) ([]byte, error) {
			redacted, err := gomatrixserverlib.MustGetRoomVersion(gomatrixserverlib.RoomVersion(version)).RedactEventJSON(raw)
			if err != nil {
				return nil, err
			}
			return gomatrixserverlib.CanonicalJSON(redacted)
		},
		verify: func(version string, raw []byte) error {
			v := gomatrixserverlib.MustGetRoomVersion(gomatrixserverlib.RoomVersion(version))
			e, err := v.NewEventFromUntrustedJSON(raw)
			if err != nil {
				return err
			}
			if e.Redacted() {
				return errors.New("the content hash is wrong")
			}
			redacted, err := v.RedactEventJSON(e.JSON())
			if err != nil {
				return err
			}
			return gomatrixserverlib.VerifyJSON(origin, gomatrixserverlib.KeyID(key.ID), key.Public(), redacted)
		},
		sign: func(version string, raw []byte) ([]byte, error) {
			e, err := gomatrixserverlib.MustGetRoomVersion(gomatrixserverlib.RoomVersion(version)).NewEventFromTrustedJSON(raw, false)
			if err != nil {
				return nil, err
			}
			return gomatrixserverlib.CanonicalJSON(e.Sign(origin, gomatrixserverlib.KeyID(key.ID), key.Private).JSON())
		},
		spares: func(version int, typ string, content map[string]any) {
			if version >= 11 && typ == spec.MRoomMember {
				delete(content, "third_party_invite")
			}
		},
	},
	{
		name: "mautrix",
		id: func(version string, raw []byte) (string, error) {
			e, err := readPDU(version, raw)
			if err != nil {
				return "", err
			}
			eventID, err := e.GetEventID(id.RoomVersion(version))
			return string(eventID), err
		},
		redact: func(version string, raw []byte) ([]byte, error) {
			e, err := readPDU(version, raw)
			if err != nil {
				return nil, err
			}
			switch e := e.(type) {
			case *pdu.PDU:
				return canonicaljson.Marshal(e.Redact(id.RoomVersion(version)))
			case *pdu.RoomV1PDU:
				return canonicaljson.Marshal(e.Redact(id.RoomVersion(version)))
			}
			return nil, errors.New("another type of PDU")
		},
		verify: func(version string, raw []byte) error {
			e, err := readPDU(version, raw)
			if err != nil {
				return err
			}
			if !e.VerifyContentHash() {
				return errors.New("the content hash is wrong")
			}
			return e.VerifySignature(id.RoomVersion(version), origin, func(string, id.KeyID, time.Time) (id.SigningKey, time.Time, error) {
				return id.SigningKey(event.EncodeBase64(key.Public())), time.UnixMilli(1 << 53), nil
			})
		},
		sign: func(version string, raw []byte) ([]byte, error) {
			e, err := readPDU(version, raw)
			if err != nil {
				return nil, err
			}
			if err := e.Sign(id.RoomVersion(version), origin, id.KeyID(key.ID), key.Private); err != nil {
				return nil, err
			}
			return canonicaljson.Marshal(e)
		},
		spares: func(version int, typ string, content map[string]any) {
			if invite, ok := content["third_party_invite"].(map[string]any); ok && invite["signed"] == nil {
				delete(content, "third_party_invite")
			}
		},
	},
}

func readPDU(version string, raw []byte) (pdu.AnyPDU, error) {
	if version == "1" || version == "2" {
		e := &pdu.RoomV1PDU{}
		return e, jsonv2.Unmarshal(raw, e)
	}
	e := &pdu.PDU{}
	return e, jsonv2.Unmarshal(raw, e)
}

// interesting are the types of events whose content matters, and the keys in it.
var interesting = map[string][]string{
	"m.room.create":             {"creator", "room_version", "m.federate", "additional_creators", "predecessor", "type"},
	"m.room.member":             {"membership", "displayname", "avatar_url", "join_authorised_via_users_server", "reason"},
	"m.room.join_rules":         {"join_rule", "allow"},
	"m.room.power_levels":       {"ban", "events", "events_default", "invite", "kick", "redact", "state_default", "users", "users_default", "notifications"},
	"m.room.aliases":            {"aliases"},
	"m.room.history_visibility": {"history_visibility"},
	"m.room.redaction":          {"redacts", "reason"},
	"m.room.message":            {"body", "msgtype", "m.relates_to"},
	"m.room.third_party_invite": {"display_name", "public_key"},
}

// proto draws an event that a library agrees on.
func proto(t *rapid.T, lib library, v *event.Version) event.Proto {
	typ := rapid.SampledFrom(slices.Sorted(func(yield func(string) bool) {
		for typ := range interesting {
			if !yield(typ) {
				return
			}
		}
	})).Draw(t, "type")
	content := rapid.MapOfN(rapid.OneOf(rapid.SampledFrom(interesting[typ]), keys), values(2), 0, 8).Draw(t, "content")
	if typ == spec.MRoomMember && rapid.Bool().Draw(t, "invite") {
		content["third_party_invite"] = rapid.OneOf(values(1),
			rapid.MapOfN(rapid.SampledFrom([]string{"signed", "display_name"}), values(1), 0, 2).AsAny()).Draw(t, "third_party_invite")
	}
	version, err := strconv.Atoi(v.ID)
	if err != nil {
		t.Fatal(err)
	}
	lib.spares(version, typ, content)
	raw, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	ids := rapid.SliceOfN(rapid.StringMatching(`\$[A-Za-z0-9_-]{43}`), 0, 5)
	p := event.Proto{
		RoomID: "!room:example.org", Type: typ, Sender: "@alice:example.org", Content: raw,
		PrevEvents: ids.Draw(t, "prev_events"), AuthEvents: ids.Draw(t, "auth_events"),
		Depth: rapid.Int64Range(0, 1<<53-1).Draw(t, "depth"), Timestamp: matrix.Timestamp(rapid.Int64Range(0, 1<<53-1).Draw(t, "ts")),
		ReferenceHashes: map[string]string{},
	}
	for _, id := range slices.Concat(p.PrevEvents, p.AuthEvents) {
		p.ReferenceHashes[id] = event.EncodeBase64([]byte(id)[:32])
	}
	if typ == spec.MRoomCreate { // gomatrixserverlib knows it by its state key
		p.StateKey = new(string)
	} else if rapid.Bool().Draw(t, "is state") {
		key := keys.Draw(t, "state_key")
		p.StateKey = &key
	}
	return p
}

func TestEventsAreTheSame(t *testing.T) {
	for _, lib := range libraries {
		for _, version := range event.Versions() {
			t.Run(lib.name+"/"+version, func(t *testing.T) {
				v, _ := event.VersionOf(version)
				rapid.Check(t, func(t *rapid.T) {
					e, err := event.Build(v, proto(t, lib, v), origin, key)
					if err != nil {
						t.Fatal(err)
					}
					compare(t, lib, e)
				})
			})
		}
	}
}

func compare(t *rapid.T, lib library, e *event.Event) {
	version := e.Version().ID
	if id, err := lib.id(version, e.JSON()); err != nil || id != e.ID() {
		t.Fatalf("our id is %s, theirs %s, %v, of %s", e.ID(), id, err, e.JSON())
	}
	if err := lib.verify(version, e.JSON()); err != nil {
		t.Fatalf("they refuse %s: %v", e.JSON(), err)
	}
	redacted, err := e.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := lib.redact(version, e.JSON())
	if err != nil || !bytes.Equal(theirs, redacted.JSON()) {
		t.Fatalf("redacted, %v, of %s (-theirs +ours):\n%s", err, e.JSON(), cmp.Diff(string(theirs), string(redacted.JSON())))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.JSON(), &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "signatures")
	bare, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := lib.sign(version, bare)
	if err != nil {
		t.Fatalf("they do not sign %s: %v", bare, err)
	}
	if !bytes.Equal(signed, e.JSON()) {
		t.Fatalf("signed (-theirs +ours):\n%s", cmp.Diff(string(signed), string(e.JSON())))
	}
	parsed, err := event.Parse(e.Version(), signed)
	if err != nil || parsed.ID() != e.ID() || parsed.HashMismatch() {
		t.Fatalf("we do not take %s: %v", signed, err)
	}
	if err := event.VerifySignatures(parsed, ourKeys); err != nil && !bytes.Contains(signed, []byte("join_authorised_via_users_server")) {
		t.Fatalf("we refuse %s: %v", signed, err)
	}
}

// TestKnownDifferencesOfEvents holds where the others depart from the pages of
// the room versions, and that ours does not. One that is gone has been mended
// there, and comes out of this list.
func TestKnownDifferencesOfEvents(t *testing.T) {
	for _, tc := range []struct {
		name, library string
		versions      []string
		in, want      string
	}{
		{ // What redaction does not name, it does not touch; ids are hashes of the result.
			"large integers are not rounded", "gomatrixserverlib",
			[]string{"1", "2", "3", "4", "5"},
			`{"content":{"users_default":9007199254740993},"type":"m.room.power_levels"}`,
			`{"content":{"users_default":9007199254740993},"type":"m.room.power_levels"}`,
		},
		{ // rooms/v11, Redactions: "it allows the `signed` key of the `third_party_invite` key".
			"signed of a third-party invite stays", "gomatrixserverlib",
			[]string{"11", "12"},
			`{"content":{"membership":"invite","third_party_invite":{"display_name":"a","signed":{"token":"t"}}},"type":"m.room.member"}`,
			`{"content":{"membership":"invite","third_party_invite":{"signed":{"token":"t"}}},"type":"m.room.member"}`,
		},
		{ // rooms/v1 and later, Redactions: `redacts` is not in the list before rooms/v11, which has it in the content.
			"redacts of a redaction goes", "mautrix",
			[]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"},
			`{"content":{},"redacts":"$x","type":"m.room.redaction"}`,
			`{"content":{},"type":"m.room.redaction"}`,
		},
		{ // rooms/v11, Event format: the key "is no longer redacted, but will only contain the `signed` key".
			"third-party invite without signed stays", "mautrix",
			[]string{"11", "12"},
			`{"content":{"membership":"invite","third_party_invite":{"display_name":"a"}},"type":"m.room.member"}`,
			`{"content":{"membership":"invite","third_party_invite":{}},"type":"m.room.member"}`,
		},
	} {
		lib := libraries[slices.IndexFunc(libraries, func(l library) bool { return l.name == tc.library })]
		for _, version := range tc.versions {
			t.Run(tc.name+"/"+version, func(t *testing.T) {
				v, _ := event.VersionOf(version)
				ours, err := event.RedactJSON(v, []byte(tc.in))
				if err != nil || string(ours) != tc.want {
					t.Errorf("ours: %s, %v, want %s", ours, err, tc.want)
				}
				theirs, err := lib.redact(version, []byte(tc.in))
				var fields map[string]jsontext.Value
				if err != nil || jsonv2.Unmarshal(theirs, &fields) != nil {
					t.Fatalf("theirs: %s, %v", theirs, err)
				}
				var want map[string]jsontext.Value
				if err := jsonv2.Unmarshal([]byte(tc.want), &want); err != nil {
					t.Fatal(err)
				}
				if string(fields["content"]) == string(want["content"]) && string(fields["redacts"]) == string(want["redacts"]) {
					t.Errorf("theirs is no longer different: %s", theirs)
				}
			})
		}
	}
}

// TestKnownDifferencesOfParsing holds what gomatrixserverlib takes for an event
// and the specification does not, or the other way round.
func TestKnownDifferencesOfParsing(t *testing.T) {
	good := func(content string) string {
		return `{"auth_events":[],"content":` + content + `,"depth":1,"hashes":{"sha256":"x"},"origin_server_ts":1,"prev_events":[],` +
			`"room_id":"!r:example.org","sender":"@a:example.org","signatures":{},"type":"x"}`
	}
	for _, tc := range []struct {
		name, in string
		ours     bool // whether we take it
	}{
		// Appendices, Canonical JSON, whose grammar rooms/v6 has servers enforce.
		{"a plain one", good(`{}`), true},
		{"duplicate keys", good(`{"a":1,"a":2}`), false},
		{"invalid UTF-8", good("{\"a\":\"\xff\"}"), false},
		{"exponent", good(`{"a":1E3}`), false},
	} {
		for _, version := range []string{"6", "10"} {
			t.Run(tc.name+"/"+version, func(t *testing.T) {
				v, _ := event.VersionOf(version)
				if _, err := event.Parse(v, []byte(tc.in)); (err == nil) != tc.ours {
					t.Errorf("ours: %v", err)
				}
				_, err := gomatrixserverlib.MustGetRoomVersion(gomatrixserverlib.RoomVersion(version)).NewEventFromUntrustedJSON([]byte(tc.in))
				if err != nil {
					t.Errorf("theirs is no longer different: %v", err)
				}
			})
		}
	}
}
