package compare_test

import (
	"testing"

	"github.com/onda-serving/onda/app/compare"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	var s compare.Summary
	add := func(n int, d compare.Difference) {
		for range n {
			s.Add(d)
		}
	}
	steps := []struct {
		do   func()
		want string
	}{
		{func() {}, "no answers were compared"},
		{func() { s.Fail() }, "no answers were compared; 1 more could not be compared, as only one of the versions answered"},
		{func() { s = compare.Summary{}; add(117, compare.Difference{Max: 0.001}) }, "all of 117 answers agree, and the largest difference is 0.001"},
		{func() {
			add(2, compare.Difference{Disagrees: true, Max: 0.03125})
			add(1, compare.Difference{Disagrees: true})
		}, "3 of 120 answers disagree (2.5%), and the largest difference is 0.0312"},
		{func() { s.Fail(); s.Fail() }, "3 of 120 answers disagree (2.5%), and the largest difference is 0.0312; 2 more could not be compared, as only one of the versions answered"},
	}
	for _, step := range steps {
		step.do()
		if got := s.String(); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
	if want := (compare.Summary{Compared: 120, Disagreed: 3, Failed: 2, MaxDifference: 0.03125}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}
