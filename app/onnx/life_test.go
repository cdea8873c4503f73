package onnx

import (
	"runtime/debug"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// TestMemoryOfManyLives loads, warms up, runs and closes a model with 1 MB of weights
// 1,000 times, with a failing load and a run of another shape than declared each time. A
// leak of 5 KB a life would show.
func TestMemoryOfManyLives(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	if !inChild(t) {
		return
	}
	e := environment(t)
	const width, settled, lives, most = 512, 200, 1000, 4 << 20
	good := onnxtest.MatMul(width, width, make([]float32, width*width))
	broken := good[:len(good)-1<<10]
	unknown := oneNode("Frobnicate", []scoring.TensorSpec{spec("a", scoring.FP32, 1)}, spec("b", scoring.FP32, 1)).Model()
	misdeclared := oneNode("ReduceMax", []scoring.TensorSpec{spec("INPUT", scoring.FP32, -1, width)}, spec("y", scoring.FP32, -1, -1), onnxtest.Int("keepdims", 0)).Model()
	rows := func(n int64) scoring.Tensor {
		return onnxtest.Tensor("INPUT", []int64{n, width}, make([]float32, n*width)...)
	}
	in := []scoring.Tensor{rows(1), rows(8)}
	life := func() {
		for i, model := range [][]byte{good, misdeclared, good} {
			s, err := e.Load(model, Options{IntraOpThreads: 1 + i, Gently: i > 1})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 6 {
				out, err := s.Run(t.Context(), in[i%2:i%2+1], nil)
				if err != nil {
					t.Fatal(err)
				}
				s.Release(out)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for _, model := range [][]byte{broken, unknown} {
			if _, err := e.Load(model, Options{IntraOpThreads: 1, Gently: true}); err == nil {
				t.Fatal("a broken model was loaded")
			}
		}
	}
	var before int64
	for i := range lives {
		if i == settled {
			debug.FreeOSMemory()
			before = resident(t)
		}
		life()
	}
	debug.FreeOSMemory()
	grown := resident(t) - before
	t.Logf("from life %d to %d: resident memory grew by %d KiB", settled, lives, grown>>10)
	if grown > most {
		t.Errorf("resident memory grew by %d KiB, want less than %d", grown>>10, most>>10)
	}
}
