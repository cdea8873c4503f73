package wire

import (
	"encoding/binary"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// BinaryHeader is the HTTP header of the binary tensor extension: the length of the JSON
// that a body begins with. The tensors' data follows the JSON, in their order and without
// padding.
const BinaryHeader = "Inference-Header-Content-Length"

// lengthSize is the size of the length in front of each element of binary BYTES.
const lengthSize = 4

// DecodeInferBinary reads an infer request with the value of [BinaryHeader], which must
// not be 0: see [IsRaw]. Binary tensors are parts of body, which is not copied.
func DecodeInferBinary(header string, body []byte) (scoring.InferRequest, InferOptions, error) {
	length, err := strconv.ParseUint(header, 10, 63)
	if err != nil || length > uint64(len(body)) {
		return scoring.InferRequest{}, InferOptions{}, scoring.Errorf(scoring.Invalid, "header %s is %q: want the number of bytes of the JSON that the body begins with, at most the %d bytes of the body", BinaryHeader, clip(header), len(body))
	}
	d := inferDecoder{reader: reader{where: "the JSON part of the body", text: body[:length:length]}, blobs: body[length:], inBinary: true}
	return d.decode()
}

// takeBlob gives an input its binary data.
func (d *inferDecoder) takeBlob(in *inputHead) error {
	t := &in.tensor
	switch have := uint64(len(d.blobs)); {
	case in.size > 0 && !d.inBinary:
		return scoring.Errorf(scoring.Invalid, `input %q has binary_data_size, and the request has no binary data: send it behind the JSON, and the length of the JSON in the header %s`, clip(t.Name), BinaryHeader)
	case in.size > have:
		return scoring.Errorf(scoring.Invalid, "input %q: binary_data_size is %d, and %d bytes are left in the body: want as many", clip(t.Name), in.size, have)
	}
	data := d.blobs[:in.size:in.size]
	d.blobs = d.blobs[in.size:]
	return setBinary(t, data, in.want)
}

// setBinary gives t its elements from binary data; want is their number.
func setBinary(t *scoring.Tensor, data []byte, want int64) error {
	if t.Datatype == scoring.Bytes {
		return setBinaryBytes(t, data, want)
	}
	size := int64(t.Datatype.Size())
	// Divided, because the product of elements and size could overflow.
	if have := int64(len(data)); have%size != 0 || have/size != want {
		return scoring.Errorf(scoring.Invalid, "input %q has %d bytes of binary data, its shape %s of %s wants %d values of %d bytes", clip(t.Name), have, scoring.FormatShape(t.Shape), t.Datatype, want, size)
	}
	if t.Datatype == scoring.Bool {
		for i, b := range data {
			if b > 1 {
				return scoring.Errorf(scoring.Invalid, "input %q: value %d of BOOL is the byte %d: want 0 or 1", clip(t.Name), i, b)
			}
		}
	}
	t.Data = data
	return nil
}

// setBinaryBytes reads elements that each have their length in front.
func setBinaryBytes(t *scoring.Tensor, data []byte, want int64) error {
	// The claim of the shape is not trusted with memory: each element takes a length.
	if most := int64(len(data) / lengthSize); most < want {
		return scoring.Errorf(scoring.Invalid, "input %q has %d bytes of binary data, its shape %s of BYTES wants %d values with a length of 4 bytes each", clip(t.Name), len(data), scoring.FormatShape(t.Shape), want)
	}
	if want > maxStrings {
		return scoring.Errorf(scoring.TooLarge, "input %q has more than %d strings: split the request", clip(t.Name), maxStrings)
	}
	t.Strings = make([][]byte, 0, want)
	rest := data
	for range want {
		if len(rest) < lengthSize {
			return scoring.Errorf(scoring.Invalid, "input %q: the binary data ends before value %d: its shape %s wants %d", clip(t.Name), len(t.Strings), scoring.FormatShape(t.Shape), want)
		}
		size := int64(binary.LittleEndian.Uint32(rest))
		rest = rest[lengthSize:]
		if size > int64(len(rest)) {
			return scoring.Errorf(scoring.Invalid, "input %q: value %d says that it is %d bytes long, and %d are left", clip(t.Name), len(t.Strings), size, len(rest))
		}
		t.Strings = append(t.Strings, rest[:size:size])
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return scoring.Errorf(scoring.Invalid, "input %q: %d bytes are left behind its %d values: want no more than its shape %s", clip(t.Name), len(rest), want, scoring.FormatShape(t.Shape))
	}
	return nil
}

// IsRaw says whether the value of [BinaryHeader] announces a raw request: see
// [DecodeInferRaw].
func IsRaw(header string) bool {
	length, err := strconv.ParseUint(header, 10, 63)
	return err == nil && length == 0
}

// DecodeInferRaw reads a raw request: the whole body is the one input of the model, and
// signature says what that is. All outputs are wanted as binary data.
func DecodeInferRaw(body []byte, signature scoring.Signature) (scoring.InferRequest, InferOptions, error) {
	opts := InferOptions{AllBinary: true}
	if n := len(signature.Inputs); n != 1 {
		return scoring.InferRequest{}, opts, scoring.Errorf(scoring.Invalid, "raw request must only have 1 input to be deduced, and the model has %d inputs: send the JSON part that names them", n)
	}
	spec := signature.Inputs[0]
	t := scoring.Tensor{Name: spec.Name, Datatype: spec.Datatype}
	var err error
	if t.Shape, err = rawShape(spec, int64(len(body))); err != nil {
		return scoring.InferRequest{}, opts, err
	}
	if t.Datatype == scoring.Bytes {
		t.Strings = [][]byte{body}
	} else {
		want, _ := scoring.Elements(t.Shape)
		err = setBinary(&t, body, want)
	}
	return scoring.InferRequest{Inputs: []scoring.Tensor{t}}, opts, err
}

// rawShape deduces the shape of a raw input of size bytes.
func rawShape(spec scoring.TensorSpec, size int64) ([]int64, error) {
	shape := make([]int64, len(spec.Shape))
	if spec.Shape == nil {
		return nil, scoring.Errorf(scoring.Invalid, "the shape of the raw input %q can not be deduced because the model does not say it: send the JSON part that does", spec.Name)
	}
	open, known := -1, int64(1)
	for i, d := range spec.Shape {
		switch {
		case spec.Datatype == scoring.Bytes && (d == 1 || d < 0):
			shape[i] = 1
		case spec.Datatype == scoring.Bytes:
			return nil, scoring.Errorf(scoring.Invalid, "for BYTES datatype raw input %q, the model must have input shape [1], and it has %s: send the JSON part", spec.Name, scoring.FormatShape(spec.Shape))
		case d >= 0:
			shape[i] = d
			known *= d
		case open >= 0:
			return nil, scoring.Errorf(scoring.Invalid, "the shape of the raw input %q can not be deduced because there are more than one variable-sized dimension in %s: send the JSON part that gives the shape", spec.Name, scoring.FormatShape(spec.Shape))
		default:
			open = i
		}
	}
	if open >= 0 && known > 0 {
		shape[open] = size / known / int64(spec.Datatype.Size())
	}
	return shape, nil
}
