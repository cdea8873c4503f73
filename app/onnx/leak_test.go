package onnx

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// resident is the process's resident memory in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("needs /proc")
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(b)[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// TestLeak loads, runs and closes models many times, on the good path and on every path
// of failure. Each cycle moves more than 16 KB through the library, so a leak of one
// input or output per cycle would show. It is not parallel: other tests would count.
func TestLeak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := environment(t)
	wide := onnxtest.Identity(scoring.FP32, []int64{-1, 4096})
	row := onnxtest.Tensor("INPUT", []int64{1, 4096}, make([]float32, 4096)...)
	long := onnxtest.Strings("INPUT", []int64{1, 1}, string(bytes.Repeat([]byte("text"), 4096)))
	gather := oneNode("Gather", []scoring.TensorSpec{spec("INPUT", scoring.FP32, -1, 4096), spec("at", scoring.Int64, -1)}, spec("OUTPUT", scoring.FP32, -1, 4096)).Model()
	bad := oneNode("Frobnicate", []scoring.TensorSpec{spec("a", scoring.FP32, 1)}, spec("b", scoring.FP32, 1)).Model()
	cycle := func(i int) {
		runOnce(context.Background(), t, e, wide, row)
		runOnce(context.Background(), t, e, onnxtest.Identity(scoring.Bytes, []int64{-1, 1}), long)
		runOnce(context.Background(), t, e, gather, row, onnxtest.Tensor("at", []int64{1}, int64(7)))
		if i%10 == 0 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			runOnce(ctx, t, e, onnxtest.Slow(1_000_000), onnxtest.Tensor("INPUT", []int64{256, 16}, make([]float32, 4096)...))
			cancel()
		}
		if _, err := e.Load(bad, Options{IntraOpThreads: 1}); err == nil {
			t.Error("a bad model was loaded")
		}
	}
	const warmUp, cycles, most = 400, 2000, 6 << 20
	for i := range warmUp {
		cycle(i)
	}
	before := resident(t)
	for i := range cycles {
		cycle(i)
	}
	grown := resident(t) - before
	t.Logf("%d cycles: resident memory grew by %d KiB", cycles, grown>>10)
	if grown > most {
		t.Errorf("resident memory grew by %d KiB, want less than %d", grown>>10, most>>10)
	}
}

// runOnce loads, runs and closes. A run may fail; the point is what it leaves behind.
func runOnce(ctx context.Context, t *testing.T, e *Environment, model []byte, in ...scoring.Tensor) {
	t.Helper()
	s, err := e.Load(model, Options{IntraOpThreads: 1})
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = s.Run(ctx, in, nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
