package compare_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/onda-serving/onda/app/compare"
	"github.com/onda-serving/onda/app/scoring"
)

// classes is a prediction with pairs of an index and a score.
func classes(pairs ...float64) scoring.Prediction {
	p := scoring.Classes{}
	for i := 0; i < len(pairs); i += 2 {
		p.Classes = append(p.Classes, scoring.Class{Index: int(pairs[i]), Score: float32(pairs[i+1])})
	}
	return p
}

// matches is the same prediction with ids.
func matches(pairs ...float64) scoring.Prediction {
	p := scoring.Matches{}
	for i := 0; i < len(pairs); i += 2 {
		p.Matches = append(p.Matches, scoring.Match{ID: strconv.Itoa(int(pairs[i])), Score: float32(pairs[i+1])})
	}
	return p
}

func one(p scoring.Prediction) []scoring.Prediction { return []scoring.Prediction{p} }

// check compares both ways: the difference of two answers has no direction.
func check[T any](t *testing.T, compare func(a, b T) compare.Difference, a, b T, want compare.Difference) {
	t.Helper()
	for _, got := range []struct {
		name string
		d    any
		is   bool
	}{
		{"a with b", compare(a, b), same(compare(a, b), want)},
		{"b with a", compare(b, a), same(compare(b, a), want)},
	} {
		if !got.is {
			t.Errorf("%s: got %+v, want %+v", got.name, got.d, want)
		}
	}
}

// same allows for what float32 makes of the tests' numbers.
func same(got, want compare.Difference) bool {
	return got.Disagrees == want.Disagrees && math.Abs(got.Max-want.Max) < 1e-7
}

func TestPredictions(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	tests := []struct {
		name string
		a, b []float64
		want compare.Difference
	}{
		{"the same", []float64{3, 0.5, 1, 0.25}, []float64{3, 0.5, 1, 0.25}, compare.Difference{}},
		{"other scores", []float64{3, 0.5, 1, 0.25}, []float64{3, 0.75, 1, 0.125}, compare.Difference{Max: 0.25}},
		{"another best", []float64{3, 0.5, 1, 0.25}, []float64{1, 0.5, 3, 0.25}, compare.Difference{Disagrees: true, Max: 0.25}},
		{"a tie for the best", []float64{3, 0.5, 1, 0.5}, []float64{1, 0.5, 3, 0.5}, compare.Difference{}},
		{"a tie in one of them", []float64{3, 0.5, 1, 0.5}, []float64{1, 0.75, 3, 0.25}, compare.Difference{Max: 0.25}},
		{"nearly a tie", []float64{3, 0.5, 1, 0.49999}, []float64{1, 0.5, 3, 0.49999}, compare.Difference{Disagrees: true, Max: 0.00001}},
		{"the rest in another order", []float64{3, 0.5, 1, 0.25, 2, 0.25}, []float64{3, 0.5, 2, 0.25, 1, 0.25}, compare.Difference{}},
		{"cut off below the lowest", []float64{3, 0.5, 1, 0.25, 2, 0.125}, []float64{3, 0.5, 1, 0.25}, compare.Difference{}},
		{"cut off at the lowest", []float64{3, 0.5, 1, 0.25}, []float64{3, 0.5, 2, 0.25}, compare.Difference{}},
		{"cut off above the lowest", []float64{3, 0.5, 1, 0.375}, []float64{3, 0.5, 2, 0.25}, compare.Difference{Max: 0.125}},
		{"one entry each, and another", []float64{3, 0.5}, []float64{1, 0.5}, compare.Difference{Disagrees: true}},
		{"no entries", nil, nil, compare.Difference{}},
		{"no entries in one", nil, []float64{1, 0.5}, compare.Difference{Disagrees: true, Max: 0.5}},
		{"both NaN", []float64{3, 0.5, 1, nan}, []float64{3, 0.5, 1, nan}, compare.Difference{}},
		{"both infinite", []float64{3, inf}, []float64{3, inf}, compare.Difference{}},
		{"NaN in one", []float64{3, 0.5, 1, nan}, []float64{3, 0.5, 1, 0.25}, compare.Difference{Disagrees: true}},
		{"infinite in one", []float64{3, inf}, []float64{3, 0.5}, compare.Difference{Disagrees: true}},
		{"infinite the other way", []float64{3, 0.5, 1, inf}, []float64{3, 0.5, 1, -inf}, compare.Difference{Disagrees: true}},
		{"NaN that the other does not have", []float64{3, 0.5, 1, nan}, []float64{3, 0.5, 2, 0.25}, compare.Difference{Disagrees: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, compare.Predictions, one(classes(tt.a...)), one(classes(tt.b...)), tt.want)
			check(t, compare.Predictions, one(matches(tt.a...)), one(matches(tt.b...)), tt.want)
		})
	}
}

func TestPredictionsOfSeveralInstances(t *testing.T) {
	t.Parallel()
	a := []scoring.Prediction{classes(1, 0.5), classes(2, 0.5), classes(3, 0.5)}
	check(t, compare.Predictions, a, a, compare.Difference{})
	check(t, compare.Predictions, a, []scoring.Prediction{classes(1, 0.75), classes(2, 0.5), classes(3, 0.625)}, compare.Difference{Max: 0.25})
	check(t, compare.Predictions, a, []scoring.Prediction{classes(1, 0.5), classes(7, 0.5), classes(3, 0.5)}, compare.Difference{Disagrees: true})
	check(t, compare.Predictions, a, a[:2], compare.Difference{Disagrees: true})
	check(t, compare.Predictions, a, nil, compare.Difference{Disagrees: true})
	check(t, compare.Predictions, one(classes(1, 0.5)), one(matches(1, 0.5)), compare.Difference{Disagrees: true})
	check(t, compare.Predictions, nil, nil, compare.Difference{})
}

// drawn is a prediction of up to eight of sixteen classes, best first.
func drawn(random *rand.Rand) []scoring.Prediction {
	score, pairs := 1.0, []float64{}
	for _, index := range random.Perm(16)[:random.IntN(9)] {
		pairs = append(pairs, float64(index), score)
		score *= []float64{1, 1 - 1e-7, random.Float64()}[random.IntN(3)]
	}
	return one(classes(pairs...))
}

func TestPredictionsHaveNoDirection(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	disagreed := 0
	for range 2000 {
		a, b := drawn(random), drawn(random)
		ab, ba := compare.Predictions(a, b), compare.Predictions(b, a)
		if ab != ba {
			t.Fatalf("%v and %v: got %+v one way and %+v the other", a, b, ab, ba)
		}
		if self := compare.Predictions(a, a); self != (compare.Difference{}) {
			t.Fatalf("%v and itself: got %+v", a, self)
		}
		if ab.Disagrees {
			disagreed++
		}
	}
	if disagreed < 500 || disagreed > 1999 {
		t.Errorf("%d of 2000 drawn pairs disagree: the test draws too little", disagreed)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	a, b := drawn(random), drawn(random)
	x, y := tensor(scoring.FP32, []int64{100, 10}, numbers(random, 1000)...), tensor(scoring.FP32, []int64{100, 10}, numbers(random, 1000)...)
	if n := testing.AllocsPerRun(10, func() { compare.Predictions(a, b) }); n != 0 {
		t.Errorf("predictions: %v allocations, want none", n)
	}
	if n := testing.AllocsPerRun(10, func() { compare.Tensors(x, y) }); n != 0 {
		t.Errorf("tensors: %v allocations, want none", n)
	}
}
