package onnx

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

func TestLeakProbe(t *testing.T) {
	e := environment(t)
	wide := onnxtest.Identity(scoring.FP32, []int64{-1, 4096})
	row := onnxtest.Tensor("INPUT", []int64{1, 4096}, make([]float32, 4096)...)
	long := onnxtest.Strings("INPUT", []int64{1, 1}, string(bytes.Repeat([]byte("text"), 4096)))
	paths := map[string]func(int){
		"load": func(int) { s, _ := e.Load(wide, Options{IntraOpThreads: 1}); s.Close() },
		"wide":   func(int) { runOnce(t, e, wide, context.Background(), row) },
		"string": func(int) { runOnce(t, e, onnxtest.Identity(scoring.Bytes, []int64{-1, 1}), context.Background(), long) },
		"bad": func(int) { e.Load(oneNode("Frob", []scoring.TensorSpec{spec("a", scoring.FP32, 1)}, spec("b", scoring.FP32, 1)).Model(), Options{IntraOpThreads: 1}) },
	}
	name := os.Getenv("PROBE")
	f := paths[name]
	base := resident(t)
	for k := range 8 {
		onFreshThreads(1000, f)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%s %d: +%d KiB, go sys %d KiB", name, (k+1)*1000, (resident(t)-base)>>10, m.Sys>>10)
	}
}
