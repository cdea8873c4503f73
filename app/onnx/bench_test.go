package onnx

import (
	"context"
	"fmt"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// addSubInputs are the inputs of the model that the benchmarks run: so small that the
// time of a run is the time around it.
func addSubInputs(rows int64) []scoring.Tensor {
	numbers := make([]int32, rows*16)
	for i := range numbers {
		numbers[i] = int32(i)
	}
	shape := []int64{rows, 16}
	return []scoring.Tensor{onnxtest.Tensor("INPUT0", shape, numbers...), onnxtest.Tensor("INPUT1", shape, numbers...)}
}

// workload is a model with inputs for it.
type workload struct {
	name  string
	model []byte
	in    []scoring.Tensor
	// out are the shapes of the outputs.
	out [][]int64
}

// workloads take about 2 µs, 100 µs and 10 ms on one core of today.
func workloads() []workload {
	matrix := func(name string, width, rows int64) workload {
		return workload{
			name, onnxtest.MatMul(width, width, make([]float32, width*width)),
			[]scoring.Tensor{onnxtest.Tensor("INPUT", []int64{rows, width}, make([]float32, rows*width)...)},
			[][]int64{{rows, width}},
		}
	}
	return []workload{
		{"2us", onnxtest.AddSub(), addSubInputs(1), [][]int64{{1, 16}, {1, 16}}},
		matrix("100us", 512, 16),
		matrix("10ms", 2048, 96),
	}
}

// BenchmarkRun has the raw binding, used in the best way, beside each Run: with tensors
// made beforehand, no checks, no cancellation, and results that the next run overwrites.
func BenchmarkRun(b *testing.B) {
	contexts := []struct {
		name string
		ctx  context.Context //nolint:containedctx // a case of a table
	}{{"endless", context.Background()}, {"cancelable", b.Context()}}
	for _, w := range workloads() {
		b.Run(w.name+"/raw", func(b *testing.B) {
			raw, in, out := w.raw(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := raw.Run(in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
		s := load(b, w.model)
		for _, c := range contexts {
			b.Run(w.name+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Run(c.ctx, w.in, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(w.name+"/released", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				out, err := s.Run(b.Context(), w.in, nil)
				if err != nil {
					b.Fatal(err)
				}
				s.Release(out)
			}
		})
		b.Run(w.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Run(b.Context(), w.in, nil); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// raw loads the model by the binding alone, with the options that Load sets.
func (w workload) raw(tb testing.TB) (raw *ort.DynamicAdvancedSession, in, out []ort.Value) {
	tb.Helper()
	info, err := Inspect(w.model)
	if err != nil {
		tb.Fatal(err)
	}
	o, err := environment(tb).sessionOptions(Options{IntraOpThreads: 1}, info.Signature)
	if err != nil {
		tb.Fatal(err)
	}
	defer o.Destroy()
	raw, err = ort.NewDynamicAdvancedSessionWithONNXData(w.model, names(info.Signature.Inputs), names(info.Signature.Outputs), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { raw.Destroy() })
	tensor := func(d scoring.Datatype, shape []int64) ort.Value {
		n, _ := scoring.Elements(shape)
		data := make([]byte, int(n)*d.Size())
		t, err := ort.NewCustomDataTensor(shape, data, ort.TensorElementDataType(elementTypes[d]))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { t.Destroy() })
		return t
	}
	for _, t := range w.in {
		in = append(in, tensor(t.Datatype, t.Shape))
	}
	for i, shape := range w.out {
		out = append(out, tensor(info.Signature.Outputs[i].Datatype, shape))
	}
	return raw, in, out
}

// BenchmarkStrings measures the copies that strings take: 1000 strings of 32 bytes.
func BenchmarkStrings(b *testing.B) {
	s := load(b, onnxtest.Identity(scoring.Bytes, []int64{-1}))
	in := make([]string, 1000)
	for i := range in {
		in[i] = "thirty-two bytes of some text..."
	}
	t := onnxtest.Strings("INPUT", []int64{1000}, in...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Run(context.Background(), []scoring.Tensor{t}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopies measures what the size of inputs and outputs costs: an Identity of 8
// pictures of 3x224x224 FP32, 4.8 MB in and out.
func BenchmarkCopies(b *testing.B) {
	s := load(b, onnxtest.Identity(scoring.FP32, []int64{-1, 3, 224, 224}))
	t := onnxtest.Tensor("INPUT", []int64{8, 3, 224, 224}, make([]float32, 8*3*224*224)...)
	for _, release := range []bool{false, true} {
		b.Run(fmt.Sprintf("release=%t", release), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(t.Data)))
			for b.Loop() {
				out, err := s.Run(context.Background(), []scoring.Tensor{t}, nil)
				if err != nil {
					b.Fatal(err)
				}
				if release {
					s.Release(out)
				}
			}
		})
	}
}
