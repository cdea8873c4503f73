package judge

import (
	"math"
	"math/rand/v2"
	"testing"
)

// choose is the logarithm of how many ways there are to have k hits of n.
func choose(n, k uint64) float64 {
	return -logBeta(float64(k)+1, float64(n-k)+1) - math.Log(float64(n+1))
}

// TestEvidenceHasMeanOne: by the truth, the evidence against it is 1 on average. That is all
// that the bounds are built on.
func TestEvidenceHasMeanOne(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{1, 2, 7, 100, 1000} {
		for _, p := range []float64{0.001, 0.01, 0.3, 0.99} {
			var mean float64
			for k := range n + 1 {
				likely := choose(n, k) + times(float64(k), math.Log(p)) + times(float64(n-k), math.Log1p(-p))
				mean += math.Exp(likely + share{k, n}.against(p))
			}
			if math.Abs(mean-1) > 1e-9 {
				t.Errorf("%d things, %g of them: the mean is %.12f, want 1", n, p, mean)
			}
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		s           share
		low, high   float64 // of the lower bound
		low2, high2 float64 // of the upper bound
	}{
		{share{0, 0}, 0, 0, 1, 1},
		{share{0, 10}, 0, 0, 0.3, 0.5},
		{share{0, 1000}, 0, 0, 0.005, 0.008},
		{share{10, 10}, 0.1, 0.6, 1, 1},
		{share{10, 1000}, 0.0015, 0.01, 0.01, 0.03},
		{share{100_000, 1_000_000}, 0.098, 0.1, 0.1, 0.102},
	}
	for _, test := range tests {
		low, high := test.s.lower(0.01), test.s.upper(0.01)
		if low < test.low || low > test.high || high < test.low2 || high > test.high2 {
			t.Errorf("%v: got %g to %g, want a lower bound of %g to %g and an upper of %g to %g", test.s, low, high, test.low, test.high, test.low2, test.high2)
		}
	}
}

// TestBoundsAreWhereTheEvidenceSuffices checks them by what they are defined by.
func TestBoundsAreWhereTheEvidenceSuffices(t *testing.T) {
	t.Parallel()
	for _, s := range []share{{1, 10}, {3, 10}, {10, 10}, {5, 1000}, {30, 1000}, {990, 1000}} {
		if got := s.against(s.lower(0.01)); math.Abs(got-math.Log(100)) > 0.01 {
			t.Errorf("%v: the evidence at the lower bound %g is e^%g, want 100", s, s.lower(0.01), got)
		}
		if s.hits == s.of {
			continue
		}
		if got := s.against(s.upper(0.01)); math.Abs(got-math.Log(100)) > 0.01 {
			t.Errorf("%v: the evidence at the upper bound %g is e^%g, want 100", s, s.upper(0.01), got)
		}
	}
}

// everOver is the probability that a look finds the true share p refuted, of a look after
// each of the first n things: exactly, by following every course that things can take. over is
// the smallest number of hits of m that refutes.
func everOver(n uint64, p float64, over func(m uint64) uint64) float64 {
	going := make([]float64, n+1) // by hits, the probability to get there unrefuted
	going[0] = 1
	var refuted float64
	for m := uint64(1); m <= n; m++ {
		border := min(over(m), m+1)
		for k := m; k > 0; k-- {
			going[k] = going[k]*(1-p) + going[k-1]*p
		}
		going[0] *= 1 - p
		for k := border; k <= m; k++ {
			refuted += going[k]
			going[k] = 0
		}
	}
	return refuted
}

// wilson is the smallest number of hits of n for which Wilson's lower bound with a confidence
// of 99 % is above p.
func wilson(n uint64, p float64) uint64 {
	const z = 2.326
	for k := uint64(p * float64(n)); k <= n; k++ {
		size, seen := float64(n), float64(k)/float64(n)
		middle := seen + z*z/(2*size)
		half := z * math.Sqrt(seen*(1-seen)/size+z*z/(4*size*size))
		if (middle-half)/(1+z*z/size) > p {
			return k
		}
	}
	return n + 1
}

// TestBoundsHoldHoweverOftenTheyAreLookedAt: the reason for this whole file. A bound for one
// look, here Wilson's, is wrong many times as often as it says if it is looked at after each
// request.
func TestBoundsHoldHoweverOftenTheyAreLookedAt(t *testing.T) {
	t.Parallel()
	const n = 2000
	for _, p := range []float64{0.01, 0.02, 0.1} {
		got := everOver(n, p, func(m uint64) uint64 { return clearlyMore(m, p, alpha) })
		once := everOver(n, p, func(m uint64) uint64 { return wilson(m, p) })
		t.Logf("a share of %g is refuted in %.2f %% of the rollouts, by Wilson's bounds in %.1f %%", p, 100*got, 100*once)
		if got > alpha || got < alpha/20 {
			t.Errorf("a share of %g is refuted with a probability of %g, want at most %g, and not next to nothing", p, got, alpha)
		}
		if once < 5*alpha {
			t.Errorf("looking often does not matter for a share of %g: Wilson's bounds are wrong with a probability of %g", p, once)
		}
	}
}

func TestClearlyLessHoldsHoweverOftenItIsLookedAt(t *testing.T) {
	t.Parallel()
	const n, p = 3000, 0.01
	// Few hits of p are many misses of 1 - p.
	got := everOver(n, 1-p, func(m uint64) uint64 { return m + 1 - clearlyLess(m, p, alpha) })
	if got > alpha || got == 0 {
		t.Errorf("a share of %g is refuted with a probability of %g, want at most %g, and some", p, got, alpha)
	}
}

func TestClearlyMoreAndLess(t *testing.T) {
	t.Parallel()
	for _, n := range []uint64{0, 1, 2, 9, 100, 749, 1000, 12345} {
		more, less := clearlyMore(n, slow, alpha), clearlyLess(n, slow, alpha)
		for k := range n + 1 {
			refuted := share{k, n}.against(slow) >= -math.Log(alpha)
			if want := k >= more || k < less; refuted != want {
				t.Fatalf("%d of %d: refuted is %t, and clear are %d and more, or fewer than %d", k, n, refuted, more, less)
			}
		}
	}
}

// TestExcessHoldsAtTheLimit: the bound of a difference is no more than nearly exact, so how
// often it is wrong is measured, for a candidate that fails as much more often as it may.
func TestExcessHoldsAtTheLimit(t *testing.T) {
	t.Parallel()
	const limit, failing, most = 0.01, 0.01, 3000
	trials := 1000
	if testing.Short() {
		trials = 100
	}
	for _, percent := range []int{5, 25, 50} {
		wrong := 0
		for trial := range trials {
			random := rand.New(rand.NewPCG(uint64(percent), uint64(trial)))
			if refuted(random, percent, failing, limit, most) {
				wrong++
			}
		}
		t.Logf("%d %%: wrong in %d of %d", percent, wrong, trials)
		if most := max(3, int(alpha*float64(trials))); wrong > most {
			t.Errorf("at %d %% a candidate just at the limit is refuted in %d of %d rollouts, want at most %d", percent, wrong, trials, most)
		}
	}
}

// refuted says whether any of many looks finds that the candidate is over the limit.
func refuted(random *rand.Rand, percent int, failing, limit float64, most uint64) bool {
	var candidate, baseline share
	for look := uint64(10); candidate.of < most; {
		if random.IntN(100) < percent {
			candidate.of++
			if random.Float64() < failing+limit {
				candidate.hits++
			}
		} else {
			baseline.of++
			if random.Float64() < failing {
				baseline.hits++
			}
		}
		if candidate.of < look {
			continue
		}
		look += 1 + look/50
		if candidate.estimate()-baseline.estimate() > limit && excess(candidate, baseline, alpha) > limit {
			return true
		}
	}
	return false
}

func TestMoreFailuresNeverLowerTheBounds(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		n := 1 + random.Uint64N(3000)
		s := share{random.Uint64N(n), n}
		baseline := share{random.Uint64N(50), 50 + random.Uint64N(3000)}
		worse := map[string]share{"one failed instead": {s.hits + 1, n}, "one more": {s.hits + 1, n + 1}}
		for how, w := range worse {
			if w.lower(alpha) < s.lower(alpha)-1e-8 || excess(w, baseline, alpha) < excess(s, baseline, alpha)-1e-8 {
				t.Errorf("%v has the lower bound %g and, against %v, %g; %s, %v, has %g and %g",
					s, s.lower(alpha), baseline, excess(s, baseline, alpha), how, w, w.lower(alpha), excess(w, baseline, alpha))
			}
		}
	}
}

func BenchmarkExcess(b *testing.B) {
	for b.Loop() {
		excess(share{50, 1000}, share{200, 19000}, alpha)
	}
}
