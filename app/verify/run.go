package verify

import (
	"context"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/golden"
	"github.com/onda-serving/onda/app/scoring"
)

// run has the version answer its golden inputs, or a row of zeros where it has none: some
// models load well and end the process with their first run.
func (r *Report) run(ctx context.Context, l *Loaded) error {
	asker := &timed{asker: l.Asker}
	set, err := golden.Load(l.Files)
	switch {
	case err != nil:
		return err
	case set != nil:
		r.Golden, err = set.Replay(ctx, asker)
	default:
		r.Warnings = append(r.Warnings, "there is no golden.json: nothing shows that the answers are those of the model's maker")
		r.runOnZeros(ctx, asker, l.Signature)
	}
	r.RunMS = milliseconds(asker.median())
	return err
}

// runOnZeros runs the model some times on a row of zeros. A failure is no error: many a
// sound model does not take them.
func (r *Report) runOnZeros(ctx context.Context, asker *timed, signature scoring.Signature) {
	const times = 3
	inputs, err := zeros(signature)
	for range times {
		if err == nil {
			_, err = asker.Infer(ctx, inputs)
		}
	}
	if err != nil {
		asker.took = nil
		r.Warnings = append(r.Warnings, "it did not run on a row of zeros, and has no golden inputs: nothing shows that it runs: "+scoring.AsError(err).Message)
	}
}

// zeros makes one row of each input. Free dimensions are 1.
func zeros(signature scoring.Signature) ([]scoring.Tensor, error) {
	const most = 1 << 26 // half a gigabyte of numbers
	var all []scoring.Tensor
	for _, spec := range signature.Inputs {
		t := scoring.Tensor{Name: spec.Name, Datatype: spec.Datatype, Shape: slices.Clone(spec.Shape)}
		for i, d := range t.Shape {
			if d < 0 {
				t.Shape[i] = 1
			}
		}
		n, ok := scoring.Elements(t.Shape)
		switch {
		case !ok || n > most:
			return nil, scoring.Errorf(scoring.TooLarge, "input %q of shape %s is too large to try", spec.Name, scoring.FormatShape(spec.Shape))
		case spec.Datatype == scoring.Bytes:
			t.Strings = make([][]byte, n)
		default:
			t.Data = make([]byte, n*int64(spec.Datatype.Size()))
		}
		all = append(all, t)
	}
	return all, nil
}

// timed notes how long its asker takes.
type timed struct {
	asker golden.Asker
	took  []time.Duration
}

// Predict implements golden.Asker.
func (t *timed) Predict(ctx context.Context, instances []scoring.Instance, parameters scoring.Parameters) ([]scoring.Prediction, error) {
	defer t.since(time.Now())
	return t.asker.Predict(ctx, instances, parameters)
}

// Infer implements golden.Asker.
func (t *timed) Infer(ctx context.Context, inputs []scoring.Tensor) ([]scoring.Tensor, error) {
	defer t.since(time.Now())
	return t.asker.Infer(ctx, inputs)
}

func (t *timed) since(start time.Time) { t.took = append(t.took, time.Since(start)) }

// median is the middle one of all times, 0 without any.
func (t *timed) median() time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	return t.took[len(t.took)/2]
}

var _ golden.Asker = (*timed)(nil)
