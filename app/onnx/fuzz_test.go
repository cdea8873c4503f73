package onnx

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/onda-serving/onda/app/onnx/onnxtest"
	"github.com/onda-serving/onda/app/scoring"
)

// FuzzInspect reads arbitrary bytes as a model. Only the reader is fuzzed: ONNX Runtime
// itself makes no promise for hostile files.
func FuzzInspect(f *testing.F) {
	for _, model := range [][]byte{onnxtest.AddSub(), onnxtest.ZipMap(), onnxtest.Slow(3), external("w"), onnxtest.Identity(scoring.BF16, nil)} {
		f.Add(model)
	}
	f.Fuzz(func(t *testing.T, model []byte) {
		info, err := Inspect(model)
		if err != nil {
			if scoring.CodeOf(err) != scoring.Invalid {
				t.Errorf("got %v, want Invalid", err)
			}
			return
		}
		if len(info.Signature.Inputs) == 0 || len(info.Signature.Outputs) == 0 {
			t.Error("no inputs or no outputs, and no error")
		}
	})
}

// FuzzRun hands arbitrary tensors to a model that gives them back. What the checks let
// through must come back unchanged; nothing may crash.
func FuzzRun(f *testing.F) {
	sessions := map[scoring.Datatype]*Session{}
	for d := scoring.Bool; d <= scoring.Bytes; d++ {
		sessions[d] = load(f, onnxtest.Identity(d, nil))
	}
	f.Add(byte(scoring.FP32), byte(scoring.FP32), []byte{2, 1}, make([]byte, 8), []byte("a b"))
	f.Add(byte(scoring.Bytes), byte(scoring.Bytes), []byte{2}, []byte{}, []byte("a b"))
	f.Add(byte(scoring.FP16), byte(scoring.FP16), []byte{}, make([]byte, 2), []byte{})
	f.Add(byte(scoring.Int64), byte(scoring.Int64), []byte{0, 255, 1}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, model, datatype byte, dims, data, text []byte) {
		s, known := sessions[scoring.Datatype(model)]
		if !known {
			return
		}
		in := scoring.Tensor{Name: "INPUT", Datatype: scoring.Datatype(datatype), Shape: shapeOf(dims), Data: data, Strings: split(text)}
		out, err := s.Run(context.Background(), []scoring.Tensor{in}, nil)
		if err != nil {
			if scoring.CodeOf(err) != scoring.Invalid {
				t.Errorf("%v: got %v, want Invalid", in, err)
			}
			return
		}
		in.Name = "OUTPUT"
		if !sameTensor(out[0], in) && in.Datatype != scoring.FP16 && in.Datatype != scoring.BF16 { // those may hold a NaN
			t.Errorf("got %v, want %v", out[0], in)
		}
	})
}

// shapeOf makes dimensions of bytes: small ones of most, huge and negative ones of some.
func shapeOf(dims []byte) []int64 {
	shape := make([]int64, 0, len(dims))
	for i, d := range dims {
		if d >= 250 && i+8 <= len(dims) {
			shape = append(shape, int64(binary.LittleEndian.Uint64(dims[i:])))
			continue
		}
		shape = append(shape, int64(int8(d)))
	}
	return shape
}

func split(text []byte) [][]byte {
	var all [][]byte
	for len(text) > 0 {
		n := min(1+int(text[0])%5, len(text))
		all = append(all, text[:n])
		text = text[n:]
	}
	return all
}
