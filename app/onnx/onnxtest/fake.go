package onnxtest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/onda-serving/onda/app/scoring"
)

// Fake stands in for a session: it has the methods of onnx.Session that do the work, and
// needs neither a model nor the library. The zero value has an empty signature, and its
// runs fail. It is safe for concurrent use if RunFunc is.
type Fake struct {
	// Spec is what Signature returns.
	Spec scoring.Signature
	// RunFunc does the work of Run.
	RunFunc func(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error)
	// CloseFunc does the work of Close; nil means that there is none.
	CloseFunc func() error

	runs, closes, released atomic.Int64
}

// Signature returns f.Spec.
func (f *Fake) Signature() scoring.Signature { return f.Spec }

// Run calls f.RunFunc and counts the call.
func (f *Fake) Run(ctx context.Context, inputs []scoring.Tensor, outputs []string) ([]scoring.Tensor, error) {
	f.runs.Add(1)
	if f.RunFunc == nil {
		return nil, errors.New("onnxtest: this fake cannot run")
	}
	return f.RunFunc(ctx, inputs, outputs)
}

// Release takes the elements out of outputs, as a session does, and counts the outputs.
func (f *Fake) Release(outputs []scoring.Tensor) {
	f.released.Add(int64(len(outputs)))
	for i := range outputs {
		outputs[i].Data = nil
	}
}

// Released says how many outputs were given to Release.
func (f *Fake) Released() int { return int(f.released.Load()) }

// Close calls f.CloseFunc, if there is one, and counts the call.
func (f *Fake) Close() error {
	f.closes.Add(1)
	if f.CloseFunc == nil {
		return nil
	}
	return f.CloseFunc()
}

// Runs says how often Run was called.
func (f *Fake) Runs() int { return int(f.runs.Load()) }

// Closes says how often Close was called.
func (f *Fake) Closes() int { return int(f.closes.Load()) }

// Check takes everything.
func (f *Fake) Check([]scoring.Tensor, []string) error { return nil }
