package engine

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// answer is what a version gave for a request: predictions or outputs.
type answer struct {
	predictions []scoring.Prediction
	outputs     []scoring.Tensor
}

// question is a request to a version, for the answer cache.
type question struct {
	// key says which other questions have the same answer.
	key func() cache.Key
	// own makes the request independent of its caller, who may leave before the answer.
	own func()
	// ask gives the answer, and size its bytes.
	ask  func(ctx context.Context, v *registry.Version, timing *scoring.Timing) (answer, error)
	size func(answer) int64
}

// keep answers a question from the cache, where the version has one, or asks.
func (e *Engine) keep(ctx context.Context, v *registry.Version, timing *scoring.Timing, q question) (answer, error) {
	if e.parts.Cache == nil || v.CacheTTL <= 0 {
		return q.ask(ctx, v, timing)
	}
	watch := stopwatch(time.Now())
	key := q.key()
	if value, found := e.parts.Cache.Get(key); found {
		timing.Cached = true
		k, _ := value.(kept)
		return k.answer, nil
	}
	q.own()
	hold := hold{release: v.Retain()}
	value, hit, err := e.parts.Cache.Do(ctx, key, v.CacheTTL, func(ctx context.Context) (any, int64, error) {
		if !hold.take() {
			return nil, 0, context.Canceled // nobody waits any more
		}
		defer hold.release()
		return e.compute(ctx, v, q)
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
			value, size, err = nil, 0, e.caught(p)
		}
	}()
	var timing scoring.Timing // not that of the caller, who may be gone
	a, err := q.ask(ctx, v, &timing)
	if err != nil {
		return nil, 0, err
	}
	return kept{a, timing}, q.size(a), nil
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

// predictAnswer makes the question of a prediction.
func (e *Engine) predictAnswer(v *registry.Version, req *scoring.PredictRequest) question {
	return question{
		key: func() cache.Key { return cache.PredictKey(v.Identity(), req) },
		own: func() {
			copied := *req
			copied.Instances = slices.Clone(req.Instances)
			for i := range copied.Instances {
				copied.Instances[i].Data = bytes.Clone(copied.Instances[i].Data)
			}
			req = &copied
		},
		ask: func(ctx context.Context, v *registry.Version, timing *scoring.Timing) (answer, error) {
			predictions, err := e.predict(ctx, v, req, timing)
			return answer{predictions: predictions}, err
		},
		size: func(a answer) int64 { return sizeOf(a.predictions) },
	}
}

// inferAnswer makes the question of an inference.
func (e *Engine) inferAnswer(v *registry.Version, req *scoring.InferRequest) question {
	keeps := e.parts.Cache != nil && v.CacheTTL > 0
	return question{
		key: func() cache.Key { return cache.InferKey(v.Identity(), req) },
		own: func() {
			copied := *req
			copied.Inputs = cloneAll(req.Inputs)
			copied.Outputs = slices.Clone(req.Outputs)
			req = &copied
		},
		ask: func(ctx context.Context, v *registry.Version, timing *scoring.Timing) (answer, error) {
			outputs, err := e.infer(ctx, v, req, timing)
			if keeps {
				// They are parts of a batch's outputs, which a kept answer must not keep whole.
				outputs = cloneAll(outputs)
			}
			return answer{outputs: outputs}, err
		},
		size: func(a answer) int64 {
			n := int64(0)
			for i := range a.outputs {
				n += tensorHead + int64(len(a.outputs[i].Data))
				for _, s := range a.outputs[i].Strings {
					n += textHead + int64(len(s))
				}
			}
			return n
		},
	}
}

// Sizes of what goes with the bytes of an answer, roughly, in bytes.
const (
	tensorHead = 160
	textHead   = 32
	classHead  = 48
)

// sizeOf estimates the memory of predictions.
func sizeOf(predictions []scoring.Prediction) int64 {
	n := int64(0)
	for _, p := range predictions {
		n += classHead
		switch p := p.(type) {
		case scoring.Classes:
			for _, c := range p.Classes {
				n += classHead + int64(len(c.Label))
			}
		case scoring.Matches:
			for _, m := range p.Matches {
				n += 2*classHead + int64(len(m.ID)+len(m.Question)+len(m.Answer))
			}
		}
	}
	return n
}

// cloneAll copies tensors with their elements.
func cloneAll(tensors []scoring.Tensor) []scoring.Tensor {
	all := slices.Clone(tensors)
	for i := range all {
		t := &all[i]
		t.Shape, t.Data = slices.Clone(t.Shape), bytes.Clone(t.Data)
		t.Strings = slices.Clone(t.Strings)
		for j := range t.Strings {
			t.Strings[j] = bytes.Clone(t.Strings[j])
		}
	}
	return all
}
