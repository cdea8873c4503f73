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

func BenchmarkRun(b *testing.B) {
	s := load(b, onnxtest.AddSub())
	contexts := []struct {
		name string
		ctx  context.Context //nolint:containedctx // a case of a table
	}{{"endless", context.Background()}, {"cancelable", b.Context()}}
	for _, c := range contexts {
		for _, rows := range []int64{1, 64} {
			in := addSubInputs(rows)
			run := func(b *testing.B) {
				if _, err := s.Run(c.ctx, in, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(fmt.Sprintf("%s/rows=%d-sequential", c.name, rows), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					run(b)
				}
			})
			b.Run(fmt.Sprintf("%s/rows=%d-parallel", c.name, rows), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						run(b)
					}
				})
			})
		}
	}
}

// BenchmarkBinding is the floor: the binding alone, with tensors made beforehand, no
// checks, no cancellation and results that the next run overwrites.
func BenchmarkBinding(b *testing.B) {
	environment(b)
	for _, rows := range []int64{1, 64} {
		b.Run(fmt.Sprintf("rows=%d-sequential", rows), func(b *testing.B) {
			raw, in, out := rawAddSub(b, rows)
			b.ReportAllocs()
			for b.Loop() {
				if err := raw.Run(in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// rawAddSub loads the model by the binding alone, with the options that Load sets.
func rawAddSub(tb testing.TB, rows int64) (raw *ort.DynamicAdvancedSession, in, out []ort.Value) {
	tb.Helper()
	info, err := Inspect(onnxtest.AddSub())
	if err != nil {
		tb.Fatal(err)
	}
	o, err := environment(tb).sessionOptions(Options{IntraOpThreads: 1}, info.Signature)
	if err != nil {
		tb.Fatal(err)
	}
	defer o.Destroy()
	raw, err = ort.NewDynamicAdvancedSessionWithONNXData(onnxtest.AddSub(), names(info.Signature.Inputs), names(info.Signature.Outputs), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { raw.Destroy() })
	tensor := func() ort.Value {
		t, err := ort.NewEmptyTensor[int32](ort.NewShape(rows, 16))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { t.Destroy() })
		return t
	}
	return raw, []ort.Value{tensor(), tensor()}, []ort.Value{tensor(), tensor()}
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
	b.ReportAllocs()
	b.SetBytes(int64(len(t.Data)))
	for b.Loop() {
		if _, err := s.Run(context.Background(), []scoring.Tensor{t}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
