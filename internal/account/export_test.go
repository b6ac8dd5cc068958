package account

import (
	"context"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// HashForTest is how secrets are stored.
func HashForTest(secret string) storage.Hash { return hashOf(secret) }

// OccupyHasher makes all that hashes busy, and with waiting everybody who may
// wait for it too, until release is called.
func (s *Service) OccupyHasher(waiting bool) (release func()) {
	slots, queue := cap(s.hasher.slots), cap(s.hasher.slots)
	if waiting {
		queue = cap(s.hasher.queue)
	}
	for range queue {
		s.hasher.queue <- struct{}{}
	}
	for range slots {
		s.hasher.slots <- struct{}{}
	}
	return func() {
		for range slots {
			<-s.hasher.slots
		}
		for range queue {
			<-s.hasher.queue
		}
	}
}

// HasherWaiters is how many are in the hasher, those who hash among them.
func (s *Service) HasherWaiters() int { return len(s.hasher.queue) }

// CheckPassword tells whether password is user's.
func (s *Service) CheckPassword(ctx context.Context, user matrix.UserID, password string) error {
	_, err := s.checkPassword(ctx, user, password)
	return err
}
