package judge

import (
	"math"
	"sort"
)

// share is how many of a number of things have a property: failed requests of all requests.
type share struct{ hits, of uint64 }

// estimate is the share that was seen; 0 of nothing.
func (s share) estimate() float64 {
	if s.of == 0 {
		return 0
	}
	return float64(s.hits) / float64(s.of)
}

// The mixing distribution of the confidence sequences is Beta(1/2, 10), which lies mostly
// below a tenth. The bounds hold with any; this one makes them narrow where shares are a few
// in a hundred, as those of failures, of slow answers and of disagreements are.
const mixA, mixB = 0.5, 10

// against is the logarithm of the evidence against p as the true share, for the s that was
// seen: how many times more likely s is if the true share was drawn from the mixing
// distribution than if it is p.
//
// If the true share is p, this ratio is a martingale of mean 1 as the sample grows, so the
// probability that it ever reaches 1/alpha is at most alpha (Ville, "Étude critique de la notion
// de collectif", 1939; as a test: Robbins, "Statistical methods related to the law of the
// iterated logarithm", 1970). The values of p that it does not reach 1/alpha for are a
// confidence sequence (Darling and Robbins 1967; Howard, Ramdas, McAuliffe and Sekhon,
// "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021). It is exact for
// every sample size, the smallest among them; there is no normal approximation in it.
func (s share) against(p float64) float64 {
	hits, misses := float64(s.hits), float64(s.of-s.hits)
	return s.mixture() - times(hits, math.Log(p)) - times(misses, math.Log1p(-p))
}

// mixture is the logarithm of how likely s is by the mixing distribution.
func (s share) mixture() float64 {
	hits, misses := float64(s.hits), float64(s.of-s.hits)
	return logBeta(mixA+hits, mixB+misses) - logBeta(mixA, mixB)
}

// times is a product that is 0 if the count is, whatever it is multiplied with.
func times(count, x float64) float64 {
	if count == 0 {
		return 0
	}
	return count * x
}

// logBeta is the logarithm of the beta function.
func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// lower is the bound that the true share is not below, with confidence 1 - alpha at all
// sample sizes together.
func (s share) lower(alpha float64) float64 {
	if s.hits == 0 {
		return 0
	}
	return s.border(0, s.estimate(), alpha)
}

// upper is the bound that the true share is not above, as for [share.lower].
func (s share) upper(alpha float64) float64 {
	if s.hits == s.of {
		return 1
	}
	return s.border(1, s.estimate(), alpha)
}

// border is where the evidence falls to 1/alpha on the way from outside, which it refutes, to
// inside, which it does not: the last value that it refutes.
func (s share) border(outside, inside, alpha float64) float64 {
	limit := s.mixture() + math.Log(alpha)
	hits, misses := float64(s.hits), float64(s.of-s.hits)
	for math.Abs(outside-inside) > 1e-9 {
		p := (outside + inside) / 2
		if limit >= times(hits, math.Log(p))+times(misses, math.Log1p(-p)) {
			outside = p
		} else {
			inside = p
		}
	}
	return outside
}

// excess is how much larger than the baseline's the candidate's share is at least, with
// confidence 1 - alpha.
//
// It puts two bounds together by their squares (Newcombe, "Interval estimation for the
// difference between independent proportions", 1998, method 10; for bounds of any kind Zou
// and Donner, "Construction of confidence limits about effect measures", 2008). Newcombe's are
// Wilson's of 1927, which hold for one look; these hold for all.
func excess(candidate, baseline share, alpha float64) float64 {
	c, b := candidate.estimate(), baseline.estimate()
	return c - b - math.Hypot(c-candidate.lower(alpha), baseline.upper(alpha)-b)
}

// clearlyMore is the smallest number of hits of n that refutes that the true share is p or
// less; n + 1 if none does.
func clearlyMore(n uint64, p, alpha float64) uint64 {
	start := uint64(math.Ceil(p * float64(n)))
	return start + uint64(sort.Search(int(n-start+1), func(i int) bool {
		return share{hits: start + uint64(i), of: n}.against(p) >= -math.Log(alpha)
	}))
}

// clearlyLess is how many numbers of hits of n, from 0 on, refute that the true share is p or
// more.
func clearlyLess(n uint64, p, alpha float64) uint64 {
	return uint64(sort.Search(int(math.Ceil(p*float64(n))), func(i int) bool {
		return share{hits: uint64(i), of: n}.against(p) < -math.Log(alpha)
	}))
}
