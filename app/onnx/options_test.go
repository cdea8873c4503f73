package onnx

import (
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

func TestOnlyBatchVaries(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		shapes [][]int64
		want   bool
	}{
		{"pictures", [][]int64{{-1, 3, 224, 224}}, true},
		{"fixed", [][]int64{{1, 3}, {}}, true},
		{"text of any length", [][]int64{{-1, 3}, {-1, -1}}, false},
		{"unknown rank", [][]int64{nil}, false},
	}
	for _, tt := range tests {
		var sig scoring.Signature
		for _, shape := range tt.shapes {
			sig.Inputs = append(sig.Inputs, scoring.TensorSpec{Shape: shape})
		}
		if got := onlyBatchVaries(sig); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestOptionsValidate(t *testing.T) {
	t.Parallel()
	with := func(change func(*Options)) Options {
		o := Options{IntraOpThreads: 1}
		change(&o)
		return o
	}
	tests := []struct {
		name    string
		options Options
		want    string // "" for none
	}{
		{"the least", Options{IntraOpThreads: 1}, ""},
		{"every choice", Options{IntraOpThreads: 2, InterOpThreads: 2, Graph: GraphNone, Execution: ExecuteParallel, MemArena: Off, MemPattern: Off}, ""},
		{"nothing", Options{}, "intra-op threads is 0: want 1 or more"},
		{"inter-op", with(func(o *Options) { o.InterOpThreads = -1 }), "inter-op threads is -1: want 0 or more"},
		{"device", with(func(o *Options) { o.Device = 9 }), "device 9: want cpu or cuda"},
		{"device id", with(func(o *Options) { o.DeviceID = -1 }), "device id is -1: want 0 or more"},
		{"graph", with(func(o *Options) { o.Graph = 9 }), "graph level is 9: want 0 to 3"},
		{"execution", with(func(o *Options) { o.Execution = 9 }), "execution is 9: want 0 to 2"},
		{"parallel alone", with(func(o *Options) { o.Execution = ExecuteParallel }), "inter-op threads is 0 with parallel execution: want 2 or more"},
		{"sequential side by side", with(func(o *Options) { o.Execution, o.InterOpThreads = ExecuteSequential, 2 }), "inter-op threads is 2 with sequential execution: want 0 or 1, or parallel execution"},
		{"arena", with(func(o *Options) { o.MemArena = 9 }), "memory arena is 9: want 0 to 2"},
		{"pattern", with(func(o *Options) { o.MemPattern = 9 }), "memory pattern is 9: want 0 to 2"},
	}
	for _, tt := range tests {
		got := ""
		if err := tt.options.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestOptionsRun loads and runs with every choice: the library refuses what it does not
// know.
func TestOptionsRun(t *testing.T) {
	t.Parallel()
	for graph := GraphAll; graph <= GraphNone; graph++ {
		for memory := Auto; memory <= Off; memory++ {
			for inter := range 3 {
				o := Options{IntraOpThreads: 1, InterOpThreads: inter, Graph: graph, MemArena: memory, MemPattern: memory}
				s, err := environment(t).Load(onnxtest.AddSub(), o)
				if err != nil {
					t.Fatalf("%+v: %v", o, err)
				}
				for range 3 {
					out, err := s.Run(t.Context(), addSubInputs(1), nil)
					if err != nil || onnxtest.Values[int32](out[0])[3] != 6 {
						t.Errorf("%+v: got %v, %v", o, out, err)
					}
				}
				s.shrink()
				if _, err := s.Run(t.Context(), addSubInputs(1), nil); err != nil {
					t.Errorf("%+v, after giving memory back: %v", o, err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
