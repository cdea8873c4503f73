package batch

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/telemetry/spans"
)

// run brings a request of at most MaxRows rows to its answer: at once where the version is
// idle, else by the queue. rows and independent are what [Batcher.rowsOf] says.
func (b *Batcher) run(ctx context.Context, req Request, rows int64, independent bool) (Result, error) {
	s := b.parts.Scheduler
	arrived := time.Now()
	s.mu.Lock()
	bulk := req.Schedule.Lane == scoring.Bulk
	if !bulk {
		s.interactive = arrived
	}
	if b.idleLocked(rows, independent, req.Schedule.Lane) {
		s.startLocked(b, 1, bulk, arrived)
		s.mu.Unlock()
		return b.runAtOnce(ctx, req, rows, arrived)
	}
	s.mu.Unlock()
	// What a job needs is worked out without the lock.
	j := newJob(ctx, b, req, rows, independent, arrived)
	s.mu.Lock()
	err := b.enqueueLocked(j)
	s.mu.Unlock()
	if err != nil {
		return Result{}, err
	}
	return b.await(ctx, j)
}

// await waits for a job's answer, for as long as its caller and the model's files allow.
func (b *Batcher) await(ctx context.Context, j *job) (Result, error) {
	var patience <-chan time.Time
	if b.config.Timeout > 0 {
		timer := time.NewTimer(b.config.Timeout)
		defer timer.Stop()
		patience = timer.C
	}
	for {
		select {
		case o := <-j.done:
			return o.result, o.err
		case <-ctx.Done():
			return b.abandon(j)
		case <-patience:
			if b.withdraw(j) {
				return Result{}, j.impatient()
			}
		}
	}
}

// withdraw ends a job's wait, if it still waits.
func (b *Batcher) withdraw(j *job) bool {
	s := b.parts.Scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.index < 0 {
		return false
	}
	b.dequeueLocked(j)
	b.unlistLocked()
	s.noteLocked(time.Now())
	s.dispatchLocked() // the job may have been what others waited for
	return true
}

// runAtOnce runs a request in its caller's goroutine, on a slot that is booked. It is what
// nearly all requests to a server without load come through, so it makes nothing that it
// can do without.
func (b *Batcher) runAtOnce(ctx context.Context, req Request, rows int64, started time.Time) (Result, error) {
	bulk := req.Schedule.Lane == scoring.Bulk
	outputs, err := b.call(ctx, req.Inputs, req.Outputs, bulk)
	took := time.Since(started)
	s := b.parts.Scheduler
	s.mu.Lock()
	if err == nil {
		b.learnLocked(rows, took, started.Add(took), bulk)
	}
	s.endLocked(b, bulk, started.Add(took))
	s.mu.Unlock()
	if b.parts.Observer != nil {
		b.parts.Observer.Ran(Run{Rows: int(rows), Requests: 1, Infer: took, Failed: err != nil})
	}
	if err != nil {
		return Result{Run: took, Began: true}, scoring.AsError(err)
	}
	return Result{Outputs: outputs, Run: took, Rows: int(rows), Began: true}, nil
}

// enqueueLocked makes a job wait.
func (b *Batcher) enqueueLocked(j *job) error {
	j.bytes = j.size()
	if bytes := b.parts.Bytes; bytes != nil && !bytes.Take(j.bytes) {
		bytes.Free(j.bytes)
		return scoring.Errorf(scoring.Overloaded, "the server is overloaded: the tensors that wait take as much memory as they may").WithRetryAfter(b.clearsLocked(j.lane)).WithReason(scoring.ReasonTensors)
	}
	b.seq++
	j.seq = b.seq
	b.queue.push(j)
	b.parts.Scheduler.waiting += j.share(b)
	b.parts.Scheduler.noteLocked(j.arrived)
	b.listLocked()
	b.parts.Scheduler.dispatchLocked()
	return nil
}

// dequeueLocked ends a job's wait.
func (b *Batcher) dequeueLocked(j *job) {
	b.queue.remove(j)
	b.parts.Scheduler.waiting -= j.share(b)
	if b.parts.Bytes != nil {
		b.parts.Bytes.Free(j.bytes)
	}
}

// abandon is the end of a job whose caller left.
func (b *Batcher) abandon(j *job) (Result, error) {
	s := b.parts.Scheduler
	if b.withdraw(j) {
		return Result{}, scoring.AsError(j.ctx.Err())
	}
	s.mu.Lock()
	select {
	case o := <-j.done: // answered in the same moment
		s.mu.Unlock()
		return o.result, o.err
	default:
	}
	r := j.run
	j.left = true
	if r.live--; r.live == 0 {
		r.cancel()
	}
	s.mu.Unlock()
	if r.copied == nil {
		// The run reads the caller's memory, so the caller must wait for its end: soon, as
		// the run has the caller's context.
		o := <-j.done
		return o.result, o.err
	}
	<-r.copied
	return Result{Began: true}, scoring.AsError(j.ctx.Err())
}

// execute runs r on a slot that is booked, answers its jobs and gives the slot back.
func (b *Batcher) execute(r *run) {
	held := true
	giveBack := func() {
		if held {
			held = false
			b.parts.Scheduler.end(b, r.bulk)
		}
	}
	defer func() {
		// Whatever happens, nobody waits for ever, neither for an answer nor for the slot.
		if p := recover(); p != nil {
			err := panicked(p)
			for _, j := range r.jobs {
				j.answer(Result{Began: true}, err)
			}
		}
		giveBack()
	}()
	started := time.Now()
	c := b.compute(r)
	if c.err != nil && len(r.jobs) > 1 {
		b.isolate(r, c.err)
		return
	}
	// The slot first: the next batch runs while this one is taken apart.
	giveBack()
	b.deliver(r, c, started)
}

// panicked makes an error of a panic: one request's bad luck must not end the process.
func panicked(p any) error {
	return scoring.InternalError(fmt.Errorf("panic in a run: %v\n%s", p, debug.Stack()))
}

// computed is what a run gave.
type computed struct {
	outputs []scoring.Tensor
	err     error
	stats   Run
	span    spans.Link
}

// compute runs the model on a run's jobs.
func (b *Batcher) compute(r *run) (c computed) {
	defer r.cancel()
	c.stats = Run{Rows: int(r.rows), Requests: len(r.jobs)}
	begin := time.Now()
	span := b.trace(r)
	defer func() { span.End(c.err) }()
	c.span = span.Link()
	inputs, names := r.jobs[0].inputs, r.wanted()
	if len(r.jobs) > 1 {
		joined := b.join(r)
		defer b.recycle(joined)
		inputs = joined.inputs
		c.stats.Padded, c.stats.Elements = joined.padded, joined.elements
	}
	ready := time.Now()
	c.stats.Join = ready.Sub(begin)
	c.outputs, c.err = b.call(r.ctx, inputs, names, r.bulk)
	c.stats.Infer = time.Since(ready)
	c.stats.Failed = c.err != nil
	if c.err == nil {
		b.learn(r, c.stats.Infer, ready.Add(c.stats.Infer))
		if len(r.jobs) > 1 {
			c.err = b.checkRows(r.rows, c.outputs)
		}
	}
	return c
}

// call runs the model; bulk makes way for others, if it can. A panic in it is about this run,
// which may be tried again in parts.
func (b *Batcher) call(ctx context.Context, inputs []scoring.Tensor, outputs []string, bulk bool) (_ []scoring.Tensor, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	if bulk && b.yielding != nil {
		return b.yielding(ctx, inputs, outputs)
	}
	return b.model.Run(ctx, inputs, outputs)
}

// trace begins the span of a run of several requests.
func (b *Batcher) trace(r *run) spans.Span {
	if b.parts.Tracer == nil || len(r.jobs) < 2 {
		return spans.Span{}
	}
	span := b.parts.Tracer.Batch(func(yield func(context.Context) bool) {
		for _, j := range r.jobs {
			if !yield(j.ctx) {
				return
			}
		}
	})
	if span.On() {
		span.Set(spans.Int("onda.batch.rows", int(r.rows)), spans.Int("onda.batch.requests", len(r.jobs)))
	}
	return span
}

// learn notes how long a run took.
func (b *Batcher) learn(r *run, took time.Duration, now time.Time) {
	s := b.parts.Scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	b.learnLocked(r.rows, took, now, r.bulk)
}

// learnLocked notes a run of so many rows that ended now.
func (b *Batcher) learnLocked(rows int64, took time.Duration, now time.Time, bulk bool) {
	b.latencyOf(bulk).learn(int(rows), took)
	b.paceOf(bulk).done(int(rows), now)
}

// paceOf is that of a lane; both are one where the lanes share runs.
func (b *Batcher) paceOf(bulk bool) *pace {
	if bulk && b.yielding != nil {
		return &b.yieldedPace
	}
	return &b.pace
}

// latencyOf predicts the runs with interactive requests, or those of bulk alone.
func (b *Batcher) latencyOf(bulk bool) *latency {
	if bulk && b.yielding != nil {
		return &b.yielded
	}
	return &b.latency
}

// deliver answers the jobs of a run. It tells of the run first: who has an answer may ask
// for the statistics next.
func (b *Batcher) deliver(r *run, c computed, started time.Time) {
	begin := time.Now()
	outcomes := make([]outcome, len(r.jobs))
	row := int64(0)
	for i, j := range r.jobs {
		o := &outcomes[i]
		o.result = Result{Queue: started.Sub(j.arrived), Run: c.stats.Infer, Rows: int(r.rows), Batch: c.span, Began: true}
		o.err = c.err
		if o.err == nil && len(r.jobs) == 1 {
			o.result.Outputs = c.outputs
		} else if o.err == nil {
			o.result.Outputs, o.err = b.share(r, j, c.outputs, row)
		}
		row += j.rows
	}
	if len(r.jobs) > 1 && b.release != nil {
		b.release(c.outputs) // every job has its own copy
	}
	if b.parts.Observer != nil {
		c.stats.Split = time.Since(begin)
		b.parts.Observer.Ran(c.stats)
	}
	for i, j := range r.jobs {
		j.answer(outcomes[i].result, outcomes[i].err)
	}
}
