package sim_test

import (
	"math"
	"testing"

	"github.com/onda-serving/onda/deploy/capacity/sim"
)

// alone is one pod under a steady load, with first come, first served and nothing of Onda's: what
// queueing theory has formulas for.
func alone(rate, service float64, cores int, exponential bool) sim.Result {
	return sim.Run(sim.Config{
		Seed:    7,
		Load:    sim.Load{Rate: sim.Steady(rate), Seconds: 1e6 / rate},
		Service: sim.Service{PerRow: service, Exponential: exponential},
		Pod:     sim.Pod{Cores: cores, MaxRows: 1},
		Scale:   sim.Scale{Kind: sim.Fixed, Start: 1},
	})
}

// TestQueues compares a million requests with theory: the time in the system of M/M/1, and the
// 99th percentile of M/M/1 and M/D/c.
func TestQueues(t *testing.T) {
	t.Parallel()
	const service = 0.01
	for _, load := range []float64{0.5, 0.7, 0.9} {
		r := alone(load/service, service, 1, true)
		// The time in an M/M/1 system is exponential with rate µ-λ.
		near(t, "M/M/1 p50", load, r.Quantile(0.5), math.Ln2/((1-load)/service))
		near(t, "M/M/1 p99", load, r.Quantile(0.99), math.Log(100)/((1-load)/service))
		for _, cores := range []int{1, 2, 4} {
			r := alone(load*float64(cores)/service, service, cores, false)
			near(t, "M/D/c p50", load, r.Quantile(0.5), waitMDc(load, cores, 0.5)*service+service)
			near(t, "M/D/c p99", load, r.Quantile(0.99), waitMDc(load, cores, 0.99)*service+service)
		}
	}
}

func near(t *testing.T, what string, load, got, want float64) {
	t.Helper()
	const tolerance = 0.04 // a million requests at 0.9 of the capacity vary by some percent
	if math.Abs(got/want-1) > tolerance {
		t.Errorf("%s at %.1f: %.5f s, theory says %.5f s", what, load, got, want)
	}
}

// waitMDc is the quantile of the wait in an M/D/c queue, in service times, by Franx's formula: with
// p the chances of j in the system, and Q those of at most j that do not run,
//
//	P(wait ≤ x) = Σ_{j=0}^{kc-1} Q(kc-1-j) · Poisson(j; λ(k-x)),  k-1 ≤ x < k.
func waitMDc(load float64, c int, quantile float64) float64 {
	waiting := atMostWaiting(load*float64(c), c)
	chance := func(x float64) float64 {
		k := int(x) + 1
		mean := load * float64(c) * (float64(k) - x)
		sum := 0.0
		for j := range k * c {
			sum += waiting[min(k*c-1-j, len(waiting)-1)] * poisson(j, mean)
		}
		return sum
	}
	low, high := 0.0, 300.0
	for range 60 {
		if middle := (low + high) / 2; chance(middle) < quantile {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// atMostWaiting gives the chances that at most j wait, from the balance of the numbers in the system
// one service time apart: who runs now is gone then.
func atMostWaiting(rate float64, c int) []float64 {
	const most = 600
	p := make([]float64, most)
	p[0] = 1
	arrive := make([]float64, most)
	for a := range arrive {
		arrive[a] = poisson(a, rate)
	}
	for range 1500 {
		next := make([]float64, most)
		for i, chance := range p {
			if chance < 1e-16 {
				continue
			}
			for a := 0; max(i-c, 0)+a < most; a++ {
				if a > 40 {
					break // 40 arrivals in a service time do not happen at these rates
				}
				next[max(i-c, 0)+a] += chance * arrive[a]
			}
		}
		p = next
	}
	at := make([]float64, most-c)
	sum := 0.0
	for j := range c {
		sum += p[j]
	}
	for j := range at {
		sum += p[j+c]
		at[j] = sum
	}
	return at
}

func poisson(n int, mean float64) float64 {
	log, _ := math.Lgamma(float64(n + 1))
	if mean == 0 {
		if n == 0 {
			return 1
		}
		return 0
	}
	return math.Exp(float64(n)*math.Log(mean) - mean - log)
}
