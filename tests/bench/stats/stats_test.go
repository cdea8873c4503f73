package stats_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/onda-serving/onda/tests/bench/stats"
)

func TestQuantilesAreExactToHalfAPercent(t *testing.T) {
	t.Parallel()
	var h stats.Histogram
	var all []time.Duration
	// Values over nine orders of magnitude, in no order.
	for i := range 10_000 {
		d := time.Duration(math.Pow(1.0021, float64(i*7919%10_000)))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.0001, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1} {
		want := all[int(math.Ceil(q*float64(len(all))))-1]
		got := h.Quantile(q)
		if off := math.Abs(float64(got-want)) / float64(max(want, 1)); off > 0.005 {
			t.Errorf("quantile %v is %s, want %s: off by %.2f %%", q, got, want, 100*off)
		}
	}
	if got, want := h.Max(), all[len(all)-1]; got != want {
		t.Errorf("max is %s, want %s", got, want)
	}
}

func TestSmallAndExtremeDurations(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, 1, 127, 128, 255, 256, 257, time.Hour, math.MaxInt64} {
		var h stats.Histogram
		h.Add(d)
		if got := h.Quantile(0.5); math.Abs(float64(got-d)) > 0.005*float64(d) {
			t.Errorf("the median of %d alone is %d", d, got)
		}
		if h.Quantile(1) > h.Max() {
			t.Errorf("quantile 1 of %d exceeds the maximum", d)
		}
	}
	var h stats.Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Error("an empty histogram must give zeros")
	}
	h.Add(-time.Second)
	if h.Count() != 1 || h.Max() != 0 {
		t.Error("a negative duration must count as 0")
	}
}

func TestMergeIsTheSameAsAddingAll(t *testing.T) {
	t.Parallel()
	var a, b, both stats.Histogram
	for i := range 1000 {
		d := time.Duration(i * i)
		both.Add(d)
		if i%3 == 0 {
			a.Add(d)
		} else {
			b.Add(d)
		}
	}
	a.Merge(&b)
	if a != both {
		t.Error("merged histograms differ from one of all")
	}
	if got, want := both.Mean(), time.Duration(332833); got != want { // the mean of i*i, i < 1000
		t.Errorf("mean is %d, want %d", got, want)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	s := stats.NewSpread(3, 1, 2, 10)
	if s.Median != 2.5 || s.Min != 1 || s.Max != 10 {
		t.Errorf("spread is %+v", s)
	}
	if !slices.Equal(s.Samples, []float64{3, 1, 2, 10}) {
		t.Errorf("the order of rounds is lost: %v", s.Samples)
	}
	if got := stats.NewSpread(); got.Median != 0 || got.Samples != nil {
		t.Errorf("no samples make %+v", got)
	}
}

func TestRatioPairsRounds(t *testing.T) {
	t.Parallel()
	// The second round was disturbed for both: the ratio does not show it.
	a, b := stats.NewSpread(10, 5, 10), stats.NewSpread(20, 10, 20)
	if r := stats.Ratio(a, b); r.Median != 0.5 || r.Min != 0.5 || r.Max != 0.5 {
		t.Errorf("ratio is %+v", r)
	}
	if r := stats.Ratio(a, stats.NewSpread(0, 10)); len(r.Samples) != 1 || r.Median != 0.5 {
		t.Errorf("a zero and a missing round must be left out: %+v", r)
	}
	if d := stats.Difference(b, a); d.Median != 10 || d.Min != 5 {
		t.Errorf("difference is %+v", d)
	}
}

func TestGoodputCountsAnswersWithinTheBudgetOnly(t *testing.T) {
	t.Parallel()
	tally := stats.Tally{Budget: 100 * time.Millisecond}
	tally.Add(stats.OK, 100*time.Millisecond)
	tally.Add(stats.OK, 101*time.Millisecond)
	tally.Add(stats.Refused, time.Millisecond)
	tally.Add(stats.Failed, time.Millisecond)
	if tally.Good != 1 {
		t.Errorf("good is %d, want 1", tally.Good)
	}
	if got := tally.Latency[stats.OK].Count(); got != 2 {
		t.Errorf("%d answers, want 2", got)
	}
	var all stats.Tally
	all.Add(stats.OK, time.Hour)
	all.Merge(&tally)
	if all.Good != 2 || all.Latency[stats.Refused].Count() != 1 {
		t.Errorf("merged: %d good, %d refused", all.Good, all.Latency[stats.Refused].Count())
	}
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]stats.Outcome{
		200: stats.OK, 204: stats.OK, 400: stats.Failed, 404: stats.Failed, 408: stats.Expired,
		429: stats.Refused, 500: stats.Failed, 503: stats.Refused, 504: stats.Expired,
	} {
		if got := stats.OutcomeOf(status); got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
}

func TestBest(t *testing.T) {
	t.Parallel()
	if best, ok := stats.Best([]int{3, 9, 4}, func(i int) int { return i }); !ok || best != 9 {
		t.Errorf("best is %d, %v", best, ok)
	}
	if _, ok := stats.Best(nil, func(i int) int { return i }); ok {
		t.Error("nothing has a best")
	}
}
