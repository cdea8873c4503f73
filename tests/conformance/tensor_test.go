package conformance_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// elementType is an element type of ONNX that the Open Inference Protocol has a name for.
type elementType struct {
	datatype string
	// size of an element in bytes; 0 for strings.
	size int
}

// elementTypes is by TensorProto.DataType.
var elementTypes = map[int64]elementType{
	1: {"FP32", 4}, 2: {"UINT8", 1}, 3: {"INT8", 1}, 4: {"UINT16", 2}, 5: {"INT16", 2}, 6: {"INT32", 4}, 7: {"INT64", 8},
	8: {"BYTES", 0}, 9: {"BOOL", 1}, 10: {"FP16", 2}, 11: {"FP64", 8}, 12: {"UINT32", 4}, 13: {"UINT64", 8}, 16: {"BF16", 2},
}

// elementNames names the others.
var elementNames = map[int64]string{
	14: "complex64", 15: "complex128", 17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz",
	21: "uint4", 22: "int4", 23: "float4e2m1", 24: "float8e8m0",
}

// sizeOf gives the bytes of an element of a datatype.
func sizeOf(datatype string) int {
	for _, e := range elementTypes {
		if e.datatype == datatype {
			return e.size
		}
	}
	return 0
}

// tensor is a tensor as every way carries it: little-endian elements, and for BYTES each
// element after its length in four bytes.
type tensor struct {
	name     string
	datatype string
	shape    []int64
	data     []byte
}

// elements is what the shape says.
func (t tensor) elements() int {
	n := 1
	for _, d := range t.shape {
		n *= int(d)
	}
	return n
}

// strings gives the elements of a BYTES tensor.
func (t tensor) strings() ([][]byte, error) {
	all := [][]byte{}
	for rest := t.data; len(rest) > 0; {
		if len(rest) < 4 || uint32(len(rest)-4) < binary.LittleEndian.Uint32(rest) {
			return nil, fmt.Errorf("%q is cut short after %d strings", t.name, len(all))
		}
		end := 4 + binary.LittleEndian.Uint32(rest)
		all = append(all, rest[4:end])
		rest = rest[end:]
	}
	return all, nil
}

// join makes the data of a BYTES tensor.
func join(strings [][]byte) []byte {
	var data []byte
	for _, s := range strings {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(s)))
		data = append(data, s...)
	}
	return data
}

// same says whether two answers are one to the last bit.
func (t tensor) same(other tensor) bool {
	return t.name == other.name && t.datatype == other.datatype && slices.Equal(t.shape, other.shape) && bytes.Equal(t.data, other.data)
}

// The fields of TensorProto.
const (
	tensorDims    = 1
	tensorType    = 2
	tensorFloats  = 4
	tensorInts    = 5
	tensorStrings = 6
	tensorLongs   = 7
	tensorName    = 8
	tensorRaw     = 9
	tensorDoubles = 10
	tensorUlongs  = 11
)

// readTensor reads a TensorProto.
func readTensor(message []byte) (tensor, error) {
	t := tensor{shape: []int64{}}
	var element elementType
	var bits []uint64
	var strings [][]byte
	for f, err := range fields(message) {
		if err != nil {
			return t, err
		}
		var more []uint64
		switch f.number {
		case tensorDims:
			more, err = f.numbers(protowire.VarintType)
			for _, d := range more {
				t.shape = append(t.shape, int64(d))
			}
			more = nil
		case tensorType:
			element = elementTypes[int64(f.bits)]
		case tensorFloats:
			more, err = f.numbers(protowire.Fixed32Type)
		case tensorDoubles:
			more, err = f.numbers(protowire.Fixed64Type)
		case tensorInts, tensorLongs, tensorUlongs:
			more, err = f.numbers(protowire.VarintType)
		case tensorStrings:
			strings = append(strings, f.bytes)
		case tensorName:
			t.name = string(f.bytes)
		case tensorRaw:
			t.data = f.bytes
		}
		if err != nil {
			return t, err
		}
		bits = append(bits, more...)
	}
	if t.datatype = element.datatype; t.datatype == "BYTES" {
		t.data = join(strings)
		return t, nil
	}
	// Typed fields hold numbers of a type that is as wide or wider: the low bytes are it.
	for _, b := range bits {
		t.data = append(t.data, binary.LittleEndian.AppendUint64(nil, b)[:element.size]...)
	}
	if len(t.data) != t.elements()*element.size {
		return t, fmt.Errorf("%q has %d bytes for shape %v of %q", t.name, len(t.data), t.shape, t.datatype)
	}
	return t, nil
}
