package onnx

import (
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/onda-serving/onda/app/scoring"
)

// scalars are the datatypes that the binding can make a tensor without dimensions of.
var scalars = map[scoring.Datatype]bool{
	scoring.Bool: true, scoring.Uint8: true, scoring.Uint16: true, scoring.Uint32: true, scoring.Uint64: true,
	scoring.Int8: true, scoring.Int16: true, scoring.Int32: true, scoring.Int64: true, scoring.FP32: true, scoring.FP64: true,
}

// nothing backs tensors without elements: the binding wants a byte even then.
var nothing = make([]byte, 8)

// value makes the library's view of t, which was checked. Numbers stay where they are:
// the library reads t.Data, pinned until [scratch.release]. Strings are copied.
func (sc *scratch) value(t *scoring.Tensor) (v ort.Value, err error) {
	switch {
	case t.Datatype == scoring.Bytes:
		v, err = stringTensor(t)
	case len(t.Shape) == 0:
		v, err = scalar(t.Datatype, t.Data)
	default:
		data := nothing
		if len(t.Data) > 0 {
			data = aligned(t.Data, t.Datatype.Size())
		}
		sc.pins.Pin(&data[0])
		v, err = ort.NewCustomDataTensor(t.Shape, data, ort.TensorElementDataType(elementTypes[t.Datatype]))
	}
	if err != nil {
		return nil, scoring.Errorf(scoring.Internal, "input %q could not be handed to the model", clip(t.Name)).WithCause(err)
	}
	return v, nil
}

// aligned gives data itself if it starts at a multiple of size, and a copy otherwise:
// the library reads elements as numbers, and processors may refuse or slow down on
// others. Bodies sliced into tensors are where it happens.
func aligned(data []byte, size int) []byte {
	if uintptr(unsafe.Pointer(unsafe.SliceData(data)))%uintptr(size) == 0 {
		return data
	}
	words := make([]uint64, (len(data)+7)/8)
	room := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(data))
	copy(room, data)
	return room
}

// scalar makes a tensor without dimensions. The binding copies its one element.
func scalar(d scoring.Datatype, data []byte) (ort.Value, error) {
	p := unsafe.Pointer(unsafe.SliceData(aligned(data, d.Size())))
	switch d {
	case scoring.Bool:
		return ort.NewScalar(*(*bool)(p))
	case scoring.Uint8:
		return ort.NewScalar(*(*uint8)(p))
	case scoring.Uint16:
		return ort.NewScalar(*(*uint16)(p))
	case scoring.Uint32:
		return ort.NewScalar(*(*uint32)(p))
	case scoring.Uint64:
		return ort.NewScalar(*(*uint64)(p))
	case scoring.Int8:
		return ort.NewScalar(*(*int8)(p))
	case scoring.Int16:
		return ort.NewScalar(*(*int16)(p))
	case scoring.Int32:
		return ort.NewScalar(*(*int32)(p))
	case scoring.Int64:
		return ort.NewScalar(*(*int64)(p))
	case scoring.FP32:
		return ort.NewScalar(*(*float32)(p))
	case scoring.FP64:
		return ort.NewScalar(*(*float64)(p))
	default:
		return nil, fmt.Errorf("no scalars of %s", d)
	}
}

// stringTensor copies the strings, as C strings and from there into the library: the C
// API that the binding wraps takes nothing else.
func stringTensor(t *scoring.Tensor) (ort.Value, error) {
	v, err := ort.NewStringTensor(t.Shape)
	if err != nil {
		return nil, err
	}
	contents := make([]string, len(t.Strings))
	for i, s := range t.Strings {
		// No copy: the string lives as long as this call, and nobody writes to s meanwhile.
		contents[i] = unsafe.String(unsafe.SliceData(s), len(s))
	}
	if err := v.SetContents(contents); err != nil {
		_ = v.Destroy()
		return nil, err
	}
	return v, nil
}
