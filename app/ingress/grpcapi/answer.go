package grpcapi

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/onda-serving/onda/app/ingress/inferencepb"
	"github.com/onda-serving/onda/app/scoring"
)

// The numbers of the fields that [inferAnswer.plain] writes.
const (
	responseModel, responseVersion, responseID            = 1, 2, 3
	responseParameters, responseOutputs, responseRaw      = 4, 5, 6
	outputName, outputDatatype, outputShape               = 1, 2, 3
	entryKey, parameterBool, parameterString, streamInfer = 1, 1, 3, 2
)

const (
	// digestParameter names the artifact that answered.
	digestParameter = "digest"
	// smallAnswer has room for the answer of a small request.
	smallAnswer = 512
	// apart is the size from which a tensor is sent from where it is, and not copied among
	// the other fields.
	apart = 4 << 10
)

// inferAnswer is an answer on its way to its message.
type inferAnswer struct {
	resp *scoring.InferResponse
	// raw says that the request's tensors were.
	raw bool
	// streamed says that it is for a request of a stream.
	streamed bool
}

// isRaw says in which form the answer is: that of the request. Yet one output of FP16 or
// BF16 makes it raw in any case, because those have no typed contents and one message
// cannot mix the two forms.
func (a *inferAnswer) isRaw() bool {
	return a.raw || slices.ContainsFunc(a.resp.Outputs, func(t scoring.Tensor) bool {
		return t.Datatype == scoring.FP16 || t.Datatype == scoring.BF16
	})
}

// message gives the answer's message.
func (a *inferAnswer) message() proto.Message {
	message := encodeInfer(a.resp, a.isRaw())
	if !a.streamed {
		return message
	}
	message.Parameters[finalParameter] = markFinal()
	return &inferencepb.ModelStreamInferResponse{InferResponse: message}
}

// plain writes the message of a raw answer, at a fraction of the cost of the generated code
// and without copying large tensors. It reports false for the other form, and for what the
// generated code would refuse.
func (a *inferAnswer) plain() (mem.BufferSlice, bool) {
	if !a.isRaw() || !utf8.ValidString(a.resp.ID) || !utf8.ValidString(a.resp.Model.Name) {
		return nil, false
	}
	w := writer{buffer: make([]byte, 0, smallAnswer)}
	w.field(responseModel, []byte(a.resp.Model.Name))
	w.field(responseVersion, strconv.AppendInt(nil, a.resp.Model.Version, 10))
	w.field(responseID, []byte(a.resp.ID))
	w.parameter(digestParameter, appendField(nil, parameterString, a.resp.Model.Digest))
	if a.streamed {
		w.parameter(finalParameter, protowire.AppendVarint(protowire.AppendTag(nil, parameterBool, protowire.VarintType), 1))
	}
	for i := range a.resp.Outputs {
		t := &a.resp.Outputs[i]
		if !utf8.ValidString(t.Name) {
			return nil, false
		}
		w.output(t)
	}
	for i := range a.resp.Outputs {
		w.raw(encodeRaw(&a.resp.Outputs[i]))
	}
	return w.finish(a.streamed), true
}

// writer writes a message in pieces.
type writer struct {
	pieces mem.BufferSlice
	// buffer is the piece that is being written.
	buffer []byte
}

// appendField appends a field with a length.
func appendField[T string | []byte](to []byte, number protowire.Number, value T) []byte {
	to = protowire.AppendTag(to, number, protowire.BytesType)
	return append(protowire.AppendVarint(to, uint64(len(value))), value...)
}

func (w *writer) field(number protowire.Number, value []byte) {
	w.buffer = appendField(w.buffer, number, value)
}

// parameter writes a parameter of the answer. value is the message of its value.
func (w *writer) parameter(name string, value []byte) {
	w.field(responseParameters, appendField(appendField(nil, entryKey, name), entryValue, value))
}

// output writes an output without its elements.
func (w *writer) output(t *scoring.Tensor) {
	var room [128]byte
	var shape [64]byte
	dimensions := shape[:0]
	for _, d := range t.Shape {
		dimensions = protowire.AppendVarint(dimensions, uint64(d))
	}
	out := appendField(room[:0], outputName, t.Name)
	out = appendField(out, outputDatatype, t.Datatype.String())
	if len(dimensions) > 0 {
		out = appendField(out, outputShape, dimensions)
	}
	w.field(responseOutputs, out)
}

// raw writes the elements of an output.
func (w *writer) raw(data []byte) {
	if len(data) < apart {
		w.field(responseRaw, data)
		return
	}
	w.buffer = protowire.AppendTag(w.buffer, responseRaw, protowire.BytesType)
	w.buffer = protowire.AppendVarint(w.buffer, uint64(len(data)))
	w.pieces = append(w.pieces, mem.SliceBuffer(w.buffer), mem.SliceBuffer(data))
	w.buffer = nil
}

// finish gives the message, or that of a stream around it.
func (w *writer) finish(streamed bool) mem.BufferSlice {
	if len(w.buffer) > 0 {
		w.pieces = append(w.pieces, mem.SliceBuffer(w.buffer))
	}
	if !streamed {
		return w.pieces
	}
	head := protowire.AppendTag(nil, streamInfer, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(w.pieces.Len()))
	return append(mem.BufferSlice{mem.SliceBuffer(head)}, w.pieces...)
}

// encodeInfer makes the message of an answer in either form.
func encodeInfer(resp *scoring.InferResponse, raw bool) *inferencepb.ModelInferResponse {
	out := &inferencepb.ModelInferResponse{
		ModelName:    resp.Model.Name,
		ModelVersion: strconv.FormatInt(resp.Model.Version, 10),
		Id:           resp.ID,
		Parameters: map[string]*inferencepb.InferParameter{
			"digest": {ParameterChoice: &inferencepb.InferParameter_StringParam{StringParam: resp.Model.Digest}},
		},
	}
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		tensor := &inferencepb.ModelInferResponse_InferOutputTensor{Name: t.Name, Datatype: t.Datatype.String(), Shape: t.Shape}
		if raw {
			out.RawOutputContents = append(out.RawOutputContents, encodeRaw(t))
		} else {
			tensor.Contents = encodeTyped(t)
		}
		out.Outputs = append(out.Outputs, tensor)
	}
	return out
}
