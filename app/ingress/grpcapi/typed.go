package grpcapi

import (
	"encoding/binary"
	"math"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// field is a field of typed contents that holds values.
type field struct {
	name  string
	count int
}

// fieldsOf lists the fields of c that hold values.
func fieldsOf(c *inferencepb.InferTensorContents) []field {
	all := []field{
		{"bool_contents", len(c.GetBoolContents())},
		{"int_contents", len(c.GetIntContents())},
		{"int64_contents", len(c.GetInt64Contents())},
		{"uint_contents", len(c.GetUintContents())},
		{"uint64_contents", len(c.GetUint64Contents())},
		{"fp32_contents", len(c.GetFp32Contents())},
		{"fp64_contents", len(c.GetFp64Contents())},
		{"bytes_contents", len(c.GetBytesContents())},
	}
	used := all[:0]
	for _, f := range all {
		if f.count > 0 {
			used = append(used, f)
		}
	}
	return used
}

// homes names the field of each datatype. FP16 and BF16 have none.
var homes = map[scoring.Datatype]string{
	scoring.Bool: "bool_contents", scoring.Bytes: "bytes_contents",
	scoring.Int8: "int_contents", scoring.Int16: "int_contents", scoring.Int32: "int_contents", scoring.Int64: "int64_contents",
	scoring.Uint8: "uint_contents", scoring.Uint16: "uint_contents", scoring.Uint32: "uint_contents", scoring.Uint64: "uint64_contents",
	scoring.FP32: "fp32_contents", scoring.FP64: "fp64_contents",
}

// decodeTyped reads typed contents.
func decodeTyped(t *scoring.Tensor, c *inferencepb.InferTensorContents, want int64) error {
	home, ok := homes[t.Datatype]
	if !ok {
		return scoring.Errorf(scoring.Invalid, "input %q: %s has no typed contents: send raw_input_contents", clip(t.Name), t.Datatype)
	}
	count := 0
	for _, f := range fieldsOf(c) {
		if f.name != home {
			return scoring.Errorf(scoring.Invalid, "input %q of %s has values in %s: want them in %s", clip(t.Name), t.Datatype, f.name, home)
		}
		count = f.count
	}
	if int64(count) != want {
		return countError(t, int64(count), want)
	}
	return decodeValues(t, c)
}

// decodeValues copies the values of t's own field.
func decodeValues(t *scoring.Tensor, c *inferencepb.InferTensorContents) error {
	switch t.Datatype {
	case scoring.Int8:
		return narrow(t, c.GetIntContents(), math.MinInt8, math.MaxInt8)
	case scoring.Int16:
		return narrow(t, c.GetIntContents(), math.MinInt16, math.MaxInt16)
	case scoring.Uint8:
		return narrow(t, c.GetUintContents(), 0, math.MaxUint8)
	case scoring.Uint16:
		return narrow(t, c.GetUintContents(), 0, math.MaxUint16)
	case scoring.Bytes:
		t.Strings = c.GetBytesContents()
		return nil
	default:
		var err error
		t.Data, err = binary.Append(nil, binary.LittleEndian, wideValues(t.Datatype, c))
		return err
	}
}

// wideValues gives the values of a datatype that its field holds at its own size.
func wideValues(d scoring.Datatype, c *inferencepb.InferTensorContents) any {
	switch d {
	case scoring.Bool:
		return c.GetBoolContents()
	case scoring.Int32:
		return c.GetIntContents()
	case scoring.Int64:
		return c.GetInt64Contents()
	case scoring.Uint32:
		return c.GetUintContents()
	case scoring.Uint64:
		return c.GetUint64Contents()
	case scoring.FP32:
		return c.GetFp32Contents()
	default:
		return c.GetFp64Contents()
	}
}

// narrow copies values that travel in 32 bits and belong in 8 or 16.
func narrow[T int32 | uint32](t *scoring.Tensor, values []T, least, most T) error {
	size := t.Datatype.Size()
	t.Data = make([]byte, 0, len(values)*size)
	for i, value := range values {
		if value < least || value > most {
			return scoring.Errorf(scoring.Invalid, "input %q: value %d is %d: it does not fit into %s (%d to %d)", clip(t.Name), i, value, t.Datatype, least, most)
		}
		t.Data = append(t.Data, byte(value))
		if size == 2 {
			t.Data = append(t.Data, byte(value>>8))
		}
	}
	return nil
}

// encodeTyped gives the typed contents of t, which is of neither FP16 nor BF16.
func encodeTyped(t *scoring.Tensor) *inferencepb.InferTensorContents {
	le := binary.LittleEndian
	switch t.Datatype {
	case scoring.Bool:
		return &inferencepb.InferTensorContents{BoolContents: values(t, func(e []byte) bool { return e[0] != 0 })}
	case scoring.Int8:
		return &inferencepb.InferTensorContents{IntContents: values(t, func(e []byte) int32 { return int32(int8(e[0])) })}
	case scoring.Int16:
		return &inferencepb.InferTensorContents{IntContents: values(t, func(e []byte) int32 { return int32(int16(le.Uint16(e))) })}
	case scoring.Int32:
		return &inferencepb.InferTensorContents{IntContents: values(t, func(e []byte) int32 { return int32(le.Uint32(e)) })}
	case scoring.Int64:
		return &inferencepb.InferTensorContents{Int64Contents: values(t, func(e []byte) int64 { return int64(le.Uint64(e)) })}
	case scoring.Uint8:
		return &inferencepb.InferTensorContents{UintContents: values(t, func(e []byte) uint32 { return uint32(e[0]) })}
	case scoring.Uint16:
		return &inferencepb.InferTensorContents{UintContents: values(t, func(e []byte) uint32 { return uint32(le.Uint16(e)) })}
	case scoring.Uint32:
		return &inferencepb.InferTensorContents{UintContents: values(t, le.Uint32)}
	case scoring.Uint64:
		return &inferencepb.InferTensorContents{Uint64Contents: values(t, le.Uint64)}
	case scoring.FP32:
		return &inferencepb.InferTensorContents{Fp32Contents: values(t, func(e []byte) float32 { return math.Float32frombits(le.Uint32(e)) })}
	case scoring.FP64:
		return &inferencepb.InferTensorContents{Fp64Contents: values(t, func(e []byte) float64 { return math.Float64frombits(le.Uint64(e)) })}
	default:
		return &inferencepb.InferTensorContents{BytesContents: t.Strings}
	}
}

// values reads the elements of t one by one.
func values[T any](t *scoring.Tensor, read func([]byte) T) []T {
	size := t.Datatype.Size()
	all := make([]T, len(t.Data)/size)
	for i := range all {
		all[i] = read(t.Data[i*size:])
	}
	return all
}
