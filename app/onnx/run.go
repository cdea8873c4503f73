package onnx

import (
	"context"
	"reflect"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/onda-serving/onda/app/scoring"
)

// Run scores inputs, given in any order, and returns the outputs named, in that order;
// all of them, in the model's order, if outputs is empty. The outputs belong to the
// caller. The inputs are only read, and not used after Run returned.
//
// Inputs that do not fit the signature, or that the model itself rejects, give a
// [scoring.Error] with code Invalid. When ctx ends, the run is stopped before the next
// operator of the model, and the error is ctx.Err().
func (s *Session) Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sc := s.scratch.Get().(*scratch)
	defer s.scratch.Put(sc)
	if err := s.checkInputs(inputs, sc.order); err != nil {
		return nil, err
	}
	wanted, err := s.checkOutputs(outputs)
	if err != nil {
		return nil, err
	}
	defer sc.release()
	if err := sc.feed(inputs); err != nil {
		return nil, err
	}
	if err := s.run(ctx, sc); err != nil {
		if at := sc.dropUnread(); at >= 0 && ctx.Err() == nil {
			return nil, s.misdeclared(at, err)
		}
		return nil, runError(ctx, inputs, err)
	}
	return s.collect(sc.fetched, wanted)
}

// run runs the model on what is in sc.
func (s *Session) run(ctx context.Context, sc *scratch) error {
	endless := ctx.Done() == nil
	o, err := s.begin(!endless)
	if err != nil {
		return err
	}
	if endless {
		err = s.raw.RunWithOptions(sc.fed, sc.fetched, nil)
		return firstError(err, s.end(nil, false))
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		// It can fail only for a nil pointer.
		_ = o.Terminate()
	})
	err = s.raw.RunWithOptions(sc.fed, sc.fetched, o)
	terminated := !stop()
	if terminated {
		// The options must outlive the call on them.
		<-over
	}
	return firstError(err, s.end(o, terminated))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// scratch is what one run needs besides its results. It is reused: a run of a small
// model takes less time than the collector would.
type scratch struct {
	// order gives, for each input of the model, the position in the caller's list.
	order []int
	// fed are the inputs, and fetched the results, in the session's order.
	fed, fetched []ort.Value
	pins         runtime.Pinner
}

func newScratch(inputs, fetches int) *scratch {
	return &scratch{order: make([]int, inputs), fed: make([]ort.Value, inputs), fetched: make([]ort.Value, fetches)}
}

// feed makes values of the caller's tensors, which were checked.
func (sc *scratch) feed(inputs []scoring.Tensor) error {
	for i, from := range sc.order {
		v, err := sc.value(&inputs[from])
		if err != nil {
			return err
		}
		sc.fed[i] = v
	}
	return nil
}

// dropUnread clears the result that the binding failed to read, and gives its index, or -1.
// The binding leaves a nil pointer inside an interface there, whose methods crash.
func (sc *scratch) dropUnread() int {
	for i, v := range sc.fetched {
		if v != nil && reflect.ValueOf(v).IsNil() {
			sc.fetched[i] = nil
			return i
		}
	}
	return -1
}

// misdeclared is the error for an output that has no dimensions although the model's
// file says so: graft.go would have seen to it otherwise. The binding loses the memory
// of the outputs after that one; the first run of such a model shows that it is broken.
func (s *Session) misdeclared(fetched int, cause error) error {
	at := slices.IndexFunc(s.fetches, func(f fetch) bool { return f.data == fetched || f.shape == fetched })
	o := &s.info.Signature.Outputs[at]
	return scoring.Errorf(scoring.Internal, "output %q of the model has no dimensions, but its file declares %s: declare the true shape in the model", clip(o.Name), scoring.FormatShape(o.Shape)).WithCause(cause)
}

// release frees what the library holds, also after a failure half-way.
func (sc *scratch) release() {
	for _, values := range [][]ort.Value{sc.fed, sc.fetched} {
		for i, v := range values {
			if v != nil {
				_ = v.Destroy()
				values[i] = nil
			}
		}
	}
	sc.pins.Unpin()
}
