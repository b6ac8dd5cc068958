package event

import "crypto/ed25519"

// SignedBy tells whether a JSON object is signed by the public key, which is in
// base64 of either alphabet, whoever the signature says it is of: so third-party
// invites are (Client-Server API, m.room.third_party_invite).
func SignedBy(object []byte, key string) bool {
	raw, err := decodeEither(key)
	return err == nil && len(raw) == ed25519.PublicKeySize && signedByAny(object, []ed25519.PublicKey{raw})
}
