package batch

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// run brings a job to its answer: at once where the version is idle, else by the queue.
func (b *Batcher) run(ctx context.Context, j *job) (Result, error) {
	s := b.parts.Scheduler
	s.mu.Lock()
	if j.lane == scoring.Interactive {
		b.interactive = j.arrived
	}
	if b.idleLocked(j) {
		r := newRunLocked([]*job{j})
		s.startLocked(b, r)
		s.mu.Unlock()
		b.execute(r)
		o := <-j.done
		return o.result, o.err
	}
	err := b.enqueueLocked(j)
	s.mu.Unlock()
	if err != nil {
		return Result{}, err
	}
	select {
	case o := <-j.done:
		return o.result, o.err
	case <-ctx.Done():
		return b.abandon(j)
	}
}

// enqueueLocked makes a job wait.
func (b *Batcher) enqueueLocked(j *job) error {
	j.bytes = j.size()
	if bytes := b.parts.Bytes; bytes != nil && !bytes.Take(j.bytes) {
		bytes.Free(j.bytes)
		return scoring.Errorf(scoring.Overloaded, "the server is overloaded: the tensors that wait take as much memory as they may").WithRetryAfter(b.clearsLocked(j.lane))
	}
	b.seq++
	j.seq = b.seq
	b.queue.push(j)
	b.listLocked()
	b.parts.Scheduler.dispatchLocked()
	return nil
}

// dequeueLocked ends a job's wait.
func (b *Batcher) dequeueLocked(j *job) {
	b.queue.remove(j)
	if b.parts.Bytes != nil {
		b.parts.Bytes.Free(j.bytes)
	}
}

// abandon is the end of a job whose caller left.
func (b *Batcher) abandon(j *job) (Result, error) {
	s := b.parts.Scheduler
	s.mu.Lock()
	if j.index >= 0 {
		b.dequeueLocked(j)
		b.unlistLocked()
		s.mu.Unlock()
		return Result{}, scoring.AsError(j.ctx.Err())
	}
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
	return Result{}, scoring.AsError(j.ctx.Err())
}

// execute runs r on a slot that is booked, answers its jobs and gives the slot back.
func (b *Batcher) execute(r *run) {
	held := true
	giveBack := func() {
		if held {
			held = false
			b.parts.Scheduler.end(b)
		}
	}
	defer func() {
		// Whatever happens, nobody waits for ever, neither for an answer nor for the slot.
		if p := recover(); p != nil {
			err := panicked(p)
			for _, j := range r.jobs {
				j.answer(Result{}, err)
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
}

// compute runs the model on a run's jobs.
func (b *Batcher) compute(r *run) (c computed) {
	defer r.cancel()
	c.stats = Run{Rows: int(r.rows), Requests: len(r.jobs)}
	begin := time.Now()
	inputs, names := r.jobs[0].inputs, r.jobs[0].wanted
	if len(r.jobs) > 1 {
		joined := b.join(r)
		defer b.recycle(joined)
		inputs, names = joined.inputs, nil
		c.stats.Padded, c.stats.Elements = joined.padded, joined.elements
	}
	ready := time.Now()
	c.stats.Join = ready.Sub(begin)
	c.outputs, c.err = b.call(r.ctx, inputs, names)
	c.stats.Infer = time.Since(ready)
	c.stats.Failed = c.err != nil
	if c.err == nil {
		b.learn(r, c.stats.Infer)
		c.err = b.checkRows(r, c.outputs)
	}
	return c
}

// call runs the model. A panic in it is about this run, which may be tried again in parts.
func (b *Batcher) call(ctx context.Context, inputs []scoring.Tensor, outputs []string) (_ []scoring.Tensor, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return b.model.Run(ctx, inputs, outputs)
}

// learn notes how long a run took.
func (b *Batcher) learn(r *run, took time.Duration) {
	s := b.parts.Scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	b.latency.learn(int(r.rows), took)
}

// deliver answers the jobs of a run. It tells of the run first: who has an answer may ask
// for the statistics next.
func (b *Batcher) deliver(r *run, c computed, started time.Time) {
	begin := time.Now()
	outcomes := make([]outcome, len(r.jobs))
	row := int64(0)
	for i, j := range r.jobs {
		o := &outcomes[i]
		o.result = Result{Queue: started.Sub(j.arrived), Run: c.stats.Infer, Rows: int(r.rows)}
		o.err = c.err
		if o.err == nil && len(r.jobs) == 1 {
			o.result.Outputs = c.outputs
		} else if o.err == nil {
			o.result.Outputs, o.err = b.share(r, j, c.outputs, row)
		}
		row += j.rows
	}
	if b.parts.Observer != nil {
		c.stats.Split = time.Since(begin)
		b.parts.Observer.Ran(c.stats)
	}
	for i, j := range r.jobs {
		j.answer(outcomes[i].result, outcomes[i].err)
	}
}
