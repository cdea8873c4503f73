package onnx

import (
	"math"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

func TestInvalidInputs(t *testing.T) {
	t.Parallel()
	picture := onnxtest.Identity(scoring.FP32, []int64{-1, 3, 4, 4})
	flags := onnxtest.Identity(scoring.Bool, []int64{-1})
	text := onnxtest.Identity(scoring.Bytes, []int64{-1, 2})
	anything := func(d scoring.Datatype) []byte { return onnxtest.Identity(d, nil) }
	numbers := func(n int) []float32 { return make([]float32, n) }
	ok := addSubInputs(1)
	tests := []struct {
		name    string
		model   []byte
		in      []scoring.Tensor
		outputs []string
		want    string
	}{
		{"unknown input", onnxtest.AddSub(), []scoring.Tensor{onnxtest.Tensor("INPUT2", []int64{1}, int32(1))}, nil, `input "INPUT2": the model has no such input: want "INPUT0", "INPUT1"`},
		{"no name", onnxtest.AddSub(), []scoring.Tensor{{}}, nil, `input "": the model has no such input: want "INPUT0", "INPUT1"`},
		{"missing input", onnxtest.AddSub(), ok[:1], nil, `input "INPUT1" is missing: want INT32 [-1,16]`},
		{"no inputs", onnxtest.AddSub(), nil, nil, `input "INPUT0" is missing: want INT32 [-1,16]`},
		{"input twice", onnxtest.AddSub(), []scoring.Tensor{ok[0], ok[1], ok[0]}, nil, `input "INPUT0" is given twice`},
		{"unknown output", onnxtest.AddSub(), ok, []string{"OUTPUT9"}, `output "OUTPUT9": the model has no such output: want "OUTPUT0", "OUTPUT1"`},
		{"output twice", onnxtest.AddSub(), ok, []string{"OUTPUT0", "OUTPUT0"}, `output "OUTPUT0" is asked for twice`},
		{"datatype", picture, []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 3, 4, 4}, make([]float64, 48)...)}, nil, `input "INPUT": datatype FP64: want FP32`},
		{"no datatype", picture, []scoring.Tensor{{Name: "INPUT", Shape: []int64{1, 3, 4, 4}}}, nil, `input "INPUT": datatype not given: want FP32`},
		{"fixed dimension", picture, []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 3, 5, 4}, numbers(60)...)}, nil, `input "INPUT": shape [1,3,5,4]: want [-1,3,4,4]`},
		{"rank", picture, []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{3, 4, 4}, numbers(48)...)}, nil, `input "INPUT": shape [3,4,4]: want [-1,3,4,4]`},
		{"long shape", picture, []scoring.Tensor{onnxtest.Tensor("INPUT", make([]int64, 1000), numbers(0)...)}, nil, `input "INPUT": shape [0,0,0,0,0,0,0,0,0,0,0,0,...]: want [-1,3,4,4]`},
		{"negative dimension", picture, []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{-1, 3, 4, 4}, numbers(48)...)}, nil, `input "INPUT": shape [-1,3,4,4]: want [-1,3,4,4]`},
		{"too few bytes", picture, []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1, 3, 4, 4}, numbers(47)...)}, nil, `input "INPUT": 188 bytes for shape [1,3,4,4] of FP32: want 48 elements of 4 bytes`},
		{"half an element", picture, []scoring.Tensor{{Name: "INPUT", Datatype: scoring.FP32, Shape: []int64{1, 3, 4, 4}, Data: make([]byte, 191)}}, nil, `input "INPUT": 191 bytes for shape [1,3,4,4] of FP32: want 48 elements of 4 bytes`},
		{"too many rows claimed", picture, []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{1 << 40, 3, 4, 4}, numbers(48)...)}, nil, `input "INPUT": 192 bytes for shape [1099511627776,3,4,4] of FP32: want 52776558133248 elements of 4 bytes`},
		{"product of bytes overflows", anything(scoring.FP64), []scoring.Tensor{{Name: "INPUT", Datatype: scoring.FP64, Shape: []int64{1 << 61}}}, nil, `input "INPUT": 0 bytes for shape [2305843009213693952] of FP64: want 2305843009213693952 elements of 8 bytes`},
		{"product overflows", anything(scoring.FP32), []scoring.Tensor{{Name: "INPUT", Datatype: scoring.FP32, Shape: []int64{math.MaxInt64, 2}}}, nil, `input "INPUT": shape [9223372036854775807,2]: want dimensions of 0 or more, and a product that fits 64 bits`},
		{"negative, any shape", anything(scoring.FP32), []scoring.Tensor{{Name: "INPUT", Datatype: scoring.FP32, Shape: []int64{-1}}}, nil, `input "INPUT": shape [-1]: want dimensions of 0 or more, and a product that fits 64 bits`},
		{"missing, any shape", anything(scoring.FP32), nil, nil, `input "INPUT" is missing: want FP32 any shape`},
		{"no bool", flags, []scoring.Tensor{{Name: "INPUT", Datatype: scoring.Bool, Shape: []int64{3}, Data: []byte{0, 1, 2}}}, nil, `input "INPUT": element 2 of BOOL is 2: want 0 or 1`},
		{"too few strings", text, []scoring.Tensor{onnxtest.Strings("INPUT", []int64{1, 2}, "a")}, nil, `input "INPUT": 1 strings for shape [1,2]: want 2`},
		{"numbers for strings", text, []scoring.Tensor{{Name: "INPUT", Datatype: scoring.Bytes, Shape: []int64{0, 2}, Data: []byte{1}}}, nil, `input "INPUT": numbers for a tensor of BYTES: want strings`},
		{"strings for numbers", flags, []scoring.Tensor{{Name: "INPUT", Datatype: scoring.Bool, Shape: []int64{0}, Strings: [][]byte{nil}}}, nil, `input "INPUT": strings for a tensor of BOOL: want numbers`},
		{"no UTF-8", text, []scoring.Tensor{onnxtest.Strings("INPUT", []int64{1, 2}, "\xff", "b")}, nil, `input "INPUT": element 0 is not text: want UTF-8`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := load(t, tt.model)
			_, err := s.Run(t.Context(), tt.in, tt.outputs)
			if e := scoring.AsError(err); err == nil || e.Code != scoring.Invalid || e.Message != tt.want {
				t.Errorf("got %v, want Invalid: %s", err, tt.want)
			}
		})
	}
}

func TestLongListsAreClipped(t *testing.T) {
	t.Parallel()
	many := make([]scoring.TensorSpec, 20)
	if got, want := listNames(many), `"", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ...`; got != want {
		t.Errorf("names: got %s, want %s", got, want)
	}
	tensors := make([]scoring.Tensor, 20)
	if got, want := listShapes(tensors[:9]), `""  any shape, ""  any shape, ""  any shape, ""  any shape, ""  any shape, ""  any shape, ""  any shape, ""  any shape, ...`; got != want {
		t.Errorf("shapes: got %s, want %s", got, want)
	}
	long := string(make([]byte, 100))
	if got := clip(long); len(got) != 67 {
		t.Errorf("clip: got %d bytes, want 67", len(got))
	}
}

func TestClaimsOfTensorsWithoutElementsAreBounded(t *testing.T) {
	t.Parallel()
	want := scoring.TensorSpec{Name: "x", Datatype: scoring.FP32, Shape: []int64{-1, -1}}
	for _, c := range []struct {
		shape []int64
		code  scoring.Code
	}{
		{[]int64{0, 0}, 0},
		{[]int64{1 << 16, 0}, 0},
		{[]int64{1<<16 + 1, 0}, scoring.TooLarge},
		{[]int64{10_000_000_000_000, 0}, scoring.TooLarge},
	} {
		if err := checkTensor(&scoring.Tensor{Name: "x", Datatype: scoring.FP32, Shape: c.shape}, &want); scoring.CodeOf(err) != c.code {
			t.Errorf("%v: got %v, want %v", c.shape, err, c.code)
		}
	}
	free := scoring.TensorSpec{Name: "x", Datatype: scoring.FP32}
	if err := checkTensor(&scoring.Tensor{Name: "x", Datatype: scoring.FP32, Shape: slices.Repeat([]int64{1}, 1000), Data: make([]byte, 4)}, &free); scoring.CodeOf(err) != scoring.Invalid {
		t.Errorf("a thousand dimensions: %v", err)
	}
}
