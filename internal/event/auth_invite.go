package event

import (
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"
)

// maxVerifications bounds the signatures times keys that are tried for one
// invite: an event has room for a million, which would take a minute.
const maxVerifications = 1024

// thirdPartyInvite are the rules for the invite of a third-party identifier that
// has become a user.
func (a *authorizer) thirdPartyInvite(invite []byte) error {
	e := a.e
	if a.membership(e.stateKey) == "ban" {
		return a.refuse(thirdBanned, "%s is banned", e.stateKey)
	}
	signed := find(invite, "signed")
	if signed == nil {
		return a.refuse(thirdUnsigned, "third_party_invite is not signed")
	}
	mxid, hasUser := text(find(signed, "mxid"))
	token, hasToken := text(find(signed, "token"))
	if !hasUser || !hasToken {
		return a.refuse(thirdFields, "what is signed needs mxid and token")
	}
	if string(mxid) != e.stateKey {
		return a.refuse(thirdUser, "the invite is signed for %s, not for %s", mxid, e.stateKey)
	}
	third := a.state(Key{Type: typeThirdPartyInvite, StateKey: string(token)})
	if third == nil {
		return a.refuse(thirdUnknown, "there is no m.room.third_party_invite with that token")
	}
	if third.sender != e.sender {
		return a.refuse(thirdSender, "the invite is by %s, not by %s", third.sender, e.sender)
	}
	if !signedByAny(signed, inviteKeys(third.content)) {
		return a.refuse(thirdSignature, "no signature is by a key of the m.room.third_party_invite")
	}
	return nil
}

// inviteKeys are the keys in the content of m.room.third_party_invite; what is no
// key is not among them.
func inviteKeys(content []byte) []ed25519.PublicKey {
	var keys []ed25519.PublicKey
	add := func(value []byte) {
		s, _ := text(value)
		key, err := decodeEither(string(s))
		if err == nil && len(key) == ed25519.PublicKeySize &&
			!slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return string(k) == string(key) }) {
			keys = append(keys, key)
		}
	}
	add(find(content, "public_key"))
	entries, _ := readList(find(content, "public_keys"))
	for _, entry := range entries {
		add(find(entry, "public_key"))
	}
	return keys
}

// decodeEither reads base64 of the standard or of the URL-safe alphabet: keys of
// invites may be in both (Client-Server API, m.room.third_party_invite).
func decodeEither(s string) ([]byte, error) {
	if strings.ContainsAny(s, "-_") {
		return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	}
	return DecodeBase64(s)
}

// signedByAny tells whether any signature of the object is by any of the keys,
// whoever it says it is of.
func signedByAny(object []byte, keys []ed25519.PublicKey) bool {
	_, sigs, message, err := signable(object)
	if err != nil {
		return false
	}
	tries := 0
	for _, signer := range sortedKeys(sigs) {
		for _, id := range sortedKeys(sigs[signer]) {
			sig, err := DecodeBase64(sigs[signer][id])
			if err != nil || len(sig) != ed25519.SignatureSize || !strings.HasPrefix(id, algorithm) {
				continue
			}
			for _, key := range keys {
				if tries++; tries > maxVerifications {
					return false
				}
				if ed25519.Verify(key, message, sig) {
					return true
				}
			}
		}
	}
	return false
}
