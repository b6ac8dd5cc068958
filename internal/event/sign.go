package event

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// algorithm begins the id of every key: there is no other (Appendices, Signing
// Details).
const algorithm = "ed25519:"

// SigningKey is a private key of a server, with its id `ed25519:version`.
type SigningKey struct {
	ID      string
	Private ed25519.PrivateKey
}

// NewSigningKey makes a key with a random version.
func NewSigningKey() SigningKey {
	_, private, _ := ed25519.GenerateKey(nil) // never fails with the system's randomness
	return SigningKey{ID: algorithm + strings.ToLower(rand.Text()[:6]), Private: private}
}

// KeyFromSeed restores a key from its 32 byte seed.
func KeyFromSeed(id string, seed []byte) (SigningKey, error) {
	if len(seed) != ed25519.SeedSize {
		return SigningKey{}, fmt.Errorf("signing key %s: its seed has %d bytes, not %d", id, len(seed), ed25519.SeedSize)
	}
	return SigningKey{ID: id, Private: ed25519.NewKeyFromSeed(seed)}, nil
}

// Public is the key that verifies what k signs.
func (k SigningKey) Public() ed25519.PublicKey {
	return k.Private.Public().(ed25519.PublicKey) //nolint:forcetypeassert // that is its type
}

// Sign returns the unpadded base64 of the signature of message.
func (k SigningKey) Sign(message []byte) string {
	return EncodeBase64(ed25519.Sign(k.Private, message))
}

// EncodeBase64 is the unpadded base64 of the specification (Appendices,
// Unpadded Base64).
func EncodeBase64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// DecodeBase64 reads base64, padded or not. The bits that a last character has
// too many may be set, as they are in the specification's own test vectors: what
// base64 stands for is the bytes (Appendices, Binary data).
func DecodeBase64(s string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// object is a JSON object whose values are as they were sent.
type object = map[string]jsontext.Value

// signatures are those of an object, by signer and key id.
type signatures map[string]map[string]string

// SignJSON returns the object obj with the signature of name added
// (Appendices, Signing JSON). Other signatures and `unsigned` stay as they are.
// The result is canonical JSON.
func SignJSON(obj []byte, name string, key SigningKey) ([]byte, error) {
	fields, sigs, message, err := signable(obj)
	if err != nil {
		return nil, err
	}
	if sigs[name] == nil {
		sigs[name] = map[string]string{}
	}
	sigs[name][key.ID] = key.Sign(message)
	if fields["signatures"], err = json.Marshal(sigs); err != nil {
		return nil, err
	}
	signed, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return Canonical(signed)
}

// VerifyJSON checks the signature of name with the key of that id (Appendices,
// Checking for a Signature).
func VerifyJSON(obj []byte, name, keyID string, key ed25519.PublicKey) error {
	_, sigs, message, err := signable(obj)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(keyID, algorithm) {
		return fmt.Errorf("the key %s is for an algorithm that this server does not know", keyID)
	}
	sig, err := DecodeBase64(sigs[name][keyID])
	if err != nil || len(sig) != ed25519.SignatureSize {
		return fmt.Errorf("there is no signature of %s with the key %s", name, keyID)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, message, sig) {
		return fmt.Errorf("the signature of %s with the key %s is wrong", name, keyID)
	}
	return nil
}

// signable takes an object apart: its fields, its signatures, and the bytes that
// are signed.
func signable(obj []byte) (fields object, sigs signatures, message []byte, err error) {
	if err := json.Unmarshal(obj, &fields); err != nil {
		return nil, nil, nil, err
	}
	if fields == nil {
		return nil, nil, nil, errors.New("only a JSON object can be signed")
	}
	sigs = signatures{}
	if raw, ok := fields["signatures"]; ok {
		if err := json.Unmarshal(raw, &sigs); err != nil {
			return nil, nil, nil, fmt.Errorf("signatures: %w", err)
		}
		if sigs == nil {
			return nil, nil, nil, errors.New("signatures: it must be an object")
		}
	}
	bare := object{}
	for key, value := range fields {
		if key != "signatures" && key != "unsigned" {
			bare[key] = value
		}
	}
	raw, err := json.Marshal(bare)
	if err != nil {
		return nil, nil, nil, err
	}
	message, err = Canonical(raw)
	return fields, sigs, message, err
}
