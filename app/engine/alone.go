package engine

import (
	"context"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// alonePatience bounds the time of a question that is asked on nobody's behalf. The model's
// files may bound its wait further.
const alonePatience = 30 * time.Second

// What keeps a question from being asked on nobody's behalf.
var (
	errCrowded  = scoring.Errorf(scoring.Overloaded, "the model has enough to do")
	errNoMemory = scoring.Errorf(scoring.Overloaded, "the copies of requests take as much memory as they may")
)

// askAlone asks a version on nobody's behalf, and without the cache. q is anonymous, so that
// its run gives way to those of callers; its pre-processing, which has no lanes, happens one
// request at a time over all versions, and takes no place from callers in the version's line
// of tensors that wait. room bounds the memory of those made here; nil sets no bound.
//
// The error is a [scoring.Error]. A panic is one as well.
func (e *Engine) askAlone(ctx context.Context, v *registry.Version, q question, room *admit.Bytes, timing *scoring.Timing) (a answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			a, err = answer{}, e.caught(ctx, p)
		}
		if err != nil {
			err = scoring.AsError(err)
		}
	}()
	if s := v.Batcher.Stats(); s.Rows[scoring.Bulk] > s.Limit[scoring.Bulk]/2 {
		return a, errCrowded // the rest of the room is for callers
	}
	ctx, cancel := context.WithTimeout(ctx, alonePatience)
	defer cancel()
	if q.infer != nil {
		return e.infer(ctx, v, q.infer, timing)
	}
	a.predictions, err = e.predictAlone(ctx, v, q.predict, room, timing)
	return a, err
}

// predictAlone is [Engine.predict] on nobody's behalf.
func (e *Engine) predictAlone(ctx context.Context, v *registry.Version, req *scoring.PredictRequest, room *admit.Bytes, timing *scoring.Timing) ([]scoring.Prediction, error) {
	if v.Pipeline == nil {
		return nil, noPipeline(v)
	}
	leave, err := v.Batcher.Admit(ctx, req.Schedule, len(req.Instances))
	if err != nil {
		return nil, err
	}
	defer leave()
	inputs, err := e.preprocessAlone(ctx, v, req, timing)
	if err != nil {
		return nil, err
	}
	if room != nil {
		size := sizeOfTensors(inputs)
		defer room.Free(size)
		if !room.Take(size) {
			e.recycle(inputs)
			return nil, errNoMemory
		}
	}
	return e.finish(ctx, v, req, inputs, timing)
}

// preprocessAlone is [Engine.preprocess] after its turn among those that have no caller.
func (e *Engine) preprocessAlone(ctx context.Context, v *registry.Version, req *scoring.PredictRequest, timing *scoring.Timing) ([]scoring.Tensor, error) {
	watch := stopwatch(time.Now())
	select {
	case e.alone <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-e.alone }()
	timing.Queue = watch.lap()
	return e.preprocess(ctx, v, req, timing)
}

// difference compares what two versions answered to the same question.
func difference(a, b answer) compare.Difference {
	if a.predictions != nil || b.predictions != nil {
		return compare.Predictions(a.predictions, b.predictions)
	}
	return compare.Tensors(a.tensors(), b.tensors())
}
