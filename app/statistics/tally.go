package statistics

import (
	"errors"
	"maps"
	"math"
	"sync/atomic"
	"time"

	"github.com/onda-serving/onda/app/scoring"
)

// Tally counts what speaks for or against a version. The zero value is ready to use, and
// safe for concurrent use; counting takes no lock and no memory.
type Tally struct {
	latency       [buckets]atomic.Uint64
	failed        atomic.Uint64
	cached        atomic.Uint64
	agreed        atomic.Uint64
	disagreed     atomic.Uint64
	notCompared   atomic.Uint64
	maxDifference atomic.Uint64 // bits of a float that is not negative: they rise with it
}

// Request counts a request that took so long from admission to answer.
//
// Answers from the cache are counted apart: the version did not work for them. A new version
// has an empty cache, so beside one with a full cache it would look slow, and, because failures
// are not kept, prone to fail.
func (t *Tally) Request(timing scoring.Timing, took time.Duration, err error) {
	switch {
	case err == nil && timing.Cached:
		t.cached.Add(1)
	case err == nil:
		t.latency[bucketOf(took)].Add(1)
	case isFault(err):
		t.failed.Add(1)
	}
}

// isFault says whether an error, not nil, counts against the version that it came from. Not so: a caller
// that left, and one that may not ask.
//
// Errors that are the caller's fault ([scoring.Invalid], [scoring.TooLarge] and so on) do
// count. A version that refuses what its predecessor took answers them too, and they must not
// be hidden because they look like the caller's fault. Requests that are really bad are
// spread over both versions and fail with either, so they cancel out in the difference of the
// two, which is what a version is judged by. The same goes for a server that is overloaded.
func isFault(err error) bool {
	e, found := errors.AsType[*scoring.Error](err) // unlike CodeOf without memory, for the usual error
	if !found || e == nil {
		e = scoring.AsError(err)
	}
	switch e.Code {
	case scoring.Canceled, scoring.Unauthenticated, scoring.Denied:
		return false
	default:
		return true
	}
}

// Compared counts an answer that was compared with another version's: whether they disagree,
// whether the comparison failed, for example because one of the two gave no answer, and the
// largest difference between two numbers of theirs.
func (t *Tally) Compared(disagrees, failed bool, largest float64) {
	switch {
	case failed:
		t.notCompared.Add(1)
		return
	case disagrees:
		t.disagreed.Add(1)
	default:
		t.agreed.Add(1)
	}
	if math.IsNaN(largest) {
		largest = math.MaxFloat64 // no number is as far away as none
	}
	bits := math.Float64bits(min(max(largest, 0), math.MaxFloat64)) // JSON has no infinity
	for {
		old := t.maxDifference.Load()
		if bits <= old || t.maxDifference.CompareAndSwap(old, bits) {
			return
		}
	}
}

// Snapshot gives what was counted so far. OK and Compared are made of their parts here, so
// that they are their sums even while requests are being counted.
func (t *Tally) Snapshot() TallySnapshot {
	s := TallySnapshot{
		Failed:        t.failed.Load(),
		Cached:        t.cached.Load(),
		Disagreed:     t.disagreed.Load(),
		NotCompared:   t.notCompared.Load(),
		MaxDifference: math.Float64frombits(t.maxDifference.Load()),
		Latency:       make(map[int]uint64, 64), // about as many as latencies differ
	}
	for i := range t.latency {
		if n := t.latency[i].Load(); n > 0 {
			s.Latency[i] = n
			s.OK += n
		}
	}
	s.Compared = t.agreed.Load() + s.Disagreed + s.NotCompared
	return s
}

// TallySnapshot is what a [Tally] had counted at some time, or between two times.
type TallySnapshot struct {
	// OK counts the requests that the version answered, those from the cache not among them.
	OK uint64 `json:"ok"`
	// Failed counts the requests that failed, but not those whose callers left or may not ask.
	Failed uint64 `json:"failed,omitempty"`
	// Cached counts the requests that the cache answered.
	Cached uint64 `json:"cached,omitempty"`
	// Compared counts the comparisons with another version's answers, Disagreed those of
	// them that found a difference that matters, NotCompared those that failed.
	Compared uint64 `json:"compared,omitempty"`
	// Disagreed is a part of Compared.
	Disagreed uint64 `json:"disagreed,omitempty"`
	// NotCompared is a part of Compared, too.
	NotCompared uint64 `json:"not_compared,omitempty"`
	// MaxDifference is the largest difference that a comparison found since the version was
	// loaded: what was the largest between two times is not known.
	MaxDifference float64 `json:"max_difference,omitempty"`
	// Latency counts the OK requests by bucket. Only buckets with requests are in it.
	Latency map[int]uint64 `json:"latency,omitempty"`
}

// Requests counts those that say something about the version: OK and Failed.
func (s TallySnapshot) Requests() uint64 { return s.OK + s.Failed }

// Check says whether s can be a tally's, as far as that can be seen.
func (s TallySnapshot) Check() bool {
	// No version lives to see as many; and sums of a few thousand tallies do not overflow.
	const most = 1 << 48
	var ok uint64
	for i, n := range s.Latency {
		if i < 0 || i >= buckets || n > most {
			return false
		}
		ok += n
	}
	return ok == s.OK && max(s.OK, s.Failed, s.Cached, s.Compared) <= most &&
		s.Disagreed <= s.Compared && s.NotCompared <= s.Compared-s.Disagreed && s.MaxDifference >= 0
}

// Sub gives what was counted since earlier, a snapshot of the same tally.
func (s TallySnapshot) Sub(earlier TallySnapshot) TallySnapshot {
	d := s.combine(earlier, func(a, b uint64) uint64 { return a - min(a, b) })
	if d.Compared == 0 {
		d.MaxDifference = 0
	}
	return d
}

// Add gives what two tallies counted together.
func (s TallySnapshot) Add(other TallySnapshot) TallySnapshot {
	sum := s.combine(other, func(a, b uint64) uint64 { return a + b })
	sum.MaxDifference = max(s.MaxDifference, other.MaxDifference)
	return sum
}

// agreed counts the comparisons that found no difference that matters.
func (s TallySnapshot) agreed() uint64 { return s.Compared - s.Disagreed - s.NotCompared }

// combine applies f to each counter. The largest difference is that of s.
func (s TallySnapshot) combine(other TallySnapshot, f func(a, b uint64) uint64) TallySnapshot {
	c := TallySnapshot{
		Failed:        f(s.Failed, other.Failed),
		Cached:        f(s.Cached, other.Cached),
		Disagreed:     f(s.Disagreed, other.Disagreed),
		NotCompared:   f(s.NotCompared, other.NotCompared),
		MaxDifference: s.MaxDifference,
		Latency:       maps.Clone(s.Latency),
	}
	c.Compared = f(s.agreed(), other.agreed()) + c.Disagreed + c.NotCompared
	if c.Latency == nil {
		c.Latency = map[int]uint64{}
	}
	for i, n := range other.Latency {
		c.Latency[i] = f(c.Latency[i], n)
	}
	for i, n := range c.Latency {
		if n == 0 {
			delete(c.Latency, i)
		}
		c.OK += n
	}
	return c
}

// Equal says whether both counted the same.
func (s TallySnapshot) Equal(other TallySnapshot) bool {
	return s.OK == other.OK && s.Failed == other.Failed && s.Cached == other.Cached &&
		s.Compared == other.Compared && s.Disagreed == other.Disagreed && s.NotCompared == other.NotCompared &&
		s.MaxDifference == other.MaxDifference && maps.Equal(s.Latency, other.Latency)
}
