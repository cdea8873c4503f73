package batch

import (
	"context"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// job is a request, or a piece of one, on its way through the batcher. The fields below
// the line are guarded by the scheduler's lock.
type job struct {
	ctx      context.Context //nolint:containedctx // a job is the call that the context is of
	deadline time.Time       // zero for none
	patience time.Time       // the latest time to begin; zero for none
	arrived  time.Time
	inputs   []scoring.Tensor // in the order of the model's inputs where it can be batched
	wanted   []string
	rows     int64
	bytes    int64
	lane     scoring.Lane
	priority uint64
	// key is equal for jobs that can run together.
	key groupKey
	// done gets the one answer. It has room for it, so that who answers never waits.
	done chan outcome

	// ---
	seq   uint64
	index int // in its heap, -1 elsewhere
	run   *run
	left  bool

	// own are the lengths of the axes that the batcher pads, by position in its Config.
	own []int64
}

// outcome is the answer to a job.
type outcome struct {
	result Result
	err    error
}

// newJob prepares a request. rows and independent are what [Batcher.rowsOf] says.
func newJob(ctx context.Context, b *Batcher, req Request, rows int64, independent bool, arrived time.Time) *job {
	j := &job{
		ctx: ctx, arrived: arrived, inputs: req.Inputs, wanted: req.Outputs, rows: rows,
		lane: min(req.Schedule.Lane, scoring.Bulk), priority: req.Schedule.Priority, index: -1, done: make(chan outcome, 1),
	}
	j.key.yielding = b.yielding != nil && j.lane == scoring.Bulk
	if j.priority == 0 {
		j.priority = b.config.Priority
	}
	if deadline, ok := ctx.Deadline(); ok {
		j.deadline = deadline
	}
	if b.config.Timeout > 0 {
		j.patience = j.arrived.Add(b.config.Timeout)
	}
	if independent && b.config.MaxRows > 1 {
		if ordered, ok := b.inOrder(req.Inputs); ok {
			j.inputs = ordered
			j.key.inputs = b.keyOf(ordered)
		}
	}
	return j
}

// inOrder puts inputs into the model's order. The binding wants them so, and a batch is
// joined input by input.
func (b *Batcher) inOrder(inputs []scoring.Tensor) ([]scoring.Tensor, bool) {
	if len(inputs) != len(b.inputs) {
		return nil, false
	}
	sorted := true
	for i := range inputs {
		at, ok := b.inputs[inputs[i].Name]
		if !ok {
			return nil, false
		}
		sorted = sorted && at == i
	}
	if sorted {
		return inputs, true
	}
	ordered := make([]scoring.Tensor, len(inputs))
	for i := range inputs {
		ordered[b.inputs[inputs[i].Name]] = inputs[i]
	}
	return ordered, true
}

// size is the memory that a waiting job holds, in bytes.
func (j *job) size() int64 {
	n := int64(0)
	for i := range j.inputs {
		n += int64(len(j.inputs[i].Data))
		for _, s := range j.inputs[i].Strings {
			n += int64(len(s)) + stringHead
		}
	}
	return n
}

// stringHead is the size of a slice's head, in bytes.
const stringHead = 24

// answer gives the job its answer. Only the first one counts.
func (j *job) answer(result Result, err error) {
	if err != nil {
		err = scoring.AsError(err)
	}
	select {
	case j.done <- outcome{result, err}:
	default:
	}
}

// dead says whether nobody waits for the job any more, and why.
func (j *job) dead(now time.Time) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	if !j.deadline.IsZero() && !now.Before(j.deadline) {
		return context.DeadlineExceeded // the context's timer is late by a moment
	}
	return nil
}

// late says whether a waiting job has waited for longer than the model's files allow.
func (j *job) late(now time.Time) error {
	if j.patience.IsZero() || !now.After(j.patience) {
		return nil
	}
	return j.impatient()
}

// impatient is the error of a job that waited for too long.
func (j *job) impatient() error {
	return scoring.Errorf(scoring.Expired, "the request waited longer than the model's queue timeout of %s", j.patience.Sub(j.arrived))
}
