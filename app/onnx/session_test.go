package onnx

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/onda-serving/onda/app/onnx/internal/pb"
	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

func spec(name string, d scoring.Datatype, shape ...int64) scoring.TensorSpec {
	return scoring.TensorSpec{Name: name, Datatype: d, Shape: shape}
}

// oneNode is a graph with one node, from all inputs to one output.
func oneNode(op string, inputs []scoring.TensorSpec, output scoring.TensorSpec, attributes ...onnxtest.Attribute) onnxtest.Graph {
	return onnxtest.Graph{
		Nodes:  []onnxtest.Node{{Op: op, Inputs: names(inputs), Outputs: []string{output.Name}, Attributes: attributes}},
		Inputs: inputs, Outputs: []scoring.TensorSpec{output},
	}
}

func TestSignatureAndInfo(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Classifier(2, 3, make([]float32, 6), make([]float32, 3)))
	want := scoring.Signature{
		Inputs:  []scoring.TensorSpec{spec("features", scoring.FP32, -1, 2)},
		Outputs: []scoring.TensorSpec{spec("probabilities", scoring.FP32, -1, 3), spec("label", scoring.Int64, -1)},
	}
	if got := s.Signature(); !reflect.DeepEqual(got, want) {
		t.Errorf("signature: got %v, want %v", got, want)
	}
	info := s.Info()
	if got, want := info.String(), "classifier by onnxtest 1, IR 10, opset 21"; got != want {
		t.Errorf("info: got %q, want %q", got, want)
	}
	if info.Opsets["ai.onnx.ml"] != 3 || info.Custom["purpose"] != "test" || len(info.ExternalFiles) != 0 {
		t.Errorf("info: got %+v", info)
	}
}

// TestAxes reads the names of axes, as a file has them.
func TestAxes(t *testing.T) {
	t.Parallel()
	named := func(name string, axes []string, shape ...int64) scoring.TensorSpec {
		return scoring.TensorSpec{Name: name, Datatype: scoring.FP32, Shape: shape, Axes: axes}
	}
	want := scoring.Signature{
		Inputs: []scoring.TensorSpec{
			named("all", []string{"batch", "sequence"}, -1, -1), named("some", []string{"", "", "width"}, -1, 3, -1),
			named("none", nil, -1, 4), named("fixed", nil, 2), named("scalar", nil), named("any", nil),
		},
		Outputs: []scoring.TensorSpec{named("y", []string{"batch"}, -1)},
	}
	want.Inputs[4].Shape = []int64{}
	info, err := Inspect(onnxtest.Graph{Inputs: want.Inputs, Outputs: want.Outputs}.Model())
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Signature; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLoadRefusals(t *testing.T) {
	t.Parallel()
	in, out := spec("a", scoring.FP32, 1), spec("b", scoring.FP32, 1)
	noOutput := oneNode("Identity", []scoring.TensorSpec{in}, out)
	noOutput.Outputs = nil
	twice := oneNode("Identity", []scoring.TensorSpec{in}, out)
	twice.Inputs = append(twice.Inputs, in)
	tests := []struct {
		name  string
		model []byte
		want  string
	}{
		{"empty", nil, "the model is empty: want an ONNX file"},
		{"text", []byte("hello, I am no model"), "the model is not an ONNX file, or is cut short"},
		{"cut short", onnxtest.AddSub()[:100], "the model is not an ONNX file, or is cut short"},
		{"no graph", []byte{8, 10}, "the model has no graph: want an ONNX file"},
		{"no output", noOutput.Model(), "the model has no output: want at least one"},
		{"no input", onnxtest.Graph{Outputs: []scoring.TensorSpec{out}}.Model(), "the model has no input: want at least one"},
		{"one name twice", twice.Model(), `the model has two inputs with the name "a"`},
		{"zipmap", onnxtest.ZipMap(), `output "probabilities" of the model is a sequence: want a tensor; for a classifier of scikit-learn or LightGBM, export with zipmap=False`},
		{"unknown operator", oneNode("Frobnicate", []scoring.TensorSpec{in}, out).Model(), "No Op registered for Frobnicate with domain_version of 21"},
		{"external weights", external("weights.bin"), `the model keeps weights in "weights.bin": put the file beside it, or save the model with its weights inside`},
		{"weights outside", external("../weights.bin"), `the model keeps weights in "../weights.bin": want a path inside the model's folder`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := environment(t).Load(tt.model, Options{IntraOpThreads: 1})
			if err == nil {
				s.Close()
				t.Fatal("loaded")
			}
			e := scoring.AsError(err)
			if e.Code != scoring.Invalid || !strings.Contains(e.Message, tt.want) {
				t.Errorf("got %v, want Invalid with %q", err, tt.want)
			}
			if strings.Contains(e.Message, "/") && !strings.Contains(tt.want, "/") {
				t.Errorf("the message gives a path away: %s", e.Message)
			}
		})
	}
}

func TestLoadOptions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options Options
		want    string // "" for success
	}{
		{"no threads", Options{}, "intra-op threads is 0: want 1 or more"},
		{"several threads", Options{IntraOpThreads: 2, InterOpThreads: 2}, ""},
		{"no such device", Options{IntraOpThreads: 1, Device: CUDA, DeviceID: 99}, "device cuda:99 with library "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := environment(t).Load(onnxtest.AddSub(), tt.options)
			switch {
			case err == nil:
				defer s.Close()
				if _, err := s.Run(t.Context(), addSubInputs(1), nil); err != nil {
					t.Error(err)
				}
				if tt.want != "" {
					t.Error("loaded")
				}
			case tt.want == "" || !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestDevice(t *testing.T) {
	t.Parallel()
	for _, d := range []Device{CPU, CUDA} {
		if got, err := ParseDevice(d.String()); got != d || err != nil {
			t.Errorf("%v: got %v, %v", d, got, err)
		}
	}
	if _, err := ParseDevice("tpu"); err == nil || err.Error() != `device "tpu": want cpu or cuda` {
		t.Errorf("tpu: got %v", err)
	}
}

// external is a MatMul whose weights, 2x1 FP32, lie in another file.
func external(location string) []byte {
	g := oneNode("MatMul", []scoring.TensorSpec{spec("a", scoring.FP32, -1, 2)}, spec("b", scoring.FP32, -1, 1))
	g.Nodes[0].Inputs = []string{"a", "w"}
	w := pb.AppendInt(pb.AppendInt(nil, 1, 2), 1, 1)
	w = pb.AppendInt(w, 2, 1)
	w = pb.AppendBytes(w, tensorName, "w")
	w = pb.AppendBytes(w, tensorExternal, pb.AppendBytes(pb.AppendBytes(nil, 1, "location"), 2, location))
	w = pb.AppendInt(w, 14, 1)
	return pb.AppendBytes(g.Model(), modelGraph, pb.AppendBytes(nil, graphInitializer, w))
}

func TestExternalWeights(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "weights.bin"), onnxtest.Tensor("", nil, float32(3), 4).Data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := environment(t).Load(external("weights.bin"), Options{IntraOpThreads: 1, ExternalFolder: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, want := s.Info().ExternalFiles, []string{"weights.bin"}; !slices.Equal(got, want) {
		t.Errorf("external files: got %v, want %v", got, want)
	}
	out, err := s.Run(t.Context(), []scoring.Tensor{onnxtest.Tensor("a", []int64{1, 2}, float32(10), 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := onnxtest.Values[float32](out[0]), []float32{34}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.AddSub())
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Run(t.Context(), addSubInputs(1), nil)
	if !errors.Is(err, ErrClosed) || scoring.CodeOf(err) != scoring.Unavailable {
		t.Errorf("run after close: got %v, want Unavailable with %v", err, ErrClosed)
	}
}

func TestCloseDuringRun(t *testing.T) {
	t.Parallel()
	s := load(t, onnxtest.Slow(20_000))
	row := onnxtest.Tensor("INPUT", []int64{1, 16}, make([]float32, 16)...)
	results := make(chan error, 4)
	for range cap(results) {
		go func() {
			_, err := s.Run(context.Background(), []scoring.Tensor{row}, nil)
			results <- err
		}()
	}
	waitForRuns(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(results) {
		if err := <-results; err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want a result or %v", err, ErrClosed)
		}
	}
	if !s.freed {
		t.Error("the last run did not free the model")
	}
}
