package sim

import "math"

// pace measures how fast a pod gets through its rows while it has any: see app/batch/latency.go.
type pace struct {
	since, time, rows float64
	samples           int
}

// done notes that rows are through.
func (p *pace) done(rows int, now float64) {
	const keep = 0.95
	p.time = keep*p.time + max(now-p.since, 0)
	p.rows = keep*p.rows + float64(rows)
	p.since = now
	p.samples++
}

// saturationTime is the time constant of onda_saturation: see app/batch/saturation.go.
const saturationTime = 10

// meter is the average of a level over the last seconds.
type meter struct{ at, level, average float64 }

func (m *meter) now(at float64) float64 {
	return m.average - (m.level-m.average)*math.Expm1(-(at-m.at)/saturationTime)
}

func (m *meter) set(at, level float64) {
	m.average = m.now(at)
	m.at, m.level = at, level
}

// note tells the saturation what runs and waits: busy slots, and the full runs that what waits
// would make, as shares of the slots, the latter at most 1.
func (p *pod) note(w *world) {
	slots := float64(w.Pod.Cores)
	full := float64(max(w.Pod.MaxRows, 1))
	p.saturation.set(w.now, float64(p.running)/slots+min(float64(p.waiting.len)/full/slots, 1))
}
