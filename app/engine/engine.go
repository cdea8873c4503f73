// Package engine is the use case: score a request. The path is the same for every door,
// and [Engine.Predict] and [Engine.Infer] show it from top to bottom: admit, lease a
// version, pre-process, run, post-process.
package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/onda-serving/onda/app/registry"
	"github.com/onda-serving/onda/app/scoring"
)

// Gate admits requests: see admit.Gate, which implements it.
type Gate interface {
	// Enter waits for a place for rows rows; leave gives it back.
	Enter(ctx context.Context, rows int) (leave func(), err error)
}

// Models leases versions: see registry.Registry, which implements it.
type Models interface {
	// Check says whether Use would find a version now.
	Check(ref scoring.ModelRef) error
	// Use calls fn with the version that ref names.
	Use(ref scoring.ModelRef, fn func(*registry.Version) error) error
}

// Observer hears of every scoring: see telemetry.Metrics, which implements it.
type Observer interface {
	// Scored is called once for every request; id is the zero value where no version
	// was found, err is nil for success.
	Scored(id scoring.ModelID, rows int, timing scoring.Timing, err error)
	// Panicked is called for every panic that was caught.
	Panicked()
}

// Engine scores requests. It is safe for concurrent use.
type Engine struct {
	gate     Gate
	models   Models
	observer Observer
	log      zerolog.Logger
}

// New makes an engine of its parts.
func New(gate Gate, models Models, observer Observer, log zerolog.Logger) *Engine {
	return &Engine{gate: gate, models: models, observer: observer, log: log}
}

// Predict scores instances with the model's pipeline. The error is an [scoring.Error].
func (e *Engine) Predict(ctx context.Context, req *scoring.PredictRequest) (*scoring.PredictResponse, error) {
	resp := &scoring.PredictResponse{ID: idOr(req.ID)}
	rows := len(req.Instances)
	err := e.score(ctx, req.Model, rows, &resp.Timing, &resp.Model, func(v *registry.Version) (err error) {
		resp.Predictions, err = predict(ctx, v, req, &resp.Timing)
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// predict is the part of a prediction that needs a version.
func predict(ctx context.Context, v *registry.Version, req *scoring.PredictRequest, timing *scoring.Timing) ([]scoring.Prediction, error) {
	if v.Pipeline == nil {
		return nil, scoring.Errorf(scoring.Invalid, "model %s has no pipeline: send tensors to /v2/models/%s/infer", v.ID, v.ID.Name)
	}
	watch := stopwatch(time.Now())
	inputs, err := v.Pipeline.Preprocess(ctx, req.Instances)
	timing.Preprocess = watch.lap()
	if err != nil {
		return nil, err
	}
	outputs, err := run(ctx, v, inputs, v.Pipeline.Outputs())
	timing.Run = watch.lap()
	if err != nil {
		return nil, err
	}
	predictions, err := v.Pipeline.Postprocess(outputs, len(req.Instances), req.Parameters)
	timing.Postprocess = watch.lap()
	return predictions, err
}

// Infer runs a model on tensors. The error is an [scoring.Error].
func (e *Engine) Infer(ctx context.Context, req *scoring.InferRequest) (*scoring.InferResponse, error) {
	resp := &scoring.InferResponse{ID: idOr(req.ID)}
	err := e.score(ctx, req.Model, rowsOf(req.Inputs), &resp.Timing, &resp.Model, func(v *registry.Version) (err error) {
		watch := stopwatch(time.Now())
		resp.Outputs, err = run(ctx, v, req.Inputs, namesOf(req.Outputs))
		resp.Timing.Run = watch.lap()
		return err
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// score is the path that predictions and inferences share: admit, lease, do the work,
// tell the observer. It fills timing.Queue and id.
func (e *Engine) score(ctx context.Context, ref scoring.ModelRef, rows int, timing *scoring.Timing, id *scoring.ModelID, work func(*registry.Version) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = e.caught(p)
		}
		if err != nil {
			err = scoring.AsError(err)
		}
		e.observer.Scored(*id, rows, *timing, err)
	}()
	// A request for what is not there must not wait for its answer, nor take a place from
	// others, nor hear that it should try again.
	if err := e.models.Check(ref); err != nil {
		return err
	}
	watch := stopwatch(time.Now())
	leave, err := e.gate.Enter(ctx, rows)
	timing.Queue = watch.lap()
	if err != nil {
		return err
	}
	defer leave()
	return e.models.Use(ref, func(v *registry.Version) error {
		*id = v.ID
		return work(v)
	})
}

// caught turns a panic into an error. One request's bad luck must not end the process,
// and with it everybody else's requests.
func (e *Engine) caught(p any) error {
	e.observer.Panicked()
	e.log.Error().Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("panic while scoring")
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
