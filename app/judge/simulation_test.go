package judge_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// behaviour is how a version does.
type behaviour struct {
	failing   float64 // share of requests
	slower    float64 // factor of all latencies
	diverging float64 // share of compared answers
}

var good = behaviour{failing: 0.01, slower: 1, diverging: 0.02}

// latencies of a good version are distributed by a logarithmic normal distribution about
// 10 ms: its quantiles, in small steps. The p99 is 32 ms.
var latencies = sync.OnceValue(func() []float64 {
	all := make([]float64, 1<<16)
	for i := range all {
		p := (float64(i) + 0.5) / float64(len(all))
		all[i] = 1e7 * math.Exp(0.5*math.Sqrt2*math.Erfinv(2*p-1))
	}
	return all
})

// world sends requests to two versions, and has a rollout judged each second.
type world struct {
	random    *rand.Rand
	perSecond int
	candidate behaviour
	rollout   catalog.Rollout
}

// outcome is how a rollout ended.
type outcome struct {
	promoted bool
	step     int    // that it ended in
	requests uint64 // of the candidate until then, over all steps
	seconds  int
	reason   string
}

func newWorld(candidate behaviour, perSecond int, seed, trial uint64) *world {
	return &world{
		random:    rand.New(rand.NewPCG(seed, trial)),
		perSecond: perSecond,
		candidate: candidate,
		rollout: catalog.Rollout{
			ID: "r1", Candidate: 2, Baseline: 1, Steps: []int{5, 25, 50}, Status: catalog.Running,
			Rule: catalog.Rule{}.WithDefaults(), StepSince: time.Unix(0, 0),
		},
	}
}

// run has the rollout end.
func (w *world) run() outcome {
	var o outcome
	now := w.rollout.StepSince
	for {
		var candidate, baseline statistics.Tally
		var decision judge.Decision
		for decision.Action != judge.Advance && decision.Action != judge.RollBack {
			w.second(&candidate, &baseline)
			now = now.Add(time.Second)
			o.seconds++
			decision = judge.Decide(w.rollout, judge.Totals{Candidate: candidate.Snapshot(), Baseline: baseline.Snapshot()}, now)
		}
		o.requests += candidate.Snapshot().Requests()
		o.reason = decision.Reason
		switch {
		case decision.Action == judge.RollBack:
			return o
		case w.rollout.LastStep():
			o.promoted = true
			return o
		}
		w.rollout.Step++
		w.rollout.StepSince = now
		o.step++
	}
}

// second is a second's requests.
func (w *world) second(candidate, baseline *statistics.Tally) {
	for range w.perSecond {
		if w.random.IntN(100) >= w.rollout.Steps[w.rollout.Step] {
			w.request(baseline, good)
			continue
		}
		w.request(candidate, w.candidate)
		if w.random.Float64() < w.rollout.Rule.Compare {
			candidate.Compared(w.random.Float64() < w.candidate.diverging, false, 0.001)
		}
	}
}

var errSimulated = scoring.Errorf(scoring.Internal, "simulated")

func (w *world) request(tally *statistics.Tally, b behaviour) {
	if w.random.Float64() < b.failing {
		tally.Request(scoring.Timing{}, time.Second, errSimulated)
		return
	}
	took := b.slower * latencies()[w.random.IntN(1<<16)]
	tally.Request(scoring.Timing{}, time.Duration(took), nil)
}

// trials has so many rollouts end, on all cores.
func trials(count int, one func(trial uint64) outcome) []outcome {
	all := make([]outcome, count)
	var workers sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := worker; i < count; i += runtime.GOMAXPROCS(0) {
				all[i] = one(uint64(i))
			}
		})
	}
	workers.Wait()
	return all
}

// summary says how rollouts ended.
func summary(all []outcome) (rolledBack float64, text string) {
	var back []outcome
	for _, o := range all {
		if !o.promoted {
			back = append(back, o)
		}
	}
	rolledBack = float64(len(back)) / float64(len(all))
	text = fmt.Sprintf("%.2f %% of %d rolled back", 100*rolledBack, len(all))
	if len(back) > 0 {
		slices.SortFunc(back, func(a, b outcome) int { return cmp.Compare(a.requests, b.requests) })
		middle, high := back[len(back)/2], back[len(back)*9/10]
		text += fmt.Sprintf(", half of those within %d requests to the candidate, 90 %% within %d; one says %q", middle.requests, high.requests, middle.reason)
	}
	return rolledBack, text
}

// TestRolloutsBySimulation measures how often a rollout ends as it should, at the defaults and
// looked at every second.
func TestRolloutsBySimulation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		candidate   behaviour
		perSecond   int
		trials      int
		atLeast, to float64 // bounds of the share that is rolled back
	}{
		{"as good", good, 50, 2000, 0, 0.02},
		{"as good, little traffic", good, 5, 100, 0, 0.02},
		{"as good, much traffic", good, 1000, 40, 0, 0.02},
		{"5 % failures", behaviour{failing: 0.05, slower: 1, diverging: 0.02}, 50, 500, 0.99, 1},
		{"all fail", behaviour{failing: 1, slower: 1, diverging: 0.02}, 50, 200, 1, 1},
		{"twice as slow", behaviour{failing: 0.01, slower: 2, diverging: 0.02}, 50, 200, 0.95, 1},
		{"30 % disagree", behaviour{failing: 0.01, slower: 1, diverging: 0.3}, 50, 500, 0.99, 1},
	}
	for seed, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			count := test.trials
			if testing.Short() || raceEnabled {
				count /= 20
			}
			all := trials(count, func(trial uint64) outcome {
				return newWorld(test.candidate, test.perSecond, uint64(seed), trial).run()
			})
			share, text := summary(all)
			t.Log(text)
			if share < test.atLeast || share > test.to {
				t.Errorf("%s, want a share from %g to %g", text, test.atLeast, test.to)
			}
		})
	}
}
