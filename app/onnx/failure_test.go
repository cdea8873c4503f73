package onnx

import (
	"errors"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// TestModelFailures are failures that only the model itself can see.
func TestModelFailures(t *testing.T) {
	t.Parallel()
	matrix, list := spec("a", scoring.FP32, -1, -1), spec("b", scoring.Int64, -1)
	second := spec("b", scoring.FP32, -1, -1)
	a23 := onnxtest.Tensor("a", []int64{2, 3}, make([]float32, 6)...)
	b23 := onnxtest.Tensor("b", []int64{2, 3}, make([]float32, 6)...)
	b22 := onnxtest.Tensor("b", []int64{2, 2}, make([]float32, 4)...)
	ints := func(v ...int64) scoring.Tensor { return onnxtest.Tensor("b", []int64{int64(len(v))}, v...) }
	out := spec("y", scoring.FP32, -1, -1)
	const rejects = "the model rejects inputs of these shapes or values: "
	tests := []struct {
		name, op string
		in       []scoring.Tensor
		specs    []scoring.TensorSpec
		out      scoring.TensorSpec
		code     scoring.Code
		want     string
	}{
		{"matrices that do not fit", "MatMul", []scoring.Tensor{a23, b23}, []scoring.TensorSpec{matrix, second}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" FP32 [2,3]`},
		{"no broadcast", "Add", []scoring.Tensor{a23, b22}, []scoring.TensorSpec{matrix, second}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" FP32 [2,2]`},
		{"product that does not fit", "Gemm", []scoring.Tensor{a23, b23}, []scoring.TensorSpec{matrix, second}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" FP32 [2,3]`},
		{"reshape", "Reshape", []scoring.Tensor{a23, ints(4, 5)}, []scoring.TensorSpec{matrix, list}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" INT64 [2]`},
		{"index", "Gather", []scoring.Tensor{a23, ints(9)}, []scoring.TensorSpec{matrix, list}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" INT64 [1]`},
		{"expand", "Expand", []scoring.Tensor{a23, ints(7, 7)}, []scoring.TensorSpec{matrix, list}, out, scoring.Invalid, rejects + `"a" FP32 [2,3], "b" INT64 [2]`},
		{"memory", "Expand", []scoring.Tensor{onnxtest.Tensor("a", []int64{1, 1}, float32(1)), ints(4e6, 5e6)}, []scoring.TensorSpec{matrix, list}, out, scoring.Internal, "the model failed; the server's log has the details"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := load(t, oneNode(tt.op, tt.specs, tt.out).Model())
			_, err := s.Run(t.Context(), tt.in, nil)
			if e := scoring.AsError(err); err == nil || e.Code != tt.code || e.Message != tt.want {
				t.Fatalf("got %v, want %v: %s", err, tt.code, tt.want)
			}
			if errors.Unwrap(err) == nil {
				t.Error("the library's own text is lost to the log")
			}
		})
	}
}

// TestMisdeclaredShape: what the file says about an output's shape is a hint, and the
// result is what the model gives.
func TestMisdeclaredShape(t *testing.T) {
	t.Parallel()
	sum := oneNode("ReduceSum", []scoring.TensorSpec{spec("a", scoring.FP32, -1, -1), spec("b", scoring.Int64, -1)},
		spec("y", scoring.FP32, -1, -1), onnxtest.Int("keepdims", 0))
	reshape := oneNode("Reshape", []scoring.TensorSpec{spec("a", scoring.Bytes, -1), spec("b", scoring.Int64, -1)}, spec("y", scoring.Bytes, -1))
	tests := []struct {
		name  string
		model onnxtest.Graph
		in    []scoring.Tensor
		want  scoring.Tensor
	}{
		{
			"numbers", sum,
			[]scoring.Tensor{onnxtest.Tensor("a", []int64{2, 2}, float32(1), 2, 3, 4), onnxtest.Tensor("b", []int64{2}, int64(0), 1)},
			onnxtest.Tensor("y", []int64{}, float32(10)),
		},
		{
			"strings", reshape,
			[]scoring.Tensor{onnxtest.Strings("a", []int64{1}, "text"), onnxtest.Tensor[int64]("b", []int64{0})},
			onnxtest.Strings("y", []int64{}, "text"),
		},
	}
	for _, tt := range tests {
		s := load(t, tt.model.Model())
		for range 3 {
			out, err := s.Run(t.Context(), tt.in, nil)
			if err != nil || !sameTensor(out[0], tt.want) {
				t.Errorf("%s: got %v, %v, want %v", tt.name, out, err, tt.want)
			}
		}
	}
}
