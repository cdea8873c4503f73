package admit

import "sync/atomic"

// Bytes bounds the memory of request bodies, over all doors together. Bodies are read
// before the [Gate], so without this bound slow callers with large bodies could take all
// memory. It is safe for concurrent use.
type Bytes struct {
	limit int64
	used  atomic.Int64
}

// NewBytes makes a budget of limit bytes.
func NewBytes(limit int64) *Bytes { return &Bytes{limit: limit} }

// Take books n bytes that have arrived and says whether they fit. They stay booked until
// [Bytes.Free] even if they do not: they are in memory.
func (b *Bytes) Take(n int64) bool { return b.used.Add(n) <= b.limit }

// Free gives n bytes back.
func (b *Bytes) Free(n int64) { b.used.Add(-n) }

// Used is the number of bytes that are booked.
func (b *Bytes) Used() int64 { return b.used.Load() }
