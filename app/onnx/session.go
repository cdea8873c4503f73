package onnx

import "C"

import (
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/onda-serving/onda/app/scoring"
)

// Session is a loaded model. Its methods are safe for concurrent use, and concurrent
// runs share the model's weights.
type Session struct {
	env     *Environment
	info    *Info
	raw     unsafe.Pointer // the library's session, an *OrtSession
	inputs  map[string]int
	outputs map[string]int
	// outputTypes are ONNX's numbers of the outputs' element types.
	outputTypes []int32
	// names are the inputs' and the outputs', in C memory.
	names  **C.char
	device Device
	// arena says whether the session has an arena of the processor's memory.
	arena bool
	// loaded is what the session has held of the heap since it was loaded, besides its
	// arena, in bytes; 0 if it was not measured.
	loaded int64
	plans  plans
	surge  surge

	// settled says that callers wait for runs; before, those of a gentle session make way for
	// whatever else there is to do.
	settled atomic.Bool
	gentle  bool
	// yields says that a run can make way for others.
	yields bool

	mu sync.Mutex
	// runs counts the runs under way; the last one of a closed session frees it.
	runs   int
	closed bool
	freed  bool
	// spare holds calls for reuse.
	spare []*call
}

// ErrClosed means that a session was used after [Session.Close]. It is the cause of a
// [scoring.Error] with code Unavailable.
var ErrClosed = errors.New("onnx session is closed")

// Signature is what the model takes and gives; see [Info.Signature] for unknown ranks.
// The caller must not change it.
func (s *Session) Signature() scoring.Signature { return s.info.Signature }

// Info is what the model's file says about itself. The caller must not change it.
func (s *Session) Info() *Info { return s.info }

// Settle ends the time in which a session is tried out, and nobody waits for its runs: from
// now on they take no longer than they must. Runs under way go on as they began.
func (s *Session) Settle() { s.settled.Store(true) }

// Close frees the model. Runs under way go on, and after the last of them it is freed; a run
// that begins later fails with [ErrClosed]. To close twice is fine.
func (s *Session) Close() error {
	s.mu.Lock()
	if !s.closed && s.surge.timer != nil {
		s.surge.timer.Stop()
	}
	s.closed = true
	free := s.unusedLocked()
	s.mu.Unlock()
	if free != nil {
		free()
	}
	// Memory that is given back just now is no run: nobody expects it to hold the model.
	s.surge.busy.Lock()
	defer s.surge.busy.Unlock()
	return nil
}

// begin counts a run and lends it a call; end takes both back.
func (s *Session) begin() (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, scoring.Errorf(scoring.Unavailable, "this version of the model was unloaded just now: try again").WithCause(ErrClosed)
	}
	if n := len(s.spare); n > 0 {
		k := s.spare[n-1]
		s.spare = s.spare[:n-1]
		s.runs++
		return k, nil
	}
	k, err := s.newCall()
	if err != nil {
		return nil, err
	}
	s.runs++
	return k, nil
}

// mostSpare is how many calls a session keeps. More of them at once come and go.
const mostSpare = 64

// end takes back begin; k may be nil.
func (s *Session) end(k *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k != nil && len(s.spare) < mostSpare {
		s.spare = append(s.spare, k)
	} else if k != nil {
		k.free()
	}
	s.runs--
	if free := s.unusedLocked(); free != nil {
		s.env.freeLater(free) // it takes milliseconds, and the run's caller waits for its answer
	}
}

// unusedLocked gives what frees the model, once, if nobody will use it any more; else nil.
func (s *Session) unusedLocked() (free func()) {
	if !s.closed || s.runs > 0 || s.freed {
		return nil
	}
	spare := s.spare
	s.freed, s.spare = true, nil
	return func() {
		for _, k := range spare {
			k.free()
		}
		s.env.accounts.forget(s, func() { s.env.lib.unload(s.raw) })
		freeNames(s.names, len(s.inputs)+len(s.outputs))
		s.env.leave()
		trimHeap()
	}
}

func names(specs []scoring.TensorSpec) []string {
	all := make([]string, len(specs))
	for i, s := range specs {
		all[i] = s.Name
	}
	return all
}

func index(specs []scoring.TensorSpec) map[string]int {
	m := make(map[string]int, len(specs))
	for i, s := range specs {
		m[s.Name] = i
	}
	return m
}
