package onnx

import (
	"context"
	"sync"
	"time"
)

// patience is how long a run goes on before anybody looks whether it is still wanted. To
// watch a context costs some allocations and two wake-ups, as much as a run of a small
// model; a timer that is stopped in time costs 50 ns.
const patience = time.Millisecond

// watch stops a run whose context ends. It belongs to a [call] and is used again.
type watch struct {
	// stop stops the run; it is set once.
	stop func()

	timer *time.Timer

	mu sync.Mutex
	// ctx is that of the run under way, and nil between two.
	ctx context.Context //nolint:containedctx // the timer takes it up
	// unwatch ends the watching of ctx, if that has begun.
	unwatch func() bool
	// stopped is closed once stop was called.
	stopped chan struct{}
}

// begin watches ctx, which must be one that can end, until end is called.
func (w *watch) begin(ctx context.Context) {
	w.mu.Lock()
	w.ctx = ctx
	w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(patience, w.look)
		return
	}
	w.timer.Reset(patience)
}

// look begins to watch the context of a run that takes long. A timer of an earlier run
// may come late, and then begins too early with the next one: that does no harm.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.unwatch != nil {
		return
	}
	stopped := make(chan struct{})
	w.stopped = stopped
	w.unwatch = context.AfterFunc(w.ctx, func() {
		w.stop()
		close(stopped)
	})
}

// end returns once the run will not be stopped any more, and says whether it was.
func (w *watch) end() (stopped bool) {
	w.timer.Stop()
	w.mu.Lock()
	unwatch, done := w.unwatch, w.stopped
	w.ctx, w.unwatch, w.stopped = nil, nil, nil
	w.mu.Unlock()
	if unwatch == nil || unwatch() {
		return false
	}
	<-done
	return true
}
