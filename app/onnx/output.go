package onnx

import (
	"errors"
	"fmt"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/onda-serving/onda/app/scoring"
)

// collect makes tensors of the fetched values: of the outputs at these positions, or of
// all of them for nil.
func (s *Session) collect(fetched []ort.Value, wanted []int) ([]scoring.Tensor, error) {
	specs := s.info.Signature.Outputs
	n := len(wanted)
	if wanted == nil {
		n = len(specs)
	}
	all := make([]scoring.Tensor, n)
	for i := range all {
		o := i
		if wanted != nil {
			o = wanted[i]
		}
		all[i] = scoring.Tensor{Name: specs[o].Name, Datatype: specs[o].Datatype}
		if err := s.fetches[o].read(fetched, &all[i]); err != nil {
			return nil, scoring.Errorf(scoring.Internal, "output %q of the model could not be read", specs[o].Name).WithCause(err)
		}
	}
	return all, nil
}

// read fills in shape and elements.
func (f fetch) read(fetched []ort.Value, into *scoring.Tensor) error {
	into.Shape = fetched[f.data].GetShape()
	if f.shape >= 0 {
		dims, ok := fetched[f.shape].(*ort.Tensor[int64])
		if !ok {
			return fmt.Errorf("the shape is a %T", fetched[f.shape])
		}
		into.Shape = append([]int64{}, dims.GetData()...)
	}
	if text, ok := fetched[f.data].(*ort.StringTensor); ok {
		return readStrings(text, into)
	}
	data, size := elements(fetched[f.data])
	if size == 0 {
		return fmt.Errorf("the value is a %T", fetched[f.data])
	}
	switch into.Datatype { //nolint:exhaustive // only these two are fetched as FP32
	case scoring.FP16:
		data, size = narrow(data, toFloat16), 2
	case scoring.BF16:
		data, size = narrow(data, toBFloat16), 2
	}
	if size != into.Datatype.Size() {
		return fmt.Errorf("the value is a %T, declared as %s", fetched[f.data], into.Datatype)
	}
	into.Data = data
	return nil
}

// readStrings takes over the strings that the binding made, without another copy.
func readStrings(text *ort.StringTensor, into *scoring.Tensor) error {
	if len(text.GetShape()) == 0 {
		// The binding would panic; graft.go prevents it unless the file declares a wrong shape.
		return errors.New("the strings have no dimensions, but the model's file declares some")
	}
	contents, err := text.GetContents()
	if err != nil {
		return err
	}
	into.Strings = make([][]byte, len(contents))
	for i, s := range contents {
		into.Strings[i] = unsafe.Slice(unsafe.StringData(s), len(s))
		if s == "" {
			into.Strings[i] = []byte{}
		}
	}
	return nil
}

// elements views the elements of a tensor as bytes, and gives the size of one; 0 for a
// value that is no tensor of numbers. They are in Go memory, and the value's end does
// not touch them.
func elements(v ort.Value) (data []byte, size int) {
	switch v := v.(type) {
	case *ort.Tensor[float32]:
		return bytesOf(v)
	case *ort.Tensor[float64]:
		return bytesOf(v)
	case *ort.Tensor[int8]:
		return bytesOf(v)
	case *ort.Tensor[int16]:
		return bytesOf(v)
	case *ort.Tensor[int32]:
		return bytesOf(v)
	case *ort.Tensor[int64]:
		return bytesOf(v)
	case *ort.Tensor[uint8]:
		return bytesOf(v)
	case *ort.Tensor[uint16]:
		return bytesOf(v)
	case *ort.Tensor[uint32]:
		return bytesOf(v)
	case *ort.Tensor[uint64]:
		return bytesOf(v)
	case *ort.Tensor[bool]:
		return bytesOf(v)
	default:
		return nil, 0
	}
}

func bytesOf[T ort.TensorData](t *ort.Tensor[T]) (data []byte, size int) {
	var one T
	size = int(unsafe.Sizeof(one))
	all := t.GetData()
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(all))), len(all)*size), size
}
