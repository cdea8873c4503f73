package onnx

// #include "capi.h"
import "C"

import "sync"

// What a session holds is of two kinds, and neither the library nor the system tells both:
//
//   - What it was given when it was loaded: weights, weights in another layout, and what
//     operators keep to themselves, such as the tables of a text model, which can be seven
//     times its file. Of these the library counts few: those in its arena. All of them are
//     in the C library's heap, which counts what is in use: so a load is measured by what
//     the heap holds more after it. Loads wait for each other, and what other sessions
//     take and free in the meantime is taken off.
//   - The memory of runs, in the session's arena. The arena takes the next power of two of
//     what it needs, and the system gives it pages only as they are touched. What was in use
//     at most at one time comes closest to those.
//
// Resident memory, read before and after, would be the obvious measure. But it is the whole
// process's: Go's collector, other sessions' runs and pages that freed memory leaves behind
// change it by more than a model of middle size.

// accounts are what an environment knows of the memory of its sessions.
type accounts struct {
	// turn is held by the load that is being measured.
	turn sync.Mutex

	// mu is held while a session is freed and while the heap is looked at, so that no look
	// falls between the two halves of a change.
	mu   sync.Mutex
	open map[*Session]struct{}
}

// Memory is how many bytes the session holds now, which is about what its end gives back
// to the system: what it has held since it was loaded, and the memory of its runs, which
// grows with their rows and shrinks when nothing has needed it for a while. Memory of Go's,
// such as a pipeline's tables, is not in it, nor is a file of weights that the library maps.
//
// ok is false where that cannot be told: on a GPU, whose memory is another, on systems
// without GNU's C library of version 2.33 or newer, and after [Session.Close]. With the first
// session of all comes a megabyte that the library makes once, and is counted to it.
func (s *Session) Memory() (bytes int64, ok bool) {
	a := &s.env.accounts
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, open := a.open[s]; !open || s.device != CPU || s.loaded <= 0 {
		return 0, false
	}
	taken, most := s.arenaLocked()
	return s.loaded + min(taken, most), true
}

// arenaLocked is what the session's arena has taken from the heap, and the most of it that
// was in use at one time. It holds accounts.mu, so the session is not freed meanwhile.
func (s *Session) arenaLocked() (taken, most int64) {
	if !s.arena {
		return 0, 0
	}
	var t, m C.int64_t
	if err := s.env.lib.check(C.onda_arena(s.env.lib.api, s.raw, s.env.lib.memory, &t, &m)); err != nil {
		return 0, 0
	}
	return int64(t), int64(m)
}

// measured loads a session, and notes what it holds.
func (e *Environment) measured(load func() (*Session, error)) (*Session, error) {
	a := &e.accounts
	a.turn.Lock()
	defer a.turn.Unlock()
	before, known := a.rest()
	s, err := load()
	// Loading takes several times what the session keeps, and the C library keeps what it
	// freed for the next one.
	trimHeap()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open[s] = struct{}{}
	if after, ok := a.restLocked(); ok && known {
		s.loaded = after - before
	}
	return s, nil
}

// forget frees what free frees, as a session ends.
func (a *accounts) forget(s *Session, free func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, s)
	free()
}

// rest is what no open session is known to hold of the heap.
func (a *accounts) rest() (bytes int64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.restLocked()
}

func (a *accounts) restLocked() (bytes int64, ok bool) {
	// Runs go on meanwhile: what an arena takes between two readings would count as part of
	// the model.
	const tries = 10
	known := a.knownLocked()
	for range tries {
		heap := int64(C.onda_heap())
		before := known
		if known = a.knownLocked(); known == before {
			return heap - known, heap >= 0
		}
	}
	return 0, false
}

// knownLocked is what the open sessions are known to hold of the heap.
func (a *accounts) knownLocked() int64 {
	var bytes int64
	for s := range a.open {
		taken, _ := s.arenaLocked()
		bytes += s.loaded + taken
	}
	return bytes
}
