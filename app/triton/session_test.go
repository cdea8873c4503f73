package triton_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/triton"
)

// echo is a session that notes what it is asked, and answers with tensors of fixed shapes.
type echo struct {
	sig     scoring.Signature
	answers map[string][]int64
	inputs  []scoring.Tensor
	outputs []string
	closed  bool
}

func (e *echo) Signature() scoring.Signature { return e.sig }
func (e *echo) Close() error                 { e.closed = true; return nil }

func (e *echo) Check(inputs []scoring.Tensor, outputs []string) error {
	e.inputs, e.outputs = inputs, outputs
	return nil
}

func (e *echo) Run(_ context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	e.inputs, e.outputs = inputs, outputs
	var all []scoring.Tensor
	for _, name := range outputs {
		all = append(all, scoring.Tensor{Name: name, Datatype: scoring.FP32, Shape: slices.Clone(e.answers[name])})
	}
	return all, nil
}

func tensor(name string, shape ...int64) scoring.Tensor {
	return scoring.Tensor{Name: name, Datatype: scoring.FP32, Shape: shape}
}

// TestReshape has Triton's own cases: pictures without a batch axis for a model with one
// of 1, and rows of one number each.
func TestReshape(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text                     string
		sig                            scoring.Signature
		give, reaches, answers, answer []int64
	}{
		{
			"batch axis of 1", `input { name: "a" data_type: TYPE_FP32 dims: [3, 8, 8] reshape { shape: [1, 3, 8, 8] } } output { name: "b" data_type: TYPE_FP32 dims: 10 reshape { shape: [1, 10, 1, 1] } }`,
			of([]int64{1, 3, 8, 8}, []int64{1, 10, 1, 1}),
			[]int64{3, 8, 8},
			[]int64{1, 3, 8, 8},
			[]int64{1, 10, 1, 1},
			[]int64{10},
		},
		{
			"rows of one number", `max_batch_size: 8 input { name: "a" data_type: TYPE_FP32 dims: 1 reshape { shape: [] } } output { name: "b" data_type: TYPE_FP32 dims: 1 reshape { } }`,
			of([]int64{-1}, []int64{-1}),
			[]int64{5, 1},
			[]int64{5},
			[]int64{5},
			[]int64{5, 1},
		},
		{
			"open axes move", `max_batch_size: 8 input { name: "a" data_type: TYPE_FP32 dims: [2, 4, -1, 6] reshape { shape: [8, -1, 1, 6] } } output { name: "b" data_type: TYPE_FP32 dims: [-1, -1] reshape { shape: [-1, 1, -1] } }`,
			of([]int64{-1, 8, -1, 1, 6}, []int64{-1, -1, 1, -1}),
			[]int64{3, 2, 4, 7, 6},
			[]int64{3, 8, 7, 1, 6},
			[]int64{3, 5, 1, 0},
			[]int64{3, 5, 0},
		},
		{
			"single numbers", `input { name: "a" data_type: TYPE_FP32 dims: 1 } output { name: "b" data_type: TYPE_FP32 dims: 1 }`,
			of([]int64{}, []int64{}),
			[]int64{1},
			[]int64{},
			[]int64{},
			[]int64{1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := &echo{sig: test.sig, answers: map[string][]int64{"b": test.answers}}
			s, err := triton.Configure(e, parse(t, test.text))
			if err != nil {
				t.Fatal(err)
			}
			given := []scoring.Tensor{tensor("a", test.give...)}
			got, err := s.Run(t.Context(), given, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(e.inputs[0].Shape, test.reaches) || !slices.Equal(e.outputs, []string{"b"}) {
				t.Errorf("the model got %v and was asked for %v, want the shape %v, for b", e.inputs[0].Shape, e.outputs, test.reaches)
			}
			if len(got) != 1 || !slices.Equal(got[0].Shape, test.answer) {
				t.Errorf("got %v, want the shape %v", got, test.answer)
			}
			if !slices.Equal(given[0].Shape, test.give) {
				t.Errorf("the caller's own tensor was changed to %v", given[0].Shape)
			}
			if err := s.Check(given, []string{"b"}); err != nil || !slices.Equal(e.inputs[0].Shape, test.reaches) {
				t.Errorf("check: %v, with %v", err, e.inputs[0].Shape)
			}
			if err := s.Close(); err != nil || !e.closed {
				t.Errorf("close: %v, %t", err, e.closed)
			}
		})
	}
}

func TestConfigureShowsWhatTheFileSays(t *testing.T) {
	t.Parallel()
	sig := scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "a", Datatype: scoring.FP32, Shape: []int64{-1, -1}, Axes: []string{"rows", "length"}}},
		Outputs: []scoring.TensorSpec{{Name: "b", Datatype: scoring.FP32, Shape: []int64{-1}}, {Name: "hidden", Datatype: scoring.FP32, Shape: []int64{-1, 768}}},
	}
	e := &echo{sig: sig, answers: map[string][]int64{"b": {2}}}
	s, err := triton.Configure(e, parse(t, `max_batch_size: 4 input { name: "a" data_type: TYPE_FP32 dims: 16 } output { name: "b" data_type: TYPE_FP32 dims: 1 reshape { } }`))
	if err != nil {
		t.Fatal(err)
	}
	want := scoring.Signature{
		Inputs:  []scoring.TensorSpec{{Name: "a", Datatype: scoring.FP32, Shape: []int64{-1, 16}, Axes: []string{"rows", "length"}}},
		Outputs: []scoring.TensorSpec{{Name: "b", Datatype: scoring.FP32, Shape: []int64{-1, 1}}},
	}
	if got := s.Signature(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, test := range []struct {
		inputs  []scoring.Tensor
		outputs []string
		want    string
	}{
		{[]scoring.Tensor{tensor("a", 2, 15)}, nil, `Invalid: input "a": shape [2,15]: want [-1,16]`},
		{[]scoring.Tensor{tensor("a", 16)}, nil, `Invalid: input "a": shape [16]: want [-1,16]`},
		{[]scoring.Tensor{tensor("a", -1, 16)}, nil, `Invalid: input "a": shape [-1,16]: want [-1,16]`},
		{[]scoring.Tensor{tensor("a", 2, 16)}, []string{"hidden"}, `Invalid: output "hidden": the model has no such output: want "b"`},
	} {
		refused(t, s.Check(test.inputs, test.outputs), test.want)
		_, err := s.Run(t.Context(), test.inputs, test.outputs)
		refused(t, err, test.want)
	}
	// What the configuration does not know, the session says.
	if err := s.Check([]scoring.Tensor{tensor("other", 1)}, nil); err != nil || e.inputs[0].Name != "other" {
		t.Errorf("got %v, want the session to be asked", err)
	}
	e.answers["b"] = []int64{2, 2}
	_, err = s.Run(t.Context(), []scoring.Tensor{tensor("a", 2, 16)}, nil)
	refused(t, err, `Internal: output "b": the model gave the shape [2,2], and its configuration says [-1]`)
}

func TestConfigureLeavesTheSessionAlone(t *testing.T) {
	t.Parallel()
	e := &echo{sig: simple}
	for _, text := range []string{"", tensors + "max_batch_size: 8", "max_batch_size: 8"} {
		if s, err := triton.Configure(e, parse(t, text)); err != nil || s != triton.Session(e) {
			t.Errorf("%q: got %v, %v, want the session itself", text, s, err)
		}
	}
	if s, err := triton.Configure(e, nil); err != nil || s != triton.Session(e) {
		t.Errorf("without a configuration: got %v, %v, want the session itself", s, err)
	}
	_, err := triton.Configure(e, parse(t, tensors))
	refused(t, err, "input[0].dims: [4]: \"a\" has the shape [-1,4] in the model's file\noutput[0].dims: [2]: \"b\" has the shape [-1,2] in the model's file")
}
