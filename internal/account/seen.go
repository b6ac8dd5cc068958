package account

import (
	"context"
	"sync"
	"time"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

const (
	// seenEvery is how often a device's last use is written, at most.
	seenEvery = 5 * time.Minute
	// seenMax bounds what waits to be written.
	seenMax = 10_000
	// tidyEvery is how often expired rows are deleted.
	tidyEvery = 10 * time.Minute
)

// seenKey is one way in which a device connects.
type seenKey struct {
	user              matrix.UserID
	device, ip, agent string
}

// seenLog collects who was seen from where, off the path of the requests.
type seenLog struct {
	mu      sync.Mutex
	last    map[seenKey]matrix.Timestamp // written not long ago
	pending map[seenKey]matrix.Timestamp
}

func newSeenLog() *seenLog {
	return &seenLog{last: map[seenKey]matrix.Timestamp{}, pending: map[seenKey]matrix.Timestamp{}}
}

// Seen notes that a device was used. It does not wait for the database.
func (s *Service) Seen(who Requester, ip, userAgent string) {
	if who.DeviceID == "" {
		return
	}
	now := s.now()
	key := seenKey{who.UserID, who.DeviceID, ip, userAgent}
	l := s.seen
	l.mu.Lock()
	defer l.mu.Unlock()
	if now < l.last[key].Add(seenEvery) || len(l.pending) >= seenMax {
		return
	}
	l.last[key], l.pending[key] = now, now
}

// take empties the log and returns what has to be written.
func (l *seenLog) take(now matrix.Timestamp) map[seenKey]matrix.Timestamp {
	l.mu.Lock()
	defer l.mu.Unlock()
	pending := l.pending
	l.pending = map[seenKey]matrix.Timestamp{}
	for key, at := range l.last {
		if at.Add(seenEvery) <= now {
			delete(l.last, key)
		}
	}
	return pending
}

// flushSeen writes what was noted. Devices that have gone since stay gone.
func (s *Service) flushSeen(ctx context.Context) error {
	pending := s.seen.take(s.now())
	if len(pending) == 0 {
		return nil
	}
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		for key, at := range pending {
			err := tx.Seen(storage.Connection{
				UserID: key.user, DeviceID: key.device, IP: key.ip, UserAgent: key.agent, LastSeenAt: at,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// tidy deletes what time has ended.
func (s *Service) tidy(ctx context.Context) error {
	now := s.now()
	return s.db.Update(ctx, func(tx *storage.Tx) error {
		return tx.DropExpired(now, now.Add(-s.opts.AddressLog))
	})
}

// Run writes the address log and deletes expired rows until ctx ends; then it
// writes what is left, within a few seconds.
func (s *Service) Run(ctx context.Context) {
	flush, tidy := time.NewTicker(15*time.Second), time.NewTicker(tidyEvery)
	defer flush.Stop()
	defer tidy.Stop()
	for {
		var err error
		select {
		case <-flush.C:
			err = s.flushSeen(ctx)
		case <-tidy.C:
			err = s.tidy(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := s.flushSeen(last); err != nil {
				s.log.Error("address log not written", "error", err)
			}
			return
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("upkeep of accounts", "error", err)
		}
	}
}
