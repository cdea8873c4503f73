package batch

import (
	"errors"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// errMisbatched means that a model's outputs do not have one row for each row of inputs.
var errMisbatched = errors.New("the rows of the outputs are not those of the inputs")

// isolate answers the jobs of a run that failed by running them again, in halves, so that
// only those fail that fail alone. One bad job among n costs about 2·log2(n) more runs.
func (b *Batcher) isolate(r *run, cause error) {
	b.observe(r)
	switch {
	case errors.Is(cause, errMisbatched):
		for _, j := range r.jobs {
			b.again([]*job{j})
		}
	case hopeless(cause):
		for _, j := range r.jobs {
			j.answer(Result{Began: true}, cause)
		}
	default:
		half := len(r.jobs) / 2
		b.again(r.jobs[:half])
		b.again(r.jobs[half:])
	}
}

// hopeless says whether a failure is not about the jobs, so that none of them would do
// better alone.
func hopeless(err error) bool {
	switch scoring.CodeOf(err) {
	case scoring.Unavailable, scoring.Overloaded, scoring.Canceled, scoring.Expired:
		return true
	default:
		return false
	}
}

// again runs those of jobs that are still waited for.
func (b *Batcher) again(jobs []*job) {
	r := b.retry(jobs)
	if r == nil {
		return
	}
	started := time.Now()
	c := b.compute(r)
	if c.err != nil && len(r.jobs) > 1 {
		b.isolate(r, c.err)
		return
	}
	b.deliver(r, c, started)
}

// retry makes a run of jobs, but for those that nobody waits for; nil if that is all.
func (b *Batcher) retry(jobs []*job) *run {
	s := b.parts.Scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var live []*job
	for _, j := range jobs {
		if j.left {
			continue // its caller has the answer
		}
		if err := j.dead(now); err != nil {
			j.answer(Result{Began: true}, err)
			continue
		}
		live = append(live, j)
	}
	if len(live) == 0 {
		return nil
	}
	return newRunLocked(live)
}

// observe tells of a run that failed as a whole.
func (b *Batcher) observe(r *run) {
	if b.parts.Observer != nil {
		b.parts.Observer.Ran(Run{Rows: int(r.rows), Requests: len(r.jobs), Failed: true})
	}
}

// misbatched keeps the requests of a version apart from now on.
func (b *Batcher) misbatched(reason string) error {
	if !b.alone.Swap(true) && b.parts.Observer != nil {
		b.parts.Observer.Misbatched(reason)
	}
	return errMisbatched
}
