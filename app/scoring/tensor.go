package scoring

import (
	"math"
	"strconv"
	"strings"
)

// Datatype is an element type of the Open Inference Protocol.
type Datatype uint8

// The datatypes of the protocol, with BF16 as Triton has it.
const (
	Bool Datatype = iota + 1
	Uint8
	Uint16
	Uint32
	Uint64
	Int8
	Int16
	Int32
	Int64
	FP16
	BF16
	FP32
	FP64
	Bytes
)

// datatypes gives name and element size in bytes. Bytes has no fixed size.
var datatypes = map[Datatype]struct {
	name string
	size int
}{
	Bool: {"BOOL", 1}, Uint8: {"UINT8", 1}, Uint16: {"UINT16", 2}, Uint32: {"UINT32", 4}, Uint64: {"UINT64", 8},
	Int8: {"INT8", 1}, Int16: {"INT16", 2}, Int32: {"INT32", 4}, Int64: {"INT64", 8},
	FP16: {"FP16", 2}, BF16: {"BF16", 2}, FP32: {"FP32", 4}, FP64: {"FP64", 8}, Bytes: {"BYTES", 0},
}

// String is the protocol's name, such as "FP32".
func (d Datatype) String() string { return datatypes[d].name }

// Size is the number of bytes of an element, and 0 for [Bytes].
func (d Datatype) Size() int { return datatypes[d].size }

// ParseDatatype reads the protocol's name. The error is an [Error] with code [Invalid].
func ParseDatatype(s string) (Datatype, error) {
	for d := Bool; d <= Bytes; d++ {
		if datatypes[d].name == s {
			return d, nil
		}
	}
	return 0, Errorf(Invalid, "datatype %q: want one of BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, FP64, BYTES", clip(s))
}

// Tensor is a named, dense, row-major array.
type Tensor struct {
	// Name of the model's input or output.
	Name string
	// Datatype of the elements.
	Datatype Datatype
	// Shape, the batch axis first; every dimension is known and 0 or more.
	Shape []int64
	// Data holds the elements in little-endian order, for every datatype but [Bytes].
	Data []byte
	// Strings holds the elements of a [Bytes] tensor.
	Strings [][]byte
}

// Elements multiplies the dimensions of shape. It reports false when one is negative or
// the product does not fit: a caller could otherwise claim a small tensor with a shape
// that overflows.
func Elements(shape []int64) (int64, bool) {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d != 0 && n > math.MaxInt64/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// FormatShape writes a shape for people, such as "[-1,3,224,224]", with the end of a very
// long one left out; nil, a rank that is not known, is "any shape".
func FormatShape(shape []int64) string {
	if shape == nil {
		return "any shape"
	}
	const most = 12
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range shape {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == most {
			b.WriteString("...")
			break
		}
		b.WriteString(strconv.FormatInt(d, 10))
	}
	b.WriteByte(']')
	return b.String()
}

// TensorSpec describes an input or output of a model.
type TensorSpec struct {
	// Name of the input or output.
	Name string
	// Datatype of its elements.
	Datatype Datatype
	// Shape with -1 for a dimension that may vary.
	Shape []int64
	// Axes names the dimensions that may vary as the model's file does, such as "batch";
	// "" where it gives no name. It is nil, or as long as Shape.
	Axes []string
}

// Signature is what a model takes and gives, read from its ONNX file.
type Signature struct {
	// Inputs in the order of the file.
	Inputs []TensorSpec
	// Outputs in the order of the file.
	Outputs []TensorSpec
}

// InferRequest asks for a run on tensors, without the model's pipeline.
type InferRequest struct {
	// Model to ask.
	Model ModelRef
	// ID is the caller's name for the request; the engine makes one if it is empty.
	ID string
	// Inputs, one for each input of the model, in any order.
	Inputs []Tensor
	// Outputs wanted; all of them if empty.
	Outputs []Output
	// Schedule says how urgent the request is.
	Schedule Schedule
	// Caller says who asks.
	Caller Caller
}

// Output asks for one output of a model.
type Output struct {
	// Name of the output.
	Name string
	// Classes, where it is not 0, asks for the best so many classes of each row instead of
	// the tensor: the protocol's classification extension. The answer is a [Bytes] tensor
	// of "score:index" or "score:index:label".
	Classes int
}

// InferResponse answers an [InferRequest].
type InferResponse struct {
	// Model that answered.
	Model ModelID
	// ID of the request.
	ID string
	// Outputs in the order asked for, or of the model.
	Outputs []Tensor
	// Timing says where the time went.
	Timing Timing
}
