package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// keep answers a question from the cache, where the version has one, or asks.
func (e *Engine) keep(ctx context.Context, v *registry.Version, timing *scoring.Timing, q question) (answer, error) {
	if e.parts.Cache == nil || v.CacheTTL <= 0 {
		return e.ask(ctx, v, q, timing)
	}
	watch := stopwatch(time.Now())
	key := q.key(v)
	if value, found := e.parts.Cache.Get(key); found {
		timing.Cached = true
		k, _ := value.(kept)
		return k.answer, nil
	}
	owned := q.own()
	hold := hold{release: v.Retain()}
	value, hit, err := e.parts.Cache.Do(ctx, key, v.CacheTTL, func(ctx context.Context) (any, int64, error) {
		if !hold.take() {
			return nil, 0, context.Canceled // nobody waits any more
		}
		defer hold.release()
		return e.compute(ctx, v, owned)
	})
	if hold.take() {
		hold.release() // the computation is another's, and will not begin now if it was ours
	}
	if err != nil {
		return answer{}, err
	}
	k, _ := value.(kept)
	if hit {
		timing.Cached = true
		return k.answer, nil
	}
	*timing = k.timing
	v.Statistics.Miss(watch.lap())
	return k.answer, nil
}

// compute asks for an answer that others may wait for as well. A panic is caught here, so
// that it is counted even if all of them have left.
func (e *Engine) compute(ctx context.Context, v *registry.Version, q question) (value any, size int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			value, size, err = nil, 0, e.caught(ctx, p)
		}
	}()
	var timing scoring.Timing // not that of the caller, who may be gone
	a, err := e.ask(ctx, v, q, &timing)
	if err != nil {
		return nil, 0, err
	}
	return kept{a.own(), timing}, a.size(), nil
}

// hold is a lease that either a computation ends, once it has begun, or its caller.
type hold struct {
	taken   atomic.Bool
	release func()
}

// take says whether the lease is the caller's to end.
func (h *hold) take() bool { return h.taken.CompareAndSwap(false, true) }

// kept is an answer with the timing of the request that it was computed for.
type kept struct {
	answer
	timing scoring.Timing
}
