// Package ratelimit limits how often something may happen, by key: an address,
// an account, the name somebody tries to log in as.
//
// Holds: [Limiter].
//
// May import: nothing of this program.
//
// Never: what is limited.
package ratelimit

import (
	"crypto/sha256"
	"math"
	"time"

	"golang.org/x/time/rate"

	"lethe/internal/cache"
)

// maxKeys bounds how many keys a limiter remembers; the least used are forgotten
// first.
const maxKeys = 50_000

// maxKey is the longest key that is kept as it is, in bytes. Of a longer one its
// hash is kept: keys come from requests, which may be large.
const maxKey = 300

// Limiter allows Burst events of a key at once, and then one every Per/Burst. A
// nil Limiter allows everything.
type Limiter struct {
	every rate.Limit
	burst int
	now   func() time.Time
	keys  *cache.Cache[string, *rate.Limiter]
}

// New makes a limiter that allows burst events per period for each key. A burst
// of 0 is no limit: it returns nil.
func New(burst int, per time.Duration, now func() time.Time) *Limiter {
	if burst <= 0 || per <= 0 {
		return nil
	}
	return &Limiter{
		every: rate.Every(per / time.Duration(burst)), burst: burst, now: now,
		keys: cache.New(cache.Options[string, *rate.Limiter]{
			Size: maxKeys,
			// After a period of rest a key's bucket is full, as a new one is.
			Used: per,
		}),
	}
}

// Allow counts an event of key. If there were too many it does not count it, and
// returns how long to wait.
func (l *Limiter) Allow(key string) (wait time.Duration, ok bool) { return l.AllowN(key, 1) }

// AllowN is Allow for n events at once. More than may ever happen at once count
// as that many.
func (l *Limiter) AllowN(key string, n int) (wait time.Duration, ok bool) {
	if l == nil {
		return 0, true
	}
	bucket := l.bucket(key)
	now := l.now()
	n = min(n, l.burst)
	// Not a reservation that is cancelled: cancelling gives nothing back while
	// others hold one, and a flood would fill the bucket below empty.
	if bucket.AllowN(now, n) {
		return 0, true
	}
	return l.until(bucket, now, n), false
}

// Exhausted tells whether the next event of key would be refused, without
// counting one.
func (l *Limiter) Exhausted(key string) (wait time.Duration, yes bool) {
	if l == nil {
		return 0, false
	}
	wait = l.until(l.bucket(key), l.now(), 1)
	return wait, wait > 0
}

// until is how long it takes until the bucket has room for n events, rounded up.
func (l *Limiter) until(bucket *rate.Limiter, now time.Time, n int) time.Duration {
	missing := float64(n) - bucket.TokensAt(now)
	wait := missing / float64(l.every) * float64(time.Second)
	if wait < 1 { // AllowN lets an event through that is less than a nanosecond early
		return 0
	}
	return time.Duration(math.Ceil(wait))
}

func (l *Limiter) bucket(key string) *rate.Limiter {
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = string(sum[:])
	}
	return l.keys.GetOr(key, func() *rate.Limiter { return rate.NewLimiter(l.every, l.burst) })
}
