package event

// ContentHash is for the specification's example of an event that lacks too much
// to be parsed.
func ContentHash(raw []byte) string {
	sum := contentHash(raw)
	return EncodeBase64(sum[:])
}
