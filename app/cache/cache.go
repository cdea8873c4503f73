// Package cache keeps answers of models, so that the same question to the same version is
// computed once: after another (answers are kept for a time, within a number of bytes) and
// at the same moment (callers wait for one computation).
//
// It cannot answer wrongly: an answer is found by a 256-bit key over the digest of the
// version and everything in a request that changes the answer (see [InferKey] and
// [PredictKey]). The digest is new when the version is another, so that it never finds the
// answers of the one before.
package cache

import (
	"context"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// patience is how many computations of others a caller waits for in vain before it computes
// alone. One more than the first keeps most callers together when the first of them met a
// full queue; more would make the last of them wait for one failure after another.
const patience = 2

// slice is how many entries are removed under one lock where there may be very many.
const slice = 128

// Compute computes an answer, and gives its size: the bytes that it keeps in memory. A part
// of a larger buffer keeps all of it, so it is to be copied first, and so is what a pool
// takes back. Value is shared: from here on nobody may write to it.
//
// Compute can outlive the caller that gave it, because others wait for its answer. All
// that it uses, such as the request's bytes and the lease of a version, must be its own
// until it returns.
type Compute func(ctx context.Context) (value any, size int64, err error)

// Cache keeps answers and makes callers with the same question share a computation. It is
// safe for concurrent use.
//
// One lock guards everything, for about a microsecond at a time. That is more than a
// million answers a second, which no door can ask for; shards would each have to keep
// within a part of the bytes.
type Cache struct {
	// running counts the goroutines of flights.
	running sync.WaitGroup

	mu sync.Mutex
	// store has the answers.
	store *store
	// flights are the computations that a caller can join.
	flights map[Key]*flight
	// generation counts calls of Forget. An answer whose computation began before one is
	// not kept: it may be of the version that is gone.
	generation uint64
	// hits, shared and misses count answers: see [Stats].
	hits, shared, misses uint64
}

// New makes a cache of maxBytes bytes, keys and bookkeeping among them. It panics if that
// is less than 1, which is a mistake in wiring: a cache that is off is not made.
func New(maxBytes int64) *Cache {
	if maxBytes < 1 {
		panic("cache: maxBytes must be at least 1") //nolint:forbidigo // a mistake in wiring
	}
	return &Cache{store: newStore(maxBytes), flights: map[Key]*flight{}}
}

// Get gives the answer named key if it is kept, and neither waits nor computes. Callers who
// must copy a request before others can share it ask here first. A hit is counted, a miss
// is not: [Cache.Do] comes next. Nobody may write to value.
func (c *Cache) Get(key Key) (value any, found bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.getLocked(key, now)
}

// getLocked finds an answer and counts the hit.
func (c *Cache) getLocked(key Key, now time.Time) (value any, found bool) {
	value, found = c.store.get(key.answer, now)
	if found {
		c.hits++
	}
	return value, found
}

// Do gives the answer named key: the one that is kept, or that of a computation that is
// under way, or what compute gives, which is then kept for ttl (0 or less: not at all).
// hit says that the answer came without calling this compute. Nobody may write to value.
//
// A computation belongs to all who wait for it. It runs under a context with the values of
// the caller that began it, which ends only when the last of them left; each waits under
// its own ctx. Callers of the interactive lane do not wait for computations that the bulk
// lane began, as these may be held back for long; bulk waits for either.
//
// Errors are not kept. One that is about the request is the answer to all who wait for it.
// One that is about the caller or the moment (Overloaded, Unavailable, Expired, Canceled,
// Denied, Unauthenticated) goes to the caller that began the computation; the others try
// again, and in the end each alone. The error is an [scoring.Error] where ctx ended, and
// compute's otherwise.
//
// If compute panics, one of those who wait panics with a [*PanicError], so that it is
// recovered, logged and counted once, where panics are; the others get an Internal error.
// Where all have left, nobody hears of it: who wants to hear of each recovers in compute.
func (c *Cache) Do(ctx context.Context, key Key, ttl time.Duration, compute Compute) (value any, hit bool, err error) {
	for range patience {
		if err := ctx.Err(); err != nil {
			return nil, false, scoring.AsError(err)
		}
		value, f, began := c.enter(ctx, key, ttl, compute)
		if f == nil {
			return value, true, nil
		}
		value, err := c.wait(ctx, f)
		switch {
		case began:
			return value, false, err
		case err == nil:
			c.count(&c.shared)
			return value, true, nil
		case ctx.Err() != nil || !personal(err):
			return nil, false, err
		}
	}
	return c.alone(ctx, key, ttl, compute)
}

// enter finds the answer, or a computation to wait for, or begins one. f is nil if value
// is the answer.
func (c *Cache) enter(ctx context.Context, key Key, ttl time.Duration, compute Compute) (value any, f *flight, began bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, found := c.getLocked(key, now); found {
		return value, nil, false
	}
	f = c.flights[Key{answer: key.answer, lane: scoring.Interactive}]
	if f == nil {
		f = c.flights[key]
	}
	if f != nil {
		f.boardLocked(ctx)
		return nil, f, false
	}
	c.misses++
	return nil, c.launchLocked(ctx, key, ttl, compute), true
}

// alone computes for one caller, in its own goroutine and under its own context.
func (c *Cache) alone(ctx context.Context, key Key, ttl time.Duration, compute Compute) (value any, hit bool, err error) {
	now := time.Now()
	c.mu.Lock()
	value, found := c.getLocked(key, now)
	if !found {
		c.misses++
	}
	generation := c.generation
	c.mu.Unlock()
	if found {
		return value, true, nil
	}
	value, size, err := compute(ctx)
	if err != nil {
		return nil, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepLocked(key, value, size, ttl, generation)
	return value, false, nil
}

// keepLocked keeps an answer whose computation began in this generation.
func (c *Cache) keepLocked(key Key, value any, size int64, ttl time.Duration, generation uint64) {
	if generation != c.generation {
		return
	}
	now := time.Now()
	c.store.put(key.answer, value, size, now, now.Add(ttl))
}

func (c *Cache) count(n *uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// Forget drops the answers of the version with this digest, when it is unloaded. They
// could not be wrong later, but would keep memory until they expire. Computations under
// way go on for those who wait, and their answers are not kept.
func (c *Cache) Forget(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for c.store.forget(digest, slice) == slice {
		c.breatheLocked()
	}
}

// Wait blocks until no computation runs, not even one that all callers have left. It is for
// the end, when no more calls of [Cache.Do] come.
func (c *Cache) Wait() { c.running.Wait() }

// breatheLocked lets others have the lock in the middle of a long piece of work.
func (c *Cache) breatheLocked() {
	c.mu.Unlock()
	c.mu.Lock()
}
