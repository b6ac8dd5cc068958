// Package cache keeps what was read, within bounds.
//
// Holds: [Cache], otter's behind an interface. The compiler makes a copy of
// otter's code for each pair of types, and would make all of them again in every
// package that holds, at whatever distance, something with a cache in it: half of
// the time of a build. This way it makes one in the package that calls [New].
//
// May import: nothing of this program.
//
// Never: when something kept is stale, which is for whoever keeps it.
package cache

import (
	"iter"
	"math"
	"time"

	"github.com/maypok86/otter/v2"
)

// Options bound a cache. One of Size and Weight is set.
type Options[K comparable, V any] struct {
	// Size is how many entries there are at most.
	Size int
	// Weight is how much all entries weigh at most, by Weigh: in bytes, say.
	Weight int64
	Weigh  func(K, V) int
	// Written and Used are how long an entry is kept after it was set, or used; 0
	// for as long as there is room. One of them is set at most.
	Written, Used time.Duration
}

// Cache keeps values of keys. It is safe for concurrent use. Make one with [New].
type Cache[K comparable, V any] struct{ store store[K, V] }

// store is the part of otter that is used here.
type store[K comparable, V any] interface {
	GetIfPresent(K) (V, bool)
	Set(K, V) (V, bool)
	Invalidate(K) (V, bool)
	ComputeIfAbsent(K, func() (V, bool)) (V, bool)
	Keys() iter.Seq[K]
	CleanUp()
	EstimatedSize() int
	WeightedSize() uint64
}

// New makes an empty cache.
func New[K comparable, V any](o Options[K, V]) *Cache[K, V] {
	options := &otter.Options[K, V]{MaximumSize: o.Size, MaximumWeight: uint64(max(o.Weight, 0))}
	if o.Weigh != nil {
		options.Weigher = func(k K, v V) uint32 { return uint32(min(max(o.Weigh(k, v), 0), math.MaxUint32)) }
	}
	switch {
	case o.Written > 0:
		options.ExpiryCalculator = otter.ExpiryWriting[K, V](o.Written)
	case o.Used > 0:
		options.ExpiryCalculator = otter.ExpiryAccessing[K, V](o.Used)
	}
	return &Cache[K, V]{otter.Must(options)}
}

// Get is the value of a key, if it is there.
func (c *Cache[K, V]) Get(k K) (V, bool) { return c.store.GetIfPresent(k) }

// Set keeps a value.
func (c *Cache[K, V]) Set(k K, v V) { c.store.Set(k, v) }

// Take removes a key and returns its value, if it was there: to one of those who
// ask at once.
func (c *Cache[K, V]) Take(k K) (V, bool) { return c.store.Invalidate(k) }

// GetOr is the value of a key, which is made where there is none: by one of those
// who ask at once.
func (c *Cache[K, V]) GetOr(k K, create func() V) V {
	v, _ := c.store.ComputeIfAbsent(k, func() (V, bool) { return create(), false })
	return v
}

// Keys are the keys that have a value.
func (c *Cache[K, V]) Keys() iter.Seq[K] { return c.store.Keys() }

// Len is how many entries there are, and their weight where they have one, once
// what is over the bounds is gone: for tests.
func (c *Cache[K, V]) Len() (entries int, weight uint64) {
	c.store.CleanUp()
	return c.store.EstimatedSize(), c.store.WeightedSize()
}
