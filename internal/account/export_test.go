package account

import "lethe/internal/storage"

// HashForTest is how secrets are stored.
func HashForTest(secret string) storage.Hash { return hashOf(secret) }
