package pipeline

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// Partial selection gives what a full, stable sort gives, ties included.
func TestTopKAgreesWithASort(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		scores := make([]float32, rng.IntN(60))
		for i := range scores {
			scores[i] = float32(rng.IntN(20)) / 8 // few values, so that many are equal
		}
		k := rng.IntN(70)
		all := make([]scored, len(scores))
		for i, s := range scores {
			all[i] = scored{i, s}
		}
		slices.SortStableFunc(all, func(a, b scored) int {
			switch {
			case a.score > b.score:
				return -1
			case a.score < b.score:
				return 1
			}
			return 0
		})
		if got, want := topK(scores, k), all[:min(k, len(all))]; !slices.Equal(got, want) {
			t.Fatalf("top %d of %v: got %v, want %v", k, scores, got, want)
		}
	}
}

func TestImagePostprocess(t *testing.T) {
	t.Parallel()
	p := newImage(t, imageSpec(4), Limits{})
	got, err := p.Postprocess([]scoring.Tensor{
		tensor("other", []int64{1}, 1),
		tensor("out", []int64{2, 3}, 0.1, 0.7, 0.2, 0.5, 0, 0.5),
	}, 2, scoring.Parameters{TopK: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := "[{[{1 goldfish 0.7} {2 great white shark 0.2}]} {[{0 tench 0.5} {2 great white shark 0.5}]}]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestTextPostprocess(t *testing.T) {
	t.Parallel()
	p := newText(t, textSpec(), Limits{})
	got, err := p.Postprocess([]scoring.Tensor{tensor("out", []int64{1, 2}, 0.25, 0.75)}, 1, scoring.Parameters{})
	if want := "[{[{b When? Now. 0.75} {a How? So. 0.25}]}]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
	if p.Kind() != scoring.Text || p.MaxRows() != 0 || fmt.Sprint(p.Outputs()) != "[out]" {
		t.Error("got", p.Kind(), p.MaxRows(), p.Outputs())
	}
	_, err = p.Postprocess(nil, 1, scoring.Parameters{})
	refused(t, err, scoring.Internal, `the model gave no output "out"`)
}

func TestHowManyClasses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ manifest, asked, want int }{{0, 0, 3}, {2, 0, 2}, {2, 1, 1}, {1, 99, 3}} {
		spec := imageSpec(4)
		spec.TopK = tt.manifest
		got, err := newImage(t, spec, Limits{}).Postprocess(
			[]scoring.Tensor{tensor("out", []int64{1, 3}, 1, 2, 3)}, 1, scoring.Parameters{TopK: tt.asked})
		if err != nil || len(got[0].(scoring.Classes).Classes) != tt.want {
			t.Errorf("%+v: got %v, %v", tt, got, err)
		}
	}
}

func TestPostprocessRefuses(t *testing.T) {
	t.Parallel()
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	wrong := tensor("out", []int64{1, 3}, 1, 2)
	ints := tensor("out", []int64{1, 3}, 1, 2, 3)
	ints.Datatype = scoring.Int32
	tests := []struct {
		name   string
		output scoring.Tensor
		topK   int
		code   scoring.Code
		want   string
	}{
		{"top_k", tensor("out", []int64{1, 3}, 1, 2, 3), -1, scoring.Invalid, "parameters.top_k is -1: use 1 or more"},
		{"name", tensor("x", []int64{1, 3}, 1, 2, 3), 0, scoring.Internal, `the model gave no output "out"`},
		{"rows", tensor("out", []int64{2, 3}, 1, 2, 3, 4, 5, 6), 0, scoring.Internal, `model output "out" has the shape [2 3], not [1, 3]`},
		{"classes", tensor("out", []int64{1, 2}, 1, 2), 0, scoring.Internal, `model output "out" has the shape [1 2], not [1, 3]`},
		{"axes", tensor("out", []int64{1}, 1), 0, scoring.Internal, `model output "out" has the shape [1], not [1, 3]`},
		{"open axis", tensor("out", []int64{1, -1}), 0, scoring.Internal, `model output "out" has the shape [1 -1], not [1, 3]`},
		{"bytes", wrong, 0, scoring.Internal, `model output "out" has 8 bytes for the shape [1 3]`},
		{"datatype", ints, 0, scoring.Internal, `model output "out" is INT32, not FP32 or FP16`},
		{"NaN", tensor("out", []int64{1, 3}, 1, nan, 3), 0, scoring.Internal, `model output "out" holds NaN or an infinity in row 0`},
		{"infinity", tensor("out", []int64{1, 3}, 1, 2, inf), 0, scoring.Internal, `model output "out" holds NaN or an infinity in row 0`},
	}
	p := newImage(t, imageSpec(4), Limits{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := p.Postprocess([]scoring.Tensor{tt.output}, 1, scoring.Parameters{TopK: tt.topK})
			refused(t, err, tt.code, tt.want)
		})
	}
}

func TestHalfOutputWithExtraAxes(t *testing.T) {
	t.Parallel()
	data := make([]byte, 0, 6)
	for _, v := range []float32{0.25, 0.5, 0.125} {
		data = binary.LittleEndian.AppendUint16(data, scoring.ToFloat16(v))
	}
	output := scoring.Tensor{Name: "out", Datatype: scoring.FP16, Shape: []int64{1, 3, 1, 1}, Data: data}
	got, err := newImage(t, imageSpec(4), Limits{}).Postprocess([]scoring.Tensor{output}, 1, scoring.Parameters{TopK: 1})
	if err != nil || fmt.Sprint(got) != "[{[{1 goldfish 0.5}]}]" {
		t.Error("got", got, err)
	}
}

func TestSoftmax(t *testing.T) {
	t.Parallel()
	for _, logits := range [][]float32{{1, 2, 3}, {1001, 1002, 1003}, {-3e38, -3e38, 3e38}, {0, 0, 0}} {
		row := slices.Clone(logits)
		softmax(row)
		sum := float64(row[0]) + float64(row[1]) + float64(row[2])
		if !(math.Abs(sum-1) < 1e-6) || row[2] < row[0] {
			t.Errorf("softmax(%v): got %v", logits, row)
		}
	}
	spec := imageSpec(4)
	spec.Activation = "softmax"
	got, err := newImage(t, spec, Limits{}).Postprocess([]scoring.Tensor{tensor("out", []int64{1, 3}, 0, 0, 0)}, 1, scoring.Parameters{TopK: 1})
	if err != nil || fmt.Sprint(got) != "[{[{0 tench 0.33333334}]}]" {
		t.Error("got", got, err)
	}
}

func TestFitsClasses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		axes    []int64
		classes int64
		want    bool
	}{
		{[]int64{5}, 5, true},
		{[]int64{5, 1, 1}, 5, true},
		{[]int64{1, 1, 5}, 5, true},
		{[]int64{-1}, 5, true},
		{[]int64{1}, 1, true},
		{[]int64{1, 1}, 1, true},
		{[]int64{1}, 5, false},
		{[]int64{6}, 5, false},
		{[]int64{5, 5}, 5, false},
		{[]int64{0}, 5, false},
		{nil, 5, false},
	}
	for _, tt := range tests {
		if got := fitsClasses(tt.axes, tt.classes); got != tt.want {
			t.Errorf("%v, %d: got %v", tt.axes, tt.classes, got)
		}
	}
}

// Every half converts to float32 and back, and between two neighbours the nearer one is
// taken, the even one in the middle.
func TestHalf(t *testing.T) {
	t.Parallel()
	for h := range uint16(0x7c00) {
		low := scoring.Float16(h)
		if got := scoring.ToFloat16(low); got != h || scoring.ToFloat16(-low) != h|0x8000 {
			t.Fatalf("%#x: got %#x", h, got)
		}
		high := float64(scoring.Float16(h + 1))
		if h == 0x7bff {
			high = 65536 // the next step, were there no infinity
		}
		middle := float32((float64(low) + high) / 2) // exact: 11 bits of fraction
		even := h + h&1
		below, above := math.Nextafter32(middle, 0), math.Nextafter32(middle, math.MaxFloat32)
		if scoring.ToFloat16(below) != h || scoring.ToFloat16(middle) != even || scoring.ToFloat16(above) != h+1 {
			t.Fatalf("%#x: around %v got %#x %#x %#x", h, middle, scoring.ToFloat16(below), scoring.ToFloat16(middle), scoring.ToFloat16(above))
		}
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	if scoring.ToFloat16(inf) != 0x7c00 || scoring.ToFloat16(-inf) != 0xfc00 || scoring.Float16(0x7c00) != inf || scoring.Float16(0xfc00) != -inf {
		t.Error("infinities")
	}
	if n := scoring.Float16(scoring.ToFloat16(nan)); n == n || scoring.ToFloat16(math.MaxFloat32) != 0x7c00 {
		t.Error("NaN or overflow")
	}
}
