package onnx

import (
	"context"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Run scores inputs, given in any order, and returns the outputs named, in that order;
// all of them, in the model's order, if outputs is empty. The outputs belong to the
// caller, who may hand them to [Session.Release] when done. The inputs are only read,
// and not used after Run returned.
//
// Inputs that do not fit the signature, or that the model itself rejects, give a
// [scoring.Error] with code Invalid. When ctx ends, the run is stopped before the next
// operator of the model, and the error is ctx.Err(). An end within the first millisecond
// is noticed at its end.
func (s *Session) Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	if s.gentle && !s.settled.Load() {
		return s.run(ctx, inputs, outputs, gently)
	}
	return s.run(ctx, inputs, outputs, evenly)
}

// Yields says whether [Session.RunYielding] makes way: on Linux, and where a run is one thread
// on the processor. The threads that share an operator are the session's, for all of its runs.
func (s *Session) Yields() bool { return s.yields }

// RunYielding is [Session.Run] on a thread that makes way for all others of this machine, and
// gets what they leave of the processor: nothing, where they leave nothing.
func (s *Session) RunYielding(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	if !s.yields {
		return s.Run(ctx, inputs, outputs)
	}
	return s.run(ctx, inputs, outputs, yielding)
}

func (s *Session) run(ctx context.Context, inputs []scoring.Tensor, outputs []string, w way) ([]scoring.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k, err := s.begin()
	if err != nil {
		return nil, err
	}
	defer s.end(k)
	k.way = w
	if err := s.checkInputs(inputs, k.order); err != nil {
		return nil, err
	}
	if k.wanted, err = s.checkOutputs(outputs, k.wanted[:0]); err != nil {
		return nil, err
	}
	defer k.unpin()
	if err := k.feed(inputs); err != nil {
		return nil, err
	}
	if s.surge.note(weight(inputs)) {
		s.surges()
	}
	all, err := s.watched(ctx, k)
	if err != nil {
		return nil, runError(ctx, inputs, err)
	}
	return all, nil
}

// watched runs the model, and stops it when ctx ends.
func (s *Session) watched(ctx context.Context, k *call) ([]scoring.Tensor, error) {
	if ctx.Done() == nil {
		return s.score(ctx, k)
	}
	k.watch.begin(ctx)
	all, err := s.score(ctx, k)
	if k.watch.end() {
		k.goOn()
	}
	return all, err
}

// score runs the model on what was fed, by plan where there is one.
func (s *Session) score(ctx context.Context, k *call) ([]scoring.Tensor, error) {
	planned := s.plans.find(k)
	if planned != nil {
		all, err := s.bound(k, planned)
		if err == nil || ctx.Err() != nil {
			return all, err
		}
	}
	var began time.Time
	unproven := s.plans.state.Load() == unproven
	if unproven {
		began = time.Now()
	}
	if err := k.run(false); err != nil {
		return nil, err
	}
	if planned != nil {
		// What failed bound went well otherwise: shapes depend on values here.
		s.plans.state.Store(refuted)
	}
	all, err := s.collect(k)
	k.release()
	if err == nil && len(k.wanted) == 0 {
		var took time.Duration
		if unproven {
			took = time.Since(began)
		}
		s.learn(ctx, k, all, took)
	}
	return all, err
}

// bound runs the model with its outputs where the plan has them.
func (s *Session) bound(k *call, p *plan) ([]scoring.Tensor, error) {
	all := make([]scoring.Tensor, len(k.out))
	if err := s.place(k, p, all); err != nil {
		return nil, err
	}
	if err := k.run(true); err != nil {
		return nil, err
	}
	s.pickUp(k, p, all)
	return s.choose(all, k.wanted), nil
}

// collect copies the outputs that the library made: those wanted, or all.
func (s *Session) collect(k *call) ([]scoring.Tensor, error) {
	specs := s.info.Signature.Outputs
	n := len(k.wanted)
	if n == 0 {
		n = len(specs)
	}
	all := make([]scoring.Tensor, n)
	for i := range all {
		o := i
		if len(k.wanted) > 0 {
			o = k.wanted[i]
		}
		all[i] = scoring.Tensor{Name: specs[o].Name, Datatype: specs[o].Datatype}
		if err := k.read(o, &all[i], &s.env.buffers); err != nil {
			return nil, scoring.Errorf(scoring.Internal, "output %q of the model could not be read", specs[o].Name).WithCause(err)
		}
	}
	return all, nil
}

// choose gives the outputs wanted of all, and releases the others.
func (s *Session) choose(all []scoring.Tensor, wanted []int) []scoring.Tensor {
	if len(wanted) == 0 {
		return all
	}
	chosen := make([]scoring.Tensor, len(wanted))
	for i, o := range wanted {
		chosen[i] = all[o]
		all[o].Data = nil
	}
	s.Release(all)
	return chosen
}

// weight is the size of inputs in bytes, by which runs are compared.
func weight(inputs []scoring.Tensor) (size int64) {
	for i := range inputs {
		size += int64(len(inputs[i].Data))
		for _, s := range inputs[i].Strings {
			size += int64(len(s))
		}
	}
	return size
}
