package account

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// tokenKind is the prefix of a token: it says what the token is for, to people
// who find one and to programs that look for leaked ones.
type tokenKind string

const (
	accessToken  tokenKind = "leth_a_"
	refreshToken tokenKind = "leth_r_"
	loginToken   tokenKind = "leth_l_"
	openIDToken  tokenKind = "leth_o_"
)

// tokenHash is what is stored of a token: its SHA-256.
type tokenHash = [sha256.Size]byte

// newToken makes a token: 32 random bytes and a checksum, after its prefix.
func newToken(kind tokenKind) (token string, hash tokenHash) {
	var raw [36]byte
	_, _ = rand.Read(raw[:32]) // never fails
	binary.BigEndian.PutUint32(raw[32:], crc32.ChecksumIEEE(raw[:32]))
	token = string(kind) + base64.RawURLEncoding.EncodeToString(raw[:])
	return token, hashOf(token)
}

// parseToken returns the hash of a token of this kind. A string that was never
// one, by its prefix or checksum, is refused here: before any query.
func parseToken(kind tokenKind, token string) (tokenHash, bool) {
	rest, ok := strings.CutPrefix(token, string(kind))
	if !ok || len(rest) != 48 {
		return tokenHash{}, false
	}
	var raw [36]byte
	if _, err := base64.RawURLEncoding.Strict().Decode(raw[:], []byte(rest)); err != nil {
		return tokenHash{}, false
	}
	if crc32.ChecksumIEEE(raw[:32]) != binary.BigEndian.Uint32(raw[32:]) {
		return tokenHash{}, false
	}
	return hashOf(token), true
}

// hashOf hashes a secret that is long and random, so that one round of SHA-256
// is enough.
func hashOf(secret string) tokenHash { return sha256.Sum256([]byte(secret)) }
