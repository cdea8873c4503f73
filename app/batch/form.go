package batch

import (
	"context"
	"slices"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// run is what is run at once: one job, or several joined.
type run struct {
	jobs []*job
	rows int64
	// ctx ends the run: the job's own for one job, and cancelled by the last of several
	// that leaves.
	ctx    context.Context //nolint:containedctx // a run is a call
	cancel context.CancelFunc
	// live counts the jobs that are still waited for; guarded by the scheduler's lock.
	live int
	// copied is closed when the run no longer needs the memory of its jobs. It is nil for
	// a run of one job, whose caller waits for the end in any case.
	copied chan struct{}
	// bulk says that no job is interactive.
	bulk bool
	// longest are the lengths of the axes that the batcher pads, over all jobs.
	longest []int64
}

// newRunLocked makes a run of jobs, which must not be empty.
func newRunLocked(jobs []*job) *run {
	r := &run{jobs: jobs, live: len(jobs), bulk: true}
	for _, j := range jobs {
		j.run = r
		r.rows += j.rows
		r.bulk = r.bulk && j.lane == scoring.Bulk
	}
	if len(jobs) == 1 {
		r.ctx, r.cancel = jobs[0].ctx, func() {}
		return r
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.copied = make(chan struct{})
	return r
}

// wanted are the outputs that the run must give: all, where a job wants all.
func (r *run) wanted() []string {
	if len(r.jobs) == 1 {
		return r.jobs[0].wanted
	}
	var names []string
	for _, j := range r.jobs {
		if len(j.wanted) == 0 {
			return nil
		}
		for _, name := range j.wanted {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// idleLocked says whether a request can run at once, without a look at the queue.
func (b *Batcher) idleLocked(rows int64, independent bool, lane scoring.Lane) bool {
	bulk := lane == scoring.Bulk
	if !b.parts.Scheduler.roomLocked(b, bulk) || !b.queue.clear(lane, b.yielding != nil) || b.config.Delay > 0 {
		return false
	}
	return !independent || b.config.MaxRows < 2 || !b.crowdedLocked(rows, bulk)
}

// crowdedLocked says whether a batch of so many rows should wait for the run under way to end,
// although a slot is free. Under load, where requests keep coming, runs that begin early
// are small, and small runs of a model with a high fixed cost use up the processor that
// all of them need.
//
// Interactive rows do not wait for bulk: bulk runs may be long.
func (b *Batcher) crowdedLocked(rows int64, bulk bool) bool {
	const load = 2 // requests in a run, on average
	running := b.running
	switch {
	case !bulk:
		running -= b.bulk
	case b.yielding != nil:
		running = b.bulk
	}
	return running > 0 && b.crowd >= load && rows < int64(min(b.config.MaxRows, b.latencyOf(bulk).worthwhile()))
}

// dueLocked gives the most urgent group whose batch closes now. Where there is none, at is
// when to look again; zero means at the end of a run.
func (b *Batcher) dueLocked(now time.Time) (due *group, at time.Time) {
	var urgent *job
	for _, g := range b.queue.groups {
		if !b.parts.Scheduler.roomLocked(b, g.bulk()) {
			continue
		}
		closes, ready := b.readyLocked(g, now)
		if !ready {
			at = earliest(at, closes)
			continue
		}
		if head := g.head(); urgent == nil || before(head, urgent) {
			due, urgent = g, head
		}
	}
	return due, at
}

// readyLocked says whether a group's batch closes now, or else when; zero means at the end
// of a run.
//
// A batch closes when it is full, when the tightest budget leaves just the time to run it,
// when its delay is over, and, without a delay, as soon as there is a slot for it.
func (b *Batcher) readyLocked(g *group, now time.Time) (closes time.Time, ready bool) {
	if g.key.inputs == "" || g.rows >= int64(b.config.MaxRows) || b.alone.Load() {
		return closes, true
	}
	if b.config.Delay == 0 && !b.crowdedLocked(g.rows, g.bulk()) {
		return closes, true
	}
	closes = b.closesLocked(g)
	return closes, !closes.IsZero() && !now.Before(closes)
}

// closesLocked is the latest time at which a group's batch closes, as far as time decides.
func (b *Batcher) closesLocked(g *group) time.Time {
	var closes time.Time
	// Twice the prediction: a batch that closes in the last moment is late half the time.
	need := 2 * b.latencyOf(g.bulk()).predict(int(min(g.rows, int64(b.config.MaxRows))))
	for _, l := range g.lanes {
		for _, j := range l {
			if b.config.Delay > 0 {
				closes = earliest(closes, j.arrived.Add(b.config.Delay))
			}
			if !j.patience.IsZero() {
				closes = earliest(closes, j.patience.Add(-j.patience.Sub(j.arrived)/4))
			}
			if !j.deadline.IsZero() {
				// Nothing may be known of the model yet, and timers are late: a quarter of the
				// budget is kept in any case.
				closes = earliest(closes, j.deadline.Add(-max(need, j.deadline.Sub(j.arrived)/4)))
			}
		}
	}
	return closes
}

// takeLocked closes a batch of g's jobs; nil if none of them is waited for any more.
// Interactive jobs come first, and bulk jobs take the room that they leave.
func (b *Batcher) takeLocked(g *group, now time.Time) *run {
	t := taking{batcher: b, group: g, latency: b.latencyOf(g.bulk()), now: now}
	t.limit = b.limitLocked(t.latency)
	t.fill(scoring.Interactive, 0)
	if t.more() {
		t.fill(scoring.Bulk, b.bulkBudgetLocked(t.rows, now))
	}
	if len(t.jobs) == 0 {
		return nil
	}
	return newRunLocked(t.jobs)
}

const (
	// least is the smallest limit of rows that is learned: what is learned from runs of one
	// row says nothing about more.
	least = 4
	// try is how many runs it takes until one may be larger than has paid so far, and by how
	// much: the limit must not stay small because all runs were.
	try, larger = 16, 2
)

// limitLocked is the most rows of the next run: as many as are allowed and pay.
func (b *Batcher) limitLocked(l *latency) int64 {
	allowed := int64(max(b.config.MaxRows, 1))
	if b.config.Delay > 0 {
		return allowed // who sets a delay wants full batches
	}
	pays := max(int64(l.pays()), least)
	if b.tries++; b.tries%try == 0 {
		pays *= larger
	}
	return min(allowed, pays)
}

const (
	// recent is how long after the last interactive request more of them are expected.
	recent = time.Second
	// share is how much longer than with interactive rows alone a run may take when bulk
	// rows fill it up.
	share = 1.25
)

// bulkBudgetLocked is how long a run with bulk rows may take; 0 sets no bound. A run that
// has begun cannot be interrupted, so while interactive requests come, bulk rows must not
// make runs that those would have to wait for. They wait for none that makes way.
func (b *Batcher) bulkBudgetLocked(interactive int64, now time.Time) time.Duration {
	if interactive > 0 {
		return time.Duration(share * float64(b.latency.predict(int(interactive))))
	}
	if b.yielding == nil && now.Sub(b.parts.Scheduler.interactive) < recent {
		return 2 * b.latency.predict(1)
	}
	return 0
}

// taking fills a batch.
type taking struct {
	batcher  *Batcher
	group    *group
	latency  *latency
	now      time.Time
	limit    int64
	jobs     []*job
	rows     int64
	tightest time.Time
}

// more says whether the batch takes another job.
func (t *taking) more() bool {
	return len(t.jobs) == 0 || t.group.key.inputs != "" && t.rows < t.limit && !t.batcher.alone.Load()
}

// fill takes jobs of a lane in their order, until one does not fit. budget bounds the
// predicted time of the run; 0 does not.
func (t *taking) fill(lane scoring.Lane, budget time.Duration) {
	for t.more() && len(t.group.lanes[lane]) > 0 {
		j := t.group.lanes[lane][0]
		if err := t.refusal(j); err != nil {
			t.batcher.dequeueLocked(j)
			j.answer(Result{}, err)
			continue
		}
		if len(t.jobs) > 0 && !t.fits(j, budget) {
			return
		}
		t.batcher.dequeueLocked(j)
		t.jobs = append(t.jobs, j)
		t.rows += j.rows
		t.tightest = earliest(t.tightest, j.deadline)
	}
}

// refusal says why a job is not run any more: work that would come too late is not begun.
func (t *taking) refusal(j *job) error {
	if err := j.dead(t.now); err != nil {
		return err
	}
	if err := j.late(t.now); err != nil {
		return err
	}
	need := t.latency.least(int(j.rows))
	if left := j.deadline.Sub(t.now); !j.deadline.IsZero() && left < need {
		return scoring.Errorf(scoring.Expired, "the request's time budget was spent before its turn came: %s are left, and a run takes at least %s", left, need)
	}
	return nil
}

// fits says whether the batch can take j and still be in time for all its members.
func (t *taking) fits(j *job, budget time.Duration) bool {
	rows := t.rows + j.rows
	if rows > t.limit {
		return false
	}
	need := t.latency.predict(int(rows))
	if budget > 0 && need > budget {
		return false
	}
	tightest := earliest(t.tightest, j.deadline)
	return tightest.IsZero() || need <= tightest.Sub(t.now)
}

// earliest is the earlier of two times, of which the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
