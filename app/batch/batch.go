// Package batch is the scheduler: below all doors, it decides which requests run together,
// when, and on what. There is one [Batcher] for each version, and one [Scheduler] for each
// device, which lends the batchers its slots.
//
// A request that finds its version idle runs at once, in its caller's goroutine. While the
// slots are busy, requests wait, and a slot that becomes free takes as many of them as fit
// one run: batching costs an idle server nothing, and grows by itself with the load. The
// files follow a request's way: admission, job, queue, scheduler, form, execute, isolate.
//
// Every request gets exactly one answer, and it is its own: the property test in
// property_test.go is about that sentence.
package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/admit"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

// Model runs a loaded model: see onnx.Session, which implements it.
type Model interface {
	// Signature of the model.
	Signature() scoring.Signature
	// Run computes outputs, by name; all of them if outputs is empty. It ends early when
	// ctx does.
	Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)
}

// Yielder is a [Model] that can make way for others. Bulk runs of such a model need no slot of
// those that interactive requests wait for: see [Scheduler].
type Yielder interface {
	// Yields says whether RunYielding does so.
	Yields() bool
	// RunYielding is Run that gets only what others leave of the processor.
	RunYielding(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)
}

// Checker is a [Model] that knows what it takes. A request that it refuses never shares a
// run with others.
type Checker interface {
	// Check says whether Run would take inputs and outputs. The error is an [scoring.Error].
	Check(inputs []scoring.Tensor, outputs []string) error
}

// Releaser is a [Model] that takes the memory of outputs back, for its next runs.
type Releaser interface {
	// Release takes outputs that nobody refers to any more.
	Release(outputs []scoring.Tensor)
}

// Buffers lends memory for the inputs of batches: see pool.Pool, which implements it.
type Buffers interface {
	// Get gives n bytes with any content.
	Get(n int) []byte
	// Put takes them back.
	Put(b []byte)
}

// Observer hears of runs: see engine.Recorder, which implements it. Calls come from many
// goroutines.
type Observer interface {
	// Ran is called after every run of the model.
	Ran(Run)
	// Misbatched is called when a version turned out not to keep one row of outputs for
	// each row of inputs: its requests run alone from then on.
	Misbatched(reason string)
}

// Run describes one run of a model.
type Run struct {
	// Rows and Requests that ran together.
	Rows, Requests int
	// Padded is how many elements of padding were among the inputs, out of Elements.
	Padded, Elements int64
	// Join, Infer and Split are the times to put the rows together, to run, and to take
	// the answers apart.
	Join, Infer, Split time.Duration
	// Failed says that the run gave an error.
	Failed bool
}

// Config says how a version is batched.
type Config struct {
	// MaxRows is the most rows of a run; larger requests are run in pieces. 1 keeps
	// requests apart, and 0 means that the first axis is not one of independent rows:
	// requests then run alone and whole.
	MaxRows int
	// Delay holds a batch that is not full until its oldest request has waited so long,
	// also on an idle server: what other servers do. 0, which is better unless callers
	// come in lock step, lets [Batcher] decide by what it has learned.
	Delay time.Duration
	// Pad lists the axes that requests may differ in and still run together.
	Pad []Pad
	// MaxQueue is how many rows may wait, in each lane.
	MaxQueue int
	// Priority is the level of requests that bring none, from 1; 0 means 1.
	Priority uint64
	// Timeout bounds the wait for a run; 0 leaves it to the request's own budget.
	Timeout time.Duration
}

// Pad is an axis of an input that may be padded.
type Pad struct {
	// Input that is padded.
	Input string
	// Axis of the input, from 1: axis 0 is the rows.
	Axis int
	// Value of the padding; BYTES are padded with empty strings.
	Value float64
	// Buckets are lengths in rising order. Requests run together when their lengths fall
	// between the same two; beyond the last one, and without buckets, between powers of two.
	Buckets []int
	// Outputs whose axis is as long as that of the input, and is cut back to it.
	Outputs []PadOutput
}

// PadOutput is an axis of an output that is cut back.
type PadOutput struct {
	// Output that is cut.
	Output string
	// Axis of the output, from 1.
	Axis int
}

// Check says whether c fits a model with signature sig. The error is for whoever wrote the
// configuration.
func (c Config) Check(sig scoring.Signature) error {
	for _, p := range c.Pad {
		if err := checkAxis("input", p.Input, p.Axis, sig.Inputs); err != nil {
			return err
		}
		for _, o := range p.Outputs {
			if err := checkAxis("output", o.Output, o.Axis, sig.Outputs); err != nil {
				return err
			}
		}
	}
	if err := c.checkCut(sig.Outputs); err != nil {
		return err
	}
	if len(c.Pad) > 0 && c.MaxRows < 2 {
		return errors.New("batching.pad: padding is for requests that run together: want batching.max_rows of 2 or more")
	}
	return nil
}

// checkCut sees to it that no output keeps the length of the padding.
func (c Config) checkCut(outputs []scoring.TensorSpec) error {
	if len(c.Pad) == 0 {
		return nil
	}
	cut := map[PadOutput]bool{}
	for _, p := range c.Pad {
		for _, o := range p.Outputs {
			cut[o] = true
		}
	}
	for _, s := range outputs {
		for axis := 1; axis < len(s.Shape); axis++ {
			if s.Shape[axis] < 0 && !cut[PadOutput{s.Name, axis}] {
				return fmt.Errorf("batching.pad: axis %d of output %q varies, and no rule cuts it back: name it under the outputs of the input's axis that it is as long as", axis, s.Name)
			}
		}
	}
	return nil
}

// checkAxis says whether an input or output has an axis that may vary.
func checkAxis(kind, name string, axis int, specs []scoring.TensorSpec) error {
	at := slices.IndexFunc(specs, func(s scoring.TensorSpec) bool { return s.Name == name })
	if at < 0 {
		return fmt.Errorf("batching.pad: the model has no %s %q", kind, name)
	}
	if shape := specs[at].Shape; axis < 1 || axis >= len(shape) || shape[axis] >= 0 {
		return fmt.Errorf("batching.pad: axis %d of %s %q cannot be padded: its shape is %s, and the axis must be 1 or more and vary", axis, kind, name, scoring.FormatShape(shape))
	}
	return nil
}

// Parts are what a batcher needs of the rest of the app.
type Parts struct {
	// Scheduler of the device that the model is on; nil makes one with a single slot.
	Scheduler *Scheduler
	// Bytes bounds the memory of waiting requests, over all versions; nil sets no bound.
	Bytes *admit.Bytes
	// Buffers lends the memory of batches; nil leaves it to the collector.
	Buffers Buffers
	// Observer of the runs; nil if nobody wants to know.
	Observer Observer
	// Tracer of runs of several requests; nil where nothing is traced.
	Tracer *spans.Tracer
}

// Batcher runs the requests to one version. It is safe for concurrent use.
type Batcher struct {
	model  Model
	check  func(inputs []scoring.Tensor, outputs []string) error // nil where the model has none
	config Config
	parts  Parts
	inputs map[string]int

	// yielding runs the model for bulk alone; nil where lanes share runs and slots.
	yielding func(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)

	// alone is set when the model turned out not to be what Config said.
	alone atomic.Bool

	// release gives outputs back; nil where the model takes none.
	release func(outputs []scoring.Tensor)

	// What follows is guarded by the scheduler's lock.

	queue   queue
	running int // runs under way
	bulk    int // those among them without an interactive request
	latency latency
	// yielded predicts the runs that make way for others, which take as long as those leave.
	yielded latency
	// tries counts runs, to try larger ones now and then.
	tries uint
	// crowd is the moving average of requests in a run: above 1 under load.
	crowd float64
	rooms [2]room // by lane
	pace  pace
	// yieldedPace is that of bulk where it makes way for others.
	yieldedPace pace
	timer       *time.Timer
	listed      bool
	seq         uint64
}

// New makes the batcher of a model.
func New(model Model, config Config, parts Parts) *Batcher {
	if config.Priority == 0 {
		config.Priority = 1
	}
	if parts.Scheduler == nil {
		parts.Scheduler = NewScheduler(1, 0)
	}
	sig := model.Signature()
	b := &Batcher{model: model, config: config, parts: parts, inputs: index(sig.Inputs)}
	if c, ok := model.(Checker); ok {
		b.check = c.Check
	}
	if r, ok := model.(Releaser); ok {
		b.release = r.Release
	}
	if y, ok := model.(Yielder); ok && parts.Scheduler.yielding > 0 && y.Yields() {
		b.yielding = y.RunYielding
	}
	b.queue.groups = map[groupKey]*group{}
	limit := config.MaxQueue + parts.Scheduler.slots*max(config.MaxRows, 1)
	b.rooms[scoring.Interactive].limit, b.rooms[scoring.Bulk].limit = limit, limit
	return b
}

// Request is what a batcher runs.
type Request struct {
	// Inputs of the model, in any order. They are only read, and not used after Run returned.
	Inputs []scoring.Tensor
	// Outputs wanted, in that order; all of them if empty.
	Outputs []string
	// Schedule says how urgent it is.
	Schedule scoring.Schedule
}

// Result answers a [Request].
type Result struct {
	// Outputs belong to the caller. They may share memory with those of other requests,
	// so they must not be written to.
	Outputs []scoring.Tensor
	// Queue is the wait for the run, and Run the time of the run.
	Queue, Run time.Duration
	// Rows of the run, those of other requests among them.
	Rows int
	// Batch is the span of the run, where it was one of several requests that are traced.
	Batch spans.Link
	// Began says that the request's turn had come. It is set beside an error, too.
	Began bool
}

// Run runs a request, alone or together with others.
//
// The error is an [scoring.Error]: what the model says of the request, Overloaded where
// there is no memory to wait in, Expired or Canceled where ctx ended. When ctx ends while
// the request waits, its place is free at once; when it ends during a run that nobody else
// is part of, the run is terminated.
func (b *Batcher) Run(ctx context.Context, req Request) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, scoring.AsError(err)
	}
	if b.check != nil {
		if err := b.check(req.Inputs, req.Outputs); err != nil {
			return Result{}, err
		}
	}
	rows, independent := b.rowsOf(req.Inputs)
	if independent && b.config.MaxRows > 0 && rows > int64(b.config.MaxRows) {
		return b.runInPieces(ctx, req, rows)
	}
	return b.run(ctx, req, rows, independent)
}

// rowsOf counts the rows of a request, and says whether they are independent of each
// other, as far as shapes tell: a first axis that all inputs share.
func (b *Batcher) rowsOf(inputs []scoring.Tensor) (rows int64, independent bool) {
	rows, ok := sharedRows(inputs)
	if !ok {
		return 1, false
	}
	return rows, b.config.MaxRows > 0 && !b.alone.Load()
}

func index(specs []scoring.TensorSpec) map[string]int {
	m := make(map[string]int, len(specs))
	for i := range specs {
		m[specs[i].Name] = i
	}
	return m
}
