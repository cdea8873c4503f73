package batch

import (
	"context"
	"math"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// room counts the rows of a lane that were admitted and are not through yet.
type room struct {
	limit, rows int
}

// Admit reserves room for a request before any work is spent on it: before its picture is
// decoded, say. leave gives the room back; it is called when the
// request has its answer, by one goroutine, and only if err is nil.
//
// The error is a [scoring.Error] with code Overloaded: where the lane's room is full, or
// where those who came before will take longer than ctx's budget lasts. Its RetryAfter is
// when they will be through, at the pace measured last.
func (b *Batcher) Admit(ctx context.Context, schedule scoring.Schedule, rows int) (leave func(), err error) {
	rows = b.counted(rows)
	s := b.parts.Scheduler
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := b.roomLocked(ctx, schedule.Lane, rows, now); err != nil {
		return nil, err
	}
	if present := b.rooms[schedule.Lane].rows; present == 0 && (b.yielding != nil || b.rooms[0].rows+b.rooms[1].rows == 0) {
		b.paceOf(schedule.Lane == scoring.Bulk).start(now)
	}
	b.rooms[schedule.Lane].rows += rows
	left := false
	return func() {
		if !left {
			left = true
			b.leave(schedule.Lane, rows)
		}
	}, nil
}

// HasRoom says whether [Batcher.Admit] would find room now. Doors ask before they read a body.
func (b *Batcher) HasRoom(ctx context.Context, schedule scoring.Schedule, rows int) error {
	s := b.parts.Scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.roomLocked(ctx, schedule.Lane, b.counted(rows), time.Now())
}

// counted is what a request counts for. Where the first axis is not one of rows, its length
// says nothing about how long others wait.
func (b *Batcher) counted(rows int) int {
	if b.config.MaxRows == 0 || b.alone.Load() {
		return 1
	}
	return max(rows, 1)
}

// roomLocked looks for room. A request that is larger than all the room is admitted when
// nobody else is there, rather than never.
func (b *Batcher) roomLocked(ctx context.Context, lane scoring.Lane, rows int, now time.Time) error {
	r := &b.rooms[lane]
	deadline, bounded := ctx.Deadline()
	left := deadline.Sub(now)
	switch {
	case ctx.Err() != nil:
		return scoring.AsError(ctx.Err())
	case bounded && left <= 0:
		return scoring.AsError(context.DeadlineExceeded)
	case r.rows == 0:
		return nil
	}
	if r.rows+rows > r.limit {
		return scoring.Errorf(scoring.Overloaded, "the model is overloaded: %d %s rows are waiting or running, and no more than %d may (ONDA_MAX_QUEUE, and what runs): try again later", r.rows, lane, r.limit).
			WithRetryAfter(b.clearsLocked(lane)).WithReason(scoring.ReasonQueue)
	}
	if !bounded || !b.paceOf(lane == scoring.Bulk).known() {
		return nil
	}
	wait, run := b.aheadLocked(lane), b.latencyOf(lane == scoring.Bulk).least(rows)
	if (wait+run)*5/4 <= left {
		return nil // with a margin: an answer a moment after the budget is worth nothing
	}
	return scoring.Errorf(scoring.Overloaded, "the model is overloaded: the wait is about %s, the run %s, and the request's time budget %s", wait.Round(time.Millisecond), run.Round(time.Millisecond), left.Round(time.Millisecond)).
		WithRetryAfter(b.clearsLocked(lane)).WithReason(scoring.ReasonBudget)
}

// aheadLocked predicts how long a request of a lane waits for those before it. Bulk waits
// for everybody; where it has runs of its own, their pace says how long.
func (b *Batcher) aheadLocked(lane scoring.Lane) time.Duration {
	rows := b.rooms[lane].rows
	if lane == scoring.Bulk && b.yielding == nil {
		rows += b.rooms[scoring.Interactive].rows
	}
	return b.paceOf(lane == scoring.Bulk).clears(rows)
}

// clearsLocked predicts when those who are there now will be through, in whole seconds,
// from 1 to 60: Retry-After has no smaller unit, and later than that nothing is known.
func (b *Batcher) clearsLocked(lane scoring.Lane) time.Duration {
	seconds := math.Ceil(b.aheadLocked(lane).Seconds())
	return time.Duration(min(max(seconds, 1), 60)) * time.Second
}

// leave gives room back.
func (b *Batcher) leave(lane scoring.Lane, rows int) {
	s := b.parts.Scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	b.rooms[lane].rows -= rows
}

// Stats is a moment's view of a batcher.
type Stats struct {
	// Rows that were admitted and are not through, by lane, and the limit of each lane.
	Rows, Limit [2]int
	// Waiting counts the requests in the queue, by lane; Running the runs under way.
	Waiting [2]int
	Running int
}

// Stats gives the present numbers, for metrics.
func (b *Batcher) Stats() Stats {
	s := b.parts.Scheduler
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Rows:    [2]int{b.rooms[0].rows, b.rooms[1].rows},
		Limit:   [2]int{b.rooms[0].limit, b.rooms[1].limit},
		Waiting: b.queue.jobs, Running: b.running,
	}
}
