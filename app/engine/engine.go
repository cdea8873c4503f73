// Package engine is the use case: score a request. The path is the same for every door,
// and [Engine.Predict] and [Engine.Infer] show it from top to bottom: lease a version, look
// for a kept answer, reserve room, pre-process, batch and run, post-process.
package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/cache"
	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

// Flights counts the requests under way: see admit.Flights, which implements it.
type Flights interface {
	// Enter counts a request of rows rows; leave ends it.
	Enter(rows int) (leave func(), err error)
}

// Gate bounds how many requests are pre-processed at once: see admit.Lanes, which
// implements it.
type Gate interface {
	// Enter waits for a place; leave gives it back.
	Enter(ctx context.Context, lane scoring.Lane) (leave func(), err error)
}

// Models leases versions: see registry.Registry, which implements it.
type Models interface {
	// Use calls fn with a lease of the version that want names.
	Use(ctx context.Context, want registry.Want, fn func(registry.Lease) error) error
}

// Observer hears of every scoring: see telemetry.Metrics, which implements it.
type Observer interface {
	// Scored is called once for every request.
	Scored(request scoring.Scored)
	// Panicked is called for every panic that was caught.
	Panicked()
	// Mirrored is called for every mirror that was asked what answered had answered: how its
	// answer differs, how long it took with its waits, and its error, with which there is no
	// difference.
	Mirrored(answered, mirror scoring.ModelID, difference compare.Difference, took time.Duration, err error)
	// MirrorDropped is called for every copy of a request that no mirror was asked; reason
	// is one of the Dropped constants.
	MirrorDropped(answered scoring.ModelID, reason string)
}

// Parts are what an engine needs of the rest of the app.
type Parts struct {
	// Flights counts requests.
	Flights Flights
	// Preprocess bounds how many requests are pre-processed at once: more than there are
	// cores would only make all of them late.
	Preprocess Gate
	// Models to score with.
	Models Models
	// Buffers take back the memory of tensors that pre-processing made; nil where that is
	// the collector's.
	Buffers batch.Buffers
	// Cache of answers; nil where there is none.
	Cache *cache.Cache
	// Mirrors is how many mirrors are asked at once; 0 asks none.
	Mirrors int
	// Copies bounds the memory of mirrored requests; nil sets no bound.
	Copies *admit.Bytes
	// RecentRequests and RecentBytes bound what is kept of each model's newest requests for
	// [Engine.Replay]; 0 in either of them keeps nothing.
	RecentRequests int
	// RecentBytes is in bytes.
	RecentBytes int64
	// Observer of the scorings.
	Observer Observer
	// Tracer of the requests' phases; nil where nothing is traced.
	Tracer *spans.Tracer
	// Log of panics.
	Log zerolog.Logger
}

// Engine scores requests. It is safe for concurrent use.
type Engine struct {
	parts   Parts
	mirrors mirrors
	recent  recent
	// alone has room for the one request of nobody's that is pre-processed: see
	// [Engine.askAlone].
	alone chan struct{}
}

// New makes an engine of its parts. [Engine.Close] ends what it does on its own.
func New(parts Parts) *Engine {
	e := &Engine{parts: parts, alone: make(chan struct{}, 1)}
	e.mirrors.init(parts.Mirrors)
	e.recent.init(parts.RecentRequests, parts.RecentBytes)
	return e
}

// Close ends the mirrors that are being asked, and waits for that, at most until ctx ends.
// It is for after the last request: what comes later is answered, and not mirrored.
func (e *Engine) Close(ctx context.Context) error {
	e.recent.close()
	return e.mirrors.close(ctx)
}

// Admit says whether a request for want would be let in now. Doors ask before they read its
// body; what comes later is decided later. The error is an [scoring.Error].
func (e *Engine) Admit(ctx context.Context, want registry.Want, schedule scoring.Schedule) error {
	err := e.parts.Models.Use(ctx, want, func(v registry.Lease) error {
		if v.CacheTTL > 0 && e.parts.Cache != nil {
			return nil // its answer may be there already
		}
		err := v.Batcher.HasRoom(ctx, schedule, 1)
		if err != nil {
			e.parts.Observer.Scored(scoring.Scored{Model: v.ID, Lane: schedule.Lane, Err: scoring.AsError(err)})
			v.Statistics.Request(0, scoring.Timing{}, 0, err)
		}
		return err
	})
	if err != nil {
		return scoring.AsError(err)
	}
	return nil
}

// Predict scores instances with the model's pipeline. The error is an [scoring.Error].
func (e *Engine) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	resp := &scoring.PredictResponse{ID: idOr(req.ID)}
	answer, err := e.score(ctx, question{predict: req}, &resp.Timing, &resp.Model)
	if err != nil {
		return nil, err
	}
	resp.Predictions = answer.predictions
	return resp, nil
}

// Infer runs a model on tensors. The error is an [scoring.Error].
func (e *Engine) Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	resp := &scoring.InferResponse{ID: idOr(req.ID)}
	answer, err := e.score(ctx, question{infer: req}, &resp.Timing, &resp.Model)
	if err != nil {
		return nil, err
	}
	resp.Outputs = answer.outputs
	return resp, nil
}

// score is what predictions and inferences share: count, lease, answer, tell the observer.
// It fills id.
func (e *Engine) score(ctx context.Context, q question, timing *scoring.Timing, id *scoring.ModelID) (a answer, err error) {
	rows, begin := q.rows(), time.Now()
	defer func() {
		if p := recover(); p != nil {
			err = e.caught(ctx, p)
		}
		if err != nil {
			err = scoring.AsError(err)
		}
		r := scoring.Scored{Model: *id, Lane: q.lane(), Rows: rows, Timing: *timing, Took: time.Since(begin), Err: err}
		e.parts.Observer.Scored(r)
		e.parts.Tracer.Scored(ctx, r)
	}()
	leave, err := e.parts.Flights.Enter(rows)
	if err != nil {
		return a, err
	}
	defer leave()
	err = e.parts.Models.Use(ctx, q.want(), func(lease registry.Lease) (err error) {
		*id = lease.ID
		watch := stopwatch(time.Now())
		a, err = e.keep(ctx, lease.Version, timing, q)
		lease.Statistics.Request(rows, *timing, watch.lap(), err)
		if err == nil && !timing.Cached {
			e.copy(lease, q, a)
		}
		return err
	})
	return a, err
}

// copy takes copies of a request that was answered, for those who want them. The caller
// waits for the copying, because what is copied is the caller's afterwards, and for nothing
// else.
func (e *Engine) copy(lease registry.Lease, q question, a answer) {
	e.recent.take(lease.ID.Name, q)
	if lease.Mirror != nil {
		e.mirror(lease, q, a)
	}
}

// ask asks a version, whatever was answered before.
func (e *Engine) ask(ctx context.Context, v *registry.Version, q question, timing *scoring.Timing) (a answer, err error) {
	if q.infer != nil {
		return e.infer(ctx, v, q.infer, timing)
	}
	a.predictions, err = e.predict(ctx, v, q.predict, timing)
	return a, err
}

// predict is a prediction by a version: reserve room, pre-process, run, post-process.
func (e *Engine) predict(ctx context.Context, v *registry.Version, req *scoring.PredictRequest, timing *scoring.Timing) ([]scoring.Prediction, error) {
	if v.Pipeline == nil {
		return nil, noPipeline(v)
	}
	leave, err := v.Batcher.Admit(ctx, req.Schedule, len(req.Instances))
	if err != nil {
		return nil, err
	}
	defer leave()
	begin := time.Now()
	watch := stopwatch(begin)
	if ahead := v.Ahead[req.Schedule.Lane]; ahead != nil {
		run, err := ahead.Enter(ctx)
		if err != nil {
			return nil, err
		}
		defer run()
	}
	timing.Queue = watch.lap()
	e.parts.Tracer.Waited(ctx, begin, timing.Queue)
	inputs, err := e.preprocess(ctx, v, req, timing)
	if err != nil {
		return nil, err
	}
	return e.finish(ctx, v, req, inputs, timing)
}

// noPipeline refuses instances for a version that takes nothing but tensors.
func noPipeline(v *registry.Version) error {
	return scoring.Errorf(scoring.Invalid, "model %s has no pipeline: send tensors to /v2/models/%s/infer", v.ID, v.ID.Name)
}

// preprocess turns instances into tensors, when it is their turn.
func (e *Engine) preprocess(ctx context.Context, v *registry.Version, req *scoring.PredictRequest, timing *scoring.Timing) ([]scoring.Tensor, error) {
	begin := time.Now()
	watch := stopwatch(begin)
	leave, err := e.parts.Preprocess.Enter(ctx, req.Schedule.Lane)
	wait := watch.lap()
	timing.Queue += wait
	e.parts.Tracer.Waited(ctx, begin, wait)
	if err != nil {
		return nil, err
	}
	defer leave()
	timing.At = scoring.Preprocess
	span := e.parts.Tracer.Phase(ctx, scoring.Preprocess)
	inputs, err := v.Pipeline.Preprocess(ctx, req.Instances)
	span.End(err)
	timing.Preprocess = watch.lap()
	return inputs, err
}

// finish is the rest of a prediction: run, post-process. The memory of inputs is given back.
func (e *Engine) finish(ctx context.Context, v *registry.Version, req *scoring.PredictRequest, inputs []scoring.Tensor, timing *scoring.Timing) ([]scoring.Prediction, error) {
	outputs, err := e.run(ctx, v, batch.Request{Inputs: inputs, Outputs: v.Pipeline.Outputs(), Schedule: req.Schedule}, timing)
	e.recycle(inputs)
	if err != nil {
		return nil, err
	}
	watch := stopwatch(time.Now())
	timing.At = scoring.Postprocess
	span := e.parts.Tracer.Phase(ctx, scoring.Postprocess)
	predictions, err := v.Pipeline.Postprocess(outputs, len(req.Instances), req.Parameters)
	span.End(err)
	timing.Postprocess = watch.lap()
	return predictions, err
}

// recycle gives the memory of tensors back that nobody refers to any more.
func (e *Engine) recycle(tensors []scoring.Tensor) {
	if e.parts.Buffers == nil {
		return
	}
	for i := range tensors {
		e.parts.Buffers.Put(tensors[i].Data)
	}
}

// infer is an inference by a version: reserve room, run, classify.
func (e *Engine) infer(ctx context.Context, v *registry.Version, req *scoring.InferRequest, timing *scoring.Timing) (a answer, err error) {
	leave, err := v.Batcher.Admit(ctx, req.Schedule, rowsOf(req.Inputs))
	if err != nil {
		return a, err
	}
	defer leave()
	a.outputs, err = e.run(ctx, v, batch.Request{Inputs: req.Inputs, Outputs: namesOf(req.Outputs), Schedule: req.Schedule}, timing)
	if err != nil {
		return a, err
	}
	watch := stopwatch(time.Now())
	timing.At = scoring.Postprocess
	if slices.ContainsFunc(req.Outputs, func(o scoring.Output) bool { return o.Classes > 0 }) {
		a.scores = slices.Clone(a.outputs)
		err = classify(a.outputs, req.Outputs, v.Labels)
	}
	timing.Postprocess = watch.lap()
	return a, err
}

// run has a version's batcher run a request.
func (e *Engine) run(ctx context.Context, v *registry.Version, req batch.Request, timing *scoring.Timing) ([]scoring.Tensor, error) {
	timing.At = scoring.Queue
	var begin time.Time
	if e.parts.Tracer != nil {
		begin = time.Now()
	}
	result, err := v.Batcher.Run(ctx, req)
	if result.Began {
		timing.At = scoring.Run
		e.parts.Tracer.Ran(ctx, begin, result.Queue, result.Run, result.Rows, result.Batch, err)
	}
	timing.Queue += result.Queue
	timing.Run, timing.Rows = result.Run, result.Rows
	return result.Outputs, err
}

// caught turns a panic into an error. One request's bad luck must not end the process,
// and with it everybody else's requests.
func (e *Engine) caught(ctx context.Context, p any) error {
	e.parts.Observer.Panicked()
	e.parts.Log.Error().Ctx(ctx).Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic while scoring")
	return scoring.InternalError(nil)
}

// idOr makes an id for a request that has none. Version 7 ids sort by time.
func idOr(id string) string {
	if id != "" {
		return id
	}
	made, err := uuid.NewV7()
	if err != nil {
		return uuid.NewString()
	}
	return made.String()
}

// namesOf lists the names of outputs.
func namesOf(outputs []scoring.Output) []string {
	var names []string
	for _, o := range outputs {
		names = append(names, o.Name)
	}
	return names
}

// rowsOf counts the rows of a request on tensors: the largest first dimension.
func rowsOf(inputs []scoring.Tensor) int {
	rows := int64(1)
	for i := range inputs {
		if shape := inputs[i].Shape; len(shape) > 0 {
			rows = max(rows, shape[0])
		}
	}
	return int(min(rows, 1<<30))
}

// stopwatch measures steps that follow each other.
type stopwatch time.Time

// lap gives the time since the last lap.
func (s *stopwatch) lap() time.Duration {
	now := time.Now()
	took := now.Sub(time.Time(*s))
	*s = stopwatch(now)
	return took
}
