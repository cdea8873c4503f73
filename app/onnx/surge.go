package onnx

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// ONNX Runtime keeps the memory of a session's largest run for its next ones. That is
// right for the runs that are usual, and a waste after one that was not: a batch of 64
// among single rows holds on to 64 times the memory for ever. So the size of runs is
// watched, and the memory given back when nothing has needed as much for a while.

const (
	// calm is how long nothing must have needed the memory of an unusual run.
	calm = 2 * time.Second
	// idle is how many times calm must pass without any run, for the memory of usual runs
	// to be given back as well. The first run after that takes longer.
	idle = 15
)

// surge tells runs that are much larger than usual from others. Sizes are bytes of inputs,
// to which the memory of a run is about in proportion.
type surge struct {
	// usual is a moving average. Two runs at once may lose one of their sizes to it.
	usual atomic.Int64
	// recent is the largest since the last look, high the largest since memory was given
	// back.
	recent, high atomic.Int64
	// busy is held while memory is given back, so that Close can wait for that.
	busy sync.Mutex

	// The rest is guarded by the session's mutex.
	timer *time.Timer
	armed bool
	// quiet counts the looks in a row that saw no run.
	quiet int
}

// note counts a run, and says whether it is larger than any before.
func (w *surge) note(size int64) bool {
	const weight = 16
	size = max(size, 1)
	if usual := w.usual.Load(); usual == 0 {
		w.usual.Store(size)
	} else if size != usual {
		w.usual.Store(usual + (size-usual)/weight)
	}
	for recent := w.recent.Load(); size > recent && !w.recent.CompareAndSwap(recent, size); recent = w.recent.Load() {
	}
	return size > w.high.Load()
}

// look says, after calm has passed, whether to give memory back, and whether to look again.
func (w *surge) look() (shrink, again bool) {
	const much = 2
	recent, high := w.recent.Swap(0), w.high.Load()
	if recent > 0 {
		w.quiet = 0
	} else {
		w.quiet++
	}
	unusual := high >= much*w.usual.Load() && high >= much*recent
	shrink = unusual || w.quiet >= idle
	if shrink {
		w.high.Store(recent)
	}
	return shrink, recent > 0 || w.quiet < idle
}

// surges notes that the run under way is the largest since memory was given back.
func (s *Session) surges() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.surge.high.Store(max(s.surge.high.Load(), s.surge.recent.Load()))
	switch {
	case s.surge.armed || s.closed:
		return
	case s.surge.timer == nil:
		s.surge.timer = time.AfterFunc(calm, s.ebb)
	default:
		s.surge.timer.Reset(calm)
	}
	s.surge.armed, s.surge.quiet = true, 0
}

// ebb looks whether memory is to be given back. The session's timer calls it.
func (s *Session) ebb() {
	s.surge.busy.Lock()
	defer s.surge.busy.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	shrink, again := s.surge.look()
	s.surge.armed = again
	if again {
		s.surge.timer.Reset(calm)
	}
	s.runs++
	s.mu.Unlock()
	if shrink {
		s.shrink()
	}
	s.end(nil)
}

// shrink gives back the memory that no run uses now. The library does that at the end of
// a run alone; so this is one that is stopped before its first operator.
func (s *Session) shrink() {
	if s.arena {
		if k, err := s.newCall(); err == nil {
			if err := k.shrinkArena(); err == nil && k.feed(s.blank(k.order)) == nil {
				k.watch.stop()
				// It fails, because it was stopped.
				_ = k.run(false)
			}
			k.unpin()
			k.free()
		}
	}
	s.env.buffers.trim()
	trimHeap()
}

// blank makes inputs that fit the signature and are as small as can be; order is that of
// the session's inputs.
func (s *Session) blank(order []int) []scoring.Tensor {
	specs := s.info.Signature.Inputs
	all := make([]scoring.Tensor, len(specs))
	for i, spec := range specs {
		order[i] = i
		shape := []int64{0}
		if spec.Shape != nil {
			shape = make([]int64, len(spec.Shape))
		}
		for d := range spec.Shape {
			shape[d] = max(spec.Shape[d], 0)
		}
		n, _ := scoring.Elements(shape)
		all[i] = scoring.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: shape}
		if spec.Datatype == scoring.Bytes {
			all[i].Strings = make([][]byte, n)
		} else {
			all[i].Data = make([]byte, int(n)*sizes[spec.Datatype])
		}
	}
	return all
}
