package registry

import (
	"cmp"
	"context"
	"fmt"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// addBatcher gives a version the batcher that its files ask for.
func (l Loader) addBatcher(ctx context.Context, v *Version, plan artifact.Plan) error {
	rows, err := l.rows(ctx, v, plan)
	if err != nil {
		return err
	}
	if rows > 1 {
		if err := rowsEverywhere(v.Session.Signature()); err != nil {
			return fmt.Errorf("batching.max_rows is %d: %w", rows, err)
		}
	}
	config := batch.Config{
		MaxRows:  rows,
		Delay:    plan.Delay,
		Pad:      padding(plan.Pad),
		MaxQueue: cmp.Or(plan.MaxRequests, l.MaxQueue),
		Priority: plan.Priority,
		Timeout:  plan.Timeout,
	}
	if err := config.Check(v.Session.Signature()); err != nil {
		return err
	}
	if err := checkPadding(ctx, v.Session, config); err != nil {
		return err
	}
	v.MaxRows = config.MaxRows
	if plan.Cache && l.CacheTTL == 0 {
		l.Log.Warn().Str("model", v.ID.Name).Int64("version", v.ID.Version).Msg("the version asks for its answers to be kept, and there is no memory for that: set ONDA_CACHE_SIZE")
	}
	if plan.Cache && l.CacheTTL > 0 {
		v.CacheTTL = cmp.Or(plan.CacheTTL, l.CacheTTL)
	}
	v.Statistics = &statistics.Recorder{}
	parts := l.Batching
	watch := watcher{Recorder: v.Statistics, log: l.Log.With().Str("model", v.ID.Name).Int64("version", v.ID.Version).Logger()}
	if l.Observe != nil {
		watch.next = l.Observe(v.ID)
	}
	parts.Observer = watch
	v.Batcher = batch.New(v.Session, config, parts)
	return nil
}

// rows is the most rows of a run: what the model's first axis fixes, else what its files
// say, else what the model shows when it is tried. 0 means that its rows are not
// independent.
func (l Loader) rows(ctx context.Context, v *Version, plan artifact.Plan) (int, error) {
	switch {
	case v.Pipeline != nil && v.Pipeline.MaxRows() > 0:
		return v.Pipeline.MaxRows(), nil
	case plan.Alone:
		return 0, nil
	case plan.MaxRows > 0:
		return plan.MaxRows, nil
	case v.Pipeline != nil && rowsEverywhere(v.Session.Signature()) == nil:
		return l.MaxRows, nil // a pipeline's instances have nothing to do with each other
	case v.Pipeline != nil:
		return 1, nil
	case l.MaxRows < 2:
		return 0, nil
	}
	yes, reason, err := independentRows(ctx, v.Session, l.MaxRows)
	if err != nil {
		return 0, err
	}
	if !yes {
		l.Log.Info().Str("model", v.ID.Name).Int64("version", v.ID.Version).Str("reason", reason).
			Msg("requests are not batched: batching.max_rows in model.yaml, or max_batch_size in config.pbtxt, would say that they can be")
		return 0, nil
	}
	return l.MaxRows, nil
}

// rowsEverywhere says whether the first axis of all tensors can be that of the rows. One
// that cannot would be shared out among callers by its length alone, which may happen to fit.
func rowsEverywhere(sig scoring.Signature) error {
	for _, specs := range [][]scoring.TensorSpec{sig.Inputs, sig.Outputs} {
		for _, s := range specs {
			if s.Shape != nil && (len(s.Shape) == 0 || s.Shape[0] >= 0) {
				return fmt.Errorf("the shape of %q is %s, whose first axis is not that of rows: set it to 1", s.Name, scoring.FormatShape(s.Shape))
			}
		}
	}
	return nil
}

func padding(pads []artifact.Pad) []batch.Pad {
	var all []batch.Pad
	for _, p := range pads {
		pad := batch.Pad{Input: p.Input, Axis: p.Axis, Value: p.Value, Buckets: p.Buckets}
		for _, o := range p.Outputs {
			pad.Outputs = append(pad.Outputs, batch.PadOutput{Output: o.Output, Axis: o.Axis})
		}
		all = append(all, pad)
	}
	return all
}

// Statistics gives the counters of the version that ref names, loaded or not. The error
// is that of [Registry.Use] for a version that does not exist.
func (r *Registry) Statistics(ref scoring.ModelRef) (scoring.Statistics, error) {
	status, err := r.Status(ref)
	if err != nil {
		return scoring.Statistics{}, err
	}
	v := status.Version
	if v == nil || v.Statistics == nil {
		return scoring.Statistics{Model: scoring.ModelID{Name: status.Ref.Name, Version: status.Ref.Version}}, nil
	}
	s := v.Statistics.Snapshot()
	s.Model, s.Bytes = v.ID, v.Size
	return s, nil
}
