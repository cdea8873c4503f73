package statistics

import (
	"math"
	"time"
)

// Latencies are counted in buckets that grow by 5 % each, from a microsecond to 100 seconds,
// so that a quantile is right within 2.5 %, whatever its size. What is shorter is in the
// first bucket, what is longer in the last one.
const (
	growth   = 1.05
	shortest = float64(time.Microsecond)
	buckets  = 378 // shortest times growth to the 378th is 102 s
)

// perStep is the logarithm of growth.
var perStep = math.Log(growth)

// bucketOf is the bucket that counts d.
func bucketOf(d time.Duration) int {
	if d < time.Microsecond {
		return 0
	}
	return min(int(math.Log(float64(d)/shortest)/perStep), buckets-1)
}

// edge is where bucket i begins, and the one before it ends.
func edge(i int) time.Duration {
	return time.Duration(shortest * math.Exp(perStep*float64(i)))
}

// Quantile gives the latency that a share q of the answers, from 0 to 1, did not exceed,
// within 2.5 %: 0 if there are no answers. It is a latency that was seen, not one between
// two, so with few answers a high quantile is the largest of them.
func (s TallySnapshot) Quantile(q float64) time.Duration {
	if s.OK == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(s.OK)))
	low, high := s.Largest(s.OK - min(max(rank, 1), s.OK) + 1)
	return time.Duration(math.Sqrt(float64(low) * float64(high)))
}

// Largest gives bounds of the k-th largest latency, k from 1 on: the edges of its bucket. They
// are 0 if there are fewer answers.
func (s TallySnapshot) Largest(k uint64) (low, high time.Duration) {
	var seen uint64
	for i := buckets - 1; i >= 0; i-- {
		seen += s.Latency[i]
		if seen >= k && k > 0 {
			return edge(i), edge(i + 1)
		}
	}
	return 0, 0
}
