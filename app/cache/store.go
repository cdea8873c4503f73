package cache

import (
	"container/heap"
	"crypto/sha256"
	"time"
)

// overhead is what an entry takes beside its value, in bytes: the entry and its places in
// the index and the heap, with what they have grown in advance. A test measures it.
const overhead = 256

// sweep bounds the expired entries that one insertion frees beyond those whose room it
// needs, so that no caller pays for all the others.
const sweep = 16

// share of the limit that one value may take at most: an answer that pushes out most of the
// others is not worth keeping.
const share = 8

// entry is one answer.
type entry struct {
	key     answer
	value   any
	cost    int64 // bytes, overhead included
	expires time.Time
	// older and newer are neighbours in the ring of use.
	older, newer *entry
	// at is the place in the heap of expiry.
	at int
}

// store keeps answers within a number of bytes. What expired goes first, then what was
// not used for the longest time. It is guarded by [Cache.mu].
type store struct {
	limit, bytes int64
	// index finds entries by digest, then by sum: a version's entries go together.
	index map[string]map[[sha256.Size]byte]*entry
	// ring is no entry, but stands between the newest (ring.older) and the oldest
	// (ring.newer).
	ring      entry
	byExpiry  expiryHeap
	evictions uint64
	expired   uint64
}

func newStore(limit int64) *store {
	s := &store{limit: limit, index: map[string]map[[sha256.Size]byte]*entry{}}
	s.ring.older, s.ring.newer = &s.ring, &s.ring
	return s
}

// get finds an answer that has not expired at now.
func (s *store) get(key answer, now time.Time) (value any, found bool) {
	e := s.index[key.digest][key.sum]
	if e == nil {
		return nil, false
	}
	if !now.Before(e.expires) {
		s.remove(e)
		s.expired++
		return nil, false
	}
	s.unlink(e)
	s.link(e)
	return e.value, true
}

// put keeps an answer until it expires or others need the room. It is not kept if it is
// too large for the store, or expires at once.
func (s *store) put(key answer, value any, size int64, now, expires time.Time) {
	cost := max(size, 0) + overhead
	if cost < 0 || cost > s.limit/share || !now.Before(expires) {
		return
	}
	if old := s.index[key.digest][key.sum]; old != nil {
		s.remove(old)
	}
	s.expire(now, sweep)
	for s.bytes+cost > s.limit {
		if s.expire(now, 1) == 0 {
			s.remove(s.ring.newer)
			s.evictions++
		}
	}
	e := &entry{key: key, value: value, cost: cost, expires: expires}
	if s.index[key.digest] == nil {
		s.index[key.digest] = map[[sha256.Size]byte]*entry{}
	}
	s.index[key.digest][key.sum] = e
	s.link(e)
	heap.Push(&s.byExpiry, e)
	s.bytes += cost
}

// expire removes at most n entries that have expired at now, and says how many.
func (s *store) expire(now time.Time, n int) (removed int) {
	for removed < n && len(s.byExpiry) > 0 && !now.Before(s.byExpiry[0].expires) {
		s.remove(s.byExpiry[0])
		s.expired++
		removed++
	}
	return removed
}

// forget removes at most n entries of a version, and says how many.
func (s *store) forget(digest string, n int) (removed int) {
	for _, e := range s.index[digest] {
		if removed == n {
			break
		}
		s.remove(e)
		removed++
	}
	return removed
}

func (s *store) remove(e *entry) {
	s.unlink(e)
	heap.Remove(&s.byExpiry, e.at)
	s.bytes -= e.cost
	version := s.index[e.key.digest]
	delete(version, e.key.sum)
	if len(version) == 0 {
		// Maps do not shrink: the room comes back with the map.
		delete(s.index, e.key.digest)
	}
}

// link makes e the newest.
func (s *store) link(e *entry) {
	e.older, e.newer = s.ring.older, &s.ring
	e.older.newer, e.newer.older = e, e
}

func (s *store) unlink(e *entry) {
	e.older.newer, e.newer.older = e.newer, e.older
}

// expiryHeap implements [heap.Interface]: the entry that expires first is at 0.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires.Before(h[j].expires) }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push adds x, an *entry.
func (h *expiryHeap) Push(x any) {
	e, _ := x.(*entry)
	e.at = len(*h)
	*h = append(*h, e)
}

// Pop takes the last.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
