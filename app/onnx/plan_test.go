package onnx

import (
	"slices"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// reshape gives INPUT in the shape that the values of "to" say: outputs whose shape
// inputs of one shape do not tell.
func reshape() onnxtest.Graph {
	return oneNode("Reshape", []scoring.TensorSpec{spec("INPUT", scoring.FP32, -1), spec("to", scoring.Int64, 2)}, spec("OUTPUT", scoring.FP32, -1, -1))
}

// TestPlans runs models often enough for a plan, and looks whether one was made.
func TestPlans(t *testing.T) {
	t.Parallel()
	number := func(name string, v float32) []scoring.Tensor {
		return []scoring.Tensor{onnxtest.Tensor(name, []int64{1}, v)}
	}
	random := oneNode("RandomUniformLike", []scoring.TensorSpec{spec("INPUT", scoring.FP32, -1)}, spec("OUTPUT", scoring.FP32, -1))
	// The constant is an output by itself: no operator writes it.
	constant := oneNode("Identity", []scoring.TensorSpec{spec("INPUT", scoring.FP32, -1)}, spec("OUTPUT", scoring.FP32, -1))
	constant.Weights = []scoring.Tensor{onnxtest.Tensor("seven", []int64{1}, float32(7))}
	constant.Outputs = append(constant.Outputs, spec("seven", scoring.FP32, 1))
	// The library hands the input's own memory on, and leaves the output's as it was.
	through := oneNode("Identity", []scoring.TensorSpec{spec("INPUT", scoring.FP32, -1)}, spec("OUTPUT", scoring.FP32, -1))
	through.Outputs = append(through.Outputs, spec("INPUT", scoring.FP32, -1))
	tests := []struct {
		name  string
		model []byte
		in    []scoring.Tensor
		want  int32
	}{
		{"two outputs", onnxtest.AddSub(), addSubInputs(2), proven},
		{"a large output", onnxtest.Identity(scoring.FP32, []int64{-1}), []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{leastBuffer}, make([]float32, leastBuffer)...)}, proven},
		{"a constant among the outputs", constant.Model(), number("INPUT", 3), proven},
		{"an input among the outputs", through.Model(), number("INPUT", 3), refuted},
		{"no element", onnxtest.Identity(scoring.FP32, []int64{-1}), []scoring.Tensor{onnxtest.Tensor[float32]("INPUT", []int64{0})}, unproven},
		{"strings", onnxtest.Identity(scoring.Bytes, []int64{-1}), []scoring.Tensor{onnxtest.Strings("INPUT", []int64{1}, "a")}, unproven},
		{"a loop", onnxtest.Slow(2), []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 16}, make([]float32, 16)...)}, refuted},
		{"chance", random.Model(), number("INPUT", 3), refuted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := load(t, tt.model)
			first, err := s.Run(t.Context(), tt.in, nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				out, err := s.Run(t.Context(), tt.in, nil)
				if err != nil || tt.name != "chance" && !slices.EqualFunc(out, first, sameTensor) {
					t.Fatalf("got %v, %v, want %v", out, err, first)
				}
			}
			if got := s.plans.state.Load(); got != tt.want {
				t.Errorf("got state %d, want %d", got, tt.want)
			}
		})
	}
}

// TestShapesThatDependOnValues gives up on plans at the first one that was wrong.
func TestShapesThatDependOnValues(t *testing.T) {
	t.Parallel()
	s := load(t, reshape().Model())
	for i, to := range [][]int64{{2, 3}, {2, 3}, {3, 2}, {6, 1}, {2, 3}} {
		in := []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{6}, float32(1), 2, 3, 4, 5, 6), onnxtest.Tensor("to", []int64{2}, to...)}
		out, err := s.Run(t.Context(), in, nil)
		if err != nil || !slices.Equal(out[0].Shape, to) || !slices.Equal(out[0].Data, in[0].Data) {
			t.Errorf("got %v, %v, want %v", out, err, to)
		}
		if want := map[bool]int32{true: proven, false: refuted}[i < 2]; s.plans.state.Load() != want {
			t.Errorf("run %d: got state %d, want %d", i, s.plans.state.Load(), want)
		}
	}
}

// TestFailureByPlan sees to it that a failure of the inputs says nothing about the plan.
func TestFailureByPlan(t *testing.T) {
	t.Parallel()
	s := load(t, reshape().Model())
	in := []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{6}, make([]float32, 6)...), onnxtest.Tensor("to", []int64{2}, int64(2), 3)}
	for range 2 {
		if _, err := s.Run(t.Context(), in, nil); err != nil {
			t.Fatal(err)
		}
	}
	bad := []scoring.Tensor{in[0], onnxtest.Tensor("to", []int64{2}, int64(4), 5)}
	if _, err := s.Run(t.Context(), bad, nil); scoring.CodeOf(err) != scoring.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
	if got := s.plans.state.Load(); got != proven {
		t.Errorf("got state %d, want %d", got, proven)
	}
}

// TestManyShapes has more combinations of shapes than there are places for plans.
func TestManyShapes(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	for range 2 {
		for rows := int64(1); rows <= 300; rows++ {
			out, err := s.Run(t.Context(), addSubInputs(rows), nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range onnxtest.Values[int32](out[0]) {
				if v != 2*int32(i) {
					t.Fatalf("%d rows: got %d at %d", rows, v, i)
				}
			}
			if want := []int64{rows, 16}; !slices.Equal(out[1].Shape, want) {
				t.Fatalf("got %v, want %v", out[1].Shape, want)
			}
		}
	}
}

// TestSlowProof leaves a model that takes long in peace.
func TestSlowProof(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	k, err := s.begin()
	if err != nil {
		t.Fatal(err)
	}
	defer s.end(k)
	s.Settle()
	s.learn(t.Context(), k, []scoring.Tensor{onnxtest.Tensor("OUTPUT0", []int64{1}, int32(1))}, slowRun+time.Nanosecond)
	if got := s.plans.state.Load(); got != unproven {
		t.Errorf("got state %d, want %d", got, unproven)
	}
}
