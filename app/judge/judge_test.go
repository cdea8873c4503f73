package judge_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/judge"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// noon is when the steps of the tests begin.
var noon = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// rollout is in its second of three steps, with the default rule.
func rollout() catalog.Rollout {
	return catalog.Rollout{
		ID: "r7", Candidate: 3, Baseline: 2, Steps: []int{5, 25, 50}, Step: 1, StepSince: noon,
		Rule: catalog.Rule{}.WithDefaults(), Status: catalog.Running,
	}
}

// seen is what a version did, most simply.
type seen struct {
	ok, failed                       int
	fast, slow                       time.Duration // of the answers
	slowOf100                        int           // answers that are slow
	compared, disagreed, notCompared int
	cached                           int
}

func (s seen) tally() statistics.TallySnapshot {
	var t statistics.Tally
	for i := range s.ok {
		took := s.fast
		if i%100 < s.slowOf100 {
			took = s.slow
		}
		t.Request(scoring.Timing{}, took, nil)
	}
	for range s.failed {
		t.Request(scoring.Timing{}, 0, errSimulated)
	}
	for range s.cached {
		t.Request(scoring.Timing{Cached: true}, 0, nil)
	}
	for i := range s.compared {
		t.Compared(i < s.disagreed, i >= s.compared-s.notCompared, 0.5)
	}
	return t.Snapshot()
}

const ms = time.Millisecond

// usual is what a version does that nothing is wrong with.
func usual(requests int) seen {
	return seen{ok: requests - requests/100, failed: requests / 100, fast: 10 * ms, slow: 13 * ms, slowOf100: 2}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	with := func(s seen, change func(*seen)) seen { change(&s); return s }
	compared := func(requests int) seen {
		return with(usual(requests), func(s *seen) { s.compared, s.disagreed = requests/5, requests/250 })
	}
	tests := []struct {
		name                string
		rule                func(*catalog.Rollout)
		candidate, baseline seen
		after               time.Duration
		want                judge.Action
		reason              []string
	}{
		{
			name: "all is well", candidate: compared(1000), baseline: usual(3000), after: time.Minute, want: judge.Advance,
			reason: []string{"step 2 of 3 (25 %): 1000 requests, 1 % failed (baseline 1 % of 3000), p99 13.2 ms (baseline 13.2 ms, ratio 1.00 of at most 1.50), 2 % of 200 compared answers disagree: all limits are kept"},
		},
		{name: "no time yet", candidate: compared(1000), baseline: usual(3000), after: 10 * time.Second, want: judge.Wait, reason: []string{": waiting for 20s"}},
		{name: "exactly the time", candidate: compared(1000), baseline: usual(3000), after: 30 * time.Second, want: judge.Advance},
		{name: "nothing yet", after: time.Hour, want: judge.Wait, reason: []string{"step 2 of 3 (25 %): no requests, 0 % failed (baseline 0 % of 0), no answers compared: ", "waiting for 100 more requests, 20 more comparisons"}},
		{name: "one request too few", candidate: with(compared(100), func(s *seen) { s.ok-- }), baseline: usual(300), after: time.Hour, want: judge.Wait, reason: []string{": waiting for 1 more request"}},
		{name: "just enough", candidate: compared(100), baseline: usual(300), after: time.Hour, want: judge.Advance},
		{name: "answers from the cache are no samples", candidate: seen{ok: 20, fast: ms, cached: 500, compared: 20}, baseline: usual(300), after: time.Hour, want: judge.Wait, reason: []string{"20 requests and 500 from the cache", "waiting for 80 more requests"}},
		{name: "too few compared", candidate: with(compared(1000), func(s *seen) { s.compared, s.disagreed = 19, 0 }), baseline: usual(3000), after: time.Hour, want: judge.Wait, reason: []string{": waiting for 1 more comparison"}},
		{name: "nothing is compared", rule: func(r *catalog.Rollout) { r.Rule.Compare = 0 }, candidate: usual(1000), baseline: usual(3000), after: time.Hour, want: judge.Advance, reason: []string{"ratio 1.00 of at most 1.50): all"}},
		{name: "divergence does not matter", rule: func(r *catalog.Rollout) { r.Rule.MaxDivergence = 1 }, candidate: with(usual(1000), func(s *seen) { s.compared, s.disagreed = 100, 100 }), baseline: usual(3000), after: time.Hour, want: judge.Advance},

		{name: "all fail", candidate: seen{failed: 10}, baseline: usual(200), after: time.Second, want: judge.RollBack, reason: []string{"10 requests, 100 % failed", "with 99 % confidence at least"}},
		{name: "all fail, of a handful", candidate: seen{failed: 9}, baseline: usual(200), after: time.Second, want: judge.Wait, reason: []string{"which may be chance"}},
		{name: "both fail", candidate: seen{failed: 1000}, baseline: seen{failed: 3000}, after: time.Second, want: judge.Wait},
		{name: "the baseline fails", candidate: compared(1000), baseline: seen{failed: 3000}, after: time.Hour, want: judge.Advance, reason: []string{"not compared: the baseline had no answers"}},
		{name: "all fail, and of the baseline there is nothing yet", candidate: seen{failed: 50}, after: time.Second, want: judge.Wait},
		{name: "some fail, not clearly", candidate: with(compared(200), func(s *seen) { s.failed = 6 }), baseline: usual(600), after: time.Hour, want: judge.Wait, reason: []string{"1.9 % more of its requests fail than of the baseline's, where at most 1 % may, which may be chance"}},
		{name: "some fail, in doubt for long", candidate: with(compared(1000), func(s *seen) { s.failed = 24 }), baseline: usual(3000), after: time.Hour, want: judge.RollBack, reason: []string{"1.4 % more of its requests fail", "not clear after 1014 requests"}},
		{name: "some fail, and the step is young", candidate: with(compared(1000), func(s *seen) { s.failed = 24 }), baseline: usual(3000), after: time.Second, want: judge.Wait},
		{name: "some fail, clearly", candidate: with(compared(1000), func(s *seen) { s.failed = 60 }), baseline: usual(3000), after: time.Second, want: judge.RollBack},

		{name: "slow, clearly", candidate: with(usual(200), func(s *seen) { s.slow, s.slowOf100 = 40*ms, 10 }), baseline: usual(1000), after: time.Second, want: judge.RollBack, reason: []string{"ratio 3.07 of at most 1.50", "with 99 % confidence the p99 is at least 39.6 ms, where at most 21.3 ms are allowed"}},
		{name: "slow, in less than a hundred", candidate: with(usual(99), func(s *seen) { s.slow, s.slowOf100 = 40*ms, 50 }), baseline: usual(1000), after: time.Second, want: judge.Wait},
		{name: "slow once", candidate: with(compared(100), func(s *seen) { s.ok, s.failed, s.slow, s.slowOf100 = 100, 0, time.Second, 1 }), baseline: usual(1000), after: time.Hour, want: judge.Advance},
		{name: "slow, not clearly", candidate: with(compared(100), func(s *seen) { s.slow, s.slowOf100 = time.Second, 2 }), baseline: usual(1000), after: time.Hour, want: judge.Wait, reason: []string{"the p99 is 1020 ms, where at most 20.8 ms are allowed"}},
		{name: "slow, and the baseline's few say nothing", candidate: with(usual(200), func(s *seen) { s.slow, s.slowOf100 = 40*ms, 10 }), baseline: usual(200), after: time.Second, want: judge.Wait},
		{name: "slow does not matter", rule: func(r *catalog.Rollout) { r.Rule.MaxP99Ratio = 0 }, candidate: with(compared(1000), func(s *seen) { s.fast = time.Second }), baseline: usual(3000), after: time.Hour, want: judge.Advance},
		{
			name:      "slow by less than a millisecond",
			candidate: with(compared(1000), func(s *seen) { s.fast, s.slow = 900*time.Microsecond, 900*time.Microsecond }),
			baseline:  with(usual(3000), func(s *seen) { s.fast, s.slow = 200*time.Microsecond, 200*time.Microsecond }),
			after:     time.Hour, want: judge.Advance, reason: []string{"ratio 4.54"},
		},

		{name: "answers differ, clearly", candidate: with(usual(200), func(s *seen) { s.compared, s.disagreed = 40, 16 }), baseline: usual(600), after: time.Second, want: judge.RollBack, reason: []string{"40 % of 40 compared answers disagree", "of the answers disagree, where at most 10 % may"}},
		{name: "answers differ, of a handful", candidate: with(usual(200), func(s *seen) { s.compared, s.disagreed = 9, 9 }), baseline: usual(600), after: time.Second, want: judge.Wait},
		{name: "answers differ, not clearly", candidate: with(usual(200), func(s *seen) { s.compared, s.disagreed = 40, 5 }), baseline: usual(600), after: time.Hour, want: judge.Wait},
		{name: "answers differ, in doubt for long", candidate: with(usual(1000), func(s *seen) { s.compared, s.disagreed = 200, 24 }), baseline: usual(3000), after: time.Hour, want: judge.RollBack, reason: []string{"not clear after 200 comparisons"}},
		{name: "comparisons fail", candidate: with(usual(200), func(s *seen) { s.compared, s.notCompared = 40, 16 }), baseline: usual(600), after: time.Second, want: judge.RollBack, reason: []string{"40 % of 40 compared answers disagree (16 because the comparison failed)"}},

		{name: "a step of 100 %", rule: all, candidate: with(compared(1000), func(s *seen) { s.failed = 9 }), baseline: seen{ok: 3, fast: ms}, after: time.Hour, want: judge.Advance, reason: []string{"not compared: the baseline had 3 requests", "p99 13.2 ms (not compared: the baseline had 3 answers)"}},
		{name: "a step of 100 %, all fail", rule: all, candidate: seen{failed: 10}, after: time.Second, want: judge.RollBack, reason: []string{"at least", "of its requests fail, where at most 1 % may"}},
		{name: "a step of 100 %, too many fail", rule: all, candidate: with(compared(1000), func(s *seen) { s.failed = 20 }), after: time.Hour, want: judge.RollBack, reason: []string{"not clear after 1010 requests"}},
		{name: "the baseline gets nothing, as it turns out", candidate: seen{failed: 100}, after: time.Second, want: judge.RollBack, reason: []string{"not compared: the baseline had no requests"}},
		{name: "not running", rule: func(r *catalog.Rollout) { r.Status = catalog.Promoted }, candidate: seen{failed: 1000}, baseline: usual(3000), want: judge.Wait, reason: []string{"not running"}},
		{name: "no such step", rule: func(r *catalog.Rollout) { r.Step = 3 }, candidate: seen{failed: 1000}, baseline: usual(3000), want: judge.Wait},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := rollout()
			if test.rule != nil {
				test.rule(&r)
			}
			got := judge.Decide(r, judge.Totals{Candidate: test.candidate.tally(), Baseline: test.baseline.tally()}, noon.Add(test.after))
			if got.Action != test.want {
				t.Errorf("got %s, want %s: %s", got.Action, test.want, got.Reason)
			}
			for _, part := range test.reason {
				if !strings.Contains(got.Reason, part) {
					t.Errorf("the reason does not hold %q: %s", part, got.Reason)
				}
			}
		})
	}
}

// all has the candidate get all requests.
func all(r *catalog.Rollout) { r.Steps, r.Step = []int{50, 100}, 1 }

// anything is what a version may have done.
func anything(random *rand.Rand) statistics.TallySnapshot {
	requests := random.IntN(1 << random.IntN(12))
	failed := random.IntN(requests/(1+random.IntN(40)) + 1)
	compared := random.IntN(requests + 1)
	disagreed := random.IntN(compared/(1+random.IntN(20)) + 1)
	return seen{
		ok: requests - failed, failed: failed, fast: 10 * ms, slow: time.Duration(10+random.IntN(30)) * ms, slowOf100: random.IntN(10),
		compared: compared, disagreed: disagreed, notCompared: random.IntN(compared-disagreed+1) / 10,
	}.tally()
}

// TestDecideKeepsItsPromises: for whatever was seen.
func TestDecideKeepsItsPromises(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	actions := map[judge.Action]int{}
	for range 3000 {
		r := rollout()
		r.Steps[2] = 50 + 50*random.IntN(2)
		r.Step = random.IntN(3)
		r.Rule.MinSamples = 1 + random.IntN(300)
		r.Rule.MinCompared = 1 + random.IntN(50)
		totals := judge.Totals{Candidate: anything(random), Baseline: anything(random)}
		now := noon.Add(time.Duration(random.IntN(60)) * time.Second)
		got := judge.Decide(r, totals, now)
		actions[got.Action]++
		if again := judge.Decide(r, totals, now); again != got {
			t.Fatalf("got %v, and then %v", got, again)
		}
		if got.Action == judge.Advance && early(r, totals, now) {
			t.Errorf("advanced too early: %s", got.Reason)
		}
		if got.Action == judge.RollBack {
			stays(t, r, totals, now, got)
		}
	}
	for _, action := range []judge.Action{judge.Wait, judge.Advance, judge.RollBack} {
		if actions[action] < 20 {
			t.Errorf("%d times %s: the test tries too little", actions[action], action)
		}
	}
}

// early says whether a step cannot end yet.
func early(r catalog.Rollout, totals judge.Totals, now time.Time) bool {
	return totals.Candidate.Requests() < uint64(r.Rule.MinSamples) || totals.Candidate.Compared < uint64(r.Rule.MinCompared) ||
		now.Sub(noon) < time.Duration(r.Rule.StepTime)
}

// stays checks that a candidate that is to be rolled back would not advance if more of its
// requests had failed, or more of its answers differed.
func stays(t *testing.T, r catalog.Rollout, totals judge.Totals, now time.Time, was judge.Decision) {
	t.Helper()
	for _, more := range []uint64{1, 2, 10, 100, 10_000} {
		failing, differing := totals, totals
		failing.Candidate.Failed += more
		differing.Candidate.Disagreed += more
		differing.Candidate.Compared += more
		for _, worse := range []judge.Totals{failing, differing} {
			if got := judge.Decide(r, worse, now); got.Action == judge.Advance {
				t.Errorf("worse by %d, and no longer rolled back:\n%s\n%s", more, was.Reason, got.Reason)
			}
		}
	}
}

func TestReasonsAreOneLine(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		got := judge.Decide(rollout(), judge.Totals{Candidate: anything(random), Baseline: anything(random)}, noon.Add(time.Minute))
		for _, bad := range []string{"\n", "NaN", "Inf", "e+", "e-0", "%!", ": :", "  "} {
			if strings.Contains(got.Reason, bad) {
				t.Errorf("the reason holds %q: %s", bad, got.Reason)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, candidate := range map[string]seen{"good": usual(1000), "bad": {ok: 900, failed: 100, fast: time.Second}} {
		b.Run(name, func(b *testing.B) {
			totals := judge.Totals{Candidate: candidate.tally(), Baseline: usual(19_000).tally()}
			for b.Loop() {
				judge.Decide(rollout(), totals, noon)
			}
		})
	}
}

func ExampleDecide() {
	r := catalog.Rollout{Steps: []int{5, 25, 50}, Step: 1, Rule: catalog.Rule{}.WithDefaults(), Status: catalog.Running}
	var candidate, baseline statistics.Tally
	for i := range 1204 {
		var err error
		if i%400 == 7 {
			err = scoring.Errorf(scoring.Internal, "the model failed")
		}
		candidate.Request(scoring.Timing{}, 14*time.Millisecond, err)
		baseline.Request(scoring.Timing{}, 13*time.Millisecond, nil)
		if i%5 == 0 {
			candidate.Compared(i == 0, false, 0.01)
		}
	}
	decision := judge.Decide(r, judge.Totals{Candidate: candidate.Snapshot(), Baseline: baseline.Snapshot()}, time.Now())
	fmt.Println(decision.Action)
	fmt.Println(decision.Reason)
	// Output:
	// advance
	// step 2 of 3 (25 %): 1204 requests, 0.25 % failed (baseline 0 % of 1204), p99 13.9 ms (baseline 13.2 ms, ratio 1.05 of at most 1.50), 0.41 % of 241 compared answers disagree: all limits are kept
}
