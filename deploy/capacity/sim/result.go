package sim

import "math"

// Result is what a run came to.
type Result struct {
	// Offered requests, by how they ended: answered within their budget, answered late, refused by
	// a pod, given up in a queue because no run could be in time, or without any pod to go to.
	Offered, Good, Late, Refused, Expired, Nowhere int
	// Left are the events that nobody had answered at the end.
	Left int
	// PodSeconds and NodeSeconds are what was paid for.
	PodSeconds, NodeSeconds float64
	// MostPods is the greatest number of pods that were ready.
	MostPods int
	// Samples are a look at the run every ten seconds.
	Samples []Sample

	latency histogram
	seen    ends
}

// Sample is a moment of a run.
type Sample struct {
	// At is the time, in seconds.
	At float64
	// Rate is what arrived since the sample before, per second; Bad the share of what ended since
	// then that was not answered within its budget.
	Rate, Bad float64
	// Ready pods, and Wanted ones.
	Ready, Wanted int
	// Backlog is the number of events in the broker.
	Backlog int
	// Saturation is the average over ready pods.
	Saturation float64
}

// Bad is the share of the offered requests that were not answered within their budget.
func (r *Result) Bad() float64 {
	if r.Offered == 0 {
		return 0
	}
	return 1 - float64(r.Good)/float64(r.Offered)
}

// PodHours is PodSeconds in hours.
func (r *Result) PodHours() float64 { return r.PodSeconds / 3600 }

// Quantile of the time that answers took, in seconds: exact to 1 %. NaN without answers.
func (r *Result) Quantile(q float64) float64 { return r.latency.quantile(q) }

func (r *Result) answer(took float64, inTime bool) {
	r.latency.add(took)
	if inTime {
		r.Good++
	} else {
		r.Late++
	}
}

func (r *Result) finish(w *world) { r.Left = w.broker.waiting() }

// sampleEvery is the time between two samples.
const sampleEvery = 10

func (r *Result) sample(w *world) {
	if w.now > w.Load.Seconds {
		return
	}
	r.MostPods = max(r.MostPods, len(w.ready))
	seen := ends{offered: r.Offered, bad: r.Late + r.Refused + r.Expired + r.Nowhere}
	seen.ended = seen.bad + r.Good
	s := Sample{
		At: w.now, Rate: float64(seen.offered-r.seen.offered) / sampleEvery,
		Ready: len(w.ready), Wanted: w.scaler.desired, Backlog: w.broker.waiting(),
	}
	if n := seen.ended - r.seen.ended; n > 0 {
		s.Bad = float64(seen.bad-r.seen.bad) / float64(n)
	}
	for _, p := range w.ready {
		s.Saturation += p.saturation.now(w.now) / float64(len(w.ready))
	}
	r.seen = seen
	r.Samples = append(r.Samples, s)
}

// ends counts requests up to a sample.
type ends struct{ offered, ended, bad int }

// histogram counts times in buckets that each are 1 % wider than the one before.
type histogram struct {
	counts []int
	total  int
}

const (
	finest = 1e-5
	growth = 1.01
)

func newHistogram() histogram { return histogram{counts: make([]int, 2048)} }

func (h *histogram) add(v float64) {
	i := int(math.Log(max(v, finest)/finest) / math.Log(growth))
	h.counts[min(i, len(h.counts)-1)]++
	h.total++
}

func (h *histogram) quantile(q float64) float64 {
	if h.total == 0 {
		return math.NaN()
	}
	rank := int(math.Ceil(q * float64(h.total)))
	for i, n := range h.counts {
		if rank -= n; rank <= 0 {
			return finest * math.Pow(growth, float64(i)+0.5)
		}
	}
	return math.Inf(1)
}
