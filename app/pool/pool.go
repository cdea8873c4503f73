// Package pool lends byte buffers for tensors and takes them back. A fresh buffer is
// cleared by the runtime and collected later, which for a batch of pictures costs more
// than filling it; a buffer that was there before costs neither.
//
// What lies idle is bounded twice: by a ceiling in bytes, and in time, so that the memory
// of a spike goes back to the collector.
package pool

import (
	"sync"
	"sync/atomic"
	"time"
)

// alignment of a buffer's first byte, in bytes: a cache line, and the widest vector that
// ONNX Runtime loads.
const alignment = 64

// period is how often idle buffers are looked at. One that nobody used for a whole period
// is dropped, so it stays for one to two of them: long enough for the pauses of steady
// traffic, short enough that a spike is soon forgotten.
const period = 5 * time.Second

// Pool lends buffers. It is safe for concurrent use.
//
// The first to come back is the last to be lent again, so that those in use stay in the
// processor's cache and the others are known to be idle. There is no goroutine: a timer
// runs as long as buffers are idle, and it alone keeps a pool that nobody has any more.
type Pool struct {
	ceiling int64
	shelves [classes]shelf
	// held is the sum of all idle bytes.
	held atomic.Int64
	// timed says that the timer runs.
	timed atomic.Bool
	// plain counts calls of Get for sizes that have no class.
	plain atomic.Uint64
}

// shelf has the idle buffers of one class.
type shelf struct {
	mu   sync.Mutex
	idle [][]byte // last in, first out
	// unused is how many buffers, from the bottom, nobody used in this period.
	unused                         int
	gets, hits, discarded, trimmed uint64
	_                              [56]byte // neighbouring sizes share no cache line
}

// New makes a pool that keeps at most maxIdleBytes bytes of buffers that are not lent. With
// 0 or less it keeps none.
func New(maxIdleBytes int64) *Pool { return &Pool{ceiling: maxIdleBytes} }

// Get lends a buffer of n bytes. What is in it is left from its last use, maybe of another
// request: the caller overwrites all of it before anybody reads it. Buffers of 256
// bytes and more begin at a multiple of 64, and their capacity is up to a quarter more
// than n; smaller ones are made anew.
//
// A buffer that is not put back is left to the collector.
func (p *Pool) Get(n int) []byte {
	c := classOf(n)
	if c < 0 {
		p.plain.Add(1)
		return make([]byte, n)
	}
	s := &p.shelves[c]
	s.mu.Lock()
	s.gets++
	last := len(s.idle) - 1
	if last < 0 {
		s.mu.Unlock()
		return fresh(sizeOf(c))[:n]
	}
	b := s.idle[last]
	s.idle[last] = nil
	s.idle = s.idle[:last]
	s.unused = min(s.unused, last)
	s.hits++
	s.mu.Unlock()
	p.held.Add(-int64(cap(b)))
	return b[:n]
}

// Put takes a buffer back, which nobody may use any more: its owner puts it once, and so
// that it begins where it began. Buffers that do not come from [Pool.Get] may be put as
// well; those whose capacity or alignment is none of a pool's are left to the collector,
// and so is what would go beyond the ceiling.
func (p *Pool) Put(b []byte) {
	c := classOf(cap(b))
	if c < 0 || sizeOf(c) != cap(b) || !aligned(b) {
		return
	}
	s := &p.shelves[c]
	if p.held.Add(int64(cap(b))) > p.ceiling {
		p.held.Add(-int64(cap(b)))
		s.mu.Lock()
		s.discarded++
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	s.idle = append(s.idle, b[:0])
	s.mu.Unlock()
	p.watch()
}

// watch starts the timer unless it runs.
func (p *Pool) watch() {
	if !p.timed.Load() && p.timed.CompareAndSwap(false, true) {
		time.AfterFunc(period, p.tick)
	}
}

// tick ends a period, and begins another if buffers are idle.
func (p *Pool) tick() {
	for i := range p.shelves {
		p.trim(&p.shelves[i])
	}
	// In this order: a buffer put in between either is seen here or sees that no timer runs.
	p.timed.Store(false)
	if p.held.Load() > 0 {
		p.watch()
	}
}

// trim drops what nobody used since the last call.
func (p *Pool) trim(s *shelf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.idle[:s.unused] {
		p.held.Add(-int64(cap(b)))
	}
	s.trimmed += uint64(s.unused)
	kept := copy(s.idle, s.idle[s.unused:])
	clear(s.idle[kept:])
	s.idle = s.idle[:kept]
	if kept == 0 {
		s.idle = nil
	}
	s.unused = kept
}

// Stats is a moment's view of a pool.
type Stats struct {
	// Gets counts buffers that were lent, and Hits those of them that had been put back
	// before.
	Gets, Hits uint64
	// Discarded counts buffers that did not fit under the ceiling, Trimmed those that were
	// idle too long.
	Discarded, Trimmed uint64
	// Held is the number of idle bytes, Ceiling the most there may be.
	Held, Ceiling int64
}

// Stats gives the present numbers, for metrics.
func (p *Pool) Stats() Stats {
	all := Stats{Gets: p.plain.Load(), Held: p.held.Load(), Ceiling: p.ceiling}
	for i := range p.shelves {
		s := &p.shelves[i]
		s.mu.Lock()
		all.Gets += s.gets
		all.Hits += s.hits
		all.Discarded += s.discarded
		all.Trimmed += s.trimmed
		s.mu.Unlock()
	}
	return all
}
