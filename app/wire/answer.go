package wire

import (
	"encoding/binary"
	"strconv"

	"github.com/onda-serving/onda/app/scoring"
)

// Answer is the body of an answer: JSON and, with the binary tensor extension, the data
// of outputs behind it.
type Answer struct {
	// JSON part.
	JSON []byte
	// Blobs follow it in this order. They refer to the tensors of the response.
	Blobs [][]byte
	// Binary says that at least one output is binary, be it empty: the answer then needs
	// [BinaryHeader], with the length of JSON.
	Binary bool
}

// Size is the number of bytes of the whole body.
func (a *Answer) Size() int {
	size := len(a.JSON)
	for _, blob := range a.Blobs {
		size += len(blob)
	}
	return size
}

// EncodeInfer writes the answer to an infer request as JSON. Values that JSON cannot
// carry (NaN, infinities, FP16, BF16) are an error: a null or a string in their place
// would be read as another answer.
func EncodeInfer(resp *scoring.InferResponse) ([]byte, error) {
	answer, err := AppendInfer(nil, resp, &InferOptions{})
	return answer.JSON, err
}

// AppendInfer appends the JSON of the answer to an infer request to a buffer, which may
// be nil, and collects the outputs that opts wants as binary data. The answer has an id
// always: KServe's client fails without one.
func AppendInfer(to []byte, resp *scoring.InferResponse, opts *InferOptions) (Answer, error) {
	var answer Answer
	b := grow(to, sizeOf(resp, opts))
	b = append(b, `{"model_name":`...)
	b = appendString(b, resp.Model.Name)
	b = append(b, `,"model_version":"`...)
	b = strconv.AppendInt(b, resp.Model.Version, 10)
	b = append(b, `","id":`...)
	b = appendString(b, resp.ID)
	b = append(b, `,"parameters":{"digest":`...)
	b = appendString(b, resp.Model.Digest)
	b = append(b, `},"outputs":[`...)
	for i := range resp.Outputs {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = answer.output(b, &resp.Outputs[i], opts); err != nil {
			return Answer{}, err
		}
	}
	b = append(b, `]}`...)
	answer.JSON = b
	return answer, nil
}

// output appends an output tensor, its data flat and row-major, or only the size of its
// data.
func (a *Answer) output(b []byte, t *scoring.Tensor, opts *InferOptions) ([]byte, error) {
	b = append(b, `{"name":`...)
	b = appendString(b, t.Name)
	b = append(b, `,"datatype":"`...)
	b = append(b, t.Datatype.String()...)
	b = append(b, `","shape":[`...)
	for i, d := range t.Shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, d, 10)
	}
	if opts.binary(t.Name) {
		blob := binaryOf(t)
		a.Binary = true
		a.Blobs = append(a.Blobs, blob)
		b = append(b, `],"parameters":{"binary_data_size":`...)
		b = strconv.AppendInt(b, int64(len(blob)), 10)
		return append(b, `}}`...), nil
	}
	b, err := appendData(append(b, `],"data":`...), t)
	return append(b, '}'), err
}

// binaryOf gives the binary data of t: numbers as they are, strings with their lengths.
func binaryOf(t *scoring.Tensor) []byte {
	if t.Datatype != scoring.Bytes {
		return t.Data
	}
	size := 0
	for _, s := range t.Strings {
		size += lengthSize + len(s)
	}
	data := make([]byte, 0, size)
	for _, s := range t.Strings {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(s)))
		data = append(data, s...)
	}
	return data
}

// sizeOf guesses the size of the JSON, so that the buffer grows once.
func sizeOf(resp *scoring.InferResponse, opts *InferOptions) int {
	size := 256
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		size += 128 + len(t.Name)
		if opts.binary(t.Name) {
			continue
		}
		if width := t.Datatype.Size(); width > 0 {
			size += len(t.Data) / width * textWidth(t.Datatype)
		}
		for _, s := range t.Strings {
			size += len(s) + len(`"",`)
		}
	}
	return size
}

// textWidth is about how long an element is in JSON, with its comma.
func textWidth(d scoring.Datatype) int {
	switch d {
	case scoring.FP32:
		return 13
	case scoring.FP64:
		return 20
	default:
		return 5
	}
}

// grow gives b room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, len(b)+n), b...)
}
