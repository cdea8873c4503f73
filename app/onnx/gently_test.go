package onnx

import (
	"errors"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// TestGentleLoadThatTakesTooLong is given up, and done again the usual way.
func TestGentleLoadThatTakesTooLong(t *testing.T) {
	t.Parallel()
	const width = 2048
	model := onnxtest.MatMul(width, width, make([]float32, width*width)) // takes tens of milliseconds
	info, err := Inspect(model)
	if err != nil {
		t.Fatal(err)
	}
	e := environment(t)
	if raw, err := e.makeWithin(model, info, Options{IntraOpThreads: 1}, time.Minute); err != nil {
		t.Fatalf("with time: %v", err)
	} else {
		e.lib.unload(raw)
	}
	for range 100 { // it may be done before it looks
		raw, err := e.makeWithin(model, info, Options{IntraOpThreads: 1}, time.Millisecond)
		if errors.Is(err, errGaveUp) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		e.lib.unload(raw)
	}
	t.Error("no load was given up")
}

// TestGentleSession answers as any other, before and after it is settled, and a model that
// cannot be loaded is refused alike.
func TestGentleSession(t *testing.T) {
	t.Parallel()
	s, err := environment(t).Load(onnxtest.AddSub(), Options{IntraOpThreads: 2, Gently: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		out, err := s.Run(t.Context(), addSubInputs(3), nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum := onnxtest.Values[int32](out[0]); sum[1] != 2 || sum[47] != 94 {
			t.Errorf("got %v", sum)
		}
		s.Settle()
	}
	unknown := oneNode("Frobnicate", []scoring.TensorSpec{spec("a", scoring.FP32, 1)}, spec("b", scoring.FP32, 1)).Model()
	_, usual := environment(t).Load(unknown, Options{IntraOpThreads: 1})
	_, gently := environment(t).Load(unknown, Options{IntraOpThreads: 1, Gently: true})
	if scoring.CodeOf(gently) != scoring.Invalid || gently.Error() != usual.Error() {
		t.Errorf("got %v, want %v", gently, usual)
	}
}
