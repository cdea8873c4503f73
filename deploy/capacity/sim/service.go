package sim

import "math"

// Service is what a request of one row costs, in seconds of a core.
type Service struct {
	// Name of the model.
	Name string
	// Pre is what each request costs outside of runs: reading, decoding, answering.
	Pre float64
	// A run of n rows costs Fixed + PerRow·n.
	Fixed, PerRow float64
	// Exponential draws what a run costs from the exponential distribution of that mean, instead
	// of taking the mean: for comparison with queueing theory.
	Exponential bool
}

// Run is what a run of so many rows costs, in core seconds.
func (s Service) Run(rows int) float64 { return s.Fixed + s.PerRow*float64(rows) }

// Capacity is the most requests per second that so many cores get through in runs of so many rows.
func (s Service) Capacity(cores float64, rows int) float64 {
	return cores / (s.Pre + s.Run(rows)/float64(rows))
}

// worthwhile and pays are the sizes of runs that Onda's batcher derives from that line: from the
// first on it is worth to wait for more, from the second on more gain next to nothing.
func (s Service) worthwhile() int { return ratio(s.Fixed, s.PerRow) }
func (s Service) pays() int       { return ratio(9*s.Fixed, s.PerRow) }

func ratio(a, b float64) int {
	switch {
	case a <= 0:
		return 1
	case b <= 0:
		return math.MaxInt32
	}
	return int(min(math.Ceil(a/b), math.MaxInt32))
}

// Pod is what a replica has.
type Pod struct {
	// Cores are shared by runs and by what happens outside of them; there is a slot for a run,
	// and a place to pre-process, for each.
	Cores int
	// MaxRows of a run; 1 never puts requests together.
	MaxRows int
	// MaxQueue is the number of rows that may wait (ONDA_MAX_QUEUE); 0 sets no bound.
	MaxQueue int
	// Handlers are the events that a pod works on at once.
	Handlers int
}

// limit is the number of rows that may be in the pod: those that wait and those that run.
func (p Pod) limit() int { return p.MaxQueue + p.Cores*max(p.MaxRows, 1) }
