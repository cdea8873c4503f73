package cache

import "time"

// Stats is a moment's view of a cache.
type Stats struct {
	// Hits counts answers that were kept, Shared those of a computation that another caller
	// began, and Misses computations that were begun.
	Hits, Shared, Misses uint64
	// Evictions counts answers that were dropped for others, Expired those whose time was
	// over.
	Evictions, Expired uint64
	// Bytes and Entries are what is kept now, Limit the most bytes.
	Bytes, Entries, Limit int64
	// Flights is the number of computations that callers can join now.
	Flights int64
}

// Stats gives the present numbers, for metrics. It also frees what has expired, so that a
// cache that nobody asks gives its memory back as well.
func (c *Cache) Stats() Stats {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.store.expire(now, slice) == slice {
		c.breatheLocked()
	}
	return Stats{
		Hits: c.hits, Shared: c.shared, Misses: c.misses,
		Evictions: c.store.evictions, Expired: c.store.expired,
		Bytes: c.store.bytes, Entries: int64(len(c.store.byExpiry)), Limit: c.store.limit,
		Flights: int64(len(c.flights)),
	}
}
