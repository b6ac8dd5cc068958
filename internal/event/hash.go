package event

import (
	"crypto/sha256"
	"encoding/base64"
)

// contentHash is the hash of all of an event (Server-Server API, Calculating the
// content hash for an event). raw is canonical.
func contentHash(raw []byte) [sha256.Size]byte {
	return sha256.Sum256(appendWithout(make([]byte, 0, len(raw)), raw, "unsigned", "signatures", "hashes"))
}

// signable is what servers sign of an event, and what its id is the hash of: its
// redacted form without signatures (Server-Server API, Signing Events).
func (e *Event) signable() []byte {
	return appendRedacted(make([]byte, 0, len(e.raw)), e.version, e.typ, e.raw, false)
}

// ReferenceHash is the unpadded base64 of the event's reference hash
// (Server-Server API, Calculating the reference hash for an event). Rooms before
// version 3 write it beside the ids of prev_events and auth_events.
func (e *Event) ReferenceHash() string {
	sum := sha256.Sum256(e.signable())
	return EncodeBase64(sum[:])
}

// idOf is the id of an event whose signable form this is, in versions whose ids
// are hashes.
func (v *Version) idOf(signable []byte) string {
	sum := sha256.Sum256(signable)
	if v.EventIDs == IDsBase64 {
		return "$" + EncodeBase64(sum[:])
	}
	return "$" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// hasContentHash tells whether the event's content is the one its hash is of.
func (e *Event) hasContentHash() bool {
	want, err := DecodeBase64(findText(e.hashes, "sha256"))
	sum := contentHash(e.raw)
	return err == nil && string(want) == string(sum[:])
}
