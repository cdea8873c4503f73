package onnx

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// sample makes a tensor with a different value in each element. Among the numbers are
// the datatype's largest and smallest bit patterns, but no NaN.
func sample(d scoring.Datatype, shape []int64) scoring.Tensor {
	n, _ := scoring.Elements(shape)
	t := scoring.Tensor{Name: "INPUT", Datatype: d, Shape: shape}
	for i := range n {
		bits := uint64(i+1) * 0x2f1d_3b59_8a67_c4e1 &^ 0x4000_4000_4000_4000
		var element [8]byte
		binary.LittleEndian.PutUint64(element[:], bits)
		switch d {
		case scoring.Bytes:
			t.Strings = append(t.Strings, []byte(strings.Repeat("größe 尺 ", int(i%4))))
		case scoring.Bool:
			t.Data = append(t.Data, byte(i%2))
		default:
			t.Data = append(t.Data, element[8-d.Size():]...)
		}
	}
	return t
}

// TestRoundTrip sends each datatype through a model that gives back what it gets, in
// every way to declare and to give a shape.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		for _, declared := range [][]int64{{-1, 2}, {3, 2}, {-1}, {}, nil} {
			t.Run(fmt.Sprintf("%s/%s", d, scoring.FormatShape(declared)), func(t *testing.T) {
				t.Parallel()
				s := load(t, onnxtest.Identity(d, declared))
				for _, given := range [][]int64{{3, 2}, {0, 2}, {1, 2}, {5}, {0}, {1, 1, 2, 1}, {}} {
					if !shapeFits(given, declared) {
						continue
					}
					in := sample(d, given)
					for range 3 { // by plan, from the second run on
						roundTrip(t, s, in)
					}
				}
			})
		}
	}
}

func roundTrip(t *testing.T, s *Session, in scoring.Tensor) {
	t.Helper()
	out, err := s.Run(t.Context(), []scoring.Tensor{in}, nil)
	if err != nil {
		t.Errorf("shape %v: %v", in.Shape, err)
		return
	}
	want := in
	want.Name = "OUTPUT"
	if got := out[0]; !sameTensor(got, want) {
		t.Errorf("shape %v: got %v, want %v", in.Shape, got, want)
	}
}

// sameTensor compares all but the difference between nil and empty.
func sameTensor(a, b scoring.Tensor) bool {
	return a.Name == b.Name && a.Datatype == b.Datatype && slices.Equal(a.Shape, b.Shape) &&
		slices.Equal(a.Data, b.Data) && slices.EqualFunc(a.Strings, b.Strings, slices.Equal[[]byte])
}

func TestInputsAndOutputsInAnyOrder(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	a, b := slices.Repeat([]int32{7}, 32), slices.Repeat([]int32{3}, 32)
	in := []scoring.Tensor{onnxtest.Tensor("INPUT1", []int64{2, 16}, b...), onnxtest.Tensor("INPUT0", []int64{2, 16}, a...)}
	value := map[string]int32{"OUTPUT0": 10, "OUTPUT1": 4}
	for _, wanted := range [][]string{nil, {"OUTPUT1"}, {"OUTPUT1", "OUTPUT0"}, {"OUTPUT0"}} {
		out, err := s.Run(t.Context(), in, wanted)
		if err != nil {
			t.Fatal(err)
		}
		if wanted == nil {
			wanted = []string{"OUTPUT0", "OUTPUT1"}
		}
		for i, name := range wanted {
			want := onnxtest.Tensor(name, []int64{2, 16}, slices.Repeat([]int32{value[name]}, 32)...)
			if len(out) != len(wanted) || !reflect.DeepEqual(out[i], want) {
				t.Errorf("outputs %v: got %v, want %v", wanted, out, want)
			}
		}
	}
}

func TestConcat(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Concat())
	in := []scoring.Tensor{onnxtest.Strings("LEFT", []int64{3}, "a", "", "ü"), onnxtest.Strings("RIGHT", []int64{3}, "b", "", "尺")}
	out, err := s.Run(t.Context(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := onnxtest.Strings("OUTPUT", []int64{3}, "ab", "", "ü尺"); !sameTensor(out[0], want) {
		t.Errorf("got %q, want %q", out[0].Strings, want.Strings)
	}
}

// TestUnaligned reads elements from every address a tensor can begin at inside a body.
func TestUnaligned(t *testing.T) {
	t.Parallel()
	for _, d := range []scoring.Datatype{scoring.FP64, scoring.FP32, scoring.FP16, scoring.Int8} {
		s := load(t, onnxtest.Identity(d, nil))
		for _, shape := range [][]int64{{3}, {}} {
			for offset := range 8 {
				in := sample(d, shape)
				body := make([]byte, offset+len(in.Data))
				in.Data = body[offset:][:copy(body[offset:], in.Data)]
				roundTrip(t, s, in)
			}
		}
	}
}

// TestOutputsOutliveTheRun sees to it that results are no views of memory that a later
// run uses.
func TestOutputsOutliveTheRun(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	first, err := s.Run(t.Context(), addSubInputs(4), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(first[0].Data)
	for range 100 {
		in := []scoring.Tensor{onnxtest.Tensor("INPUT0", []int64{4, 16}, make([]int32, 64)...), onnxtest.Tensor("INPUT1", []int64{4, 16}, make([]int32, 64)...)}
		if _, err := s.Run(t.Context(), in, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(first[0].Data, before) {
		t.Error("a later run changed an earlier result")
	}
}

func TestConcurrentRuns(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.MatMul(2, 1, []float32{1, 100}))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				rows := int64(1 + (g+i)%5)
				var numbers []float32
				for r := range rows {
					numbers = append(numbers, float32(g), float32(r))
				}
				out, err := s.Run(t.Context(), []scoring.Tensor{onnxtest.Tensor("INPUT", []int64{rows, 2}, numbers...)}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for r, got := range onnxtest.Values[float32](out[0]) {
					if want := float32(g + 100*r); got != want {
						t.Errorf("got %v, want %v", got, want)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestAllocations keeps a run of a small model cheap: the list of outputs, their shapes
// and their elements are all that is made anew.
func TestAllocations(t *testing.T) {
	s := load(t, onnxtest.AddSub())
	in := addSubInputs(1)
	run := func() {
		if _, err := s.Run(t.Context(), in, nil); err != nil {
			t.Fatal(err)
		}
	}
	run() // the first makes the plan
	// Other goroutines may allocate meanwhile: the least counts.
	least := 100.0
	for range 5 {
		least = min(least, testing.AllocsPerRun(100, run))
	}
	if most := 3.0; least > most {
		t.Errorf("got %v allocations in a run, want %v at most", least, most)
	}
}
