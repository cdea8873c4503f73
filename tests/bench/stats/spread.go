package stats

import (
	"cmp"
	"math"
	"slices"
)

// Spread is what rounds measured of one thing: the middle, and how far they lie apart.
type Spread struct {
	// Median of the rounds.
	Median float64 `json:"median"`
	// Min and Max of the rounds.
	Min float64 `json:"min"`
	Max float64 `json:"max"`
	// Samples in the order of the rounds, so that the rounds of two things can be paired.
	Samples []float64 `json:"samples"`
}

// NewSpread makes the spread of samples, which it keeps in their order. Without samples
// it is zero.
func NewSpread(samples ...float64) Spread {
	if len(samples) == 0 {
		return Spread{}
	}
	return Spread{Median: Median(samples), Min: slices.Min(samples), Max: slices.Max(samples), Samples: samples}
}

// Median is the middle of values, or the mean of the two in the middle; 0 without any.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// Ratio divides a by b round by round: what disturbed the machine in one round disturbed
// both, so the ratios lie closer together than the numbers. Rounds that one of the two
// lacks, and those where b is 0, are left out.
func Ratio(a, b Spread) Spread {
	return pair(a, b, func(x, y float64) float64 { return x / y })
}

// Difference subtracts b from a round by round, as [Ratio] divides.
func Difference(a, b Spread) Spread {
	return pair(a, b, func(x, y float64) float64 { return x - y })
}

func pair(a, b Spread, combine func(x, y float64) float64) Spread {
	var samples []float64
	for i := range min(len(a.Samples), len(b.Samples)) {
		if v := combine(a.Samples[i], b.Samples[i]); !math.IsNaN(v) && !math.IsInf(v, 0) {
			samples = append(samples, v)
		}
	}
	return NewSpread(samples...)
}

// Best is the item whose score is the highest; false without any.
func Best[T any, S cmp.Ordered](items []T, score func(T) S) (best T, ok bool) {
	for i, item := range items {
		if i == 0 || score(item) > score(best) {
			best = item
		}
	}
	return best, len(items) > 0
}
