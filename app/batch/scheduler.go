package batch

import (
	"slices"
	"sync"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Scheduler lends the slots of a device to the batchers of all versions on it. A slot is
// the right to run one model at a time; the number of slots times the threads of a run is
// the number of cores. It is safe for concurrent use.
//
// Bulk runs that can make way for others have yielding slots of their own: the system takes the
// processor from them in the moment that an interactive run wants it, which the scheduler could
// not, as a run that has begun cannot be interrupted. All other bulk runs share slots, and
// batches, with interactive ones.
//
// There is no goroutine of its own: decisions are taken by whoever brings a request or
// ends a run.
type Scheduler struct {
	slots, yielding int

	// mu guards the scheduler and the queues of all its batchers. Decisions are short, and
	// one lock means that none of them can cross another.
	mu sync.Mutex
	// free are the slots that are, freeYielding those of them that make way for others.
	free, freeYielding int
	// interactive is when the latest request of that lane came, to any version.
	interactive time.Time
	// listed are the batchers with waiting jobs; whose turn it is stands first.
	listed []*Batcher
	// waiting are the runs that the waiting jobs would make: see [job.share].
	waiting    float64
	saturation meter
}

// NewScheduler makes a scheduler of slots slots, and of yielding ones, of which there may be
// none. It panics when nothing could ever run, which is a mistake in wiring: settings are
// checked before.
func NewScheduler(slots, yielding int) *Scheduler {
	if slots < 1 || yielding < 0 {
		panic("batch: a scheduler needs at least 1 slot, and 0 or more that yield") //nolint:forbidigo // a mistake in wiring
	}
	return &Scheduler{slots: slots, yielding: yielding, free: slots, freeYielding: yielding}
}

// Slots is the number of runs that can go on at once, without those that make way for others.
func (s *Scheduler) Slots() int { return s.slots }

// Busy is the number of those runs under way.
func (s *Scheduler) Busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots - s.free
}

// roomLocked says whether a run of b's has a slot.
func (s *Scheduler) roomLocked(b *Batcher, bulk bool) bool { return *s.slotsLocked(b, bulk) > 0 }

// slotsLocked are the free slots that a run of b's may have.
func (s *Scheduler) slotsLocked(b *Batcher, bulk bool) *int {
	if bulk && b.yielding != nil {
		return &s.freeYielding
	}
	return &s.free
}

// dispatchLocked starts runs while there are free slots and batches that may close.
func (s *Scheduler) dispatchLocked() {
	for s.free > 0 || s.freeYielding > 0 {
		b, g := s.nextLocked()
		if b == nil {
			return
		}
		now := time.Now()
		r := b.takeLocked(g, now)
		b.unlistLocked()
		if r == nil {
			s.noteLocked(now)
			continue // there were only jobs that nobody waits for any more
		}
		s.startLocked(b, len(r.jobs), r.bulk, now)
		go b.execute(r)
	}
}

// nextLocked finds the batcher and group that run next: versions take turns, those with
// interactive jobs before those with bulk jobs alone.
func (s *Scheduler) nextLocked() (*Batcher, *group) {
	now := time.Now()
	for _, lane := range [...]scoring.Lane{scoring.Interactive, scoring.Bulk} {
		for i, b := range s.listed {
			if lane == scoring.Interactive && b.queue.jobs[scoring.Interactive] == 0 {
				continue
			}
			g, at := b.dueLocked(now)
			if g == nil {
				b.wakeLocked(at, now)
				continue
			}
			// To the end of the line: the others come first next time.
			s.listed = append(slices.Delete(s.listed, i, i+1), b)
			return b, g
		}
	}
	return nil, nil
}

// startLocked books a slot for a run.
func (s *Scheduler) startLocked(b *Batcher, requests int, bulk bool, now time.Time) {
	*s.slotsLocked(b, bulk)--
	s.noteLocked(now)
	b.running++
	if bulk {
		b.bulk++
		if b.yielding != nil {
			return // how full those runs are says nothing about the interactive ones
		}
	}
	const keep = 0.8
	b.crowd = keep*b.crowd + (1-keep)*float64(requests)
}

// end gives a slot back, and starts what waited for it.
func (s *Scheduler) end(b *Batcher, bulk bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(b, bulk, time.Now())
}

// endLocked is end.
func (s *Scheduler) endLocked(b *Batcher, bulk bool, now time.Time) {
	*s.slotsLocked(b, bulk)++
	s.noteLocked(now)
	b.running--
	if bulk {
		b.bulk--
	}
	s.dispatchLocked()
}

// listLocked puts a batcher that has waiting jobs in line.
func (b *Batcher) listLocked() {
	if !b.listed {
		b.listed = true
		b.parts.Scheduler.listed = append(b.parts.Scheduler.listed, b)
	}
}

// unlistLocked takes a batcher without waiting jobs out of the line.
func (b *Batcher) unlistLocked() {
	if !b.listed || !b.queue.empty() {
		return
	}
	s := b.parts.Scheduler
	b.listed = false
	s.listed = slices.DeleteFunc(s.listed, func(other *Batcher) bool { return other == b })
	if b.timer != nil {
		b.timer.Stop()
	}
}

// wakeLocked has the scheduler look again at at; the zero time means that the end of a run
// will see to it.
func (b *Batcher) wakeLocked(at, now time.Time) {
	if at.IsZero() {
		return
	}
	wait := max(at.Sub(now), 0)
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, func() {
			s := b.parts.Scheduler
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dispatchLocked()
		})
		return
	}
	b.timer.Reset(wait)
}
