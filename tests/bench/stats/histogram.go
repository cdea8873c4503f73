// Package stats holds the arithmetic of the bench: latencies in a histogram, medians with
// their spread over rounds, ratios of pairs, and goodput.
package stats

import (
	"math"
	"math/bits"
	"time"
)

// precision is how many bits of a value a bucket keeps: 7 make an error of at most 0.4 %.
const precision = 7

// Histogram counts durations in buckets whose width grows with the value, as HDR
// histograms do, so that a nanosecond and an hour fit in one array and no percentile is
// off by more than half a percent. It is not safe for concurrent use: every worker has
// its own, and they are merged in the end. The zero value is ready for use.
type Histogram struct {
	counts [(64 - precision + 1) << precision]uint32
	total  uint64
	sum    float64
	max    time.Duration
}

// Add counts one duration. A negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.total++
	h.sum += float64(d)
	h.max = max(h.max, d)
}

// Merge adds all that other counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.total }

// Max is the largest of them, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean is their mean, exactly; 0 without any.
func (h *Histogram) Mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.total))
}

// Quantile is the smallest duration that at least the share q of all durations do not
// exceed, to within half a percent; 0 without any.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			return min(middle(i), h.max)
		}
	}
	return h.max
}

// bucket is the index of a value: values below 2<<precision have their own, larger ones
// share it with those whose first precision+1 bits are the same.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-precision-1, 0)
	return shift<<precision + int(v>>shift)
}

// middle is the value in the middle of a bucket.
func middle(i int) time.Duration {
	shift := max(i>>precision-1, 0)
	low := uint64(i-shift<<precision) << shift
	return time.Duration(low + (uint64(1)<<shift)/2)
}
