package onnxtest

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/onda-serving/onda/app/scoring"
)

// Number is a Go type for the elements of a tensor. FP16 and BF16 have none: use
// [scoring.Tensor] for them.
type Number interface {
	bool | uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 | float32 | float64
}

// Tensor makes a tensor of numbers, in row-major order. It does not compare their count
// with shape, so that tests can be wrong on purpose.
func Tensor[T Number](name string, shape []int64, values ...T) scoring.Tensor {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, values); err != nil {
		panic(fmt.Sprintf("onnxtest: write numbers: %v", err))
	}
	return scoring.Tensor{Name: name, Datatype: datatype[T](), Shape: shape, Data: b.Bytes()}
}

// Strings makes a tensor of strings, in row-major order.
func Strings(name string, shape []int64, values ...string) scoring.Tensor {
	t := scoring.Tensor{Name: name, Datatype: scoring.Bytes, Shape: shape}
	for _, v := range values {
		t.Strings = append(t.Strings, []byte(v))
	}
	return t
}

// Values reads the numbers of a tensor. A tensor of another datatype panics.
func Values[T Number](t scoring.Tensor) []T {
	if want := datatype[T](); t.Datatype != want {
		panic(fmt.Sprintf("onnxtest: tensor %q is of %s, not of %s", t.Name, t.Datatype, want))
	}
	values := make([]T, len(t.Data)/t.Datatype.Size())
	if err := binary.Read(bytes.NewReader(t.Data), binary.LittleEndian, values); err != nil {
		panic(fmt.Sprintf("onnxtest: read numbers: %v", err))
	}
	return values
}

// datatype is the datatype whose elements are of type T.
func datatype[T Number]() scoring.Datatype {
	var v T
	switch any(v).(type) {
	case bool:
		return scoring.Bool
	case uint8:
		return scoring.Uint8
	case uint16:
		return scoring.Uint16
	case uint32:
		return scoring.Uint32
	case uint64:
		return scoring.Uint64
	case int8:
		return scoring.Int8
	case int16:
		return scoring.Int16
	case int32:
		return scoring.Int32
	case int64:
		return scoring.Int64
	case float32:
		return scoring.FP32
	default:
		return scoring.FP64
	}
}
