package statistics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/statistics"
)

// tally counts answers that took so long.
func tally(latencies ...time.Duration) *statistics.Tally {
	t := &statistics.Tally{}
	for _, d := range latencies {
		t.Request(scoring.Timing{}, d, nil)
	}
	return t
}

func TestWhatCountsAgainstAVersion(t *testing.T) {
	t.Parallel()
	innocent := []scoring.Code{scoring.Canceled, scoring.Unauthenticated, scoring.Denied}
	for _, code := range scoring.Codes() {
		var counted statistics.Tally
		counted.Request(scoring.Timing{}, time.Second, fmt.Errorf("score: %w", scoring.Errorf(code, "no")))
		want := uint64(1)
		if slices.Contains(innocent, code) {
			want = 0
		}
		if got := counted.Snapshot(); got.Failed != want || got.OK != 0 {
			t.Errorf("%s: got %d failed and %d answered, want %d and 0", code, got.Failed, got.OK, want)
		}
	}
}

func TestErrorsThatAreNotOfTheVocabulary(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want uint64
	}{
		{"any", errors.New("disk full"), 1},
		{"deadline", context.DeadlineExceeded, 1},
		{"the caller left", fmt.Errorf("run: %w", context.Canceled), 0},
	}
	for _, test := range tests {
		var counted statistics.Tally
		counted.Request(scoring.Timing{}, time.Second, test.err)
		if got := counted.Snapshot(); got.Failed != test.want || got.Requests() != test.want {
			t.Errorf("%s: got %d failed of %d, want %d", test.name, got.Failed, got.Requests(), test.want)
		}
	}
}

func TestRecorderCountsIntoItsTally(t *testing.T) {
	t.Parallel()
	var r statistics.Recorder
	r.Request(3, scoring.Timing{}, 20*time.Millisecond, nil)
	r.Request(1, scoring.Timing{Cached: true}, time.Microsecond, nil)
	r.Request(1, scoring.Timing{}, time.Second, scoring.Errorf(scoring.Overloaded, "full"))
	r.Compared(true, false, 0.25)
	got := r.Tally.Snapshot()
	if got.OK != 1 || got.Cached != 1 || got.Failed != 1 || got.Requests() != 2 {
		t.Errorf("got %+v, want one of each", got)
	}
	if p50 := got.Quantile(0.5); p50 < 19500*time.Microsecond || p50 > 20500*time.Microsecond {
		t.Errorf("the median is %s, want 20ms: what the cache answered is no latency of the version", p50)
	}
	if got.Compared != 1 || got.Disagreed != 1 || got.MaxDifference != 0.25 {
		t.Errorf("got %+v, want one comparison that disagrees by 0.25", got)
	}
	if s := r.Snapshot(); s.Success.Count != 2 || s.CacheHit.Count != 1 || s.Fail.Count != 1 {
		t.Errorf("the protocol's counters are %+v, want 2 successes, 1 of them cached, and 1 failure", s)
	}
}

func TestCompared(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		disagrees bool
		failed    bool
		largest   float64
		want      statistics.TallySnapshot
	}{
		{"agrees", false, false, 1e-7, statistics.TallySnapshot{Compared: 1, MaxDifference: 1e-7}},
		{"disagrees", true, false, 0.5, statistics.TallySnapshot{Compared: 1, Disagreed: 1, MaxDifference: 0.5}},
		{"failed", false, true, 0, statistics.TallySnapshot{Compared: 1, NotCompared: 1}},
		{"failed is no disagreement as well", true, true, 7, statistics.TallySnapshot{Compared: 1, NotCompared: 1}},
		{"not a number", true, false, math.NaN(), statistics.TallySnapshot{Compared: 1, Disagreed: 1, MaxDifference: math.MaxFloat64}},
		{"infinite", true, false, math.Inf(1), statistics.TallySnapshot{Compared: 1, Disagreed: 1, MaxDifference: math.MaxFloat64}},
		{"negative", false, false, -1, statistics.TallySnapshot{Compared: 1}},
	}
	for _, test := range tests {
		var counted statistics.Tally
		counted.Compared(test.disagrees, test.failed, test.largest)
		got := counted.Snapshot()
		if !got.Equal(test.want) || !got.Check() {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestTheLargestDifferenceStays(t *testing.T) {
	t.Parallel()
	var counted statistics.Tally
	for _, d := range []float64{0.1, 0.3, 0.2} {
		counted.Compared(false, false, d)
	}
	if got := counted.Snapshot().MaxDifference; got != 0.3 {
		t.Errorf("got %g, want 0.3", got)
	}
}

func TestQuantileIsRightWithinTwoAndAHalfPercent(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, middle := range []time.Duration{3 * time.Microsecond, 200 * time.Microsecond, 12 * time.Millisecond, 2 * time.Second} {
		var all []time.Duration
		for range 5000 {
			all = append(all, max(time.Microsecond, time.Duration(float64(middle)*math.Exp(0.5*random.NormFloat64()))))
		}
		s := tally(all...).Snapshot()
		slices.Sort(all)
		for _, q := range []float64{0.0001, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[int(math.Ceil(q*float64(len(all))))-1]
			// Durations are whole nanoseconds.
			if got := s.Quantile(q); math.Abs(float64(got-want)) > 0.025*float64(want)+1 {
				t.Errorf("quantile %g about %s: got %s, want %s", q, middle, got, want)
			}
		}
	}
}

func TestQuantileOfLittle(t *testing.T) {
	t.Parallel()
	about := func(got, want time.Duration) bool { return math.Abs(float64(got-want)) <= 0.025*float64(want) }
	tests := []struct {
		name string
		of   *statistics.Tally
		q    float64
		want time.Duration
	}{
		{"none", tally(), 0.99, 0},
		{"one", tally(time.Millisecond), 0.99, time.Millisecond},
		{"one, the smallest", tally(time.Millisecond), 0, time.Millisecond},
		{"two, p99 is the larger", tally(time.Millisecond, time.Second), 0.99, time.Second},
		{"two, the median is the smaller", tally(time.Millisecond, time.Second), 0.5, time.Millisecond},
		{"out of range", tally(time.Millisecond, time.Second), 7, time.Second},
		{"below all buckets", tally(-time.Second, 0), 0.99, time.Microsecond},
		{"above all buckets", tally(time.Hour), 0.99, 100 * time.Second},
	}
	for _, test := range tests {
		if got := test.of.Snapshot().Quantile(test.q); !about(got, test.want) {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestLargest(t *testing.T) {
	t.Parallel()
	s := tally(time.Millisecond, time.Second, 2*time.Second, 2*time.Second).Snapshot()
	tests := []struct {
		k    uint64
		want time.Duration
	}{{1, 2 * time.Second}, {2, 2 * time.Second}, {3, time.Second}, {4, time.Millisecond}, {5, 0}, {0, 0}}
	for _, test := range tests {
		low, high := s.Largest(test.k)
		if low > test.want || high < test.want || high > low*106/100 {
			t.Errorf("the %d-th largest is between %s and %s, want %s between them", test.k, low, high, test.want)
		}
	}
}

func TestSubAndAdd(t *testing.T) {
	t.Parallel()
	counted := tally(time.Millisecond, time.Millisecond, time.Second)
	counted.Compared(true, false, 0.5)
	earlier := counted.Snapshot()
	if got := earlier.Sub(earlier); !got.Equal(statistics.TallySnapshot{}) || len(got.Latency) != 0 {
		t.Errorf("nothing happened, and that counts as %+v", got)
	}
	counted.Request(scoring.Timing{}, time.Second, nil)
	counted.Request(scoring.Timing{Cached: true}, time.Second, nil)
	counted.Request(scoring.Timing{}, time.Second, scoring.Errorf(scoring.Internal, "no"))
	counted.Compared(false, true, 0)
	later := counted.Snapshot()
	since := later.Sub(earlier)
	if since.OK != 1 || since.Failed != 1 || since.Cached != 1 || since.Compared != 1 || since.Disagreed != 0 || since.NotCompared != 1 {
		t.Errorf("got %+v, want one of each", since)
	}
	if len(since.Latency) != 1 || !since.Check() {
		t.Errorf("got %+v, want one latency", since)
	}
	if got := earlier.Add(since); !got.Equal(later) {
		t.Errorf("got %+v, want %+v", got, later)
	}
	if got := earlier.Sub(later); got.Requests() != 0 || got.Compared != 0 {
		t.Errorf("got %+v: a counter went below zero", got)
	}
	if earlier.OK != 3 || len(earlier.Latency) != 2 {
		t.Errorf("the earlier snapshot is now %+v", earlier)
	}
}

func TestSnapshotAsJSON(t *testing.T) {
	t.Parallel()
	counted := tally(time.Microsecond, 10*time.Millisecond, 10*time.Millisecond)
	counted.Compared(true, false, 0.5)
	text, err := json.Marshal(counted.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ok":3,"compared":1,"disagreed":1,"max_difference":0.5,"latency":{"0":1,"188":2}}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	var back statistics.TallySnapshot
	if err := json.Unmarshal(text, &back); err != nil || !back.Equal(counted.Snapshot()) {
		t.Errorf("it came back as %+v, %v", back, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want bool
	}{
		{`{}`, true},
		{`{"ok":2,"latency":{"3":2}}`, true},
		{`{"ok":2,"latency":{"3":1}}`, false},
		{`{"ok":1,"latency":{"-1":1}}`, false},
		{`{"ok":1,"latency":{"378":1}}`, false},
		{`{"ok":0,"latency":{"1":9223372036854775808,"2":9223372036854775808}}`, false},
		{`{"failed":18446744073709551615}`, false},
		{`{"compared":1,"disagreed":1}`, true},
		{`{"compared":1,"disagreed":1,"not_compared":1}`, false},
		{`{"compared":1,"disagreed":2}`, false},
		{`{"compared":1,"max_difference":-1}`, false},
	}
	for _, test := range tests {
		var s statistics.TallySnapshot
		if err := json.Unmarshal([]byte(test.text), &s); err != nil {
			t.Fatal(err)
		}
		if got := s.Check(); got != test.want {
			t.Errorf("%s: got %t, want %t", test.text, got, test.want)
		}
	}
}

func TestTallyCountsAllOfMany(t *testing.T) {
	t.Parallel()
	var counted statistics.Tally
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 1000 {
				counted.Request(scoring.Timing{}, time.Duration(i)*time.Millisecond, nil)
				counted.Compared(i%10 == 0, i%10 == 1, float64(worker*1000+i))
				if s := counted.Snapshot(); i%100 == 0 && !s.Check() {
					t.Errorf("a snapshot in between is %+v", s)
				}
			}
		})
	}
	all.Wait()
	s := counted.Snapshot()
	if s.OK != 8000 || s.Compared != 8000 || s.Disagreed != 800 || s.NotCompared != 800 || s.MaxDifference != 7999 {
		t.Errorf("got %+v, want 8000 answers and comparisons, 800 of each kind, and 7999", s)
	}
}

func TestCountingTakesNoMemory(t *testing.T) {
	var counted statistics.Tally
	full := error(scoring.Errorf(scoring.Overloaded, "full"))
	if got := testing.AllocsPerRun(100, func() {
		counted.Request(scoring.Timing{}, 5*time.Millisecond, nil)
		counted.Request(scoring.Timing{}, 0, full)
		counted.Compared(false, false, 1e-6)
	}); got != 0 {
		t.Errorf("got %g allocations, want none", got)
	}
}

// BenchmarkTally is what counting adds to a request.
func BenchmarkTally(b *testing.B) {
	b.Run("ok", func(b *testing.B) {
		var counted statistics.Tally
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			counted.Request(scoring.Timing{}, time.Duration(i%1000)*50*time.Microsecond, nil)
		}
	})
	b.Run("ok-parallel", func(b *testing.B) {
		var counted statistics.Tally
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				counted.Request(scoring.Timing{}, time.Duration(i%1000)*50*time.Microsecond, nil)
			}
		})
	})
	b.Run("failed", func(b *testing.B) {
		var counted statistics.Tally
		err := error(scoring.Errorf(scoring.Overloaded, "full"))
		b.ReportAllocs()
		for b.Loop() {
			counted.Request(scoring.Timing{}, time.Millisecond, err)
		}
	})
	b.Run("compared", func(b *testing.B) {
		var counted statistics.Tally
		b.ReportAllocs()
		for b.Loop() {
			counted.Compared(false, false, 1e-6)
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		counted := tally(time.Millisecond, 2*time.Millisecond, 3*time.Millisecond)
		b.ReportAllocs()
		for b.Loop() {
			counted.Snapshot()
		}
	})
}
