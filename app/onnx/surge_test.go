package onnx

import (
	"runtime/debug"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// wide is a model that needs much memory for each row between its inputs and outputs,
// which are small: 1 MB.
func wide() []byte {
	const width = 1 << 18
	weights := onnxtest.Tensor("weights", []int64{1, width}, make([]float32, width)...)
	return onnxtest.Graph{
		Nodes: []onnxtest.Node{
			{Op: "MatMul", Inputs: []string{"INPUT", "weights"}, Outputs: []string{"wide"}},
			{Op: "ReduceMax", Inputs: []string{"wide"}, Outputs: []string{"OUTPUT"}, Attributes: []onnxtest.Attribute{onnxtest.Int("keepdims", 0)}},
		},
		Inputs:  []scoring.TensorSpec{spec("INPUT", scoring.FP32, -1, 1)},
		Outputs: []scoring.TensorSpec{spec("OUTPUT", scoring.FP32)},
		Weights: []scoring.Tensor{weights},
	}.Model()
}

// TestMemoryAfterSurge runs a batch of 64 among single rows, and wants the memory of 64
// rows back, with rows still coming and without. "Off" shows that it would not come by
// itself.
func TestMemoryAfterSurge(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, c := range []struct {
		name      string
		busy, off bool
	}{{"busy", true, false}, {"quiet", false, false}, {"off", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if inChild(t) {
				surgeOf64(t, c.busy, c.off)
			}
		})
	}
}

func surgeOf64(t *testing.T, busy, off bool) {
	t.Helper()
	const row, rows = 1 << 20, 64
	s := load(t, wide())
	// Armed already, so that no timer is set.
	s.surge.armed = off
	run := func(rows int64) {
		t.Helper()
		in := onnxtest.Tensor("INPUT", []int64{rows, 1}, make([]float32, rows)...)
		if _, err := s.Run(t.Context(), []scoring.Tensor{in}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		run(1)
	}
	debug.FreeOSMemory()
	before := resident(t)
	run(rows)
	peak := resident(t) - before
	if peak < rows*row/2 {
		t.Fatalf("the large run took %d KiB: the test tests nothing", peak>>10)
	}
	given, after := false, int64(0)
	for end := time.Now().Add(3 * calm); time.Now().Before(end) && !given; time.Sleep(100 * time.Millisecond) {
		if busy {
			run(1)
		}
		after = resident(t) - before
		given = after < rows*row/8
	}
	t.Logf("%d KiB more than before at the peak, %d KiB now", peak>>10, after>>10)
	if given == off {
		t.Errorf("memory was given back: %t, want %t", given, !off)
	}
}

// TestSurgeLooks drives the clock by hand.
func TestSurgeLooks(t *testing.T) {
	t.Parallel()
	var w surge
	runs := func(n int, size int64) {
		for range n {
			if w.note(size) {
				w.high.Store(size)
			}
		}
	}
	look := func(name string, wantShrink, wantAgain bool) {
		t.Helper()
		if shrink, again := w.look(); shrink != wantShrink || again != wantAgain {
			t.Errorf("%s: got %t, %t, want %t, %t", name, shrink, again, wantShrink, wantAgain)
		}
	}
	runs(100, 10)
	look("all the same", false, true)
	runs(100, 15)
	look("a little larger", false, true)
	runs(1, 1000)
	runs(10, 10)
	look("one large, just now", false, true)
	runs(10, 10)
	look("one large, a while ago", true, true)
	runs(10, 10)
	look("given back", false, true)
	runs(100, 1000)
	look("many large", false, true)
	runs(5, 10)
	look("many large, a few small", false, true)
	runs(200, 10)
	look("many large, many small", true, true)
	for range idle - 1 {
		look("silent for a while", false, true)
	}
	look("silent for long", true, false)
	if !w.note(10) {
		t.Error("a run after all was given back is not noticed")
	}
}
