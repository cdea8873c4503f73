package onnxtest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

func numbers[T onnxtest.Number](t *testing.T, want scoring.Datatype, values ...T) {
	t.Helper()
	tensor := onnxtest.Tensor("a", []int64{int64(len(values))}, values...)
	if tensor.Datatype != want || len(tensor.Data) != want.Size()*len(values) {
		t.Errorf("got %s in %d bytes, want %s", tensor.Datatype, len(tensor.Data), want)
	}
	if got := onnxtest.Values[T](tensor); !slices.Equal(got, values) {
		t.Errorf("got %v, want %v", got, values)
	}
}

func TestTensor(t *testing.T) {
	t.Parallel()
	numbers(t, scoring.Bool, true, false)
	numbers[uint8](t, scoring.Uint8, 0, 255)
	numbers[uint16](t, scoring.Uint16, 0, 65535)
	numbers[uint32](t, scoring.Uint32, 1)
	numbers[uint64](t, scoring.Uint64, 1)
	numbers[int8](t, scoring.Int8, -1)
	numbers[int16](t, scoring.Int16, -1)
	numbers[int32](t, scoring.Int32, -1)
	numbers[int64](t, scoring.Int64, -1)
	numbers[float32](t, scoring.FP32, 0.5)
	numbers[float64](t, scoring.FP64)
}

func TestFake(t *testing.T) {
	t.Parallel()
	var f onnxtest.Fake
	if _, err := f.Run(t.Context(), nil, nil); err == nil {
		t.Error("the zero value ran")
	}
	boom := errors.New("boom")
	f.RunFunc = func(context.Context, []scoring.Tensor, []string) ([]scoring.Tensor, error) {
		return []scoring.Tensor{{Name: "out"}}, nil
	}
	out, err := f.Run(t.Context(), nil, nil)
	if err != nil || len(out) != 1 {
		t.Errorf("got %v, %v", out, err)
	}
	out[0].Data = []byte{1}
	f.Release(out)
	if f.Released() != 1 || out[0].Data != nil {
		t.Errorf("got %d released and %v, want 1 without elements", f.Released(), out)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	f.CloseFunc = func() error { return boom }
	if err := f.Close(); err != boom {
		t.Errorf("got %v, want %v", err, boom)
	}
	if f.Runs() != 2 || f.Closes() != 2 || len(f.Signature().Inputs) != 0 {
		t.Errorf("got %d runs and %d closes, want 2 and 2", f.Runs(), f.Closes())
	}
}

// TestFindLibrary is not parallel: it changes the environment and the working directory.
func TestFindLibrary(t *testing.T) {
	t.Setenv(onnxtest.LibraryVariable, "/some/where.so")
	if got, err := onnxtest.FindLibrary(); got != "/some/where.so" || err != nil {
		t.Errorf("from the variable: got %q, %v", got, err)
	}
	t.Setenv(onnxtest.LibraryVariable, "")
	root := t.TempDir()
	t.Chdir(root)
	if _, err := onnxtest.FindLibrary(); !errors.Is(err, onnxtest.ErrNoLibrary) {
		t.Errorf("nowhere: got %v, want %v", err, onnxtest.ErrNoLibrary)
	}
	want := filepath.Join(root, ".local/onnxruntime/1.30.0/libonnxruntime.so")
	below := filepath.Join(root, "app", "onnx")
	for _, dir := range []string{filepath.Dir(want), below} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(want, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	if got, err := onnxtest.FindLibrary(); got != want || err != nil {
		t.Errorf("below the root: got %q, %v, want %q", got, err, want)
	}
}
