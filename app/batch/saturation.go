package batch

import (
	"math"
	"time"
)

// saturationTime is the time constant of the saturation's average: 23 s after a step from idle
// to full it shows 0.9. Those who scale on it look every 15 to 30 s.
const saturationTime = 10 * time.Second

// meter is the exponentially weighted average of a level that is constant between changes. It is
// exact however often the level changes, and whoever looks, and how often, changes nothing.
type meter struct {
	at             time.Time // of the latest change
	level, average float64
}

// now is the average at a time. Times that come late, and so in the wrong order, change nothing.
func (m *meter) now(at time.Time) float64 {
	passed := at.Sub(m.at)
	if m.at.IsZero() || passed <= 0 {
		return m.average
	}
	return m.average - (m.level-m.average)*math.Expm1(-float64(passed)/float64(saturationTime))
}

// set is a change of the level.
func (m *meter) set(at time.Time, level float64) {
	m.average, m.level = m.now(at), level
	if at.After(m.at) {
		m.at = at
	}
}

// Saturation says how full the device is, for those who add replicas and take them away: the
// share of the slots that run a model, plus what waits, averaged over the last seconds.
//
// The first part is 0 to 1 and rises in line with the load until all slots are busy. The second
// counts the runs that the waiting rows would make, if each took as many rows as it may, as a
// share of the slots, and at most 1: so 2 means that at least as much waits as runs. Without that
// bound one burst would ask for as many replicas as the queue has rows. Where bulk has slots of
// its own, the fuller of the two kinds counts.
func (s *Scheduler) Saturation() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saturation.now(time.Now())
}

// Yielding is the number of slots for bulk that makes way for others, and of those that are busy.
func (s *Scheduler) Yielding() (slots, busy int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.yielding, s.yielding - s.freeYielding
}

// noteLocked tells the saturation of a change.
func (s *Scheduler) noteLocked(now time.Time) {
	busy := float64(s.slots-s.free) / float64(s.slots)
	if s.yielding > 0 {
		busy = max(busy, float64(s.yielding-s.freeYielding)/float64(s.yielding))
	}
	s.saturation.set(now, busy+min(max(s.waiting, 0)/float64(s.slots), 1))
}

// share is the part of a run that a job's rows make up, if the run has as many rows as it may.
func (j *job) share(b *Batcher) float64 {
	if j.key.inputs == "" {
		return 1
	}
	return float64(j.rows) / float64(b.config.MaxRows)
}
